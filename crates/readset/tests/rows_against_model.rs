//! Whatever changes what a scan shows matches what the scan recorded.
//!
//! A scan shows, for the rows that fulfil all of its conditions, some columns. It records one of the conditions at
//! most and the columns that it looked at. Writers publish images of rows, with the keys of some columns.

use std::collections::BTreeMap;
use std::ops::Bound;

use pg_live_readset::{
    Attribute, Attributes, ColumnKey, ColumnValue, Condition, ReadIndex, ReadLimits, ReadSet,
    ReadSetBuilder, RowImage, WriteLimits, WriteSet, WriteSetBuilder, column_index, overlaps,
};
use proptest::prelude::*;

const REL: u32 = 7;
const COLUMNS: usize = 5;

/// Columns 1 and 2 are integers, 3 and 4 texts, 5 a numeric; `None` is NULL.
type Row = [Option<u8>; COLUMNS];

const TEXTS: [&str; 6] = ["", "a", "ab", "b", "ba", "c"];
const NUMERICS: [&str; 6] = ["-12.5", "-1", "0", "0.5", "1.25", "100"];

fn key(column: usize, value: Option<u8>) -> ColumnKey {
    let Some(value) = value else {
        return ColumnKey::of(ColumnValue::Null).expect("NULL has a key");
    };
    let of = usize::from(value);
    let value = match column {
        0 | 1 => ColumnValue::Int(i64::from(value) - 3),
        2 | 3 => ColumnValue::Bytes(TEXTS[of].as_bytes()),
        _ => ColumnValue::Numeric(NUMERICS[of]),
    };
    ColumnKey::of(value).expect("the value has a key")
}

fn attribute(column: usize) -> Attribute {
    Attribute::try_from(column + 1).expect("few columns")
}

#[derive(Clone, Debug)]
enum Test {
    Equal(u8),
    In(Vec<u8>),
    Range(Bound<u8>, Bound<u8>),
    IsNull,
    IsNotNull,
}

impl Test {
    fn holds(&self, value: Option<u8>) -> bool {
        let Some(value) = value else {
            return matches!(self, Test::IsNull);
        };
        match self {
            Test::Equal(other) => value == *other,
            Test::In(list) => list.contains(&value),
            Test::Range(lower, upper) => {
                (match lower {
                    Bound::Included(bound) => value >= *bound,
                    Bound::Excluded(bound) => value > *bound,
                    Bound::Unbounded => true,
                }) && (match upper {
                    Bound::Included(bound) => value <= *bound,
                    Bound::Excluded(bound) => value < *bound,
                    Bound::Unbounded => true,
                })
            }
            Test::IsNull => false,
            Test::IsNotNull => true,
        }
    }

    fn conditions(&self, column: usize) -> Vec<Condition> {
        let attribute = attribute(column);
        let k = |value: u8| key(column, Some(value));
        match self {
            Test::Equal(value) => vec![Condition::equal(attribute, &k(*value))],
            Test::In(list) => {
                let values = list.iter();
                values
                    .map(|v| Condition::equal(attribute, &k(*v)))
                    .collect()
            }
            Test::Range(lower, upper) => {
                let (lower, upper) = (lower.map(k), upper.map(k));
                vec![Condition::range(attribute, lower.as_ref(), upper.as_ref())]
            }
            Test::IsNull => vec![Condition::is_null(attribute)],
            Test::IsNotNull => vec![Condition::is_not_null(attribute)],
        }
    }
}

#[derive(Clone, Debug)]
struct Scan {
    shown: Vec<usize>,
    tests: Vec<(usize, Test)>,
    /// Which of the tests is recorded, if one is.
    recorded: Option<prop::sample::Index>,
}

impl Scan {
    fn result(&self, rows: &[Row]) -> BTreeMap<Vec<Option<u8>>, usize> {
        let mut result = BTreeMap::new();
        for row in rows {
            if self
                .tests
                .iter()
                .all(|(column, test)| test.holds(row[*column]))
            {
                let shown = self.shown.iter().map(|column| row[*column]).collect();
                *result.entry(shown).or_default() += 1;
            }
        }
        result
    }

    fn record(&self, reads: &mut ReadSetBuilder) {
        let tested = self.tests.iter().map(|(column, _)| column);
        let columns = self.shown.iter().chain(tested);
        let columns: Attributes = columns.map(|column| attribute(*column)).collect();
        match &self.recorded {
            Some(at) if !self.tests.is_empty() => {
                let (column, test) = &self.tests[at.index(self.tests.len())];
                for condition in test.conditions(*column) {
                    reads.rows(REL, columns, Some(condition));
                }
            }
            Some(_) | None => reads.rows(REL, columns, None),
        }
    }
}

#[derive(Clone, Debug)]
enum Write {
    Insert(Row),
    Delete(prop::sample::Index),
    /// Of several rows by one statement: a column, and the new values. The second number turns the new images
    /// against the old ones: pairs need not be versions of one row.
    Update(Vec<(prop::sample::Index, usize, Option<u8>)>, usize),
    Truncate,
}

/// What of it a writer publishes.
#[derive(Clone, Debug)]
struct Writer {
    /// The columns whose keys are told.
    known: [bool; COLUMNS],
    /// Whether it tells which columns an UPDATE changed.
    pairs: bool,
}

impl Writer {
    fn image(&self, row: &Row, changed: Option<Attributes>) -> RowImage {
        let known = (0..COLUMNS).filter(|column| self.known[*column]);
        let keys = known.map(|column| {
            let key = key(column, row[column]);
            (column_index(attribute(column)), key.into_bytes())
        });
        RowImage {
            pk: None,
            keys: keys.collect(),
            changed,
        }
    }

    fn apply(&self, write: &Write, rows: &mut Vec<Row>, set: &mut WriteSetBuilder) {
        match write {
            Write::Insert(row) => {
                rows.push(*row);
                set.row(REL, self.image(row, None));
            }
            Write::Delete(at) if !rows.is_empty() => {
                let row = rows.swap_remove(at.index(rows.len()));
                set.row(REL, self.image(&row, None));
            }
            Write::Update(changes, turn) if !rows.is_empty() => {
                let mut new: BTreeMap<usize, Row> = BTreeMap::new();
                for (at, column, value) in changes {
                    let at = at.index(rows.len());
                    new.entry(at).or_insert(rows[at])[*column] = *value;
                }
                let old: Vec<Row> = new.keys().map(|at| rows[*at]).collect();
                let mut after: Vec<Row> = new.values().copied().collect();
                for (at, row) in new {
                    rows[at] = row;
                }
                let turn = turn % after.len();
                after.rotate_left(turn);
                for (old, new) in old.iter().zip(&after) {
                    let differ = (0..COLUMNS).filter(|column| old[*column] != new[*column]);
                    let changed: Attributes = differ.map(attribute).collect();
                    let changed = self.pairs.then_some(changed);
                    set.row(REL, self.image(old, changed));
                    set.row(REL, self.image(new, changed));
                }
            }
            Write::Truncate => {
                rows.clear();
                set.table(REL);
            }
            Write::Delete(_) | Write::Update(..) => {}
        }
    }
}

fn value() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.85, 0u8..6)
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        (0u8..6).prop_map(Bound::Included),
        (0u8..6).prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        3 => (0u8..6).prop_map(Test::Equal),
        2 => prop::collection::vec(0u8..6, 0..4).prop_map(Test::In),
        3 => (bound(), bound()).prop_map(|(lower, upper)| Test::Range(lower, upper)),
        1 => Just(Test::IsNull),
        1 => Just(Test::IsNotNull),
    ]
}

fn scan() -> impl Strategy<Value = Scan> {
    let shown = prop::collection::vec(0..COLUMNS, 0..3);
    let tests = prop::collection::vec((0..COLUMNS, test()), 0..3);
    let recorded = prop::option::weighted(0.9, any::<prop::sample::Index>());
    (shown, tests, recorded).prop_map(|(shown, tests, recorded)| Scan {
        shown,
        tests,
        recorded,
    })
}

fn write() -> impl Strategy<Value = Write> {
    let change = (any::<prop::sample::Index>(), 0..COLUMNS, value());
    prop_oneof![
        3 => prop::array::uniform(value()).prop_map(Write::Insert),
        2 => any::<prop::sample::Index>().prop_map(Write::Delete),
        9 => (prop::collection::vec(change, 1..5), 0usize..4)
            .prop_map(|(changes, turn)| Write::Update(changes, turn)),
        1 => Just(Write::Truncate),
    ]
}

fn writer() -> impl Strategy<Value = Writer> {
    let known = prop::array::uniform(prop::bool::weighted(0.8));
    (known, prop::bool::weighted(0.85)).prop_map(|(known, pairs)| Writer { known, pairs })
}

type Step = (Writer, Vec<Write>);

fn limits() -> impl Strategy<Value = (usize, usize)> {
    let some = || prop_oneof![3 => Just(usize::MAX), 1 => 1usize..5];
    (some(), some())
}

/// One transaction: what it publishes, `rows` as they are after it.
fn commit(step: &Step, rows: &mut Vec<Row>, rows_per_relation: usize) -> WriteSet {
    let (writer, writes) = step;
    let mut set = WriteSetBuilder::new(WriteLimits {
        rows_per_relation,
        bytes: usize::MAX,
    });
    for write in writes {
        writer.apply(write, rows, &mut set);
    }
    set.build()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_changes_a_result_matches_its_read_set(
        mut rows in prop::collection::vec(prop::array::uniform(value()), 0..12),
        scans in prop::collection::vec(prop::collection::vec(scan(), 1..3), 1..8),
        steps in prop::collection::vec((writer(), prop::collection::vec(write(), 1..4)), 1..12),
        (read_limit, write_limit) in limits(),
    ) {
        let mut index = ReadIndex::new();
        let mut all: Vec<ReadSet> = Vec::new();
        for (name, query) in scans.iter().enumerate() {
            let mut reads = ReadSetBuilder::new(ReadLimits { entries: read_limit, bytes: usize::MAX });
            query.iter().for_each(|scan| scan.record(&mut reads));
            let reads = reads.build();
            index.insert(name, &reads);
            all.push(reads);
        }
        for step in &steps {
            let before = rows.clone();
            let writes = commit(step, &mut rows, write_limit);
            let mut found = vec![false; scans.len()];
            index.matches(&writes, &mut |name| found[*name] = true);
            for (name, query) in scans.iter().enumerate() {
                let changed = query.iter().any(|scan| scan.result(&before) != scan.result(&rows));
                prop_assert!(found[name] || !changed, "{query:?} misses {writes:?}");
                prop_assert_eq!(overlaps(&all[name], &writes), found[name]);
                prop_assert!(overlaps(&all[name].widened(), &writes) || !found[name]);
            }
        }
    }

    /// The images of single rows say exactly what they can: a scan of one condition that shows only columns that an
    /// update leaves as they are, or whose condition neither image fulfils, is not matched.
    #[test]
    fn a_change_elsewhere_does_not_match(
        row in prop::array::uniform(value()),
        column in 0..COLUMNS,
        new in value(),
        tested in 0..COLUMNS,
        test in test(),
        shown in 0..COLUMNS,
        at in any::<prop::sample::Index>(),
    ) {
        let scan = Scan {
            shown: vec![shown],
            tests: vec![(tested, test)],
            recorded: Some(at),
        };
        let mut reads = ReadSetBuilder::default();
        scan.record(&mut reads);
        let mut after = row;
        after[column] = new;
        let writer = Writer { known: [true; COLUMNS], pairs: true };
        let mut set = WriteSetBuilder::default();
        let mut rows = vec![row];
        writer.apply(&Write::Update(vec![(at, column, new)], 0), &mut rows, &mut set);
        let fulfils = |row: &Row| scan.tests.iter().all(|(column, test)| test.holds(row[*column]));
        let touched = (fulfils(&row) || fulfils(&after))
            && row[column] != new
            && (column == shown || column == tested);
        prop_assert_eq!(overlaps(&reads.build(), &set.build()), touched);
    }
}
