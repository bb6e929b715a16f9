//! One change of a row against many entries of read-sets, beside a bare lookup in a hash map of as many keys.
//!
//! Prints a line of JSON with the memory that the entries take; the times are in criterion's own files.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Bencher, BenchmarkGroup, Criterion, measurement::WallTime};
use pg_live_readset::{
    Attribute, Attributes, ColumnKey, ColumnValue, Condition, ReadEntry, ReadIndex, ReadSet,
    RowImage, WriteEntry, WriteSet, column_index,
};

const REL: u32 = 16_384;
/// The column of the conditions.
const COLUMN: Attribute = 2;
/// Entries of a query with IN.
const IN: i64 = 10;
/// Values of the column lie so far from one another that ranges fit in between.
const STEP: i64 = 10;

/// Owner and number of a live query.
type Name = (i64, i64);

fn key(value: i64) -> ColumnKey {
    ColumnKey::of(ColumnValue::Int(value)).expect("integers have keys")
}

fn read_set(conditions: impl Iterator<Item = Condition>) -> ReadSet {
    let columns: Attributes = [1, COLUMN, 3].into_iter().collect();
    let entry = |condition| ReadEntry::Rows {
        rel: REL,
        columns,
        condition: Some(condition),
    };
    ReadSet {
        entries: conditions.map(entry).collect(),
    }
}

fn equal(number: i64) -> Condition {
    Condition::equal(COLUMN, &key(number * STEP))
}

/// The values from the number's own on, as many as to the next one, or fewer.
fn range(number: i64, length: i64) -> Condition {
    use std::ops::Bound::{Excluded, Included};
    let lower = key(number * STEP);
    let upper = key(number * STEP + length);
    Condition::range(COLUMN, Included(&lower), Excluded(&upper))
}

/// So many entries, in read-sets of `per_query`.
fn index(entries: i64, per_query: i64, condition: impl Fn(i64) -> Condition) -> ReadIndex<Name> {
    let mut index = ReadIndex::new();
    for query in 0..entries / per_query {
        let own = (0..per_query).map(|n| condition(scatter(query * per_query + n, entries)));
        index.insert((1, query), &read_set(own));
    }
    index
}

/// Another order of the numbers below `count`, a power of ten: 7 divides none.
fn scatter(number: i64, count: i64) -> i64 {
    number * 7_777_777 % count
}

/// Numbers below `count` without an order.
struct Random(u64);

impl Random {
    fn below(&mut self, count: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 1).cast_signed() % count
    }
}

/// An UPDATE of another column than that of the conditions: its images have the same keys, so they are one.
fn change() -> WriteSet {
    WriteSet {
        entries: vec![WriteEntry::Row {
            rel: REL,
            image: RowImage {
                pk: None,
                keys: vec![(column_index(COLUMN), key(0).into_bytes())],
                changed: Some(Attributes::of(3)),
            },
        }],
    }
}

/// Writes the key of a value over that of another one.
fn set_key(bytes: &mut [u8], value: i64) {
    bytes[1..].copy_from_slice(&(value.cast_unsigned() ^ (1 << 63)).to_be_bytes());
}

/// Routes changes of one row each; each must be found by as many queries as `hits` says.
fn route(
    bencher: &mut Bencher<'_>,
    index: &mut ReadIndex<Name>,
    count: i64,
    offset: i64,
    hits: usize,
) {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut writes = change();
    bencher.iter(|| {
        let value = random.below(count) * STEP + offset;
        if let [WriteEntry::Row { image, .. }] = writes.entries.as_mut_slice() {
            set_key(&mut image.keys[0].1, value);
        }
        let mut found = 0;
        index.matches(&writes, &mut |name| {
            black_box(name);
            found += 1;
        });
        assert_eq!(found, hits);
    });
}

fn lookup(bencher: &mut Bencher<'_>, count: i64) {
    let keys = (0..count).map(|number| scatter(number, count));
    let keys = keys.map(|number| (key(number * STEP).into_bytes(), number));
    let map: hashbrown::HashMap<Vec<u8>, i64> = keys.collect();
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut sought = key(0).into_bytes();
    bencher.iter(|| {
        set_key(&mut sought, random.below(count) * STEP);
        assert!(black_box(map.get(sought.as_slice())).is_some());
    });
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn measured(make: impl FnOnce() -> ReadIndex<Name>) -> (ReadIndex<Name>, usize) {
    let before = resident();
    let index = make();
    (index, resident().saturating_sub(before))
}

fn size(group: &mut BenchmarkGroup<'_, WallTime>, count: i64) {
    group.bench_function("lookup", |bencher| lookup(bencher, count));
    let mut memory = Vec::new();
    let mut case = |name: &str, hits, offset, make: &dyn Fn() -> ReadIndex<Name>| {
        let (mut index, bytes) = measured(make);
        memory.push(format!(r#""{name}": {}"#, bytes as f64 / count as f64));
        group.bench_function(name, |bencher| {
            route(bencher, &mut index, count, offset, hits)
        });
    };
    case("equality", 1, 0, &|| index(count, 1, equal));
    case("in", 1, 0, &|| index(count, IN, equal));
    case("range", 1, STEP / 2, &|| {
        index(count, 1, |n| range(n, STEP))
    });
    // Between the ranges.
    case("miss", 0, STEP - 1, &|| {
        index(count, 1, |n| range(n, STEP / 2))
    });
    println!(
        r#"{{"entries": {count}, "bytesPerEntry": {{{}}}}}"#,
        memory.join(", ")
    );
}

fn main() {
    let quick = std::env::var_os("BENCH_QUICK").is_some_and(|quick| quick == "1");
    let (warm_up, time) = if quick { (200, 500) } else { (1000, 4000) };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(time))
        .sample_size(if quick { 20 } else { 60 })
        .without_plots();
    // The largest first: what it leaves to the allocator would hide what the others take.
    for count in [1_000_000, 10_000, 100] {
        let mut group = criterion.benchmark_group(count.to_string());
        size(&mut group, count);
        group.finish();
    }
}
