//! A database of one table: transactions that become visible in steps, and every version of a row.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_invalidation::{Snapshot, Xid};

/// A primary key.
pub(crate) type Pk = u8;
/// The indexed value of a row; `None` if there is no such row.
pub(crate) type Value = Option<u8>;
/// How many transactions have completed, over all lives of the server.
pub(crate) type Time = u64;
/// A client's mutation: its session id and its request id.
pub(crate) type Request = (String, u32);

/// How far a transaction has come (F1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Runs, and may write.
    Working,
    /// Its write-set is in the log.
    Published,
    /// `PREPARE TRANSACTION` is done.
    Prepared,
    /// Committed in clog, invisible to new snapshots.
    InClog,
}

/// A change of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) pk: Pk,
    pub(crate) old: Value,
    pub(crate) new: Value,
}

/// A transaction that has not left.
#[derive(Clone, Debug)]
pub(crate) struct Tx {
    pub(crate) stage: Stage,
    pub(crate) writes: Vec<Write>,
    /// How many of the writes are in the log.
    pub(crate) published: usize,
    /// Will not commit.
    pub(crate) doomed: bool,
    /// Will be prepared before it commits.
    pub(crate) two_phase: bool,
    /// The mutation that it runs; its outcome is stored with it (R14).
    pub(crate) request: Option<Request>,
    /// Driven by a job of the relay, not by itself.
    pub(crate) driven: bool,
}

/// A snapshot, and the moment of the model's history that it shows.
#[derive(Clone, Debug)]
pub(crate) struct Snap {
    pub(crate) at: Time,
    pub(crate) snapshot: Snapshot,
}

#[derive(Debug)]
pub(crate) struct Database {
    next_xid: Xid,
    latest_completed: Xid,
    pub(crate) live: BTreeMap<Xid, Tx>,
    clog: BTreeSet<Xid>,
    pub(crate) now: Time,
    /// The completion count is 1 here (F3).
    life_began: Time,
    rows: BTreeMap<Pk, Vec<(Time, Value)>>,
    /// When the transactions of a mutation became visible; more than one is a violation of R14.
    pub(crate) applied: BTreeMap<Request, Vec<Time>>,
    /// Mutations that were answered with a later moment than that of their commit (R14).
    pub(crate) answered_late: BTreeSet<Request>,
}

impl Database {
    pub(crate) fn new() -> Self {
        Database {
            next_xid: 1000,
            latest_completed: 999,
            live: BTreeMap::new(),
            clog: BTreeSet::new(),
            now: 0,
            life_began: 0,
            rows: BTreeMap::new(),
            applied: BTreeMap::new(),
            answered_late: BTreeSet::new(),
        }
    }

    pub(crate) fn begin(&mut self) -> Xid {
        let tx = Tx {
            stage: Stage::Working,
            writes: Vec::new(),
            published: 0,
            doomed: false,
            two_phase: false,
            request: None,
            driven: false,
        };
        self.live.insert(self.next_xid, tx);
        self.next_xid += 1;
        self.next_xid - 1
    }

    /// Whether a transaction that has not left wrote the row.
    pub(crate) fn is_locked(&self, pk: Pk) -> bool {
        let holds = |tx: &Tx| tx.writes.iter().any(|write| write.pk == pk);
        self.live.values().any(holds)
    }

    /// Writes a row unless another transaction holds its lock. Whether it did.
    pub(crate) fn write(&mut self, xid: Xid, pk: Pk, new: Value) -> bool {
        if self.is_locked(pk) {
            return false;
        }
        let old = self.value(pk, self.now);
        if let Some(tx) = self.live.get_mut(&xid) {
            tx.writes.push(Write { pk, old, new });
        }
        true
    }

    /// The commit record and clog.
    pub(crate) fn enter_clog(&mut self, xid: Xid) {
        if let Some(tx) = self.live.get_mut(&xid) {
            tx.stage = Stage::InClog;
            self.clog.insert(xid);
        }
    }

    /// The transaction leaves the ProcArray: if it committed, new snapshots see it from now on.
    pub(crate) fn leave(&mut self, xid: Xid) -> Option<Tx> {
        let tx = self.live.remove(&xid)?;
        self.now += 1;
        self.latest_completed = self.latest_completed.max(xid);
        if self.clog.contains(&xid) {
            for write in &tx.writes {
                let versions = self.rows.entry(write.pk).or_default();
                versions.push((self.now, write.new));
            }
            if let Some(request) = &tx.request {
                let times = self.applied.entry(request.clone()).or_default();
                times.push(self.now);
            }
        }
        Some(tx)
    }

    /// Every process dies and the server starts again (F4, F9). Counts begin anew (F3).
    pub(crate) fn crash(&mut self) {
        let dying: Vec<Xid> = self
            .live
            .iter()
            .filter(|(_, tx)| tx.stage != Stage::Prepared)
            .map(|(xid, _)| *xid)
            .collect();
        for xid in dying {
            self.leave(xid);
        }
        self.life_began = self.now;
    }

    /// As Postgres makes them: xmax is one beyond the newest that has completed.
    pub(crate) fn snapshot(&self) -> Snap {
        let xmax = self.latest_completed + 1;
        let xip: Vec<Xid> = self.live.range(..xmax).map(|(xid, _)| *xid).collect();
        let snapshot = Snapshot {
            xmin: xip.first().copied().unwrap_or(xmax),
            xmax,
            xip,
            completed: self.completion_count(),
        };
        Snap {
            at: self.now,
            snapshot,
        }
    }

    pub(crate) fn completion_count(&self) -> u64 {
        self.now - self.life_began + 1
    }

    pub(crate) fn in_clog(&self, xid: Xid) -> bool {
        self.clog.contains(&xid)
    }

    pub(crate) fn value(&self, pk: Pk, at: Time) -> Value {
        let versions = self.rows.get(&pk)?;
        let seen = versions.partition_point(|(time, _)| *time <= at);
        versions[..seen].last().and_then(|(_, value)| *value)
    }

    /// All rows that exist at that time.
    pub(crate) fn rows(&self, at: Time) -> impl Iterator<Item = (Pk, u8)> {
        let value = move |pk: &Pk| self.value(*pk, at).map(|value| (*pk, value));
        self.rows.keys().filter_map(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_contains_exactly_what_its_rows_show() {
        let mut db = Database::new();
        let xids: Vec<Xid> = (0u8..4)
            .map(|pk| {
                let xid = db.begin();
                assert!(db.write(xid, pk, Some(pk)));
                xid
            })
            .collect();
        for xid in [xids[2], xids[0], xids[3], xids[1]] {
            let before = db.snapshot();
            db.enter_clog(xid);
            assert!(
                !db.snapshot().snapshot.contains(xid),
                "in clog, not yet visible"
            );
            db.leave(xid);
            let after = db.snapshot();
            for (pk, xid) in (0u8..).zip(&xids) {
                for snap in [&before, &after] {
                    let shown = db.value(pk, snap.at).is_some();
                    assert_eq!(snap.snapshot.contains(*xid), shown);
                }
            }
        }
    }

    #[test]
    fn a_crash_keeps_what_is_in_clog_and_what_is_prepared() {
        let mut db = Database::new();
        let [working, committed, prepared] = [0u8, 1, 2].map(|pk| {
            let xid = db.begin();
            db.write(xid, pk, Some(1));
            xid
        });
        db.enter_clog(committed);
        db.live.get_mut(&prepared).unwrap().stage = Stage::Prepared;
        db.crash();
        assert_eq!(db.rows(db.now).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(db.completion_count(), 1);
        assert!(!db.live.contains_key(&working));
        db.enter_clog(prepared);
        db.leave(prepared);
        assert_eq!(db.rows(db.now).count(), 2);
    }
}
