//! Whether one relation is still the one it was: noticed by the messages with which Postgres tells all backends
//! of changed definitions.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Once;

use pgrx::pg_sys;

thread_local! {
    static WATCHED: Cell<u32> = const { Cell::new(0) };
    static COUNT: Cell<Redefinitions> = const { Cell::new(Redefinitions(0)) };
}

/// How often the watched relation may have been redefined so far, or replaced by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redefinitions(u64);

/// Watches `rel` instead of what was watched before.
pub(crate) fn watch(rel: u32) {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // SAFETY: the callback lives as long as the process; Postgres has room for ten.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_change), pg_sys::Datum::from(0)) };
    });
    WATCHED.set(rel);
}

/// How often the watched relation may have been redefined.
pub(crate) fn redefinitions() -> Redefinitions {
    COUNT.get()
}

/// Called by Postgres; no relation means any.
unsafe extern "C-unwind" fn on_change(_: pg_sys::Datum, rel: pg_sys::Oid) {
    if rel == pg_sys::InvalidOid || rel.to_u32() == WATCHED.get() {
        COUNT.set(Redefinitions(COUNT.get().0 + 1));
    }
}

/// The relation of this schema and name; 0 if there is none.
pub(crate) fn find(schema: &CStr, name: &CStr) -> u32 {
    // SAFETY: lookups in catalog caches within a transaction; both names end with NUL.
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema).to_u32()
    }
}
