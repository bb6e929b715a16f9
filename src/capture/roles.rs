//! Changes of roles: who is a member of which, and what they may. Postgres has no event trigger for them, and they
//! concern every database of the server, whichever they were made in.

use pg_live_invalidation::{LogEntry, Xid};
use pg_live_readset::{WriteEntry, WriteSet};

use super::{Postgres, WRITES};
use crate::pg::shmem;
use crate::reads::DEFINITIONS;

/// The transaction has changed roles. Called from within Postgres' frames: nothing is looked up, nothing raises.
pub(crate) fn note_roles_changed() {
    WRITES.with(|writes| {
        if let Ok(mut writes) = writes.try_borrow_mut() {
            writes.roles = true;
        }
    });
    super::publish_if_late();
}

/// R1, R17: what roles may is a definition, of which older snapshots learn too, in each database.
pub(super) fn publish(xid: Xid) {
    let changed = WRITES.with_borrow_mut(|writes| {
        let changed = std::mem::take(&mut writes.roles);
        writes.roles_published |= changed;
        changed
    });
    if !changed {
        return;
    }
    let Ok(memory) = shmem::memory() else { return };
    let set = WriteSet {
        entries: vec![WriteEntry::Table { rel: DEFINITIONS }],
    };
    let bytes = LogEntry::Write { xid, set }.encode();
    for slot in memory.slots().iter().filter(|slot| slot.database() != 0) {
        slot.log_mut()
            .redefinitions
            .add(xid, DEFINITIONS, &Postgres);
        match &bytes {
            Ok(bytes) => slot.publish_foreign(bytes),
            Err(_) => slot.set_overflow(true),
        }
    }
}

/// R5: the transaction has left the ProcArray.
pub(super) fn wake_all_workers() {
    if let Ok(memory) = shmem::memory() {
        memory.slots().iter().for_each(|slot| slot.wake_worker());
    }
}
