//! Everything that touches Postgres' C interface: with `js/v8` the only place for `unsafe`.

pub(crate) mod after_reply;
pub(crate) mod catch;
mod databases;
pub(crate) mod datum;
pub(crate) mod decoding;
pub(crate) mod definition;
pub(crate) mod executed;
pub(crate) mod executor;
pub(crate) mod function;
pub(crate) mod guc;
pub(crate) mod images;
pub(crate) mod jsonb;
pub(crate) mod language;
pub(crate) mod latch;
pub(crate) mod lwlock;
pub(crate) mod relation;
pub(crate) mod residue;
pub(crate) mod session;
pub(crate) mod shmem;
pub(crate) mod snapshot;
pub(crate) mod spi;
pub(crate) mod sqlstate;
pub(crate) mod trigger;
pub(crate) mod tuple;
pub(crate) mod wal;
pub(crate) mod worker;
pub(crate) mod xact;
