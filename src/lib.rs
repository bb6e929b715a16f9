//! pg_live: TypeScript functions inside Postgres whose results follow the data.
//!
//! Data flows one way: `reads` and `capture` record, `pg_live_readset` matches, `invalidator`
//! emits, the relay delivers. `unsafe` lives in `pg` and `js::v8` only.

mod error;
mod pg;

::pgrx::pg_module_magic!(name, version);
