//! A database of transactions only, and short ways to write entries.

use std::collections::BTreeSet;

use pg_live_invalidation::{Generation, LogEntry, Owner, Registration, Snapshot, Sub, World, Xid};
use pg_live_readset::{ReadEntry, ReadSet, RowImage, WriteEntry, WriteSet};

/// Transactions that begin and end; snapshots of them.
#[derive(Debug)]
pub(crate) struct Db {
    next: Xid,
    pub(crate) running: BTreeSet<Xid>,
    /// Committed in clog, though perhaps still running for everybody else (F1).
    pub(crate) committed: BTreeSet<Xid>,
    pub(crate) completed: u64,
    /// The end of the WAL.
    pub(crate) wal: u64,
}

impl Default for Db {
    fn default() -> Self {
        Db {
            next: 100,
            running: BTreeSet::new(),
            committed: BTreeSet::new(),
            completed: 1,
            wal: 1000,
        }
    }
}

impl Db {
    pub(crate) fn begin(&mut self) -> Xid {
        self.next += 1;
        self.running.insert(self.next - 1);
        self.next - 1
    }

    pub(crate) fn commit(&mut self, xid: Xid) {
        self.committed.insert(xid);
        self.wal += 10;
        self.abort(xid);
    }

    pub(crate) fn abort(&mut self, xid: Xid) {
        assert!(self.running.remove(&xid));
        self.completed += 1;
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            xmin: self.running.first().copied().unwrap_or(self.next),
            xmax: self.next,
            xip: self.running.iter().copied().collect(),
            completed: self.completed,
        }
    }
}

impl World for Db {
    fn in_progress(&mut self, xid: Xid) -> bool {
        self.running.contains(&xid)
    }

    fn committed(&mut self, xid: Xid) -> bool {
        assert!(!self.running.contains(&xid), "clog is asked too early");
        self.committed.contains(&xid)
    }

    fn completion_count(&mut self) -> u64 {
        self.completed
    }

    fn wal_end(&mut self) -> u64 {
        self.wal
    }
}

/// A read-set of these rows of one relation.
pub(crate) fn reads(keys: &[u8]) -> ReadSet {
    let key = |pk: &u8| ReadEntry::Key {
        rel: 1,
        pk: vec![*pk],
    };
    ReadSet {
        entries: keys.iter().map(key).collect(),
    }
}

/// A write-set of these rows of the same relation.
pub(crate) fn writes(keys: &[u8]) -> WriteSet {
    let row = |pk: &u8| WriteEntry::Row {
        rel: 1,
        image: RowImage {
            pk: Some(vec![*pk]),
            ..RowImage::default()
        },
    };
    WriteSet {
        entries: keys.iter().map(row).collect(),
    }
}

pub(crate) fn write(xid: Xid, keys: &[u8]) -> LogEntry {
    LogEntry::Write {
        xid,
        set: writes(keys),
    }
}

/// A registration in boot 1.
pub(crate) fn register(
    owner: Owner,
    sub: Sub,
    generation: Generation,
    snapshot: Snapshot,
    keys: &[u8],
) -> LogEntry {
    LogEntry::Register(Registration {
        owner,
        sub,
        generation,
        boot: 1,
        snapshot,
        read_set: reads(keys),
    })
}
