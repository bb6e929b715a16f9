//! One read-set against many write-sets.

use pg_live_readset::{ReadIndex, ReadSet, WriteSet, overlaps};

/// Up to this many pairs of entries are compared one by one; beyond it an index is built.
const PAIRS: usize = 256;

#[derive(Debug)]
pub(crate) struct Probe<'a> {
    reads: &'a ReadSet,
    index: Option<ReadIndex<()>>,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(reads: &'a ReadSet) -> Self {
        Probe { reads, index: None }
    }

    pub(crate) fn touches(&mut self, writes: &WriteSet) -> bool {
        if self
            .reads
            .entries
            .len()
            .saturating_mul(writes.entries.len())
            <= PAIRS
        {
            return overlaps(self.reads, writes);
        }
        let index = self.index.get_or_insert_with(|| {
            let mut index = ReadIndex::new();
            index.insert((), self.reads);
            index
        });
        let mut touched = false;
        index.matches(writes, &mut |()| touched = true);
        touched
    }
}

#[cfg(test)]
mod tests {
    use pg_live_readset::{ReadEntry, RowImage, WriteEntry};

    use super::*;

    #[test]
    fn small_and_large_sets_are_judged_alike() {
        let row = |n: u32| WriteEntry::Row {
            rel: 1,
            image: RowImage {
                pk: Some(n.to_be_bytes().to_vec()),
                ..RowImage::default()
            },
        };
        for size in [1u32, 10, 1000] {
            let entries = (0..size).map(|n| ReadEntry::Key {
                rel: 1,
                pk: n.to_be_bytes().to_vec(),
            });
            let reads = ReadSet {
                entries: entries.collect(),
            };
            let mut probe = Probe::new(&reads);
            let writes = |from| WriteSet {
                entries: (from..from + 10).map(row).collect(),
            };
            assert!(probe.touches(&writes(size - 1)));
            assert!(!probe.touches(&writes(size)));
        }
    }
}
