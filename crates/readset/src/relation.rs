//! The entries of one relation, and who is touched by a change of it.

use std::collections::BTreeMap;

use crate::attributes::{Attribute, Attributes, column_index, column_of_index};
use crate::entry::{ENTRY_BYTES, IndexId, ReadEntry, RelId, RowImage};
use crate::holders::Holders;
use crate::index::SlotId;
use crate::interval::{IntervalTree, NodeId};
use crate::points::{PointId, Points};

/// One entry of a slot, as it is found again when the slot goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handle {
    Key(RelId, PointId),
    Point(RelId, IndexId, PointId, Attributes),
    Range(RelId, IndexId, NodeId, Attributes),
    Table(RelId),
    AllRows(RelId, Attributes),
}

impl Handle {
    pub(crate) fn rel(self) -> RelId {
        match self {
            Handle::Key(rel, _)
            | Handle::Point(rel, ..)
            | Handle::Range(rel, ..)
            | Handle::Table(rel)
            | Handle::AllRows(rel, _) => rel,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Relation {
    /// Rows by primary key.
    keys: Points,
    /// Parts of indexes of documents, and conditions on columns.
    indexes: BTreeMap<IndexId, Index>,
    /// Those that read columns of all rows.
    all_rows: Holders,
    /// Those that read the whole relation.
    whole: Holders,
    entries: usize,
}

/// The entries over the keys of one index or column: those of a single key are found by hash.
#[derive(Debug, Default)]
struct Index {
    points: Points,
    ranges: IntervalTree,
}

impl Relation {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds an entry of the slot. `None` if the slot had it already.
    pub(crate) fn insert(&mut self, entry: &ReadEntry, slot: SlotId) -> Option<Handle> {
        let all = Attributes::ALL;
        let handle = match entry {
            ReadEntry::Key { rel, pk } => {
                let point = self.keys.insert(pk, (slot, all));
                point.map(|point| Handle::Key(*rel, point))
            }
            ReadEntry::Range {
                rel,
                index,
                lower,
                upper,
            } => self.insert_range((*rel, *index), (lower, upper.as_deref()), (slot, all)),
            ReadEntry::Table { rel } => {
                let new = self.whole.insert((slot, all));
                new.then_some(Handle::Table(*rel))
            }
            ReadEntry::Rows {
                rel,
                columns,
                condition: Some(on),
            } => {
                let at = (*rel, column_index(on.attribute));
                self.insert_range(at, (&on.lower, on.upper.as_deref()), (slot, *columns))
            }
            ReadEntry::Rows {
                rel,
                columns,
                condition: None,
            } => {
                let new = self.all_rows.insert((slot, *columns));
                new.then_some(Handle::AllRows(*rel, *columns))
            }
        };
        self.entries += usize::from(handle.is_some());
        handle
    }

    fn insert_range(
        &mut self,
        (rel, number): (RelId, IndexId),
        (lower, upper): (&[u8], Option<&[u8]>),
        (slot, columns): (SlotId, Attributes),
    ) -> Option<Handle> {
        let index = self.indexes.entry(number).or_default();
        if upper.and_then(<[u8]>::split_last) == Some((&0, lower)) {
            let point = index.points.insert(lower, (slot, columns))?;
            Some(Handle::Point(rel, number, point, columns))
        } else {
            let node = index.ranges.insert(lower, upper, (slot, columns))?;
            Some(Handle::Range(rel, number, node, columns))
        }
    }

    pub(crate) fn remove(&mut self, handle: Handle, slot: SlotId) {
        self.entries -= 1;
        match handle {
            Handle::Key(_, point) => self.keys.remove(point, (slot, Attributes::ALL)),
            Handle::Point(_, number, point, columns) => {
                self.change_index(number, |index| index.points.remove(point, (slot, columns)));
            }
            Handle::Range(_, number, node, columns) => {
                self.change_index(number, |index| index.ranges.remove(node, (slot, columns)));
            }
            Handle::Table(_) => self.whole.remove((slot, Attributes::ALL)),
            Handle::AllRows(_, columns) => self.all_rows.remove((slot, columns)),
        }
    }

    /// Changes an index, and drops it when nothing is left in it.
    fn change_index(&mut self, number: IndexId, change: impl FnOnce(&mut Index)) {
        if let Some(index) = self.indexes.get_mut(&number) {
            change(index);
            if index.points.is_empty() && index.ranges.is_empty() {
                self.indexes.remove(&number);
            }
        }
    }

    /// About how many bytes of memory the entry takes; a key that several have is counted for each.
    pub(crate) fn bytes(&self, handle: Handle) -> usize {
        let heap = match handle {
            Handle::Key(_, point) => self.keys.heap_bytes(point),
            Handle::Point(_, number, point, _) => {
                let index = self.indexes.get(&number);
                index.map_or(0, |index| index.points.heap_bytes(point))
            }
            Handle::Range(_, number, node, _) => {
                let index = self.indexes.get(&number);
                index.map_or(0, |index| index.ranges.heap_bytes(node))
            }
            Handle::Table(_) | Handle::AllRows(..) => 0,
        };
        ENTRY_BYTES + heap
    }

    /// The columns that entries have conditions on, and 0 if any entry is about columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = Attribute> {
        let numbers = || self.indexes.keys();
        let conditions = numbers().filter_map(|number| column_of_index(*number));
        let any = !self.all_rows.is_empty() || conditions.clone().next().is_some();
        conditions.chain(any.then_some(0))
    }

    /// The slots with any entry, some more than once.
    pub(crate) fn everyone(&self, hit: &mut impl FnMut(SlotId)) {
        for holders in [&self.whole, &self.all_rows] {
            holders.hit(None, hit);
        }
        self.keys.all().for_each(|holders| holders.hit(None, hit));
        self.indexes.values().for_each(|index| index.all(None, hit));
    }

    /// The slots that one image of a row touches, some more than once.
    pub(crate) fn row(&self, image: &RowImage, hit: &mut impl FnMut(SlotId)) {
        self.whole.hit(None, hit);
        self.all_rows.hit(image.changed, hit);
        match &image.pk {
            Some(pk) => {
                if let Some(holders) = self.keys.get(pk) {
                    holders.hit(None, hit);
                }
            }
            None => self.keys.all().for_each(|holders| holders.hit(None, hit)),
        }
        for (number, index) in &self.indexes {
            // Of documents all is read.
            let changed = column_of_index(*number).and(image.changed);
            let mut known = false;
            for (_, key) in image.keys.iter().filter(|(of, _)| of == number) {
                known = true;
                index.stab(key, changed, hit);
            }
            if !known {
                // The index may be newer than the writer's catalog, or nobody had looked at the column.
                index.all(changed, hit);
            }
        }
    }
}

impl Index {
    fn stab(&self, key: &[u8], changed: Option<Attributes>, hit: &mut impl FnMut(SlotId)) {
        if !self.points.is_empty()
            && let Some(holders) = self.points.get(key)
        {
            holders.hit(changed, hit);
        }
        if !self.ranges.is_empty() {
            self.ranges.stab(key, changed, hit);
        }
    }

    fn all(&self, changed: Option<Attributes>, hit: &mut impl FnMut(SlotId)) {
        let all = self.points.all().chain(self.ranges.all());
        all.for_each(|holders| holders.hit(changed, hit));
    }
}
