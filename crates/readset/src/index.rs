//! Finds the subscriptions that a write-set touches.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::attributes::Attribute;
use crate::entry::{ReadSet, RelId, WriteEntry, WriteSet};
use crate::relation::{Handle, Relation};

/// A subscription's place in [`ReadIndex`].
pub(crate) type SlotId = u32;

/// Many read-sets, each under a name `S`, and which of them a write-set touches.
///
/// Says the same as [`overlaps`](crate::overlaps) for each. Single keys are found by hash, ranges by a
/// balanced tree in O(log n) for each hit, whole tables by relation. The order of the answers
/// depends only on what was inserted and removed, in which order.
#[derive(Debug)]
pub struct ReadIndex<S> {
    slots: Vec<Option<Slot<S>>>,
    free: Vec<SlotId>,
    names: HashTable<SlotId>,
    hasher: RandomState,
    rels: BTreeMap<RelId, Relation>,
    /// The number of the running search; a slot that carries it was found already.
    round: u64,
    kinds: EntryKinds,
    bytes: usize,
}

/// How many entries of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryKinds {
    /// Rows by primary key.
    pub keys: usize,
    /// Parts of an index, and rows by a condition on a column.
    pub ranges: usize,
    /// Whole relations, and columns of all rows.
    pub tables: usize,
}

impl EntryKinds {
    fn of(handles: &[Handle]) -> Self {
        let mut kinds = EntryKinds::default();
        for handle in handles {
            match handle {
                Handle::Key(..) => kinds.keys += 1,
                Handle::Point(..) | Handle::Range(..) => kinds.ranges += 1,
                Handle::Table(_) | Handle::AllRows(..) => kinds.tables += 1,
            }
        }
        kinds
    }

    fn add(&mut self, other: EntryKinds) {
        self.keys += other.keys;
        self.ranges += other.ranges;
        self.tables += other.tables;
    }

    fn subtract(&mut self, other: EntryKinds) {
        self.keys -= other.keys;
        self.ranges -= other.ranges;
        self.tables -= other.tables;
    }
}

#[derive(Debug)]
struct Slot<S> {
    name: S,
    handles: Box<[Handle]>,
    found_in: u64,
}

impl<S> Default for ReadIndex<S> {
    fn default() -> Self {
        ReadIndex {
            slots: Vec::new(),
            free: Vec::new(),
            names: HashTable::new(),
            hasher: RandomState::default(),
            rels: BTreeMap::new(),
            round: 0,
            kinds: EntryKinds::default(),
            bytes: 0,
        }
    }
}

impl<S: Clone + Eq + Hash> ReadIndex<S> {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a read-set under a name, in the place of an older one of that name.
    pub fn insert(&mut self, name: S, reads: &ReadSet) {
        self.remove(&name);
        let slot = self.allocate(name);
        let mut handles = Vec::with_capacity(reads.entries.len());
        for entry in &reads.entries {
            let relation = self.rels.entry(entry.rel()).or_default();
            if let Some(handle) = relation.insert(entry, slot) {
                self.bytes += relation.bytes(handle);
                handles.push(handle);
            }
        }
        self.kinds.add(EntryKinds::of(&handles));
        if let Some(Some(slot)) = self.slots.get_mut(slot as usize) {
            slot.handles = handles.into();
        }
    }

    /// Removes a read-set. Whether there was one of that name.
    pub fn remove(&mut self, name: &S) -> bool {
        let (slots, hash) = (&self.slots, self.hasher.hash_one(name));
        let is_name = |id: &SlotId| name_of(slots, *id) == Some(name);
        let Ok(entry) = self.names.find_entry(hash, is_name) else {
            return false;
        };
        let (id, _) = entry.remove();
        let slot = self.slots[id as usize]
            .take()
            .expect("a name leads to its slot");
        self.free.push(id);
        self.kinds.subtract(EntryKinds::of(&slot.handles));
        for handle in slot.handles {
            let rel = handle.rel();
            if let Some(relation) = self.rels.get_mut(&rel) {
                self.bytes -= relation.bytes(handle);
                relation.remove(handle, id);
                if relation.is_empty() {
                    self.rels.remove(&rel);
                }
            }
        }
        true
    }

    /// Calls `found` once with each name whose read-set the write-set touches.
    pub fn matches(&mut self, writes: &WriteSet, found: &mut dyn FnMut(&S)) {
        self.round += 1;
        let (round, slots) = (self.round, &mut self.slots);
        let mut hit = |id: SlotId| {
            if let Some(slot) = &mut slots[id as usize]
                && slot.found_in != round
            {
                slot.found_in = round;
                found(&slot.name);
            }
        };
        for write in &writes.entries {
            match write {
                WriteEntry::Everything => {
                    let relations = self.rels.values();
                    relations.for_each(|relation| relation.everyone(&mut hit));
                }
                WriteEntry::Table { rel } => {
                    if let Some(relation) = self.rels.get(rel) {
                        relation.everyone(&mut hit);
                    }
                }
                WriteEntry::Row { rel, image } => {
                    if let Some(relation) = self.rels.get(rel) {
                        relation.row(image, &mut hit);
                    }
                }
            }
        }
    }

    /// Whether any read-set has an entry of the relation.
    pub fn reads(&self, rel: RelId) -> bool {
        self.rels.contains_key(&rel)
    }

    /// The number of read-sets.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no read-sets.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of entries of all read-sets, duplicates within one not counted.
    pub fn kinds(&self) -> EntryKinds {
        self.kinds
    }

    /// About how many bytes of memory the entries take. Bytes of keys that several read-sets share
    /// are counted for each.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The relations that are read.
    pub fn relations(&self) -> impl Iterator<Item = RelId> {
        self.rels.keys().copied()
    }

    /// The columns that read-sets have conditions on; column 0 stands for any entry that is about columns.
    pub fn columns(&self) -> impl Iterator<Item = (RelId, Attribute)> {
        self.rels.iter().flat_map(|(rel, relation)| {
            let columns = relation.columns();
            columns.map(|attribute| (*rel, attribute))
        })
    }

    fn allocate(&mut self, name: S) -> SlotId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            SlotId::try_from(self.slots.len() - 1).expect("fewer than 2^32 subscriptions")
        });
        let hash = self.hasher.hash_one(&name);
        self.slots[id as usize] = Some(Slot {
            name,
            handles: Box::default(),
            found_in: 0,
        });
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of = |id: &SlotId| name_of(slots, *id).map_or(0, |name| hasher.hash_one(name));
        self.names.insert_unique(hash, id, hash_of);
        id
    }
}

fn name_of<S>(slots: &[Option<Slot<S>>], id: SlotId) -> Option<&S> {
    slots[id as usize].as_ref().map(|slot| &slot.name)
}
