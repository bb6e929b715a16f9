//! Settings of the statements that functions and clients run.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static KEPT_STATEMENTS: GucSetting<i32> = GucSetting::<i32>::new(500);

/// Makes the settings known. To be called once, when the library is loaded.
pub(crate) fn register() {
    GucRegistry::define_int_guc(
        c"pg_live.kept_statements",
        c"Of how many SQL statements that functions run a session keeps the plans.",
        c"With one more all are dropped. Each takes some 10 to 50 kB of the session's memory.",
        &KEPT_STATEMENTS,
        1,
        1_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
}

/// `pg_live.kept_statements`.
pub(super) fn kept_statements() -> usize {
    usize::try_from(KEPT_STATEMENTS.get()).unwrap_or(1)
}
