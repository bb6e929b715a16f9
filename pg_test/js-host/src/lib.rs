//! Runs the unit tests of the V8 host's pure parts. The extension's library links into Postgres only,
//! so its own tests cannot run; these files need neither Postgres nor V8.
#![forbid(unsafe_code)]
#![cfg(test)]
#![allow(dead_code, reason = "the host uses what the tests do not")]

#[path = "../../../src/js/json_text.rs"]
mod json_text;
#[path = "../../../src/js/log_lines.rs"]
mod log_lines;
#[path = "../../../src/js/source_map.rs"]
mod source_map;
#[path = "../../../src/js/specifier.rs"]
mod specifier;
#[path = "../../../src/js/stack_trace.rs"]
mod stack_trace;
