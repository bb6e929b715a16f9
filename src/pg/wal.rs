//! The write-ahead log: how far it is written, flushed and replayed.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

unsafe extern "C-unwind" {
    fn LogLogicalMessage(
        prefix: *const c_char,
        message: *const c_char,
        size: usize,
        transactional: bool,
    ) -> Lsn;
}

/// A place in the log.
pub(crate) type Lsn = u64;

/// How far this server's log reaches: where the next record will begin.
pub(crate) fn inserted() -> Lsn {
    // SAFETY: reads shared memory under its lock.
    end_of_last_record(unsafe { pg_sys::GetXLogInsertRecPtr() })
}

/// At the start of a page or segment Postgres answers with the place behind its header, and nothing is there to be
/// flushed yet. The last record ended before the header.
fn end_of_last_record(lsn: Lsn) -> Lsn {
    // SAFETY: set at the start of the server.
    let segment = u64::try_from(unsafe { pg_sys::wal_segment_size }).unwrap_or(1 << 24);
    let header = if lsn % segment < PAGE {
        size_of::<pg_sys::XLogLongPageHeaderData>()
    } else {
        size_of::<pg_sys::XLogPageHeaderData>().next_multiple_of(8)
    };
    let in_page = lsn % PAGE;
    if in_page == header as u64 {
        lsn - in_page
    } else {
        lsn
    }
}

const PAGE: u64 = pg_sys::XLOG_BLCKSZ as u64;

/// Has the log flushed up to a place that [`inserted`] gave: standbys are sent only what is flushed (F5).
pub(crate) fn flush(lsn: Lsn) {
    // SAFETY: a primary may flush at any time outside of critical sections; an ERROR becomes a panic.
    unsafe { pg_sys::XLogFlush(lsn) }
}

/// How far this primary's log is flushed, and on which timeline. Only that much can be decoded (F5).
pub(crate) fn flushed() -> (Lsn, u32) {
    let mut timeline = 0;
    // SAFETY: reads shared memory under its lock; a primary, as only there something is decoded.
    let lsn = unsafe { pg_sys::GetFlushRecPtr(&raw mut timeline) };
    (lsn, timeline)
}

/// Where the last record of the running transaction ended, 0 if it has none: its commit comes later.
pub(crate) fn end_of_own_records() -> Lsn {
    // SAFETY: a plain global of the backend.
    unsafe { pg_sys::XactLastRecEnd }
}

/// Writes a logical message that belongs to no transaction. It is flushed as soon as a commit that does not wait
/// for the disk would be.
pub(crate) fn log_message(prefix: &CStr, message: &[u8]) {
    // SAFETY: a C string, and as many bytes as are said; both are copied. An ERROR becomes a panic.
    unsafe {
        let end = pg_guard_ffi_boundary(|| {
            LogLogicalMessage(
                prefix.as_ptr(),
                message.as_ptr().cast(),
                message.len(),
                false,
            )
        });
        pg_sys::XLogSetAsyncXactLSN(end);
    }
}

/// How far a standby has replayed, and on which timeline.
pub(crate) fn replayed() -> (Lsn, u32) {
    let mut timeline = 0;
    // SAFETY: reads shared memory under its lock.
    let lsn = unsafe { pg_sys::GetXLogReplayRecPtr(&raw mut timeline) };
    (lsn, timeline)
}

/// The timeline that a primary writes.
pub(crate) fn timeline() -> u32 {
    // SAFETY: reads shared memory; set once recovery has ended.
    unsafe { pg_sys::GetWALInsertionTimeLine() }
}

/// What a primary and its standbys have in common, and other servers do not.
pub(crate) fn system() -> u64 {
    // SAFETY: reads what was read from the control file at the start.
    unsafe { pg_sys::GetSystemIdentifier() }
}
