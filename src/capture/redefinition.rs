//! R17: DDL and TRUNCATE, which snapshots older than them see too.

use std::cell::RefCell;

use pg_live_invalidation::{Snapshot, Xid};
use pg_live_readset::{ReadEntry, ReadSet, RelId};
use pg_live_shared::Fates;
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::function::Call;
use crate::pg::relation;
use crate::pg::shmem;
use crate::pg::snapshot;
use crate::pg::{worker, xact};

/// The fates of transactions, as Postgres knows them.
pub(crate) struct Postgres;

impl Fates for Postgres {
    fn in_progress(&self, xid: Xid) -> bool {
        xact::in_progress(xid)
    }

    fn committed(&self, xid: Xid) -> bool {
        xact::committed(xid)
    }

    fn completion_count(&self) -> u64 {
        snapshot::completion_count()
    }
}

/// Whether something that the snapshot does not account for, yet may have been read, was committed
/// for a relation of the read-set. To be asked at the end of a query; then its result is to be
/// discarded and the query run again at a newer snapshot.
pub(crate) fn ddl_conflict(snapshot: &Snapshot, read_set: &ReadSet) -> bool {
    let Some(slot) = shmem::own_slot() else {
        return false;
    };
    let suspects = slot
        .log()
        .redefinitions
        .suspects(snapshot, &relations(read_set));
    suspects.any_committed(&Postgres)
}

/// As [`ddl_conflict`], asked on the primary about a result of a standby. What the standby has replayed may not
/// even have left the ProcArray here (F6), so whatever has not been rolled back counts.
pub(crate) fn ddl_conflict_of_standby(snapshot: &Snapshot, read_set: &ReadSet) -> bool {
    let Some(slot) = shmem::own_slot() else {
        return false;
    };
    let suspects = slot
        .log()
        .redefinitions
        .suspects(snapshot, &relations(read_set));
    suspects.any_not_aborted(&Postgres)
}

/// Has this process know of the definitions that its snapshot sees: Postgres tells other processes of a change after
/// it can be seen, and before the transaction gives back its locks. One that is in progress is not seen. Not on a
/// standby, which replays no locks of transactions.
pub(crate) fn learn_definitions(rel: RelId) {
    thread_local! {
        static LEARNED: RefCell<Vec<Xid>> = const { RefCell::new(Vec::new()) };
    }
    let Some(slot) = shmem::own_slot().filter(|_| !worker::is_standby()) else {
        return;
    };
    let ended: Vec<Xid> = {
        let changes = slot.log().redefinitions.of_relation(rel);
        let ended = changes.into_iter().filter(|xid| !xact::in_progress(*xid));
        ended.collect()
    };
    let new = LEARNED.with_borrow(|learned| {
        let new = ended.iter().filter(|xid| !learned.contains(xid));
        new.copied().collect::<Vec<Xid>>()
    });
    if new.is_empty() {
        return;
    }
    new.iter().for_each(|xid| xact::await_locks(*xid));
    relation::accept_changes();
    LEARNED.set(ended);
}

fn relations(read_set: &ReadSet) -> Vec<RelId> {
    let mut rels: Vec<RelId> = read_set.entries.iter().map(ReadEntry::rel).collect();
    rels.sort_unstable();
    rels.dedup();
    rels
}

/// `live.note_redefinition(relation oid)`: called by the event triggers.
pub(crate) fn note_redefinition(call: &mut Call) -> Result<pg_sys::Datum> {
    let rel: pg_sys::Oid = call.required(0, "relation")?;
    if shmem::memory().is_ok() {
        for rel in relation::readers_see(rel.to_u32()).iter() {
            super::add_redefinition(*rel);
        }
        super::publish_if_late();
    }
    Ok(call.null())
}
