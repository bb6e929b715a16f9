//! A hot standby: it replays the ends of transactions in the order of WAL (F6).

use std::collections::BTreeSet;

use pg_live_invalidation::{Snapshot, Xid};
use pg_live_readset::RelId;

use crate::bug::Bug;
use crate::database::{Database, Snap};
use crate::history::History;

#[derive(Debug, Default)]
pub(crate) struct Standby {
    pub(crate) history: History,
    /// How many records of WAL it has replayed.
    pub(crate) replayed: usize,
    ended: BTreeSet<Xid>,
    newest: Xid,
}

impl Standby {
    /// Replays the next record, unless somebody reads what it redefines. Whether it did.
    pub(crate) fn replay(&mut self, db: &Database, is_read: impl Fn(RelId) -> bool) -> bool {
        let Some(record) = db.wal.get(self.replayed) else {
            return false;
        };
        let (changes, request) = match &record.committed {
            Some((changes, request)) => (changes.as_slice(), request.as_ref()),
            None => (&[][..], None),
        };
        if changes
            .iter()
            .any(|c| c.is_redefinition() && is_read(c.rel()))
        {
            return false;
        }
        self.history.complete(record.xid, changes, request);
        self.ended.insert(record.xid);
        self.newest = self.newest.max(record.xid);
        self.replayed += 1;
        true
    }

    /// A snapshot; `c` is the completion count that the primary had reached before it was taken.
    /// The running ids are those that have not ended in what was replayed (F2).
    pub(crate) fn snapshot(&self, first: Xid, c: u64, bug: Option<Bug>) -> Snap {
        let xmax = self.newest.max(first - 1) + 1;
        let running = (first..xmax).filter(|xid| !self.ended.contains(xid));
        let xip: Vec<Xid> = match bug {
            Some(Bug::StandbyXip) => Vec::new(),
            _ => running.collect(),
        };
        let snapshot = Snapshot {
            xmin: xip.first().copied().unwrap_or(xmax),
            xmax,
            xip,
            completed: c,
        };
        Snap {
            at: self.history.now,
            snapshot,
        }
    }

    /// Whether its new snapshots see that the transaction has ended.
    pub(crate) fn has_replayed(&self, xid: Xid) -> bool {
        self.ended.contains(&xid)
    }
}
