//! What LANGUAGE js needs of Postgres: functions' definitions, values of every type, statements, rows.

mod convert_in;
mod convert_out;
pub(crate) mod guard;
pub(crate) mod proc;
pub(crate) mod rows;
pub(crate) mod set;
pub(crate) mod statement;
pub(crate) mod transition;
pub(crate) mod trigger;
pub(crate) mod types;
