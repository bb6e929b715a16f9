//! The primary: transactions that become visible in steps, its WAL, and its snapshots.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_invalidation::{Snapshot, Xid};
use pg_live_readset::RelId;
use pg_live_shared::{Fates, widen};

use crate::bug::Bug;
use crate::history::{Change, History, Pk, Request, Time, Value};

/// Postgres gives out no id whose low half is below.
const FIRST_NORMAL: u64 = 3;

/// How far a transaction has come (F1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Runs, and may write.
    Working,
    /// Its write-set is in the log.
    Published,
    /// `PREPARE TRANSACTION` is done.
    Prepared,
    /// Committed in WAL and clog, invisible to new snapshots.
    InClog,
}

/// A change, and what has become of it within its transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) change: Change,
    /// The table had its triggers.
    pub(crate) captured: bool,
    /// Its subtransaction was rolled back.
    pub(crate) undone: bool,
}

/// A transaction that has not left.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub(crate) stage: Stage,
    pub(crate) done: Vec<Done>,
    /// How many of those are in the log.
    pub(crate) published: usize,
    /// Where the open subtransaction began, and its id.
    pub(crate) savepoint: Option<(usize, Xid)>,
    /// The last subtransaction that was rolled back.
    pub(crate) aborted_sub: Option<Xid>,
    /// Will not commit.
    pub(crate) doomed: bool,
    /// Will be prepared before it commits.
    pub(crate) two_phase: bool,
    /// The mutation that it runs; its outcome is stored with it (R14).
    pub(crate) request: Option<Request>,
    /// Driven by a job of the relay, not by itself.
    pub(crate) driven: bool,
    /// Leaves its rows in the WAL for the decoder.
    pub(crate) in_wal: bool,
}

impl Tx {
    /// What commits with it.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let kept = self.done.iter().filter(|done| !done.undone);
        kept.map(|done| done.change).collect()
    }

    /// Whether readers of a table have to wait for it.
    pub(crate) fn locks_readers(&self) -> bool {
        self.changes().iter().any(|c| c.is_redefinition())
    }
}

/// A snapshot, and the moment of its node's history that it shows.
#[derive(Clone, Debug)]
pub(crate) struct Snap {
    pub(crate) at: Time,
    pub(crate) snapshot: Snapshot,
}

/// The end of a transaction in WAL.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) xid: Xid,
    /// Its rows are for the decoder.
    pub(crate) in_wal: bool,
    /// `None` if it was rolled back.
    pub(crate) committed: Option<(Vec<Change>, Option<Request>)>,
}

#[derive(Debug)]
pub(crate) struct Database {
    next_xid: Xid,
    latest_completed: Xid,
    pub(crate) live: BTreeMap<Xid, Tx>,
    clog: BTreeSet<Xid>,
    pub(crate) history: History,
    /// The completion count is 1 here (F3).
    life_began: Time,
    pub(crate) wal: Vec<Record>,
    /// Mutations that were answered with a later moment than that of their commit (R14).
    pub(crate) answered_late: BTreeSet<Request>,
    pub(crate) bug: Option<Bug>,
}

impl Database {
    /// `first_xid`: the next id that is given out.
    pub(crate) fn new(first_xid: Xid, bug: Option<Bug>) -> Self {
        Database {
            next_xid: first_xid,
            latest_completed: first_xid - 1,
            live: BTreeMap::new(),
            clog: BTreeSet::new(),
            history: History::default(),
            life_began: 0,
            wal: Vec::new(),
            answered_late: BTreeSet::new(),
            bug,
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.history.now
    }

    fn assign_xid(&mut self) -> Xid {
        let xid = self.next_xid;
        self.next_xid += 1;
        let low = self.next_xid & u64::from(u32::MAX);
        self.next_xid += FIRST_NORMAL.saturating_sub(low);
        xid
    }

    pub(crate) fn begin(&mut self) -> Xid {
        let tx = Tx {
            stage: Stage::Working,
            done: Vec::new(),
            published: 0,
            savepoint: None,
            aborted_sub: None,
            doomed: false,
            two_phase: false,
            request: None,
            driven: false,
            in_wal: false,
        };
        let xid = self.assign_xid();
        self.live.insert(xid, tx);
        xid
    }

    pub(crate) fn savepoint(&mut self, xid: Xid) {
        let sub = self.assign_xid();
        if let Some(tx) = self.live.get_mut(&xid) {
            tx.savepoint = Some((tx.done.len(), sub));
        }
    }

    /// `ROLLBACK TO`: what was published stays, and only says too much.
    pub(crate) fn rollback_to(&mut self, xid: Xid) {
        if let Some(tx) = self.live.get_mut(&xid)
            && let Some((from, sub)) = tx.savepoint.take()
        {
            tx.done[from..].iter_mut().for_each(|d| d.undone = true);
            tx.aborted_sub = Some(sub);
        }
    }

    /// Whether a transaction that has not left keeps others from writing the row.
    pub(crate) fn is_locked(&self, rel: RelId, pk: Pk) -> bool {
        let holds = |change: &Change| match *change {
            Change::Row {
                rel: of, pk: row, ..
            } => (of, row) == (rel, pk),
            Change::Truncate { rel: of }
            | Change::Reshape { rel: of }
            | Change::Capture { rel: of } => of == rel,
        };
        self.live.values().any(|tx| tx.changes().iter().any(holds))
    }

    /// Whether nobody but the transaction has anything in the table in hand.
    pub(crate) fn has_alone(&self, xid: Xid, rel: RelId) -> bool {
        let mut others = self.live.iter().filter(|(other, _)| **other != xid);
        !others.any(|(_, tx)| tx.changes().iter().any(|c| c.rel() == rel))
    }

    /// Whether readers of the table have to wait.
    pub(crate) fn is_barred(&self, rel: RelId) -> bool {
        let bars = |c: &Change| c.is_redefinition() && c.rel() == rel;
        self.live.values().any(|tx| tx.changes().iter().any(bars))
    }

    /// Writes a row unless a transaction holds its lock. Whether it did.
    pub(crate) fn write(&mut self, xid: Xid, rel: RelId, pk: Pk, new: Value) -> bool {
        if self.is_locked(rel, pk) {
            return false;
        }
        let old = self.history.value(rel, pk, self.now());
        self.add(xid, Change::Row { rel, pk, old, new });
        true
    }

    /// The transaction does something whose locks it has got.
    pub(crate) fn add(&mut self, xid: Xid, change: Change) {
        let captured = self.history.is_captured(change.rel(), self.now());
        if let Some(tx) = self.live.get_mut(&xid) {
            tx.done.push(Done {
                change,
                captured,
                undone: false,
            });
        }
    }

    /// The commit record and clog.
    pub(crate) fn enter_clog(&mut self, xid: Xid) {
        if let Some(tx) = self.live.get_mut(&xid) {
            tx.stage = Stage::InClog;
            self.clog.insert(xid);
            let committed = Some((tx.changes(), tx.request.clone()));
            let in_wal = tx.in_wal;
            self.wal.push(Record {
                xid,
                in_wal,
                committed,
            });
        }
    }

    /// The transaction leaves the ProcArray: if it committed, new snapshots see it from now on.
    pub(crate) fn leave(&mut self, xid: Xid) -> Option<Tx> {
        let tx = self.live.remove(&xid)?;
        self.latest_completed = self.latest_completed.max(xid);
        if self.clog.contains(&xid) {
            self.history
                .complete(xid, &tx.changes(), tx.request.as_ref());
        } else {
            self.history.complete(xid, &[], None);
            self.wal.push(Record {
                xid,
                in_wal: false,
                committed: None,
            });
        }
        Some(tx)
    }

    /// Every process dies and the server starts again (F4, F9). Counts begin anew (F3).
    pub(crate) fn crash(&mut self) {
        let live = self.live.iter();
        let dying = live.filter(|(_, tx)| tx.stage != Stage::Prepared);
        let dying: Vec<Xid> = dying.map(|(xid, _)| *xid).collect();
        for xid in dying {
            self.leave(xid);
        }
        self.life_began = self.now();
    }

    /// As Postgres makes them, of ids of 32 bits: xmax is one beyond the newest that has completed.
    pub(crate) fn snapshot(&self) -> Snap {
        let xmax = self.latest_completed + 1;
        let xip: Vec<Xid> = self.live.range(..xmax).map(|(xid, _)| *xid).collect();
        let xmin = xip.first().copied().unwrap_or(xmax);
        let mut xip: Vec<Xid> = xip.into_iter().map(|xid| self.widened(xid)).collect();
        xip.sort_unstable();
        let snapshot = Snapshot {
            xmin: self.widened(xmin),
            xmax: self.widened(xmax),
            xip,
            completed: self.completion_count(),
        };
        Snap {
            at: self.now(),
            snapshot,
        }
    }

    /// An id that went through 32 bits.
    pub(crate) fn widened(&self, xid: Xid) -> Xid {
        let low = xid & u64::from(u32::MAX);
        match self.bug {
            Some(Bug::ShortIds) => low,
            Some(Bug::EpochOfNow) => (self.next_xid >> 32 << 32) | low,
            _ => widen(u32::try_from(low).unwrap_or(u32::MAX), self.next_xid),
        }
    }

    pub(crate) fn next_xid(&self) -> Xid {
        self.next_xid
    }

    pub(crate) fn completion_count(&self) -> u64 {
        self.now() - self.life_began + 1
    }

    pub(crate) fn in_clog(&self, xid: Xid) -> bool {
        self.clog.contains(&xid)
    }
}

/// R17, as backends of the primary ask.
impl Fates for Database {
    fn in_progress(&self, xid: Xid) -> bool {
        self.live.contains_key(&xid)
    }

    fn committed(&self, xid: Xid) -> bool {
        self.in_clog(xid)
    }

    fn completion_count(&self) -> u64 {
        Database::completion_count(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::DOCUMENTS;

    #[test]
    fn a_snapshot_contains_exactly_what_its_rows_show() {
        // Low halves wrap in between.
        let mut db = Database::new((1 << 32) - 2, None);
        let xids: Vec<Xid> = (0u8..4)
            .map(|pk| {
                let xid = db.begin();
                assert!(db.write(xid, DOCUMENTS, pk, Some(pk)));
                xid
            })
            .collect();
        assert_eq!(xids[2], (1 << 32) + FIRST_NORMAL);
        for xid in [xids[2], xids[0], xids[3], xids[1]] {
            let before = db.snapshot();
            db.enter_clog(xid);
            assert!(!db.snapshot().snapshot.contains(xid), "not yet visible");
            db.leave(xid);
            let after = db.snapshot();
            for (pk, xid) in (0u8..).zip(&xids) {
                for snap in [&before, &after] {
                    let shown = db.history.value(DOCUMENTS, pk, snap.at).is_some();
                    assert_eq!(snap.snapshot.contains(*xid), shown);
                }
            }
        }
    }

    #[test]
    fn a_crash_keeps_what_is_in_clog_and_what_is_prepared() {
        let mut db = Database::new(1000, None);
        let [working, committed, prepared] = [0u8, 1, 2].map(|pk| {
            let xid = db.begin();
            db.write(xid, DOCUMENTS, pk, Some(1));
            xid
        });
        db.enter_clog(committed);
        db.live.get_mut(&prepared).unwrap().stage = Stage::Prepared;
        db.crash();
        assert_eq!(db.history.truth(db.now()).rows(DOCUMENTS), [(1, 1)]);
        assert_eq!(db.completion_count(), 1);
        assert!(!db.live.contains_key(&working));
        db.enter_clog(prepared);
        db.leave(prepared);
        assert_eq!(db.history.truth(db.now()).rows(DOCUMENTS).len(), 2);
    }

    #[test]
    fn what_is_rolled_back_to_a_savepoint_does_not_commit() {
        let mut db = Database::new(1000, None);
        let xid = db.begin();
        db.write(xid, DOCUMENTS, 0, Some(1));
        db.savepoint(xid);
        db.write(xid, DOCUMENTS, 1, Some(1));
        db.rollback_to(xid);
        assert!(!db.is_locked(DOCUMENTS, 1) && db.is_locked(DOCUMENTS, 0));
        db.enter_clog(xid);
        db.leave(xid);
        assert_eq!(db.history.truth(db.now()).rows(DOCUMENTS), [(0, 1)]);
    }

    #[test]
    fn older_snapshots_see_redefinitions() {
        let mut db = Database::new(1000, None);
        for change in [
            Change::Row {
                rel: DOCUMENTS,
                pk: 1,
                old: None,
                new: Some(1),
            },
            Change::Reshape { rel: DOCUMENTS },
            Change::Truncate { rel: DOCUMENTS },
        ] {
            let xid = db.begin();
            db.add(xid, change);
            db.enter_clog(xid);
            db.leave(xid);
        }
        let (history, rel) = (&db.history, DOCUMENTS);
        assert_eq!(history.truth(1).rows(rel), [(1, 1)]);
        assert_eq!(history.truth(1).shape(rel), 0);
        assert_eq!(history.read(1).rows(rel), []);
        assert_eq!(history.read(1).shape(rel), 1);
    }
}
