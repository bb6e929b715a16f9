//! The writes that have committed, as far back as there is room for.

use std::collections::VecDeque;

use pg_live_readset::WriteSet;

use crate::probe::Probe;
use crate::snapshot::{Snapshot, Xid};

#[derive(Debug)]
struct Committed {
    xid: Xid,
    c: u64,
    set: WriteSet,
    bytes: usize,
}

/// Committed writes in the order of their completion counts.
#[derive(Debug)]
pub(crate) struct History {
    entries: VecDeque<Committed>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    /// D: the greatest completion count that was dropped (R6).
    dropped: u64,
}

impl History {
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        History {
            entries: VecDeque::new(),
            bytes: 0,
            max_entries,
            max_bytes,
            dropped: 0,
        }
    }

    /// Adds a write, and drops the oldest ones that there is no room for.
    pub(crate) fn push(&mut self, xid: Xid, c: u64, set: WriteSet) {
        if let Some(last) = self.entries.back() {
            assert!(last.c <= c, "completion counts never go back within a boot");
        }
        let bytes = set.bytes() + size_of::<Committed>();
        self.bytes += bytes;
        self.entries.push_back(Committed { xid, c, set, bytes });
        while self.entries.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes;
            self.dropped = self.dropped.max(oldest.c);
        }
    }

    /// R6: the completion count that a result must reach, if a write in the history, or one that
    /// was dropped from it, may contradict the result at this snapshot.
    pub(crate) fn contradicts(&self, snapshot: &Snapshot, probe: &mut Probe<'_>) -> Option<u64> {
        if self.dropped > snapshot.completed {
            return Some(self.entries.back().map_or(self.dropped, |last| last.c));
        }
        // c was read after the transaction had left, so a snapshot that counts c sees it (F3).
        let seen = self
            .entries
            .partition_point(|entry| entry.c <= snapshot.completed);
        self.entries
            .range(seen..)
            .rev()
            .find(|entry| !snapshot.contains(entry.xid) && probe.touches(&entry.set))
            .map(|entry| entry.c)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
