//! What was read, what was written, and when the two touch.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::write_builder::WriteSetBuilder;

/// A relation: the oid of a table, or of the root of a partition tree.
pub type RelId = u32;

/// The number of an index within its relation. 0 is never used.
pub type IndexId = u32;

/// What an entry takes in an index besides its keys: two references to them with their headers, a
/// node of a tree or a place in a map, and the set of those who have it.
pub(crate) const ENTRY_BYTES: usize = 256;

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
}

/// All that a result depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadSet {
    /// The entries, in no particular order.
    pub entries: Vec<ReadEntry>,
}

/// One thing that a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WriteEntry {
    /// One image of a row, from before or after the change.
    Row {
        /// The relation.
        rel: RelId,
        /// The encoded primary key.
        pk: Vec<u8>,
        /// The image's key in every index that the writer knew.
        keys: Vec<(IndexId, Vec<u8>)>,
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
    /// The same reads with every entry widened to its relation: small, and matches no less.
    #[must_use]
    pub fn widened(&self) -> ReadSet {
        let rels: BTreeSet<RelId> = self.entries.iter().map(ReadEntry::rel).collect();
        ReadSet {
            entries: rels
                .into_iter()
                .map(|rel| ReadEntry::Table { rel })
                .collect(),
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
            | ReadEntry::Table { rel } => *rel,
        }
    }

    /// Whether the change may alter what the entry stands for.
    pub fn matches(&self, write: &WriteEntry) -> bool {
        match write {
            WriteEntry::Everything => true,
            WriteEntry::Table { rel } => *rel == self.rel(),
            WriteEntry::Row { rel, pk, keys } => {
                *rel == self.rel()
                    && match self {
                        ReadEntry::Table { .. } => true,
                        ReadEntry::Key { pk: read, .. } => read == pk,
                        ReadEntry::Range {
                            index,
                            lower,
                            upper,
                            ..
                        } => range_matches_row(*index, lower, upper.as_deref(), keys),
                    }
            }
        }
    }
}

/// A row without a key for the index matches: the index may be newer than the writer's catalog.
fn range_matches_row(
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
            WriteEntry::Row { pk, keys, .. } => {
                let slots = keys.len() * size_of::<(IndexId, Vec<u8>)>();
                pk.len() + slots + keys.iter().map(|(_, key)| key.len()).sum::<usize>()
            }
            WriteEntry::Table { .. } | WriteEntry::Everything => 0,
        };
        size_of::<WriteEntry>() + heap
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
            pk: b"p".to_vec(),
            keys: keys.iter().map(|(i, k)| (*i, k.to_vec())).collect(),
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
