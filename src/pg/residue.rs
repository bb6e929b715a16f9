//! What a transaction left behind in the session, so that a relay can give a connection up that is not as it was.
//!
//! The functions of a deployment cannot leave anything themselves. Triggers and functions in other languages can,
//! which run when a mutation writes.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use pgrx::pg_sys;

thread_local! {
    /// Whether something was left that cannot be taken back by a rollback, or was not.
    static LEFT: Cell<bool> = const { Cell::new(false) };
    /// The settings that the session had when its relay prepared it.
    static SETTINGS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Takes the present state of the session as clean.
pub(crate) fn remember() {
    LEFT.set(false);
    SETTINGS.set(Some(settings()));
}

/// Notes that something was executed whose effect outlives the transaction: a lock, a channel, a cursor, a plan.
pub(crate) fn note() {
    LEFT.set(true);
}

/// Whether the session is as it was when it was prepared.
pub(crate) fn is_clean() -> bool {
    match SETTINGS.get() {
        Some(before) => !LEFT.get() && settings() == before,
        None => true,
    }
}

/// A hash of the settings that the session itself has made.
fn settings() -> u64 {
    let mut hasher = DefaultHasher::new();
    // SAFETY: Postgres' table of settings holds that many entries, each with a name; the value of one that
    // exists is a text that lives until the next call, or null.
    unsafe {
        let table = pg_sys::get_guc_variables();
        let count = usize::try_from(pg_sys::GetNumConfigOptions()).unwrap_or(0);
        for at in 0..count {
            let setting = *table.add(at);
            if (*setting).source != pg_sys::GucSource::PGC_S_SESSION {
                continue;
            }
            let name = std::ffi::CStr::from_ptr((*setting).name);
            name.hash(&mut hasher);
            let value = pg_sys::GetConfigOption((*setting).name, true, false);
            if !value.is_null() {
                std::ffi::CStr::from_ptr(value).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}
