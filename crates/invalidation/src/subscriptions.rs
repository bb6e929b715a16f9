//! The results that want to be told.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_readset::{ReadIndex, ReadSet, WriteSet};

use crate::entry::{Generation, Owner, Sub};
use crate::snapshot::{Snapshot, Xid};

/// A sub among those of all owners.
pub(crate) type SubKey = (Owner, Sub);

/// The one live generation of each sub.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    live: BTreeMap<SubKey, Live>,
    index: ReadIndex<SubKey>,
    /// Of `live`; the index counts its own.
    bytes: usize,
}

/// What a result takes without its read-set: its place in the map, its name and place in the index.
const LIVE_BYTES: usize = 256;

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) generation: Generation,
    pub(crate) snapshot: Snapshot,
    /// The unresolved writers that matched it; they name it as well.
    pub(crate) attached: BTreeSet<Xid>,
}

impl Live {
    fn bytes(&self) -> usize {
        LIVE_BYTES + size_of_val(self.snapshot.xip.as_slice())
    }
}

impl Subscriptions {
    pub(crate) fn insert(&mut self, key: SubKey, live: Live, reads: &ReadSet) {
        self.index.insert(key, reads);
        self.bytes += live.bytes();
        if let Some(before) = self.live.insert(key, live) {
            self.bytes -= before.bytes();
        }
    }

    pub(crate) fn remove(&mut self, key: SubKey) -> Option<Live> {
        let live = self.live.remove(&key)?;
        self.index.remove(&key);
        self.bytes -= live.bytes();
        Some(live)
    }

    pub(crate) fn generation(&self, key: SubKey) -> Option<Generation> {
        self.live.get(&key).map(|live| live.generation)
    }

    pub(crate) fn of_owner(&self, owner: Owner) -> Vec<SubKey> {
        let all = (owner, Sub::MIN)..=(owner, Sub::MAX);
        self.live.range(all).map(|(key, _)| *key).collect()
    }

    /// Attaches the writer to every sub that it touches and that does not see it; those subs.
    pub(crate) fn attach(&mut self, xid: Xid, writes: &WriteSet) -> Vec<SubKey> {
        let mut matched = Vec::new();
        let live = &mut self.live;
        self.index.matches(writes, &mut |key| {
            if let Some(live) = live.get_mut(key)
                && !live.snapshot.contains(xid)
            {
                live.attached.insert(xid);
                matched.push(*key);
            }
        });
        matched
    }

    /// Every sub that the writes touch.
    pub(crate) fn touched(&mut self, writes: &WriteSet) -> BTreeSet<SubKey> {
        let mut touched = BTreeSet::new();
        self.index.matches(writes, &mut |key| {
            touched.insert(*key);
        });
        touched
    }

    pub(crate) fn detach(&mut self, key: SubKey, xid: Xid) {
        if let Some(live) = self.live.get_mut(&key) {
            live.attached.remove(&xid);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    /// About how many bytes of memory all of it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.index.bytes()
    }

    pub(crate) fn index(&self) -> &ReadIndex<SubKey> {
        &self.index
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SubKey, &Live)> {
        self.live.iter()
    }
}
