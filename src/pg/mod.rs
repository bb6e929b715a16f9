//! Everything that touches Postgres' C interface: with `js/v8` the only place for `unsafe`.

pub(crate) mod datum;
pub(crate) mod function;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod spi;
pub(crate) mod tuple;
