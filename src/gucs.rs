//! Settings, each with its bounds.

use std::ffi::CStr;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static HEAP_SIZE_MB: GucSetting<i32> = GucSetting::<i32>::new(64);
static USER_TIME_MS: GucSetting<i32> = GucSetting::<i32>::new(5_000);

/// Registers the settings; called once when the library is loaded.
pub(crate) fn register() {
    let int =
        |name: &'static CStr, short: &'static CStr, long: &'static CStr, setting, min, max| {
            GucRegistry::define_int_guc(
                name,
                short,
                long,
                setting,
                min,
                max,
                GucContext::Suset,
                GucFlags::default(),
            );
        };
    int(
        c"pg_live.heap_size_mb",
        c"JavaScript heap of one session.",
        c"A function that needs more ends with an error (SQLSTATE 53200).",
        &HEAP_SIZE_MB,
        16,
        4096,
    );
    int(
        c"pg_live.user_time_ms",
        c"Time that one function may spend in its own JavaScript.",
        c"Time in SQL does not count. A function that needs more ends with an error (57014).",
        &USER_TIME_MS,
        1,
        600_000,
    );
}

/// The JavaScript heap limit in bytes.
pub(crate) fn heap_size_bytes() -> usize {
    usize::try_from(HEAP_SIZE_MB.get()).unwrap_or(64) << 20
}

/// The JavaScript time limit in milliseconds.
pub(crate) fn user_time_ms() -> u64 {
    u64::try_from(USER_TIME_MS.get()).unwrap_or(5_000)
}
