//! Calls of deployed functions: finding them, checking arguments and results, running them.

pub(crate) mod execution;
pub(crate) mod open_query;
pub(crate) mod run;
mod syscalls;
