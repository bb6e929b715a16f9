//! Runs one hot path of the pure crates, a fixed number of times, for `valgrind --tool=callgrind` to count the
//! instructions in [`counted`]: `pg-live-bench-instructions <path>`; without a name it prints them all.
//!
//! What is prepared and what is dropped afterwards does not count.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::ExitCode;

use pg_live_readset::{
    Attributes, ColumnKey, ColumnValue, Condition, ReadEntry, ReadIndex, ReadLimits, ReadSet,
    ReadSetBuilder, RowImage, WriteEntry, WriteLimits, WriteSet, WriteSetBuilder, column_index,
};
use pg_live_values::key::encode_key;
use pg_live_values::{DocumentId, Value};

/// Times that each path is taken.
const TIMES: u32 = 1_000;
/// Live queries that a row is compared with.
const QUERIES: u32 = 10_000;
const REL: u32 = 16_384;
const INDEX: u32 = 2;
const COLUMN: u16 = 3;

/// A path: prepared when it is made, taken by each call.
type Path = Box<dyn FnMut(u32)>;

/// Makes a path.
type Make = fn() -> Path;

const PATHS: [(&str, Make); 9] = [
    ("match a row with 10,000 keys", match_key),
    ("match a row with 10,000 ranges", match_range),
    ("match a row with 10,000 conditions", match_condition),
    ("register and forget a live query", register),
    ("build a read-set of 20 entries", build_reads),
    ("build a write-set of 20 rows", build_writes),
    ("encode a key of an index", encode),
    ("parse a document and write it", json),
    ("write and parse an id", id),
];

/// What is counted; nothing else has this name.
#[inline(never)]
fn counted(path: &mut Path) {
    for n in 0..TIMES {
        path(n);
    }
}

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, make)) = PATHS.iter().find(|(known, _)| *known == name) else {
        eprintln!("there is no path {name:?}");
        return ExitCode::FAILURE;
    };
    let mut path = make();
    counted(&mut path);
    ExitCode::SUCCESS
}

fn key(n: u32) -> Vec<u8> {
    let mut key = b"key of a row ".to_vec();
    key.extend(n.to_be_bytes());
    key
}

fn column_key(n: u32) -> ColumnKey {
    ColumnKey::of(ColumnValue::Int(i64::from(n))).expect("an integer has a key")
}

/// An index of as many read-sets as there are live queries, with one entry each.
fn index(entry: impl Fn(u32) -> ReadEntry) -> ReadIndex<u32> {
    let mut index = ReadIndex::new();
    for n in 0..QUERIES {
        let entries = vec![entry(n)];
        index.insert(n, &ReadSet { entries });
    }
    index
}

/// A row that one of them reads.
fn row(n: u32, keys: Vec<(u32, Vec<u8>)>) -> WriteSet {
    let image = RowImage {
        pk: Some(key(n)),
        keys,
        changed: None,
    };
    let entries = vec![WriteEntry::Row { rel: REL, image }];
    WriteSet { entries }
}

/// Matches one row after the other, of which each hits one live query.
fn matching(mut index: ReadIndex<u32>, write: impl Fn(u32) -> WriteSet) -> Path {
    let writes: Vec<WriteSet> = (0..TIMES).map(write).collect();
    Box::new(move |n| {
        let mut found = 0;
        index.matches(&writes[n as usize], &mut |name| found += *name + 1);
        assert!(found > 0, "each row is read by somebody");
        black_box(found);
    })
}

fn match_key() -> Path {
    let index = index(|n| ReadEntry::Key {
        rel: REL,
        pk: key(n),
    });
    matching(index, |n| row(n, Vec::new()))
}

fn match_range() -> Path {
    let index = index(|n| ReadEntry::Range {
        rel: REL,
        index: INDEX,
        lower: key(n),
        upper: Some(key(n + 1)),
    });
    matching(index, |n| row(n, vec![(INDEX, key(n))]))
}

fn match_condition() -> Path {
    let index = index(|n| ReadEntry::Rows {
        rel: REL,
        columns: Attributes::of(COLUMN),
        condition: Some(Condition::equal(COLUMN, &column_key(n))),
    });
    matching(index, |n| {
        row(n, vec![(column_index(COLUMN), column_key(n).into_bytes())])
    })
}

fn register() -> Path {
    let mut index = index(|n| ReadEntry::Key {
        rel: REL,
        pk: key(n),
    });
    let reads = reads();
    Box::new(move |_| {
        index.insert(QUERIES, &reads);
        assert!(index.remove(&QUERIES), "it was there");
    })
}

fn reads() -> ReadSet {
    let mut builder = ReadSetBuilder::new(ReadLimits::default());
    for n in 0..10 {
        builder.key(REL, key(n));
        builder.range(REL, INDEX, key(n * 10), Some(key(n * 10 + 5)));
    }
    builder.build()
}

fn build_reads() -> Path {
    Box::new(|_| {
        black_box(reads());
    })
}

fn build_writes() -> Path {
    Box::new(|_| {
        let mut builder = WriteSetBuilder::new(WriteLimits::default());
        for n in 0..20 {
            let image = RowImage {
                pk: Some(key(n)),
                keys: vec![(INDEX, key(n)), (INDEX + 1, key(n))],
                changed: None,
            };
            builder.row(REL, image);
        }
        black_box(builder.build());
    })
}

fn document(n: u32) -> Value {
    let fields = [
        ("author", Value::String(format!("author {n}"))),
        ("body", Value::String("someone wrote this text ".repeat(8))),
        ("pinned", Value::Boolean(n.is_multiple_of(2))),
        ("score", Value::Float64(f64::from(n))),
        (
            "tags",
            Value::Array(vec![Value::String("bench".into()), Value::Null]),
        ),
    ];
    let fields: BTreeMap<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Value::Object(fields)
}

fn encode() -> Path {
    let values: Vec<[Value; 2]> = (0..TIMES)
        .map(|n| {
            [
                Value::String(format!("topic {n}")),
                Value::Float64(f64::from(n)),
            ]
        })
        .collect();
    Box::new(move |n| {
        black_box(encode_key(values[n as usize].iter().map(Some)));
    })
}

fn json() -> Path {
    let texts: Vec<String> = (0..TIMES).map(|n| document(n).to_encoded()).collect();
    Box::new(move |n| {
        let text = &texts[n as usize];
        let value = Value::parse_encoded(text).expect("what was written can be read");
        black_box(value.to_encoded());
    })
}

fn id() -> Path {
    Box::new(|n| {
        let random = [7, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        let id = DocumentId::new(10_001, 1_790_000_000_000 + u64::from(n), random);
        let text = id.encode();
        black_box(DocumentId::parse(&text).expect("what was written can be read"));
    })
}
