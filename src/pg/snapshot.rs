//! Snapshots as the invalidator knows them: 64-bit ids, and the completion count (F2, F3).
//!
//! Postgres keeps c(S) only in the static buffer that `GetSnapshotData` fills: the copy that a
//! REPEATABLE READ transaction works with has 0 there. In READ COMMITTED `GetTransactionSnapshot`
//! returns that buffer itself, so its address is noted then ([`prepare`]) and read later, after a
//! check that it still holds the transaction's snapshot.

use std::cell::Cell;
use std::ptr::NonNull;

use pg_live_invalidation::{Snapshot, Xid};
use pg_live_shared::widen;
use pgrx::pg_sys;

use super::lwlock::LwLock;
use super::session;
use super::xact::{self, Isolation};
use crate::error::{Error, Result};

/// Number of ProcArrayLock in `lwlocknames.h` of Postgres 15.
pub(super) const PROC_ARRAY_LOCK: usize = 4;

thread_local! {
    /// A transaction with an imported snapshot, by its number, and the exporter's c(S).
    static IMPORTED: Cell<(u32, u64)> = const { Cell::new((0, 0)) };
    static BUFFER: Cell<Option<NonNull<pg_sys::SnapshotData>>> = const { Cell::new(None) };
}

/// How many transactions have left the ProcArray by now.
pub(crate) fn completion_count() -> u64 {
    // SAFETY: the counter is written under ProcArrayLock in exclusive mode.
    LwLock::individual(PROC_ARRAY_LOCK)
        .shared(|| unsafe { (*pg_sys::ShmemVariableCache).xactCompletionCount })
}

/// Notes where this process' snapshots keep their completion count.
///
/// # Errors
/// [`Error::WrongTransaction`] unless the transaction is READ COMMITTED.
pub(crate) fn prepare() -> Result<()> {
    if xact::isolation() != Isolation::ReadCommitted {
        return Err(Error::WrongTransaction(
            "live.prepare_connection() needs a READ COMMITTED transaction".into(),
        ));
    }
    // SAFETY: within a transaction; at this isolation level the result is the static buffer.
    BUFFER.set(NonNull::new(unsafe { pg_sys::GetTransactionSnapshot() }));
    Ok(())
}

/// Notes the completion count of the snapshot that this transaction has imported: it comes with 0, the
/// exporter has it (F3).
///
/// # Errors
/// [`Error::WrongTransaction`] unless the transaction has one snapshot,
/// [`Error::InvalidParameter`] for a count that no snapshot can have.
pub(crate) fn note_import(completed: u64) -> Result<()> {
    if xact::isolation() == Isolation::ReadCommitted {
        return Err(Error::WrongTransaction(
            "live.import_snapshot() needs a REPEATABLE READ READ ONLY transaction".into(),
        ));
    }
    if completed == 0 || completed > completion_count() {
        return Err(Error::InvalidParameter(format!(
            "{completed} is not the completion count of a snapshot of this server: pass the one that \
             live.watermark() gave to the exporter"
        )));
    }
    IMPORTED.set((session::local_transaction(), completed));
    Ok(())
}

/// Whether [`prepare`] was called in this process.
pub(crate) fn is_prepared() -> bool {
    BUFFER.get().is_some()
}

/// The snapshot of the running REPEATABLE READ or SERIALIZABLE transaction.
///
/// # Errors
/// [`Error::WrongTransaction`] at another isolation level and on a standby,
/// [`Error::SnapshotUnknown`] without [`prepare`] or with an imported snapshot.
pub(crate) fn transaction_snapshot() -> Result<Snapshot> {
    if xact::isolation() == Isolation::ReadCommitted {
        return Err(Error::WrongTransaction(
            "a live query needs a REPEATABLE READ READ ONLY transaction".into(),
        ));
    }
    let (importer, completed) = IMPORTED.get();
    if importer == session::local_transaction() {
        // SAFETY: as below.
        let snapshot = unsafe { Parts::of(&*pg_sys::GetTransactionSnapshot()) };
        return Ok(snapshot.widened(completed));
    }
    let buffer = BUFFER.get().ok_or(Error::SnapshotUnknown)?;
    // SAFETY: within a transaction whose snapshot is fixed: the pointer is to a copy that lives
    // until its end; the buffer is static. `xip` has `xcnt` ids in both.
    let (snapshot, buffer) = unsafe {
        (
            Parts::of(&*pg_sys::GetTransactionSnapshot()),
            Parts::of(buffer.as_ref()),
        )
    };
    if snapshot.taken_during_recovery {
        return Err(Error::WrongTransaction(
            "a live query cannot be registered from a standby".into(),
        ));
    }
    if !snapshot.same_as(&buffer) || buffer.completed == 0 {
        return Err(Error::SnapshotUnknown);
    }
    Ok(snapshot.widened(buffer.completed))
}

/// What makes a snapshot, with Postgres' 32-bit ids.
struct Parts {
    xmin: u32,
    xmax: u32,
    xip: Vec<u32>,
    completed: u64,
    taken_during_recovery: bool,
}

impl Parts {
    /// # Safety
    /// `data.xip` must point to `data.xcnt` ids.
    unsafe fn of(data: &pg_sys::SnapshotData) -> Parts {
        let ids = 0..data.xcnt as usize;
        Parts {
            xmin: data.xmin.into(),
            xmax: data.xmax.into(),
            // SAFETY: as the caller promises.
            xip: ids.map(|i| unsafe { (*data.xip.add(i)).into() }).collect(),
            completed: data.snapXactCompletionCount,
            taken_during_recovery: data.takenDuringRecovery,
        }
    }

    fn same_as(&self, other: &Parts) -> bool {
        (self.xmin, self.xmax, &self.xip) == (other.xmin, other.xmax, &other.xip)
    }

    fn widened(&self, completed: u64) -> Snapshot {
        let next = xact::next_xid();
        let widen = |xid| widen(xid, next);
        let mut xip: Vec<Xid> = self.xip.iter().copied().map(widen).collect();
        xip.sort_unstable();
        Snapshot {
            xmin: widen(self.xmin),
            xmax: widen(self.xmax),
            xip,
            completed,
        }
    }
}

/// When a snapshot was taken, as far as that makes a difference to what it sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    xmax: u32,
    /// How many transactions below `xmax` were running.
    running: u32,
}

impl Moment {
    /// Whether a snapshot of this moment sees all that one of `other` sees. Ids are given out in order, and of
    /// those below one `xmax` fewer and fewer are running.
    pub(crate) fn not_before(self, other: Moment) -> bool {
        if self.xmax == other.xmax {
            return self.running <= other.running;
        }
        self.xmax.wrapping_sub(other.xmax).cast_signed() > 0
    }
}

/// The moment of the active snapshot; `None` where there is none or it is a standby's.
pub(crate) fn active_moment() -> Option<Moment> {
    // SAFETY: plain reads of the backend's active snapshot, if it has one.
    unsafe {
        if !pg_sys::ActiveSnapshotSet() {
            return None;
        }
        let snapshot = &*pg_sys::GetActiveSnapshot();
        let plain = snapshot.snapshot_type == pg_sys::SnapshotType::SNAPSHOT_MVCC
            && !snapshot.takenDuringRecovery;
        plain.then(|| Moment {
            xmax: snapshot.xmax.into(),
            running: snapshot.xcnt,
        })
    }
}

/// Runs `body` with a snapshot taken now as the active one.
pub(crate) fn with_latest<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: within a transaction; the snapshot is copied onto the stack of active ones and taken off it again.
    // If `body` raises, the abort of the transaction does that.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let result = body();
    // SAFETY: as above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}
