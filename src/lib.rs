//! pg_live: TypeScript functions inside Postgres whose results follow the data.
//!
//! Data flows one way: `functions` and `capture` record, `pg_live_readset` matches, `invalidator`
//! emits, the relay delivers. `unsafe` lives in `pg` and `js::v8` only.

mod api;
mod capture;
mod decoder;
mod deploy;
mod documents;
mod error;
mod functions;
mod gucs;
mod invalidator;
mod journal;
mod js;
mod language;
mod pg;
mod reads;

::pgrx::pg_module_magic!(name, version);

/// Called by Postgres when it loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    gucs::register();
    js::loaded();
    functions::sharing::register();
    pg::language::guard::install();
    pg::executed::install();
    invalidator::start();
}
