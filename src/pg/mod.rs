//! Everything that touches Postgres' C interface: with `js/v8` the only place for `unsafe`.

pub(crate) mod function;
