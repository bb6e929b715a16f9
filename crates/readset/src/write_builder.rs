//! Collects what a transaction writes, within bounds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::attributes::Attributes;
use crate::entry::{IndexId, RelId, RowImage, WriteEntry, WriteSet};

/// How large a write-set may grow before it is widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteLimits {
    /// The greatest number of row images of one relation; beyond it the relation becomes `Table`.
    pub rows_per_relation: usize,
    /// The greatest sum of [`WriteEntry::bytes`]. Beyond it the heaviest relations become `Table`,
    /// and when that does not help the set becomes `Everything`.
    pub bytes: usize,
}

impl Default for WriteLimits {
    /// A write-set of this size still fits easily into a ring of a few megabytes.
    fn default() -> Self {
        WriteLimits {
            rows_per_relation: 1000,
            bytes: 256 * 1024,
        }
    }
}

/// Builds a [`WriteSet`]: drops duplicates and keeps within its limits by widening.
#[derive(Clone, Debug, Default)]
pub struct WriteSetBuilder {
    limits: WriteLimits,
    everything: bool,
    rels: BTreeMap<RelId, Relation>,
    bytes: usize,
}

#[derive(Clone, Debug)]
enum Relation {
    Whole,
    Rows(Rows),
}

/// The primary key, then the keys sorted by index.
type Place = (Option<Vec<u8>>, Vec<(IndexId, Vec<u8>)>);

#[derive(Clone, Debug, Default)]
struct Rows {
    /// With the columns that changed in any row with these keys: an entry matches one of the changes if and only if
    /// it matches them together.
    images: BTreeMap<Place, Option<Attributes>>,
    bytes: usize,
}

impl WriteSetBuilder {
    /// An empty set with the given limits.
    pub fn new(limits: WriteLimits) -> Self {
        WriteSetBuilder {
            limits,
            everything: false,
            rels: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Adds one image of a row, old or new.
    pub fn row(&mut self, rel: RelId, mut image: RowImage) {
        if self.everything {
            return;
        }
        let relation = self
            .rels
            .entry(rel)
            .or_insert_with(|| Relation::Rows(Rows::default()));
        let Relation::Rows(rows) = relation else {
            return;
        };
        image.keys.sort();
        let entry = WriteEntry::Row { rel, image };
        let bytes = entry.bytes();
        if let WriteEntry::Row { image, .. } = entry
            && rows.add(image)
        {
            rows.bytes += bytes;
            self.bytes += bytes;
            if rows.images.len() > self.limits.rows_per_relation {
                self.table(rel);
            }
            self.shrink();
        }
    }

    /// Adds the whole relation.
    pub fn table(&mut self, rel: RelId) {
        if self.everything {
            return;
        }
        let before = self
            .rels
            .insert(rel, Relation::Whole)
            .map_or(0, |r| r.bytes());
        self.bytes = self.bytes - before + Relation::Whole.bytes();
        self.shrink();
    }

    /// The transaction may have changed anything.
    pub fn everything(&mut self) {
        self.everything = true;
        self.rels.clear();
        self.bytes = WriteEntry::Everything.bytes();
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        !self.everything && self.rels.is_empty()
    }

    /// The set, ordered by relation and key.
    pub fn build(self) -> WriteSet {
        if self.everything {
            return WriteSet::everything();
        }
        let mut entries = Vec::new();
        for (rel, relation) in self.rels {
            match relation {
                Relation::Whole => entries.push(WriteEntry::Table { rel }),
                Relation::Rows(rows) => {
                    let images = rows.images.into_iter();
                    entries.extend(images.map(|((pk, keys), changed)| WriteEntry::Row {
                        rel,
                        image: RowImage { pk, keys, changed },
                    }));
                }
            }
        }
        WriteSet { entries }
    }

    /// Whether a further row of the relation would say nothing new.
    pub fn is_whole(&self, rel: RelId) -> bool {
        self.everything || matches!(self.rels.get(&rel), Some(Relation::Whole))
    }

    fn shrink(&mut self) {
        while self.bytes > self.limits.bytes && !self.everything {
            let heaviest = self
                .rels
                .iter()
                .filter_map(|(rel, relation)| match relation {
                    Relation::Rows(rows) => Some((rows.bytes, *rel)),
                    Relation::Whole => None,
                })
                .max();
            match heaviest {
                Some((_, rel)) => {
                    self.rels.insert(rel, Relation::Whole);
                    self.bytes = self.rels.values().map(Relation::bytes).sum();
                }
                None => self.everything(),
            }
        }
    }
}

impl Rows {
    /// Returns whether there was none with these keys.
    fn add(&mut self, image: RowImage) -> bool {
        let RowImage { pk, keys, changed } = image;
        match self.images.entry((pk, keys)) {
            Entry::Vacant(place) => {
                place.insert(changed);
                true
            }
            Entry::Occupied(mut place) => {
                let both = place.get().zip(changed);
                place.insert(both.map(|(one, other)| one.with(other)));
                false
            }
        }
    }
}

impl Relation {
    fn bytes(&self) -> usize {
        match self {
            Relation::Whole => size_of::<WriteEntry>(),
            Relation::Rows(rows) => rows.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(n: u8) -> RowImage {
        RowImage {
            pk: Some(vec![n]),
            keys: vec![(2, vec![n]), (1, vec![n])],
            changed: None,
        }
    }

    fn long(n: u8, length: usize) -> RowImage {
        RowImage {
            pk: Some(vec![n; length]),
            ..RowImage::default()
        }
    }

    #[test]
    fn the_same_image_is_kept_once_and_keys_are_sorted() {
        let mut builder = WriteSetBuilder::default();
        let mut reversed = image(1);
        reversed.keys.reverse();
        builder.row(5, image(1));
        builder.row(5, reversed.clone());
        let row = WriteEntry::Row {
            rel: 5,
            image: reversed,
        };
        assert_eq!(builder.build().entries, [row]);
    }

    #[test]
    fn changes_of_rows_with_the_same_keys_are_one() {
        let changed = |changed: Option<Attributes>| RowImage {
            changed,
            ..image(1)
        };
        let build = |images: &[Option<Attributes>]| {
            let mut builder = WriteSetBuilder::default();
            images.iter().for_each(|of| builder.row(1, changed(*of)));
            match builder.build().entries.as_slice() {
                [WriteEntry::Row { image, .. }] => image.changed,
                other => panic!("{other:?}"),
            }
        };
        let (one, two) = (Attributes::of(1), Attributes::of(2));
        assert_eq!(build(&[Some(one), Some(two)]), Some(one.with(two)));
        assert_eq!(build(&[Some(one), None, Some(two)]), None);
    }

    #[test]
    fn past_the_limit_of_rows_only_that_relation_is_widened() {
        let mut builder = WriteSetBuilder::new(WriteLimits {
            rows_per_relation: 2,
            bytes: usize::MAX,
        });
        for n in 0..5 {
            builder.row(1, image(n));
        }
        builder.row(2, image(0));
        let entries = builder.build().entries;
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0], WriteEntry::Table { rel: 1 });
        assert!(matches!(entries[1], WriteEntry::Row { rel: 2, .. }));
    }

    #[test]
    fn past_the_limit_of_bytes_the_heaviest_relation_is_widened() {
        let mut builder = WriteSetBuilder::new(WriteLimits {
            rows_per_relation: 100,
            bytes: 3 * size_of::<WriteEntry>() + 1000,
        });
        builder.row(1, long(0, 600));
        builder.row(2, long(0, 300));
        builder.row(2, long(1, 200));
        let entries = builder.build().entries;
        assert_eq!(entries[0], WriteEntry::Table { rel: 1 });
        assert_eq!(entries.len(), 3);
    }

    #[test]
    fn more_tables_than_the_limit_holds_become_everything() {
        let mut builder = WriteSetBuilder::new(WriteLimits {
            rows_per_relation: 100,
            bytes: 3 * size_of::<WriteEntry>(),
        });
        for rel in 0..4 {
            builder.table(rel);
        }
        builder.row(9, image(1));
        builder.table(9);
        assert_eq!(builder.build(), WriteSet::everything());
    }

    #[test]
    fn emptiness_and_wholeness() {
        let mut builder = WriteSetBuilder::default();
        assert!(builder.is_empty());
        builder.row(1, image(1));
        assert!(!builder.is_empty() && !builder.is_whole(1));
        builder.table(1);
        assert!(builder.is_whole(1) && !builder.is_whole(2));
        builder.everything();
        assert!(!builder.is_empty() && builder.is_whole(2));
    }
}
