//! R17: recent changes that snapshots older than them see too (DDL, TRUNCATE).

use pg_live_invalidation::{Snapshot, Xid};
use pg_live_readset::RelId;

const ENTRIES: usize = 64;

#[repr(C)]
#[derive(Clone, Copy)]
struct Redefinition {
    xid: Xid,
    rel: RelId,
}

/// The recent changes, in shared memory. All-zero bytes are an empty table.
#[repr(C)]
pub(crate) struct Redefinitions {
    entries: [Redefinition; ENTRIES],
    used: u64,
    /// No ended transaction that was dropped from the table had a greater completion count.
    dropped_count: u64,
    /// No running transaction that was dropped from it had a greater id.
    dropped_xid: Xid,
}

/// What the table must know of transactions.
pub(crate) trait Fates {
    /// Whether new snapshots do not see the transaction yet.
    fn in_progress(&self, xid: Xid) -> bool;
    /// Whether a transaction that is no longer in progress committed.
    fn committed(&self, xid: Xid) -> bool;
    /// The completion count.
    fn completion_count(&self) -> u64;
}

/// What a snapshot must be checked against, copied out of shared memory.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    xids: Vec<Xid>,
    dropped: bool,
}

impl Redefinitions {
    /// Adds a change that the transaction is about to commit; an older one makes room.
    pub(crate) fn add(&mut self, xid: Xid, rel: RelId, fates: &impl Fates) {
        let used = usize::try_from(self.used).unwrap_or(ENTRIES).min(ENTRIES);
        let known = self.entries[..used]
            .iter()
            .any(|e| e.xid == xid && (e.rel == rel));
        if known {
            return;
        }
        let place = if used < ENTRIES {
            self.used += 1;
            used
        } else {
            self.drop_one(fates)
        };
        self.entries[place] = Redefinition { xid, rel };
    }

    /// Drops the entry of the oldest transaction that has ended, or else of the oldest.
    fn drop_one(&mut self, fates: &impl Fates) -> usize {
        let mut order: Vec<usize> = (0..ENTRIES).collect();
        order.sort_by_key(|index| self.entries[*index].xid);
        let ended = order
            .iter()
            .find(|index| !fates.in_progress(self.entries[**index].xid));
        if let Some(index) = ended {
            // Read after the transaction had left: a snapshot with this count sees it (F3).
            self.dropped_count = self.dropped_count.max(fates.completion_count());
            return *index;
        }
        self.dropped_xid = self.dropped_xid.max(self.entries[order[0]].xid);
        order[0]
    }

    /// What may contradict a result that read these relations at this snapshot.
    pub(crate) fn suspects(&self, snapshot: &Snapshot, rels: &[RelId]) -> Suspects {
        let used = usize::try_from(self.used).unwrap_or(ENTRIES).min(ENTRIES);
        Suspects {
            xids: self.entries[..used]
                .iter()
                .filter(|entry| rels.contains(&entry.rel) && !snapshot.contains(entry.xid))
                .map(|entry| entry.xid)
                .collect(),
            dropped: self.dropped_count > snapshot.completed || self.dropped_xid >= snapshot.xmin,
        }
    }
}

impl Suspects {
    /// Whether one of them has committed by now, so that its effect may have been read.
    pub(crate) fn any_committed(&self, fates: &impl Fates) -> bool {
        self.dropped
            || self
                .xids
                .iter()
                .any(|xid| !fates.in_progress(*xid) && fates.committed(*xid))
    }
}
