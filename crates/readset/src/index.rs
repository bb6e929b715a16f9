//! Finds the subscriptions that a write-set touches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::attributes::{Attribute, Attributes, column_index, column_of_index};
use crate::entry::{
    ENTRY_BYTES, IndexId, ReadEntry, ReadSet, RelId, RowImage, WriteEntry, WriteSet,
};
use crate::interval::{Bounds, IntervalTree};

/// A subscription's place in [`ReadIndex`].
pub(crate) type SlotId = u32;

/// Many read-sets, each under a name `S`, and which of them a write-set touches.
///
/// Says the same as [`overlaps`](crate::overlaps) for each. Keys are found by hash, ranges by a
/// balanced tree in O(log n) for each hit, whole tables by relation. The order of the answers
/// depends only on what was inserted and removed, in which order.
#[derive(Debug)]
pub struct ReadIndex<S> {
    slots: Vec<Option<Slot<S>>>,
    free: Vec<SlotId>,
    names: HashMap<S, SlotId>,
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
                Handle::Range(..) => kinds.ranges += 1,
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
    handles: Vec<Handle>,
    found_in: u64,
}

/// One entry of a slot, as it is found again when the slot goes.
#[derive(Debug)]
enum Handle {
    Key(RelId, Arc<[u8]>),
    Range(RelId, Under, Bounds),
    Table(RelId),
    AllRows(RelId, Attributes),
}

/// What the keys of a tree are, and which columns are read of its rows; an index of documents has all.
type Under = (IndexId, Attributes);

#[derive(Debug, Default)]
struct Relation {
    keys: HashMap<Arc<[u8]>, BTreeSet<SlotId>>,
    ranges: BTreeMap<Under, IntervalTree>,
    /// Those that read columns of all rows.
    all_rows: BTreeMap<Attributes, BTreeSet<SlotId>>,
    /// Those that read the whole relation.
    whole: BTreeSet<SlotId>,
    /// Those with any entry in the relation.
    members: BTreeSet<SlotId>,
}

impl<S> Default for ReadIndex<S> {
    fn default() -> Self {
        ReadIndex {
            slots: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
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
            relation.members.insert(slot);
            handles.extend(relation.insert(entry, slot));
        }
        self.kinds.add(EntryKinds::of(&handles));
        self.bytes += handles.iter().map(Handle::bytes).sum::<usize>();
        if let Some(Some(slot)) = self.slots.get_mut(slot as usize) {
            slot.handles = handles;
        }
    }

    /// Removes a read-set. Whether there was one of that name.
    pub fn remove(&mut self, name: &S) -> bool {
        let Some(id) = self.names.remove(name) else {
            return false;
        };
        let slot = self.slots[id as usize]
            .take()
            .expect("a name leads to its slot");
        self.free.push(id);
        self.kinds.subtract(EntryKinds::of(&slot.handles));
        self.bytes -= slot.handles.iter().map(Handle::bytes).sum::<usize>();
        for handle in &slot.handles {
            let rel = handle.rel();
            if let Some(relation) = self.rels.get_mut(&rel) {
                relation.remove(handle, id);
                if relation.members.is_empty() {
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
                    for relation in self.rels.values() {
                        relation.members.iter().for_each(|slot| hit(*slot));
                    }
                }
                WriteEntry::Table { rel } => {
                    if let Some(relation) = self.rels.get(rel) {
                        relation.members.iter().for_each(|slot| hit(*slot));
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

    /// The columns that read-sets have conditions on.
    pub fn columns(&self) -> impl Iterator<Item = (RelId, Attribute)> {
        self.rels.iter().flat_map(|(rel, relation)| {
            let columns = relation.ranges.keys();
            columns.filter_map(|(index, _)| Some((*rel, column_of_index(*index)?)))
        })
    }

    fn allocate(&mut self, name: S) -> SlotId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            SlotId::try_from(self.slots.len() - 1).expect("fewer than 2^32 subscriptions")
        });
        self.slots[id as usize] = Some(Slot {
            name: name.clone(),
            handles: Vec::new(),
            found_in: 0,
        });
        self.names.insert(name, id);
        id
    }
}

impl Relation {
    /// Adds an entry of the slot. `None` if the slot had it already.
    fn insert(&mut self, entry: &ReadEntry, slot: SlotId) -> Option<Handle> {
        match entry {
            ReadEntry::Key { rel, pk } => {
                let pk = match self.keys.get_key_value(pk.as_slice()) {
                    Some((pk, _)) => Arc::clone(pk),
                    None => Arc::from(pk.as_slice()),
                };
                let new = self.keys.entry(Arc::clone(&pk)).or_default().insert(slot);
                new.then_some(Handle::Key(*rel, pk))
            }
            ReadEntry::Range {
                rel,
                index,
                lower,
                upper,
            } => {
                let under = (*index, Attributes::ALL);
                self.insert_range(*rel, under, (lower, upper.as_deref()), slot)
            }
            ReadEntry::Table { rel } => self.whole.insert(slot).then_some(Handle::Table(*rel)),
            ReadEntry::Rows {
                rel,
                columns,
                condition: Some(on),
            } => {
                let under = (column_index(on.attribute), *columns);
                self.insert_range(*rel, under, (&on.lower, on.upper.as_deref()), slot)
            }
            ReadEntry::Rows {
                rel,
                columns,
                condition: None,
            } => {
                let slots = self.all_rows.entry(*columns).or_default();
                slots
                    .insert(slot)
                    .then_some(Handle::AllRows(*rel, *columns))
            }
        }
    }

    fn insert_range(
        &mut self,
        rel: RelId,
        under: Under,
        (lower, upper): (&[u8], Option<&[u8]>),
        slot: SlotId,
    ) -> Option<Handle> {
        let tree = self.ranges.entry(under).or_default();
        let bounds = tree.insert(lower, upper, slot)?;
        Some(Handle::Range(rel, under, bounds))
    }

    fn remove(&mut self, handle: &Handle, slot: SlotId) {
        self.members.remove(&slot);
        match handle {
            Handle::Key(_, pk) => {
                if let Some(slots) = self.keys.get_mut(pk) {
                    slots.remove(&slot);
                    if slots.is_empty() {
                        self.keys.remove(pk);
                    }
                }
            }
            Handle::Range(_, under, (lower, upper)) => {
                if let Some(tree) = self.ranges.get_mut(under) {
                    tree.remove(lower, upper.as_deref(), slot);
                    if tree.is_empty() {
                        self.ranges.remove(under);
                    }
                }
            }
            Handle::AllRows(_, columns) => {
                if let Some(slots) = self.all_rows.get_mut(columns) {
                    slots.remove(&slot);
                    if slots.is_empty() {
                        self.all_rows.remove(columns);
                    }
                }
            }
            Handle::Table(_) => {
                self.whole.remove(&slot);
            }
        }
    }

    /// The slots that one image of a row touches.
    fn row(&self, image: &RowImage, hit: &mut impl FnMut(SlotId)) {
        self.whole.iter().for_each(|slot| hit(*slot));
        match &image.pk {
            Some(pk) => {
                let slots = self.keys.get(pk.as_slice()).into_iter().flatten();
                slots.for_each(|slot| hit(*slot));
            }
            None => self.keys.values().flatten().for_each(|slot| hit(*slot)),
        }
        for (columns, slots) in &self.all_rows {
            if image.changes(*columns) {
                slots.iter().for_each(|slot| hit(*slot));
            }
        }
        for ((index, columns), tree) in &self.ranges {
            if column_of_index(*index).is_some() && !image.changes(*columns) {
                continue;
            }
            let mut known = false;
            for (_, key) in image.keys.iter().filter(|(of, _)| of == index) {
                known = true;
                tree.stab(key, hit);
            }
            if !known {
                // The index may be newer than the writer's catalog.
                tree.all(hit);
            }
        }
    }
}

impl Handle {
    fn rel(&self) -> RelId {
        match self {
            Handle::Key(rel, _)
            | Handle::Range(rel, _, _)
            | Handle::Table(rel)
            | Handle::AllRows(rel, _) => *rel,
        }
    }

    fn bytes(&self) -> usize {
        let keys = match self {
            Handle::Key(_, pk) => pk.len(),
            Handle::Range(_, _, (lower, upper)) => {
                lower.len() + upper.as_ref().map_or(0, |upper| upper.len())
            }
            Handle::Table(_) | Handle::AllRows(..) => 0,
        };
        ENTRY_BYTES + keys
    }
}
