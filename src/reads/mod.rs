//! What a result read by SQL depends on, and running such SQL: statements of functions, functions as live queries.

mod caller;
mod function;
mod polling;
pub(crate) mod settings;
mod sources;
mod statement;
mod values;

pub(crate) use function::{Address, call};
pub(crate) use polling::INTERVALS;
pub(crate) use sources::{DEFINITIONS, Reasons, Sources, Widened, forget_lost, lost, take_reasons};
pub(crate) use statement::run;
pub(crate) use values::rows_to_value;
