//! The SQLSTATE of errors that pass through us. pgrx knows those of Postgres' own list only; any other, like
//! our `LV...` or one that a trigger made up, would leave as XX000.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

thread_local! {
    static LAST: Cell<Option<c_int>> = const { Cell::new(None) };
}

/// Notes the SQLSTATE of errors that are raised while `body` runs.
pub(crate) fn noting<R>(body: impl FnOnce() -> R) -> R {
    let mut here = pg_sys::ErrorContextCallback {
        // SAFETY: a plain read of a variable of this backend.
        previous: unsafe { pg_sys::error_context_stack },
        callback: Some(note),
        arg: std::ptr::null_mut(),
    };
    // SAFETY: `here` stays in place until it is taken out again, below; `body` returns, as nothing unwinds
    // out of it but panics that the caller of this function has wrapped.
    unsafe { pg_sys::error_context_stack = &raw mut here };
    let result = body();
    // SAFETY: as above.
    unsafe { pg_sys::error_context_stack = here.previous };
    result
}

/// The SQLSTATE, packed, of the last error that was raised.
pub(crate) fn last() -> Option<c_int> {
    LAST.get()
}

/// Called by Postgres for every message, before an ERROR is thrown.
unsafe extern "C-unwind" fn note(_: *mut c_void) {
    const CLASS: c_int = 0xfff;
    const WARNING_CLASS: c_int = 1 << 6;
    // SAFETY: Postgres is in the middle of a message here, as `geterrcode` wants it.
    let code = unsafe { pg_sys::geterrcode() };
    // Notices and warnings are no errors.
    if code & CLASS != 0 && code & CLASS != WARNING_CLASS {
        LAST.set(Some(code));
    }
}
