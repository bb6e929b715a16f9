//! Transactions: their ids, their fates, and callbacks at their ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_live_invalidation::Xid;
use pg_live_shared::widen;
use pgrx::pg_sys;

use super::lwlock::LwLock;
use super::snapshot::PROC_ARRAY_LOCK;

/// Number of XidGenLock in `lwlocknames.h` of Postgres 15.
const XID_GEN_LOCK: usize = 3;

/// `NUM_AUXILIARY_PROCS` of Postgres 15: they lie between the backends and the prepared ones.
const AUXILIARY_PROCESSES: i32 = 5;

unsafe extern "C" {
    /// The setting max_prepared_transactions.
    static max_prepared_xacts: i32;
}

/// The isolation level of the running transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// READ UNCOMMITTED or READ COMMITTED: a snapshot for each statement.
    ReadCommitted,
    /// REPEATABLE READ: one snapshot.
    RepeatableRead,
    /// SERIALIZABLE: one snapshot, and checks for a serial order.
    Serializable,
}

/// The isolation level of the running transaction.
pub(crate) fn isolation() -> Isolation {
    // SAFETY: a plain global of the backend.
    match u32::try_from(unsafe { pg_sys::XactIsoLevel }) {
        Ok(pg_sys::XACT_SERIALIZABLE) => Isolation::Serializable,
        Ok(pg_sys::XACT_REPEATABLE_READ) => Isolation::RepeatableRead,
        Ok(_) | Err(_) => Isolation::ReadCommitted,
    }
}

/// How far the running transaction has written: what a statement at this point sees of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandId(pg_sys::CommandId);

/// The present one; it grows with each statement that writes.
pub(crate) fn command_id() -> CommandId {
    // SAFETY: reads a counter of the backend; `false` does not mark it as used.
    CommandId(unsafe { pg_sys::GetCurrentCommandId(false) })
}

/// Where a transaction is when a callback runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// About to commit or to be prepared; it can still fail.
    Before,
    /// Committed, and visible to new snapshots.
    Committed,
    /// Prepared for a two-phase commit.
    Prepared,
    /// Rolled back.
    Aborted,
}

/// Has `callback` called at the end of every top-level transaction of this process and of those that are forked
/// from it. A panic or an ERROR in it is swallowed: it must leave no harm then.
pub(crate) fn at_transaction_end(callback: fn(Stage)) {
    // SAFETY: the functions live as long as the library, which is never unloaded.
    unsafe { pg_sys::RegisterXactCallback(Some(on_event), callback as *mut std::ffi::c_void) };
}

/// A part of a transaction that can be rolled back by itself: a savepoint's, or the transaction itself. Those that
/// begin later are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level(pg_sys::SubTransactionId);

/// The innermost one that runs.
pub(crate) fn level() -> Level {
    // SAFETY: a plain read of the backend's state.
    Level(unsafe { pg_sys::GetCurrentSubTransactionId() })
}

/// Has `callback` called when a subtransaction of this process is rolled back: what was done at its level and at
/// greater ones is undone. As [`at_transaction_end`].
pub(crate) fn at_rollback_to_savepoint(callback: fn(Level)) {
    // SAFETY: as above.
    unsafe {
        pg_sys::RegisterSubXactCallback(Some(on_sub_event), callback as *mut std::ffi::c_void)
    };
}

unsafe extern "C-unwind" fn on_sub_event(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // SAFETY: registered with such a function as its argument.
        let callback = unsafe { std::mem::transmute::<*mut std::ffi::c_void, fn(Level)>(argument) };
        let _ = catch_unwind(AssertUnwindSafe(|| callback(Level(own))));
    }
}

unsafe extern "C-unwind" fn on_event(
    event: pg_sys::XactEvent::Type,
    argument: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent as E;
    let stage = match event {
        E::XACT_EVENT_PRE_COMMIT | E::XACT_EVENT_PRE_PREPARE => Stage::Before,
        E::XACT_EVENT_COMMIT => Stage::Committed,
        E::XACT_EVENT_PREPARE => Stage::Prepared,
        E::XACT_EVENT_ABORT => Stage::Aborted,
        // Parallel workers cannot write.
        _ => return,
    };
    // SAFETY: registered with such a function as its argument.
    let callback = unsafe { std::mem::transmute::<*mut std::ffi::c_void, fn(Stage)>(argument) };
    // A panic here would end the server after a commit. What it leaves undone is made good by
    // the caller's own guard (R3).
    let _ = catch_unwind(AssertUnwindSafe(|| callback(stage)));
}

/// The top-level id of the running transaction, if it has one.
pub(crate) fn current_xid() -> Option<Xid> {
    // SAFETY: reads the backend's own state, in any stage of a transaction.
    let xid = unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value;
    (xid != 0).then_some(xid)
}

/// As [`current_xid`], and has the transaction get one.
pub(crate) fn need_xid() -> Xid {
    // SAFETY: within a transaction that may write.
    unsafe { pg_sys::GetTopFullTransactionId() }.value
}

/// The next id to be given out.
pub(crate) fn next_xid() -> Xid {
    // SAFETY: takes and releases XidGenLock.
    unsafe { pg_sys::ReadNextFullTransactionId() }.value
}

fn short(xid: Xid) -> pg_sys::TransactionId {
    #[allow(clippy::cast_possible_truncation)] // the low half is what Postgres knows
    pg_sys::TransactionId::from(xid as u32)
}

/// Whether the transaction is in the ProcArray: running or prepared, invisible to new snapshots.
pub(crate) fn in_progress(xid: Xid) -> bool {
    // SAFETY: takes and releases locks; any id may be asked for.
    unsafe { pg_sys::TransactionIdIsInProgress(short(xid)) }
}

/// Whether a transaction that is no longer in progress committed.
pub(crate) fn committed(xid: Xid) -> bool {
    // SAFETY: reads the commit log, which is kept for ids as young as those that we ask for.
    unsafe { pg_sys::TransactionIdDidCommit(short(xid)) }
}

/// R0: the ids of all transactions of a database that are running or prepared. None that had an id
/// before the call is left out; some that have ended by now may be included.
pub(crate) fn running(database: u32) -> Vec<Xid> {
    // No transaction gets or gives up an id while both are held, in Postgres' own order.
    let short_ids = LwLock::individual(PROC_ARRAY_LOCK).shared(|| {
        LwLock::individual(XID_GEN_LOCK).shared(|| {
            // SAFETY: the array has one entry for each backend, auxiliary process and possible
            // prepared transaction; the two fields change under these locks only, or while the
            // process has no id.
            unsafe {
                let all = pg_sys::MaxBackends + AUXILIARY_PROCESSES + max_prepared_xacts;
                (0..usize::try_from(all).unwrap_or(0))
                    .map(|index| (*pg_sys::ProcGlobal).allProcs.add(index))
                    .filter(|process| {
                        (&raw const (**process).databaseId).read_volatile().to_u32() == database
                    })
                    .map(|process| u32::from((&raw const (*process).xid).read_volatile()))
                    .filter(|xid| *xid != 0)
                    .collect::<Vec<u32>>()
            }
        })
    });
    let next = next_xid();
    let mut ids: Vec<Xid> = short_ids.into_iter().map(|xid| widen(xid, next)).collect();
    ids.sort_unstable();
    ids.dedup();
    // The seat of a prepared transaction keeps its id after its end.
    ids.retain(|xid| in_progress(*xid));
    ids
}

/// Waits until a transaction that has ended has given back its locks: it has told the others of its changes then.
pub(crate) fn await_locks(xid: Xid) {
    // SAFETY: within a transaction that is another one: it is in progress.
    unsafe {
        pg_sys::XactLockTableWait(
            short(xid),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            pg_sys::XLTW_Oper::XLTW_None,
        );
    }
}
