//! Work between two statements: done when the client has its answer, before the next statement is read.
//!
//! Postgres has no hook there. But what it sends goes through a table of functions, and the last message of an
//! answer is "ready for query", which is flushed at once. So the table is replaced by a copy that tells.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pgrx::pg_sys;

use super::session;

/// `PQcommMethods` of libpq/libpq.h in Postgres 15.
#[repr(C)]
#[derive(Clone, Copy)]
struct Methods {
    comm_reset: unsafe extern "C-unwind" fn(),
    flush: unsafe extern "C-unwind" fn() -> c_int,
    flush_if_writable: unsafe extern "C-unwind" fn() -> c_int,
    is_send_pending: unsafe extern "C-unwind" fn() -> bool,
    putmessage: unsafe extern "C-unwind" fn(c_char, *const c_char, usize) -> c_int,
    putmessage_noblock: unsafe extern "C-unwind" fn(c_char, *const c_char, usize),
}

unsafe extern "C" {
    #[link_name = "PqCommMethods"]
    static mut METHODS: *const Methods;
}

const READY_FOR_QUERY: c_char = b'Z'.cast_signed();

#[derive(Clone, Copy)]
struct Installed {
    original: &'static Methods,
    work: fn(),
}

thread_local! {
    static INSTALLED: Cell<Option<Installed>> = const { Cell::new(None) };
    /// Whether the last message was "ready for query".
    static READY: Cell<bool> = const { Cell::new(false) };
}

/// From now on `work` is called after each answer to the client, outside of any transaction. It must use
/// nothing that needs one, raise nothing, and return soon when an interrupt is pending. Does nothing in a
/// process that has no client.
pub(crate) fn call(work: fn()) {
    // SAFETY: plain reads of variables of this backend; the table that is in place lives as long as it.
    unsafe {
        if INSTALLED.get().is_some() || pg_sys::MyProcPort.is_null() || METHODS.is_null() {
            return;
        }
        let original = &*METHODS;
        INSTALLED.set(Some(Installed { original, work }));
        METHODS = Box::leak(Box::new(Methods {
            flush,
            putmessage,
            ..*original
        }));
    }
}

/// Sends a message, and notes of which kind.
unsafe extern "C-unwind" fn putmessage(kind: c_char, text: *const c_char, length: usize) -> c_int {
    let Some(installed) = INSTALLED.get() else {
        return -1;
    };
    READY.set(kind == READY_FOR_QUERY);
    // SAFETY: what Postgres would have called, with its arguments; nothing here has a destructor.
    unsafe { (installed.original.putmessage)(kind, text, length) }
}

/// Flushes; then works, if that was the end of an answer.
unsafe extern "C-unwind" fn flush() -> c_int {
    let Some(installed) = INSTALLED.get() else {
        return -1;
    };
    // SAFETY: what Postgres would have called; nothing here has a destructor.
    let result = unsafe { (installed.original.flush)() };
    if READY.replace(false) && result == 0 && idle() {
        // A panic would be a defect; it must not get into Postgres' main loop.
        drop(catch_unwind(AssertUnwindSafe(installed.work)));
    }
    result
}

/// No transaction is open, nothing waits to be done first, and the session goes on.
fn idle() -> bool {
    // SAFETY: plain reads of variables of this backend.
    unsafe {
        !pg_sys::IsTransactionState()
            && !pg_sys::IsTransactionOrTransactionBlock()
            && !pg_sys::proc_exit_inprogress
            && pg_sys::InterruptHoldoffCount == 0
            && pg_sys::CritSectionCount == 0
            && !session::interrupt_pending()
    }
}

/// Whether the client has sent something already.
pub(crate) fn client_waits() -> bool {
    // SAFETY: the backend's client, if it has one: `Port` of libpq/libpq-be.h begins with the descriptor, which
    // poll looks at without waiting.
    unsafe {
        if pg_sys::MyProcPort.is_null() {
            return false;
        }
        let mut socket = libc::pollfd {
            fd: *pg_sys::MyProcPort.cast::<c_int>(),
            events: libc::POLLIN,
            revents: 0,
        };
        libc::poll(&raw mut socket, 1, 0) > 0
    }
}
