//! Calls of deployed functions: finding them, checking arguments and results, running them.

mod address;
pub(crate) mod execution;
mod nested;
pub(crate) mod open_query;
pub(crate) mod pages;
pub(crate) mod run;
pub(crate) mod sharing;
mod source;
mod syscalls;
mod system;
pub(crate) mod undeployed;
mod usage;
