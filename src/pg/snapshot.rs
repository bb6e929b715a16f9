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

/// Where a snapshot was taken, and what follows for it.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A primary: with its completion count.
    Primary(Snapshot),
    /// A standby: visibility only, `completed` is 0. What it is worth on the primary only the relay can say.
    Standby(Snapshot),
}

/// The snapshot of the running REPEATABLE READ or SERIALIZABLE transaction of a primary.
///
/// # Errors
/// [`Error::WrongTransaction`] at another isolation level and on a standby,
/// [`Error::SnapshotUnknown`] without [`prepare`] or with an imported snapshot.
pub(crate) fn transaction_snapshot() -> Result<Snapshot> {
    match origin()? {
        Origin::Primary(snapshot) => Ok(snapshot),
        Origin::Standby(_) => Err(Error::WrongTransaction(
            "a live query cannot be registered from a standby".into(),
        )),
    }
}

/// As [`transaction_snapshot`], of a primary or of a standby.
///
/// # Errors
/// As above, without the refusal of standbys.
pub(crate) fn origin() -> Result<Origin> {
    if xact::isolation() == Isolation::ReadCommitted {
        return Err(Error::WrongTransaction(
            "a live query needs a REPEATABLE READ READ ONLY transaction".into(),
        ));
    }
    // SAFETY: within a transaction whose snapshot is fixed: the pointer is to a copy that lives until its end.
    let snapshot = unsafe { Parts::of(&*pg_sys::GetTransactionSnapshot()) };
    if snapshot.taken_during_recovery {
        return Ok(Origin::Standby(snapshot.widened(0)));
    }
    let (importer, completed) = IMPORTED.get();
    if importer == session::local_transaction() {
        return Ok(Origin::Primary(snapshot.widened(completed)));
    }
    let buffer = BUFFER.get().ok_or(Error::SnapshotUnknown)?;
    // SAFETY: the buffer is static.
    let buffer = unsafe { Parts::of(buffer.as_ref()) };
    if !snapshot.same_as(&buffer) || buffer.completed == 0 {
        return Err(Error::SnapshotUnknown);
    }
    Ok(Origin::Primary(snapshot.widened(buffer.completed)))
}

/// What a new snapshot would see now; its completion count is not told.
pub(crate) fn latest() -> Snapshot {
    // SAFETY: within a transaction; the static result is read at once.
    unsafe { Parts::of(&*pg_sys::GetLatestSnapshot()) }.widened(0)
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
    /// F2: a snapshot of a standby has the running ids, of subtransactions too, in `subxip`, and `xip` is empty.
    /// Even if `subxip` is marked as incomplete, only subtransactions are missing from it.
    ///
    /// # Safety
    /// `data.xip` must point to `data.xcnt` ids, on a standby `data.subxip` to `data.subxcnt`.
    unsafe fn of(data: &pg_sys::SnapshotData) -> Parts {
        let (start, count) = if data.takenDuringRecovery {
            (data.subxip, usize::try_from(data.subxcnt).unwrap_or(0))
        } else {
            (data.xip, data.xcnt as usize)
        };
        Parts {
            xmin: data.xmin.into(),
            xmax: data.xmax.into(),
            // SAFETY: as the caller promises.
            xip: (0..count)
                .map(|i| unsafe { (*start.add(i)).into() })
                .collect(),
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

/// Runs `body` at one snapshot, and tells it which: the transaction's if that has one, else (in READ COMMITTED) one
/// that is taken now.
///
/// # Errors
/// As [`transaction_snapshot`].
pub(crate) fn with_known<R>(body: impl FnOnce(Snapshot) -> Result<R>) -> Result<R> {
    if xact::isolation() != Isolation::ReadCommitted {
        return body(transaction_snapshot()?);
    }
    // SAFETY: within a transaction; at this isolation level the result is the static buffer, which is read at once
    // and copied onto the stack of active snapshots. If `body` raises, the abort takes it off.
    let snapshot = unsafe {
        let data = pg_sys::GetTransactionSnapshot();
        BUFFER.set(NonNull::new(data));
        let parts = Parts::of(&*data);
        if parts.taken_during_recovery {
            return Err(Error::WrongTransaction(
                "a live query cannot be registered from a standby".into(),
            ));
        }
        pg_sys::PushActiveSnapshot(data);
        let completed = parts.completed;
        parts.widened(completed)
    };
    let result = body(snapshot);
    // SAFETY: what was pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
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
