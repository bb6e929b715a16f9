//! Settings of the journal.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static LOG_CALLS: GucSetting<bool> = GucSetting::<bool>::new(true);
static LOG_ROWS: GucSetting<i32> = GucSetting::<i32>::new(100_000);
static LOG_QUEUE_KB: GucSetting<i32> = GucSetting::<i32>::new(1024);

/// Makes the setting of shared memory known; only while the server starts.
pub(crate) fn register_at_start() {
    GucRegistry::define_int_guc(
        c"pg_live.log_queue_kb",
        c"Size of the queue of what functions log, of each database.",
        c"What finds no room in it is dropped and counted (log_records_dropped in live.stats).",
        &LOG_QUEUE_KB,
        64,
        1024 * 1024,
        GucContext::Postmaster,
        GucFlags::UNIT_KB,
    );
}

/// Makes the settings known. To be called once, when the library is loaded.
pub(crate) fn register() {
    GucRegistry::define_bool_guc(
        c"pg_live.log_calls",
        c"Whether calls of functions are written to live.logs and live.function_stats.",
        c"Clients get their log lines in any case.",
        &LOG_CALLS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_live.log_rows",
        c"How many rows live.logs keeps.",
        c"Older ones are deleted. With 0 only live.function_stats is written.",
        &LOG_ROWS,
        0,
        1_000_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

/// `pg_live.log_calls`.
pub(super) fn log_calls() -> bool {
    LOG_CALLS.get()
}

/// `pg_live.log_rows`.
pub(super) fn log_rows() -> i32 {
    LOG_ROWS.get()
}

/// `pg_live.log_queue_kb`, in bytes.
pub(crate) fn queue_bytes() -> usize {
    usize::try_from(LOG_QUEUE_KB.get()).unwrap_or(64) * 1024
}
