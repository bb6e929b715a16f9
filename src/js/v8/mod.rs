//! Everything that touches V8. Nothing of V8 leaves this folder, and no panic or error of the host crosses a
//! frame of V8: host calls are caught where they are made.

mod call;
mod context;
mod convert;
mod engine;
mod exception;
mod frame;
mod guarded;
mod image;
mod introspection;
mod kept;
mod language;
mod memory;
mod modules;
mod ops;
mod ops_web;
mod platform;
mod prepare;
mod process;
mod runtime;
mod sys;
mod watchdog;

pub(super) use call::invoke;
pub(super) use engine::{discard, forget_others, stats};
pub(super) use frame::append_log_lines;
pub(super) use guarded::{distrust, prove};
pub(super) use introspection::{analyze, evaluate_auth_config, evaluate_schema};
pub(super) use language::{call_routine, check_routine};
pub(super) use prepare::between_statements;
pub(super) use process::library_identity;
