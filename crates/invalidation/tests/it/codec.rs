//! Entries survive their bytes, and no bytes harm the reader.

use pg_live_invalidation::{
    CodecError, LogEntry, Registration, Snapshot, decode_reads, encode_reads,
};
use pg_live_readset::{Attributes, Condition, ReadEntry, ReadSet, RowImage, WriteEntry, WriteSet};
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn read_entry() -> impl Strategy<Value = ReadEntry> {
    let upper = proptest::option::of(bytes());
    prop_oneof![
        (any::<u32>(), bytes()).prop_map(|(rel, pk)| ReadEntry::Key { rel, pk }),
        (any::<u32>(), any::<u32>(), bytes(), upper).prop_map(|(rel, index, lower, upper)| {
            ReadEntry::Range {
                rel,
                index,
                lower,
                upper,
            }
        }),
        any::<u32>().prop_map(|rel| ReadEntry::Table { rel }),
        rows(),
    ]
}

fn rows() -> impl Strategy<Value = ReadEntry> {
    let upper = proptest::option::of(bytes());
    let condition = (any::<u16>(), bytes(), upper);
    (any::<u32>(), attributes(), proptest::option::of(condition)).prop_map(
        |(rel, columns, condition)| ReadEntry::Rows {
            rel,
            columns,
            condition: condition.map(|(attribute, lower, upper)| Condition {
                attribute,
                lower,
                upper,
            }),
        },
    )
}

fn attributes() -> impl Strategy<Value = Attributes> {
    vec(any::<u16>(), 0..70).prop_map(|columns| columns.into_iter().collect())
}

fn image() -> impl Strategy<Value = RowImage> {
    let pk = proptest::option::of(bytes());
    let keys = vec((any::<u32>(), bytes()), 0..4);
    let changed = proptest::option::of(attributes());
    (pk, keys, changed).prop_map(|(pk, keys, changed)| RowImage { pk, keys, changed })
}

fn write_entry() -> impl Strategy<Value = WriteEntry> {
    prop_oneof![
        (any::<u32>(), image()).prop_map(|(rel, image)| WriteEntry::Row { rel, image }),
        any::<u32>().prop_map(|rel| WriteEntry::Table { rel }),
        Just(WriteEntry::Everything),
    ]
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    (
        any::<u64>(),
        any::<u64>(),
        vec(any::<u64>(), 0..9),
        any::<u64>(),
    )
        .prop_map(|(a, b, mut xip, completed)| {
            xip.sort_unstable();
            Snapshot {
                xmin: a.min(b),
                xmax: a.max(b),
                xip,
                completed,
            }
        })
}

fn entry() -> impl Strategy<Value = LogEntry> {
    let ids = || (any::<i64>(), any::<i64>(), any::<i64>());
    let read_set = vec(read_entry(), 0..5).prop_map(|entries| ReadSet { entries });
    prop_oneof![
        (any::<u64>(), vec(write_entry(), 0..5)).prop_map(|(xid, entries)| LogEntry::Write {
            xid,
            set: WriteSet { entries },
        }),
        (ids(), any::<u64>(), snapshot(), read_set).prop_map(|(ids, boot, snapshot, read_set)| {
            LogEntry::Register(Registration {
                owner: ids.0,
                sub: ids.1,
                generation: ids.2,
                boot,
                snapshot,
                read_set,
            })
        }),
        ids().prop_map(|(owner, sub, generation)| LogEntry::Unregister {
            owner,
            sub,
            generation,
        }),
        any::<i64>().prop_map(|owner| LogEntry::OwnerGone { owner }),
        (any::<i64>(), vec(write_entry(), 0..5)).prop_map(|(owner, entries)| LogEntry::Preview {
            owner,
            set: WriteSet { entries },
        }),
        (any::<u64>(), vec(any::<u32>(), 0..4), any::<u64>())
            .prop_map(|(xid, rels, lsn)| LogEntry::InWal { xid, rels, lsn }),
        (any::<u64>(), any::<u64>(), vec(write_entry(), 0..5)).prop_map(|(xid, lsn, entries)| {
            LogEntry::Decoded {
                xid,
                lsn,
                set: WriteSet { entries },
            }
        }),
        any::<u64>().prop_map(|lsn| LogEntry::DecodedTo { lsn }),
        (any::<u64>(), any::<u64>()).prop_map(|(run, lsn)| LogEntry::DecoderReady { run, lsn }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_was_encoded_is_decoded(entry in entry()) {
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(LogEntry::decode(&bytes).unwrap(), entry);
        for cut in 0..bytes.len() {
            prop_assert!(LogEntry::decode(&bytes[..cut]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert!(matches!(LogEntry::decode(&longer), Err(CodecError::Trailing(1))));
    }

    #[test]
    fn snapshots_and_read_sets_survive_their_bytes(
        snapshot in snapshot(),
        entries in vec(read_entry(), 0..5),
    ) {
        let reads = ReadSet { entries };
        let bytes = snapshot.encode().unwrap();
        prop_assert!(decode_reads(&bytes).is_err());
        prop_assert_eq!(Snapshot::decode(&bytes).unwrap(), snapshot);
        let bytes = encode_reads(&reads).unwrap();
        prop_assert!(Snapshot::decode(&bytes).is_err());
        prop_assert_eq!(decode_reads(&bytes).unwrap(), reads);
        for cut in 0..bytes.len() {
            prop_assert!(decode_reads(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = LogEntry::decode(&bytes);
        let _ = decode_reads(&[&[0x62], bytes.as_slice()].concat());
        let _ = Snapshot::decode(&[&[0x51], bytes.as_slice()].concat());
        let formatted = [&[2], bytes.as_slice()].concat();
        if let Ok(LogEntry::Register(registration)) = LogEntry::decode(&formatted) {
            prop_assert!(registration.snapshot.xip.is_sorted());
        }
    }

    #[test]
    fn a_flipped_byte_does_not_make_the_reader_panic(
        entry in entry(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let mut bytes = entry.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = LogEntry::decode(&bytes);
    }
}

#[test]
fn another_format_is_refused() {
    for bytes in [&[][..], &[1, 3, 2], &[3, 3, 2]] {
        assert!(matches!(
            LogEntry::decode(bytes),
            Err(CodecError::Format { .. })
        ));
    }
}

#[test]
fn a_snapshot_out_of_order_is_refused() {
    let mut registration = Registration {
        owner: 1,
        sub: 1,
        generation: 1,
        boot: 1,
        snapshot: Snapshot {
            xmin: 5,
            xmax: 9,
            xip: vec![7, 5],
            completed: 1,
        },
        read_set: ReadSet::default(),
    };
    let refused = |registration: &Registration| {
        let bytes = LogEntry::Register(registration.clone()).encode().unwrap();
        matches!(LogEntry::decode(&bytes), Err(CodecError::Snapshot))
    };
    assert!(refused(&registration));
    registration.snapshot.xip = vec![5, 7];
    assert!(!refused(&registration));
    registration.snapshot.xmax = 4;
    assert!(refused(&registration));
}

#[test]
fn a_claimed_length_does_not_make_the_reader_allocate() {
    // A write-set that claims 2^60 entries and holds none.
    let bytes = [
        2, 0, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10,
    ];
    assert!(LogEntry::decode(&bytes).is_err());
}
