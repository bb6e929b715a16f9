//! What was read, what was written, and when the two touch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attributes::{Attribute, Attributes, column_index};
use crate::condition::Condition;
use crate::write_builder::WriteSetBuilder;

/// A relation: the oid of a table, or of the root of a partition tree.
pub type RelId = u32;

/// The number of an index within its relation. 0 is never used.
pub type IndexId = u32;

/// What an entry takes in an index at most besides long keys: a node of a tree or a place in a hash table, and how its
/// read-set finds it again. `bench/match` measures it.
pub(crate) const ENTRY_BYTES: usize = 200;

/// One thing that a result depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReadEntry {
    /// The row with this primary key, whether or not it exists.
    Key {
        /// The relation.
        rel: RelId,
        /// The encoded primary key.
        pk: Vec<u8>,
    },
    /// Every row whose key in `index` is in `[lower, upper)`; no upper bound is +infinity.
    Range {
        /// The relation.
        rel: RelId,
        /// The index whose keys are meant.
        index: IndexId,
        /// The smallest key of the range.
        lower: Vec<u8>,
        /// The smallest key beyond the range.
        upper: Option<Vec<u8>>,
    },
    /// The whole relation.
    Table {
        /// The relation.
        rel: RelId,
    },
    /// Some columns of the rows that fulfil a condition: how often each combination of their values occurs.
    Rows {
        /// The relation.
        rel: RelId,
        /// All columns that were read, that of the condition among them.
        columns: Attributes,
        /// Without one: all rows.
        condition: Option<Condition>,
    },
}

/// All that a result depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadSet {
    /// The entries, in no particular order.
    pub entries: Vec<ReadEntry>,
}

/// One image of a row, from before or after a change. What it does not say could be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowImage {
    /// The encoded primary key, if it is known.
    pub pk: Option<Vec<u8>>,
    /// The image's key in every index that the writer knew, and in columns that somebody may look at.
    pub keys: Vec<(IndexId, Vec<u8>)>,
    /// Of an UPDATE: the columns in which the images before and after it differ, the same for both. `None`
    /// if the row came or went, or if it is not known.
    pub changed: Option<Attributes>,
}

/// One thing that a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WriteEntry {
    /// A row.
    Row {
        /// The relation.
        rel: RelId,
        /// How it looked before the change, or looks after it.
        image: RowImage,
    },
    /// Anything in the relation.
    Table {
        /// The relation.
        rel: RelId,
    },
    /// Anything at all.
    Everything,
}

/// All that a transaction changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WriteSet {
    /// The entries, in no particular order.
    pub entries: Vec<WriteEntry>,
}

impl ReadSet {
    /// The same reads with every entry widened to its relation, or to the columns read of it if that is known of all:
    /// small, and matches no less.
    #[must_use]
    pub fn widened(&self) -> ReadSet {
        let mut rels: BTreeMap<RelId, Option<Attributes>> = BTreeMap::new();
        for entry in &self.entries {
            let columns = rels.entry(entry.rel()).or_insert(Some(Attributes::NONE));
            *columns = match (entry, *columns) {
                (ReadEntry::Rows { columns, .. }, Some(others)) => Some(others.with(*columns)),
                (ReadEntry::Rows { .. }, None) => None,
                (ReadEntry::Key { .. } | ReadEntry::Range { .. } | ReadEntry::Table { .. }, _) => {
                    None
                }
            };
        }
        let entries = rels.into_iter().map(|(rel, columns)| match columns {
            Some(columns) => ReadEntry::Rows {
                rel,
                columns,
                condition: None,
            },
            None => ReadEntry::Table { rel },
        });
        ReadSet {
            entries: entries.collect(),
        }
    }

    /// About how many bytes of memory a [`ReadIndex`](crate::ReadIndex) takes for the set.
    pub fn bytes_in_index(&self) -> usize {
        self.bytes() + self.entries.len() * ENTRY_BYTES
    }
}

impl ReadEntry {
    /// The relation that the entry is about.
    pub fn rel(&self) -> RelId {
        match self {
            ReadEntry::Key { rel, .. }
            | ReadEntry::Range { rel, .. }
            | ReadEntry::Table { rel }
            | ReadEntry::Rows { rel, .. } => *rel,
        }
    }

    /// The column that the entry has a condition on: writers are to say its keys.
    pub fn attribute(&self) -> Option<Attribute> {
        match self {
            ReadEntry::Rows { condition, .. } => condition.as_ref().map(|on| on.attribute),
            ReadEntry::Key { .. } | ReadEntry::Range { .. } | ReadEntry::Table { .. } => None,
        }
    }

    /// Whether the change may alter what the entry stands for.
    pub fn matches(&self, write: &WriteEntry) -> bool {
        match write {
            WriteEntry::Everything => true,
            WriteEntry::Table { rel } => *rel == self.rel(),
            WriteEntry::Row { rel, image } => *rel == self.rel() && self.matches_image(image),
        }
    }

    fn matches_image(&self, image: &RowImage) -> bool {
        match self {
            ReadEntry::Table { .. } => true,
            ReadEntry::Key { pk: read, .. } => image.pk.as_ref().is_none_or(|pk| read == pk),
            ReadEntry::Range {
                index,
                lower,
                upper,
                ..
            } => range_matches(*index, lower, upper.as_deref(), &image.keys),
            ReadEntry::Rows {
                columns, condition, ..
            } => {
                image.changes(*columns)
                    && condition.as_ref().is_none_or(|on| {
                        let index = column_index(on.attribute);
                        range_matches(index, &on.lower, on.upper.as_deref(), &image.keys)
                    })
            }
        }
    }
}

impl RowImage {
    /// Whether the change may be one of these columns, or of which rows there are.
    pub(crate) fn changes(&self, columns: Attributes) -> bool {
        self.changed.is_none_or(|changed| changed.touches(columns))
    }
}

/// A row without a key for the index matches: the index may be newer than the writer's catalog, and of columns
/// writers say only what somebody looked at just before.
fn range_matches(
    index: IndexId,
    lower: &[u8],
    upper: Option<&[u8]>,
    keys: &[(IndexId, Vec<u8>)],
) -> bool {
    let mut known = false;
    for (_, key) in keys.iter().filter(|(of, _)| *of == index) {
        known = true;
        if lower <= key.as_slice() && upper.is_none_or(|upper| key.as_slice() < upper) {
            return true;
        }
    }
    !known
}

impl WriteSet {
    /// The write-set of a transaction of which nothing is known.
    pub fn everything() -> WriteSet {
        WriteSet {
            entries: vec![WriteEntry::Everything],
        }
    }

    /// The same changes with every row widened to its relation: small, and matches no less.
    #[must_use]
    pub fn widened(&self) -> WriteSet {
        let mut builder = WriteSetBuilder::default();
        for entry in &self.entries {
            match entry {
                WriteEntry::Row { rel, .. } | WriteEntry::Table { rel } => builder.table(*rel),
                WriteEntry::Everything => builder.everything(),
            }
        }
        builder.build()
    }

    /// About how many bytes of memory the set takes.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(WriteEntry::bytes).sum()
    }
}

impl WriteEntry {
    /// The relation that changed; `None`: any.
    pub fn rel(&self) -> Option<RelId> {
        match self {
            WriteEntry::Row { rel, .. } | WriteEntry::Table { rel } => Some(*rel),
            WriteEntry::Everything => None,
        }
    }

    /// About how many bytes of memory the entry takes.
    pub fn bytes(&self) -> usize {
        let heap = match self {
            WriteEntry::Row { image, .. } => image.heap_bytes(),
            WriteEntry::Table { .. } | WriteEntry::Everything => 0,
        };
        size_of::<WriteEntry>() + heap
    }
}

impl RowImage {
    fn heap_bytes(&self) -> usize {
        let slots = self.keys.len() * size_of::<(IndexId, Vec<u8>)>();
        let keys: usize = self.keys.iter().map(|(_, key)| key.len()).sum();
        self.pk.as_ref().map_or(0, Vec::len) + slots + keys
    }
}

impl ReadSet {
    /// About how many bytes of memory the set takes.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(ReadEntry::bytes).sum()
    }
}

impl ReadEntry {
    /// About how many bytes of memory the entry takes.
    pub fn bytes(&self) -> usize {
        let heap = match self {
            ReadEntry::Key { pk, .. } => pk.len(),
            ReadEntry::Range { lower, upper, .. } => {
                lower.len() + upper.as_ref().map_or(0, Vec::len)
            }
            ReadEntry::Rows { condition, .. } => condition.as_ref().map_or(0, |on| {
                on.lower.len() + on.upper.as_ref().map_or(0, Vec::len)
            }),
            ReadEntry::Table { .. } => 0,
        };
        size_of::<ReadEntry>() + heap
    }
}

/// Whether a transaction may have changed what a result depends on: the definition of a match.
///
/// Takes time in the product of the two sizes; [`ReadIndex`](crate::ReadIndex) is the fast way.
pub fn overlaps(reads: &ReadSet, writes: &WriteSet) -> bool {
    reads
        .entries
        .iter()
        .any(|read| writes.entries.iter().any(|write| read.matches(write)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lower: &[u8], upper: Option<&[u8]>) -> ReadEntry {
        ReadEntry::Range {
            rel: 1,
            index: 7,
            lower: lower.to_vec(),
            upper: upper.map(<[u8]>::to_vec),
        }
    }

    fn row(keys: &[(IndexId, &[u8])]) -> WriteEntry {
        WriteEntry::Row {
            rel: 1,
            image: RowImage {
                pk: Some(b"p".to_vec()),
                keys: keys.iter().map(|(i, k)| (*i, k.to_vec())).collect(),
                changed: None,
            },
        }
    }

    #[test]
    fn a_range_holds_its_lower_bound_and_not_its_upper_bound() {
        let entry = range(b"b", Some(b"d"));
        assert!(!entry.matches(&row(&[(7, b"a")])));
        assert!(entry.matches(&row(&[(7, b"b")])));
        assert!(entry.matches(&row(&[(7, b"c\xff")])));
        assert!(!entry.matches(&row(&[(7, b"d")])));
        assert!(range(b"b", None).matches(&row(&[(7, b"\xff\xff")])));
    }

    #[test]
    fn a_row_without_a_key_for_the_index_matches() {
        let entry = range(b"b", Some(b"d"));
        assert!(entry.matches(&row(&[])));
        assert!(entry.matches(&row(&[(6, b"a")])));
        assert!(!entry.matches(&row(&[(6, b"b"), (7, b"a")])));
    }

    #[test]
    fn another_relation_never_matches_except_everything() {
        let entry = ReadEntry::Table { rel: 2 };
        assert!(!entry.matches(&row(&[])));
        assert!(!entry.matches(&WriteEntry::Table { rel: 1 }));
        assert!(entry.matches(&WriteEntry::Everything));
    }

    #[test]
    fn a_key_matches_its_row_and_its_whole_table() {
        let entry = ReadEntry::Key {
            rel: 1,
            pk: b"p".to_vec(),
        };
        assert!(entry.matches(&row(&[(7, b"a")])));
        assert!(entry.matches(&WriteEntry::Table { rel: 1 }));
        let other = ReadEntry::Key {
            rel: 1,
            pk: b"q".to_vec(),
        };
        assert!(!other.matches(&row(&[])));
    }

    #[test]
    fn a_result_that_read_nothing_depends_on_nothing() {
        assert!(!overlaps(&ReadSet::default(), &WriteSet::everything()));
    }
}
