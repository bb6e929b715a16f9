//! `ReadIndex` says what `overlaps` says, and the builders never match less than what went in.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_readset::{
    Attributes, Condition, EntryKinds, ReadEntry, ReadIndex, ReadLimits, ReadSet, ReadSetBuilder,
    RowImage, WriteEntry, WriteLimits, WriteSet, WriteSetBuilder, column_index, overlaps,
};
use proptest::prelude::*;

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..4, 0..3)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    prop_oneof![
        8 => prop::collection::vec(1u16..6, 0..4).prop_map(|columns| columns.into_iter().collect()),
        1 => Just(Attributes::ALL),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let point = (1u16..4, key()).prop_map(|(attribute, lower)| {
        let upper = Some([lower.as_slice(), &[0]].concat());
        Condition {
            attribute,
            lower,
            upper,
        }
    });
    let range = (1u16..4, key(), prop::option::weighted(0.9, key()));
    prop_oneof![
        point,
        range.prop_map(|(attribute, lower, upper)| Condition {
            attribute,
            lower,
            upper
        }),
    ]
}

fn read_entry() -> impl Strategy<Value = ReadEntry> {
    prop_oneof![
        4 => (1u32..4, key()).prop_map(|(rel, pk)| ReadEntry::Key { rel, pk }),
        6 => (1u32..4, 1u32..3, key(), prop::option::weighted(0.9, key())).prop_map(
            |(rel, index, lower, upper)| ReadEntry::Range { rel, index, lower, upper }
        ),
        1 => (1u32..4).prop_map(|rel| ReadEntry::Table { rel }),
        8 => (1u32..4, attributes(), prop::option::weighted(0.85, condition())).prop_map(
            |(rel, columns, condition)| ReadEntry::Rows { rel, columns, condition }
        ),
    ]
}

fn read_set() -> impl Strategy<Value = ReadSet> {
    prop::collection::vec(read_entry(), 0..6).prop_map(|entries| ReadSet { entries })
}

fn image() -> impl Strategy<Value = RowImage> {
    let index = prop_oneof![1u32..3, (1u16..4).prop_map(column_index)];
    let keys = prop::collection::vec((index, key()), 0..6);
    let pk = prop::option::weighted(0.9, key());
    let changed = prop::option::weighted(0.7, attributes());
    (pk, keys, changed).prop_map(|(pk, keys, changed)| RowImage { pk, keys, changed })
}

fn write_entry() -> impl Strategy<Value = WriteEntry> {
    prop_oneof![
        20 => (1u32..4, image()).prop_map(|(rel, image)| WriteEntry::Row { rel, image }),
        1 => (1u32..4).prop_map(|rel| WriteEntry::Table { rel }),
        1 => Just(WriteEntry::Everything),
    ]
}

fn write_set() -> impl Strategy<Value = WriteSet> {
    prop::collection::vec(write_entry(), 0..3).prop_map(|entries| WriteSet { entries })
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, ReadSet),
    Remove(u8),
    Match(WriteSet),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..12, read_set()).prop_map(|(name, reads)| Step::Insert(name, reads)),
        1 => (0u8..12).prop_map(Step::Remove),
        3 => write_set().prop_map(Step::Match),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_index_says_what_the_definition_says(steps in prop::collection::vec(step(), 0..60)) {
        let mut index = ReadIndex::new();
        let mut model: BTreeMap<u8, ReadSet> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Insert(name, reads) => {
                    index.insert(name, &reads);
                    model.insert(name, reads);
                }
                Step::Remove(name) => {
                    prop_assert_eq!(index.remove(&name), model.remove(&name).is_some());
                }
                Step::Match(writes) => {
                    let mut found = Vec::new();
                    index.matches(&writes, &mut |name| found.push(*name));
                    let once: BTreeSet<u8> = found.iter().copied().collect();
                    prop_assert_eq!(once.len(), found.len(), "each name once");
                    let expected: BTreeSet<u8> = model
                        .iter()
                        .filter(|(_, reads)| overlaps(reads, &writes))
                        .map(|(name, _)| *name)
                        .collect();
                    prop_assert_eq!(once, expected);
                }
            }
            prop_assert_eq!(index.len(), model.len());
        }
        for name in model.keys() {
            index.remove(name);
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!((index.kinds(), index.bytes()), (EntryKinds::default(), 0));
    }

    #[test]
    fn a_built_read_set_matches_no_less(
        reads in prop::collection::vec(read_entry(), 0..12),
        writes in prop::collection::vec(write_entry(), 1..8),
        entries in 1usize..12,
        bytes in prop_oneof![Just(usize::MAX), 0usize..1000],
    ) {
        let mut builder = ReadSetBuilder::new(ReadLimits { entries, bytes });
        for entry in &reads {
            builder.add(entry.clone());
        }
        let built = builder.build();
        let rels: BTreeSet<u32> = reads.iter().map(ReadEntry::rel).collect();
        prop_assert!(built.entries.len() <= entries.max(rels.len()));
        // An empty range stands for nothing, though an entry for a whole table matches it.
        let raw: Vec<ReadEntry> = reads.into_iter().filter(|entry| !is_empty(entry)).collect();
        let exact = entries >= raw.len() && bytes == usize::MAX;
        for write in writes {
            let before = raw.iter().any(|read| read.matches(&write));
            let after = built.entries.iter().any(|read| read.matches(&write));
            prop_assert!(after || !before);
            if exact {
                prop_assert_eq!(before, after);
            }
        }
    }

    #[test]
    fn a_built_write_set_matches_no_less(
        writes in prop::collection::vec(write_entry(), 0..12),
        reads in prop::collection::vec(read_entry(), 1..8),
        rows_per_relation in 1usize..12,
        bytes in prop_oneof![Just(usize::MAX), 0usize..1000],
    ) {
        let mut builder = WriteSetBuilder::new(WriteLimits { rows_per_relation, bytes });
        for entry in &writes {
            match entry.clone() {
                WriteEntry::Row { rel, image } => builder.row(rel, image),
                WriteEntry::Table { rel } => builder.table(rel),
                WriteEntry::Everything => builder.everything(),
            }
        }
        prop_assert_eq!(builder.is_empty(), writes.is_empty());
        let built = builder.build();
        prop_assert!(built.bytes() <= bytes.max(WriteEntry::Everything.bytes()));
        let exact = rows_per_relation >= writes.len() && bytes == usize::MAX;
        for read in reads {
            let before = writes.iter().any(|write| read.matches(write));
            let after = built.entries.iter().any(|write| read.matches(write));
            let widened = built.widened().entries.iter().any(|write| read.matches(write));
            prop_assert!(after || !before);
            prop_assert!(widened || !after);
            if exact {
                prop_assert_eq!(before, after);
            }
        }
    }
}

fn is_empty(entry: &ReadEntry) -> bool {
    match entry {
        ReadEntry::Range { lower, upper, .. } => upper.as_ref().is_some_and(|u| u <= lower),
        ReadEntry::Rows { condition, .. } => condition
            .as_ref()
            .is_some_and(|on| on.upper.as_ref().is_some_and(|upper| *upper <= on.lower)),
        ReadEntry::Key { .. } | ReadEntry::Table { .. } => false,
    }
}
