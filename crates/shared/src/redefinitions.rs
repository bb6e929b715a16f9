//! R17: recent changes that snapshots older than them see too (DDL, TRUNCATE).

use pg_live_invalidation::{Snapshot, Xid};
use pg_live_readset::RelId;

/// Stands for every relation. No relation has this id.
const ANY: RelId = 0;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Redefinition {
    xid: Xid,
    rel: RelId,
}

/// The recent changes. All-zero bytes are an empty table.
#[repr(C)]
#[derive(Debug)]
pub struct Redefinitions<const ENTRIES: usize = 64> {
    entries: [Redefinition; ENTRIES],
    used: u64,
    /// Whether what was running when the table was made is in it.
    begun: u64,
    /// No committed transaction that was dropped from the table had a greater completion count.
    dropped_count: u64,
    /// No running transaction that was dropped from it had a greater id.
    dropped_xid: Xid,
}

/// What the table must know of transactions.
pub trait Fates {
    /// Whether new snapshots do not see the transaction yet.
    fn in_progress(&self, xid: Xid) -> bool;
    /// Whether a transaction that is no longer in progress committed.
    fn committed(&self, xid: Xid) -> bool;
    /// The completion count.
    fn completion_count(&self) -> u64;
}

/// What a snapshot must be checked against, copied out of shared memory.
#[derive(Debug, Default)]
pub struct Suspects {
    xids: Vec<Xid>,
    dropped: bool,
}

impl<const ENTRIES: usize> Default for Redefinitions<ENTRIES> {
    fn default() -> Self {
        Redefinitions {
            entries: [Redefinition::default(); ENTRIES],
            used: 0,
            begun: 0,
            dropped_count: 0,
            dropped_xid: 0,
        }
    }
}

impl<const ENTRIES: usize> Redefinitions<ENTRIES> {
    /// R0: what runs, or is prepared, at the first boot of a new table may have changed anything,
    /// and said so where it is no longer known: before a restart of the server.
    pub fn begin(&mut self, running: &[Xid], fates: &impl Fates) {
        if std::mem::replace(&mut self.begun, 1) == 0 {
            for xid in running {
                self.add(*xid, ANY, fates);
            }
        }
    }

    /// Adds a change that the transaction is about to commit; an older one makes room.
    pub fn add(&mut self, xid: Xid, rel: RelId, fates: &impl Fates) {
        // What it said before may have been dropped.
        let rel = if xid <= self.dropped_xid { ANY } else { rel };
        let known = |entry: &Redefinition| entry.xid == xid && [rel, ANY].contains(&entry.rel);
        if self.entries().iter().any(known) {
            return;
        }
        if self.entries().len() == ENTRIES && !self.make_room(xid, fates) {
            return;
        }
        if self.entries().iter().any(known) {
            return;
        }
        let place = self.entries().len();
        self.entries[place] = Redefinition { xid, rel };
        self.used += 1;
    }

    fn entries(&self) -> &[Redefinition] {
        &self.entries[..usize::try_from(self.used).unwrap_or(ENTRIES).min(ENTRIES)]
    }

    /// Keeps those of the entries that the function leaves.
    fn retain(&mut self, mut keep: impl FnMut(&Redefinition) -> bool) {
        let mut kept = [Redefinition::default(); ENTRIES];
        let mut used = 0;
        for entry in self.entries().iter().filter(|entry| keep(entry)) {
            kept[used] = *entry;
            used += 1;
        }
        self.entries = kept;
        self.used = used as u64;
    }

    /// Drops the oldest transaction that has ended; else has one entry stand for all of a
    /// transaction's; else drops the newest transaction, as the old ones may be prepared and stay.
    /// Returns whether there is room for an entry of `new`: it may be the newest itself.
    fn make_room(&mut self, new: Xid, fates: &impl Fates) -> bool {
        let mut xids: Vec<Xid> = self.entries().iter().map(|entry| entry.xid).collect();
        xids.sort_unstable();
        let repeated = xids
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0]);
        if let Some(xid) = xids.iter().copied().find(|xid| !fates.in_progress(*xid)) {
            if fates.committed(xid) {
                // Read after the transaction had left: a snapshot with this count sees it (F3).
                self.dropped_count = self.dropped_count.max(fates.completion_count());
            }
            self.retain(|entry| entry.xid != xid);
        } else if let Some(xid) = repeated {
            let mut first = true;
            self.retain(|entry| entry.xid != xid || std::mem::take(&mut first));
            for entry in self.entries.iter_mut().filter(|entry| entry.xid == xid) {
                entry.rel = ANY;
            }
        } else {
            let newest = xids.last().map_or(new, |last| new.max(*last));
            self.dropped_xid = self.dropped_xid.max(newest);
            self.retain(|entry| entry.xid != newest);
            return newest != new;
        }
        true
    }

    /// The transactions in the table that changed, or may have changed, the relation.
    pub fn of_relation(&self, rel: RelId) -> Vec<Xid> {
        let changes = self.entries().iter();
        let changes = changes.filter(|entry| entry.rel == ANY || entry.rel == rel);
        changes.map(|entry| entry.xid).collect()
    }

    /// What may contradict a result that read these relations at this snapshot.
    pub fn suspects(&self, snapshot: &Snapshot, rels: &[RelId]) -> Suspects {
        let touches = |entry: &&Redefinition| entry.rel == ANY || rels.contains(&entry.rel);
        // One that was dropped while it ran may be any that the snapshot does not see and that is
        // not in the table.
        let known = |xid: &Xid| self.entries().iter().any(|entry| entry.xid == *xid);
        let unseen = snapshot.xip.iter().filter(|xid| !known(xid));
        let was_running = snapshot.xmax <= self.dropped_xid
            || unseen
                .take_while(|xid| **xid <= self.dropped_xid)
                .next()
                .is_some();
        Suspects {
            xids: self
                .entries()
                .iter()
                .filter(touches)
                .map(|entry| entry.xid)
                .filter(|xid| !snapshot.contains(*xid))
                .collect(),
            dropped: self.dropped_count > snapshot.completed || was_running,
        }
    }
}

impl Suspects {
    /// Whether one of them may have been seen by a standby, where a commit can be visible while it is not yet here:
    /// it is running or has committed.
    pub fn any_not_aborted(&self, fates: &impl Fates) -> bool {
        self.dropped
            || self
                .xids
                .iter()
                .any(|xid| fates.in_progress(*xid) || fates.committed(*xid))
    }

    /// Whether one of them has committed by now, so that its effect may have been read.
    pub fn any_committed(&self, fates: &impl Fates) -> bool {
        self.dropped
            || self
                .xids
                .iter()
                .any(|xid| !fates.in_progress(*xid) && fates.committed(*xid))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Transactions below `running` have ended, the even ones by a commit.
    struct Until {
        running: Xid,
    }

    impl Fates for Until {
        fn in_progress(&self, xid: Xid) -> bool {
            xid >= self.running
        }

        fn committed(&self, xid: Xid) -> bool {
            xid.is_multiple_of(2)
        }

        fn completion_count(&self) -> u64 {
            self.running
        }
    }

    fn empty() -> Redefinitions {
        Redefinitions::default()
    }

    /// A snapshot that sees what has ended when `running` is the first that has not.
    fn snapshot(running: Xid) -> Snapshot {
        Snapshot {
            xmin: running,
            xmax: running,
            xip: vec![],
            completed: running,
        }
    }

    fn conflict(table: &Redefinitions, taken_at: Xid, rels: &[RelId], now: Xid) -> bool {
        table
            .suspects(&snapshot(taken_at), rels)
            .any_committed(&Until { running: now })
    }

    #[test]
    fn a_commit_after_the_snapshot_conflicts() {
        let mut table = empty();
        table.add(10, 5, &Until { running: 10 });
        table.add(11, 6, &Until { running: 10 });
        assert!(!conflict(&table, 10, &[5], 10), "it is running");
        assert!(conflict(&table, 10, &[4, 5], 11));
        assert!(!conflict(&table, 10, &[4], 11), "another relation");
        assert!(!conflict(&table, 11, &[5], 12), "the snapshot sees it");
        assert!(!conflict(&table, 10, &[6], 12), "it was rolled back");
    }

    #[test]
    fn a_transaction_with_many_relations_takes_one_place() {
        let mut table = empty();
        for rel in 1..200 {
            table.add(10, rel, &Until { running: 10 });
        }
        assert!(table.entries().len() < 64);
        assert!(conflict(&table, 10, &[1], 11) && conflict(&table, 10, &[199], 11));
        assert!(!conflict(&table, 11, &[1], 11));
        assert_eq!(table.dropped_xid, 0);
    }

    #[test]
    fn what_ran_when_the_table_was_made_conflicts_everywhere() {
        let mut table = empty();
        table.begin(&[9, 10], &Until { running: 9 });
        assert!(conflict(&table, 9, &[7], 11) && !conflict(&table, 9, &[7], 10));
        assert!(!conflict(&table, 11, &[7], 12));
        table.begin(&[12], &Until { running: 12 });
        assert!(
            !conflict(&table, 12, &[7], 13),
            "a later boot finds it known"
        );
    }

    proptest! {
        /// Whatever is dropped from the table, no conflict is missed, and a snapshot newer than all
        /// has none.
        #[test]
        fn no_conflict_is_missed(
            changes in vec((0u64..300, 1u32..5), 1..300),
            taken_at in 0u64..300,
            lag in 0u64..100,
        ) {
            let mut changes = changes;
            changes.sort_unstable();
            let mut table = empty();
            for (xid, rel) in &changes {
                // Some transactions are still running when later ones are added.
                table.add(*xid + 1, *rel, &Until { running: xid.saturating_sub(lag) });
            }
            let now = Until { running: 302 };
            for rel in 1..5 {
                let real = changes.iter().any(|(xid, of)| {
                    *of == rel && xid + 1 >= taken_at && now.committed(xid + 1)
                });
                let found = table.suspects(&snapshot(taken_at), &[rel]).any_committed(&now);
                prop_assert!(found || !real, "rel {rel} is missed");
                prop_assert!(!conflict(&table, 302, &[rel], 302));
            }
        }
    }
}
