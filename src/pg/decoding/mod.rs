//! Logical decoding: a temporary slot of this process, and what is decoded from it.
//!
//! An ERROR of Postgres becomes a panic here. Nobody catches it: the process ends with status 1, Postgres
//! drops the slot, and another process may begin (F9).

mod plugin;
mod row;
mod stream;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use pg_live_invalidation::Xid;
use pg_live_shared::widen;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::wal::{self, Lsn};
use super::{latch, worker, xact};

pub(crate) use row::{Column, Row};

unsafe extern "C-unwind" {
    fn LogicalDecodingProcessRecord(
        ctx: *mut pg_sys::LogicalDecodingContext,
        record: *mut pg_sys::XLogReaderState,
    );
    // Without the guard that the generated bindings add: Postgres calls them by pointer.
    fn wal_segment_open(
        state: *mut pg_sys::XLogReaderState,
        segment: pg_sys::XLogSegNo,
        timeline: *mut pg_sys::TimeLineID,
    );
    fn wal_segment_close(state: *mut pg_sys::XLogReaderState);
}

/// How long the reader waits for the rest of a record.
const REST_OF_RECORD: Duration = Duration::from_millis(5);

/// A relation whose row changed.
pub(crate) struct Changed {
    /// Its oid.
    pub(crate) rel: u32,
    /// Whether old rows are complete (REPLICA IDENTITY FULL), as of the change.
    pub(crate) has_old_rows: bool,
    /// The row is a new one.
    pub(crate) is_insert: bool,
}

/// Takes what is decoded. Its methods run under a historic snapshot: they see rows and nothing else.
pub(crate) trait Sink {
    /// A transaction that has committed begins.
    fn begin(&mut self);
    /// Whether a change of a row can say anything new.
    fn wants(&self, changed: &Changed) -> bool;
    /// It changed a row.
    fn change(&mut self, changed: &Changed, old: Option<&Row<'_>>, new: Option<&Row<'_>>);
    /// It truncated a relation.
    fn truncate(&mut self, rel: u32);
    /// That was all; `end` is the end of the commit's record.
    fn commit(&mut self, xid: Xid, end: Lsn);
}

thread_local! {
    static SINK: RefCell<Option<Box<dyn Sink>>> = const { RefCell::new(None) };
}

/// A slot and its decoder.
pub(crate) struct Decoding {
    context: NonNull<pg_sys::LogicalDecodingContext>,
}

impl Decoding {
    /// Makes a temporary slot and waits until all that is to be known of running transactions is known: for
    /// the end of those that run now, in the whole server. Then `sink` gets all that commits from
    /// [`position`](Self::position) on.
    ///
    /// It happens in a transaction that has no id: a process that begins to decode outside of one is left out
    /// of snapshots, and what it reads itself could be vacuumed away under it (F8).
    ///
    /// # Errors
    /// The message of the ERROR.
    pub(crate) fn begin(name: &str, sink: Box<dyn Sink>) -> Result<Decoding, String> {
        let name = CString::new(name).map_err(|error| error.to_string())?;
        SINK.set(Some(sink));
        worker::transaction(|| {
            // SAFETY: in a transaction without an id and with the rights of the bootstrap superuser. What is
            // made lives in the memory context that lasts as long as the process.
            unsafe {
                pg_sys::PopActiveSnapshot();
                pg_sys::CheckLogicalDecodingRequirements();
                let temporary = pg_sys::ReplicationSlotPersistency::RS_TEMPORARY;
                pg_sys::ReplicationSlotCreate(name.as_ptr(), true, temporary, false);
                let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                let mut routine = pg_sys::XLogReaderRoutine {
                    page_read: Some(read_page),
                    segment_open: Some(wal_segment_open),
                    segment_close: Some(wal_segment_close),
                };
                let context = pg_sys::CreateInitDecodingContext(
                    c"pg_live".as_ptr(),
                    std::ptr::null_mut(),
                    false,
                    0,
                    &raw mut routine,
                    None,
                    None,
                    None,
                );
                pg_sys::DecodingContextFindStartpoint(context);
                pg_sys::MemoryContextSwitchTo(before);
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
                NonNull::new(context).map(|context| Decoding { context })
            }
        })?
        .ok_or_else(|| "decoding gave no context".to_owned())
    }

    fn reader(&self) -> *mut pg_sys::XLogReaderState {
        // SAFETY: the context lives as long as this value, which is never freed: the process ends with it.
        unsafe { self.context.as_ref().reader }
    }

    /// All records before this place were decoded.
    pub(crate) fn position(&self) -> Lsn {
        // SAFETY: as above.
        unsafe { (*self.reader()).EndRecPtr }
    }

    /// Decodes the next record. To be called while [`position`](Self::position) lies before [`wal::flushed`].
    ///
    /// # Errors
    /// Why the record cannot be read.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let mut message: *mut c_char = std::ptr::null_mut();
        // SAFETY: context and reader are alive, and no transaction is open; an ERROR becomes a panic.
        unsafe {
            let before = pg_sys::CurrentMemoryContext;
            let record = pg_sys::XLogReadRecord(self.reader(), &raw mut message);
            if !message.is_null() {
                return Err(CStr::from_ptr(message).to_string_lossy().into_owned());
            }
            if record.is_null() {
                return Err("a record of the WAL cannot be read".to_owned());
            }
            let (context, reader) = (self.context.as_ptr(), self.reader());
            pg_guard_ffi_boundary(|| LogicalDecodingProcessRecord(context, reader));
            pg_sys::MemoryContextSwitchTo(before);
        }
        if xact::current_xid().is_some() {
            // F8, though such a process is seen by snapshots here.
            return Err("the decoder has got a transaction id".to_owned());
        }
        Ok(())
    }

    /// Lets Postgres remove the WAL, and old rows of catalogs, that are needed for nothing before where it is.
    pub(crate) fn confirm(&self) {
        let lsn = self.position();
        // SAFETY: the slot is acquired by this process.
        unsafe { pg_sys::LogicalConfirmReceivedLocation(lsn) };
    }
}

/// Runs `body` on the sink, if this process decodes for itself.
fn with_sink<R>(body: impl FnOnce(&mut dyn Sink) -> R) -> Option<R> {
    SINK.with_borrow_mut(|sink| sink.as_mut().map(|sink| body(sink.as_mut())))
}

fn decodes_for_itself() -> bool {
    SINK.with_borrow(Option::is_some)
}

/// # Safety
/// `txn` must be a transaction that is being decoded.
unsafe fn full_xid(txn: *mut pg_sys::ReorderBufferTXN) -> Xid {
    // SAFETY: as the caller promises.
    widen(unsafe { (*txn).xid.into() }, xact::next_xid())
}

/// Whether the WAL has what decoding needs (wal_level).
pub(crate) fn is_possible() -> bool {
    #[allow(clippy::cast_possible_wrap)] // a small number
    const LOGICAL: c_int = pg_sys::WalLevel::WAL_LEVEL_LOGICAL as c_int;
    // SAFETY: set at the start of the server.
    unsafe { pg_sys::wal_level >= LOGICAL }
}

/// Reads a page of the WAL as far as it is flushed, and has the rest of a record flushed that has begun.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn read_page(
    state: *mut pg_sys::XLogReaderState,
    page: pg_sys::XLogRecPtr,
    needed: c_int,
    _record: pg_sys::XLogRecPtr,
    buffer: *mut c_char,
) -> c_int {
    let end = page + u64::try_from(needed).unwrap_or(0);
    let (mut flushed, mut timeline) = wal::flushed();
    while flushed < end {
        latch::check_for_interrupts();
        let inserted = wal::inserted();
        if inserted > flushed {
            wal::flush(inserted);
        } else {
            latch::wait(REST_OF_RECORD);
        }
        (flushed, timeline) = wal::flushed();
    }
    let page_size = u64::from(pg_sys::XLOG_BLCKSZ);
    let count = page_size.min(flushed - page);
    // SAFETY: Postgres' reader calls this with a buffer of a page, of which no more is read.
    unsafe {
        let mut error = pg_sys::WALReadError::default();
        // A whole page, as what lies behind the flushed part is not looked at.
        let whole = usize::try_from(page_size).unwrap_or(0);
        if !pg_sys::WALRead(state, buffer, page, whole, timeline, &raw mut error) {
            pg_sys::WALReadRaiseError(&raw mut error);
        }
    }
    c_int::try_from(count).unwrap_or(0)
}
