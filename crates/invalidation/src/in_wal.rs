//! R5 for writers whose rows are in the WAL: the decoder hands them over, in the order of commits.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_readset::{RelId, WriteEntry, WriteSet};

use crate::entry::Lsn;
use crate::snapshot::Xid;

/// A relation counts as read for so many log entries after its last reader was seen: a live query is
/// away from its invalidation until its next registration.
const REMEMBERED: u64 = 10_000;

/// The decoder as far as it has announced itself.
#[derive(Debug)]
struct Decoder {
    run: u64,
    /// What commits from here on is handed over.
    from: Lsn,
    /// All that committed before here was handed over.
    to: Lsn,
}

/// A writer in `U` whose rows have not been handed over.
#[derive(Debug, Default)]
struct Waiting {
    rels: BTreeSet<RelId>,
    /// Set once the writer has left the ProcArray: its commit lies before this.
    ends_before: Option<Lsn>,
}

/// What the writers that wait for the decoder need, and which relations are written this way.
#[derive(Debug, Default)]
pub(crate) struct InWal {
    decoder: Option<Decoder>,
    waiting: BTreeMap<Xid, Waiting>,
    /// Relations written this way, with the number of the log entry up to which they count as read.
    rels: BTreeMap<RelId, u64>,
}

impl InWal {
    /// A writer says that the rows of these relations are in the WAL, its commit not before `lsn`.
    /// Returns what must count as changed as a whole: all of them if nobody will hand the rows over,
    /// or if nobody reads any of them.
    pub(crate) fn add(
        &mut self,
        xid: Xid,
        rels: &[RelId],
        lsn: Lsn,
        now: u64,
        is_read: impl Fn(RelId) -> bool,
    ) -> WriteSet {
        let mut watched = false;
        for rel in rels {
            let until = self.rels.entry(*rel).or_default();
            if is_read(*rel) {
                *until = now + REMEMBERED;
            }
            watched |= *until > now;
        }
        let decodes = self
            .decoder
            .as_ref()
            .is_some_and(|decoder| lsn >= decoder.from);
        if !decodes || !watched {
            return whole(rels);
        }
        self.waiting.entry(xid).or_default().rels.extend(rels);
        WriteSet::default()
    }

    /// A result that reads these relations was registered.
    pub(crate) fn note_readers(&mut self, rels: impl Iterator<Item = RelId>, now: u64) {
        if self.rels.is_empty() {
            return;
        }
        for rel in rels {
            if let Some(until) = self.rels.get_mut(&rel) {
                *until = now + REMEMBERED;
            }
        }
    }

    /// The decoder hands over what a transaction changed. Returns what the writer still owed, `None` if
    /// it owed nothing.
    pub(crate) fn decoded(&mut self, xid: Xid, lsn: Lsn, set: WriteSet) -> Option<WriteSet> {
        self.decoded_to(lsn);
        let Waiting { rels, .. } = self.waiting.remove(&xid)?;
        let mut set = set;
        set.entries.retain(|entry| match entry {
            WriteEntry::Row { rel, .. } | WriteEntry::Table { rel } => rels.contains(rel),
            WriteEntry::Everything => true,
        });
        Some(set)
    }

    pub(crate) fn decoded_to(&mut self, lsn: Lsn) {
        if let Some(decoder) = &mut self.decoder {
            decoder.to = decoder.to.max(lsn);
        }
    }

    /// A decoder begins. Returns what writers owe that waited for another one.
    pub(crate) fn ready(&mut self, run: u64, from: Lsn) -> Vec<(Xid, WriteSet)> {
        let left = self.gone();
        let to = from;
        self.decoder = Some(Decoder { run, from, to });
        left
    }

    /// There is no decoder any more. Returns what the writers owe that waited for it.
    pub(crate) fn gone(&mut self) -> Vec<(Xid, WriteSet)> {
        self.decoder = None;
        owed(std::mem::take(&mut self.waiting))
    }

    /// Nobody waits any longer for rows of writers that committed before this place. Returns what they owe.
    pub(crate) fn stop_waiting(&mut self, before: Lsn) -> Vec<(Xid, WriteSet)> {
        let late = |waiting: &Waiting| waiting.ends_before.is_some_and(|end| end <= before);
        let all = std::mem::take(&mut self.waiting);
        let (late, rest) = all.into_iter().partition(|(_, waiting)| late(waiting));
        self.waiting = rest;
        owed(late)
    }

    pub(crate) fn run(&self) -> Option<u64> {
        self.decoder.as_ref().map(|decoder| decoder.run)
    }

    pub(crate) fn is_waiting(&self, xid: Xid) -> bool {
        self.waiting.contains_key(&xid)
    }

    /// Whether the writer is known to have left the ProcArray and to have committed.
    pub(crate) fn has_left(&self, xid: Xid) -> bool {
        let waiting = self.waiting.get(&xid);
        waiting.is_some_and(|waiting| waiting.ends_before.is_some())
    }

    /// The writer has left the ProcArray and committed; `end` is the end of the WAL, read after that.
    pub(crate) fn leave(&mut self, xid: Xid, end: Lsn) {
        if let Some(waiting) = self.waiting.get_mut(&xid) {
            waiting.ends_before.get_or_insert(end);
        }
    }

    /// Whether all rows of the writer were handed over: none are to come.
    pub(crate) fn is_done(&self, xid: Xid) -> bool {
        let Some(waiting) = self.waiting.get(&xid) else {
            return true;
        };
        match (&self.decoder, waiting.ends_before) {
            (Some(decoder), Some(end)) => decoder.to >= end,
            (Some(_) | None, _) => false,
        }
    }

    pub(crate) fn forget(&mut self, xid: Xid) {
        self.waiting.remove(&xid);
    }

    /// How far the WAL must be decoded before all writers that have left can be resolved.
    pub(crate) fn wanted(&self) -> Option<Lsn> {
        self.waiting
            .values()
            .filter_map(|waiting| waiting.ends_before)
            .max()
    }

    /// Whether anybody reads a relation that is written this way.
    pub(crate) fn is_watched(&self, now: u64, is_read: impl Fn(RelId) -> bool) -> bool {
        self.rels
            .iter()
            .any(|(rel, until)| *until > now || is_read(*rel))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn owed(waiting: BTreeMap<Xid, Waiting>) -> Vec<(Xid, WriteSet)> {
    let owes = |(xid, waiting): (Xid, Waiting)| {
        let rels: Vec<RelId> = waiting.rels.into_iter().collect();
        (xid, whole(&rels))
    };
    waiting.into_iter().map(owes).collect()
}

fn whole(rels: &[RelId]) -> WriteSet {
    let table = |rel: &RelId| WriteEntry::Table { rel: *rel };
    WriteSet {
        entries: rels.iter().map(table).collect(),
    }
}
