//! `U`: the writers whose outcome is not known, with the subs that they would invalidate.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_readset::WriteSet;

use crate::probe::Probe;
use crate::snapshot::{Snapshot, Xid};
use crate::subscriptions::SubKey;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// What it published, in one or more entries.
    pub(crate) set: WriteSet,
    /// The live subs that it touches and that do not see it.
    pub(crate) subs: BTreeSet<SubKey>,
}

/// Never drops a writer (R6); past its limit of bytes the write-sets are widened instead.
#[derive(Debug)]
pub(crate) struct Unresolved {
    writers: BTreeMap<Xid, Writer>,
    bytes: usize,
    max_bytes: usize,
}

impl Unresolved {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Unresolved {
            writers: BTreeMap::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Adds (more of) what a writer published, and the subs that it touches.
    pub(crate) fn add(&mut self, xid: Xid, set: WriteSet, subs: Vec<SubKey>) {
        let writer = self.writers.entry(xid).or_default();
        self.bytes += set.bytes();
        writer.set.entries.extend(set.entries);
        writer.subs.extend(subs);
        if self.bytes > self.max_bytes {
            self.bytes -= writer.set.bytes();
            writer.set = writer.set.widened();
            self.bytes += writer.set.bytes();
        }
    }

    pub(crate) fn remove(&mut self, xid: Xid) -> Option<Writer> {
        let writer = self.writers.remove(&xid)?;
        self.bytes -= writer.set.bytes();
        Some(writer)
    }

    /// R6: attaches a new sub to each writer that touches it and that it does not see; those.
    pub(crate) fn attach(
        &mut self,
        key: SubKey,
        snapshot: &Snapshot,
        probe: &mut Probe<'_>,
    ) -> BTreeSet<Xid> {
        let mut attached = BTreeSet::new();
        for (xid, writer) in &mut self.writers {
            if !snapshot.contains(*xid) && probe.touches(&writer.set) {
                writer.subs.insert(key);
                attached.insert(*xid);
            }
        }
        attached
    }

    pub(crate) fn detach(&mut self, xid: Xid, key: SubKey) {
        if let Some(writer) = self.writers.get_mut(&xid) {
            writer.subs.remove(&key);
        }
    }

    pub(crate) fn xids(&self) -> impl Iterator<Item = Xid> {
        self.writers.keys().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Xid, &Writer)> {
        self.writers.iter().map(|(xid, writer)| (*xid, writer))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writers.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.writers.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
