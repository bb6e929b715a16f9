//! Runs the V8 host without Postgres: the unit tests of its files, and functions in it. The extension's own
//! library links into Postgres only, so its tests can not run there.
#![cfg(test)]
#![allow(
    dead_code,
    unused_imports,
    reason = "the host offers more than the tests use"
)]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../../../src/js/mod.rs"]
mod js;

mod console;
mod determinism;
mod globals;
mod sharing;
mod stack_traces;
mod support;
mod web_crypto;
