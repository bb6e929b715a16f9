//! Collects what a query reads, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::attributes::{Attributes, column_index, column_of_index};
use crate::condition::Condition;
use crate::entry::{IndexId, ReadEntry, ReadSet, RelId};

/// How large a read-set may grow before relations are widened to `Table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The greatest number of entries. One `Table` for each relation is always allowed.
    pub entries: usize,
    /// The greatest sum of [`ReadEntry::bytes`], with the same exception.
    pub bytes: usize,
}

impl Default for ReadLimits {
    /// A registration of this size still fits easily into a ring of a few megabytes.
    fn default() -> Self {
        ReadLimits {
            entries: 4096,
            bytes: 256 * 1024,
        }
    }
}

/// Builds a [`ReadSet`]: drops duplicates, joins ranges that overlap or touch, and past its limits
/// widens the relation with the most entries (or bytes): to the columns that were read of it if that is all that
/// is known of it, else to `Table`. Uses memory within the limits.
#[derive(Clone, Debug, Default)]
pub struct ReadSetBuilder {
    limits: ReadLimits,
    rels: BTreeMap<RelId, Relation>,
    /// Those that were widened.
    widened: BTreeSet<RelId>,
}

#[derive(Clone, Debug)]
enum Relation {
    Whole,
    Parts(Parts),
}

#[derive(Clone, Debug, Default)]
struct Parts {
    keys: BTreeSet<Vec<u8>>,
    /// Disjoint ranges that do not touch, by lower bound.
    ranges: BTreeMap<Under, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    /// The columns that were read of all rows.
    of_all_rows: Option<Attributes>,
    entries: usize,
    bytes: usize,
}

/// What the keys of a range are, and which columns were read of its rows; all, in an index of documents.
type Under = (IndexId, Attributes);

impl ReadSetBuilder {
    /// An empty set with the given limits.
    pub fn new(limits: ReadLimits) -> Self {
        ReadSetBuilder {
            limits,
            rels: BTreeMap::new(),
            widened: BTreeSet::new(),
        }
    }

    /// Adds the row with this primary key, found or not.
    pub fn key(&mut self, rel: RelId, pk: Vec<u8>) {
        if let Some(parts) = self.parts(rel) {
            let bytes = cost(pk.len());
            if parts.keys.insert(pk) {
                parts.entries += 1;
                parts.bytes += bytes;
                self.shrink();
            }
        }
    }

    /// Adds the keys `[lower, upper)` of an index. An empty range adds nothing.
    pub fn range(&mut self, rel: RelId, index: IndexId, lower: Vec<u8>, upper: Option<Vec<u8>>) {
        if upper.as_ref().is_some_and(|upper| *upper <= lower) {
            return;
        }
        if let Some(parts) = self.parts(rel) {
            parts.add_range((index, Attributes::ALL), lower, upper);
            self.shrink();
        }
    }

    /// Adds columns of the rows that fulfil a condition, or of all rows. A condition that no row can fulfil adds
    /// nothing.
    pub fn rows(&mut self, rel: RelId, columns: Attributes, condition: Option<Condition>) {
        if condition.as_ref().is_some_and(Condition::is_empty) {
            return;
        }
        if let Some(parts) = self.parts(rel) {
            match condition {
                Some(on) => parts.add_rows(columns, on),
                None => parts.add_all_rows(columns),
            }
            self.shrink();
        }
    }

    /// Adds the whole relation.
    pub fn table(&mut self, rel: RelId) {
        self.rels.insert(rel, Relation::Whole);
        self.shrink();
    }

    /// Adds an entry as it is.
    pub fn add(&mut self, entry: ReadEntry) {
        match entry {
            ReadEntry::Key { rel, pk } => self.key(rel, pk),
            ReadEntry::Range {
                rel,
                index,
                lower,
                upper,
            } => self.range(rel, index, lower, upper),
            ReadEntry::Table { rel } => self.table(rel),
            ReadEntry::Rows {
                rel,
                columns,
                condition,
            } => self.rows(rel, columns, condition),
        }
    }

    /// The relations of which more was said to be read than was added, because of the limits.
    pub fn widened(&self) -> &BTreeSet<RelId> {
        &self.widened
    }

    /// The set, ordered by relation, then keys, then ranges, then rows.
    pub fn build(self) -> ReadSet {
        let mut entries = Vec::new();
        for (rel, relation) in self.rels {
            match relation {
                Relation::Whole => entries.push(ReadEntry::Table { rel }),
                Relation::Parts(parts) => parts.append_to(rel, &mut entries),
            }
        }
        ReadSet { entries }
    }

    fn parts(&mut self, rel: RelId) -> Option<&mut Parts> {
        let relation = self
            .rels
            .entry(rel)
            .or_insert_with(|| Relation::Parts(Parts::default()));
        match relation {
            Relation::Whole => None,
            Relation::Parts(parts) => Some(parts),
        }
    }

    /// Widens relations until the limits hold or nothing is left to widen.
    fn shrink(&mut self) {
        loop {
            let entries: usize = self.rels.values().map(Relation::entries).sum();
            let bytes: usize = self.rels.values().map(Relation::bytes).sum();
            let by_entries = entries > self.limits.entries;
            if !by_entries && bytes <= self.limits.bytes {
                return;
            }
            let weight = |parts: &Parts| {
                if by_entries {
                    parts.entries
                } else {
                    parts.bytes
                }
            };
            let floor = if by_entries { 1 } else { cost(0) };
            let heaviest = self
                .rels
                .iter()
                .filter_map(|(rel, relation)| match relation {
                    Relation::Parts(parts) if weight(parts) > floor => Some((weight(parts), *rel)),
                    Relation::Parts(_) | Relation::Whole => None,
                })
                .max();
            match heaviest {
                Some((_, rel)) => {
                    self.widened.insert(rel);
                    self.rels.entry(rel).and_modify(Relation::widen);
                }
                None => return,
            }
        }
    }
}

impl Relation {
    /// To one entry.
    fn widen(&mut self) {
        let columns = match self {
            Relation::Whole => None,
            Relation::Parts(parts) => parts.columns(),
        };
        *self = match columns {
            Some(columns) => {
                let mut parts = Parts::default();
                parts.add_all_rows(columns);
                Relation::Parts(parts)
            }
            None => Relation::Whole,
        };
    }

    fn entries(&self) -> usize {
        match self {
            Relation::Whole => 1,
            Relation::Parts(parts) => parts.entries,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Relation::Whole => cost(0),
            Relation::Parts(parts) => parts.bytes,
        }
    }
}

impl Parts {
    /// The columns that were read, if nothing but columns was.
    fn columns(&self) -> Option<Attributes> {
        let of_columns = |index: IndexId| column_of_index(index).is_some();
        let only = self.keys.is_empty() && self.ranges.keys().all(|(index, _)| of_columns(*index));
        only.then(|| {
            let all = self.of_all_rows.unwrap_or_default();
            let sets = self.ranges.keys().map(|(_, columns)| *columns);
            sets.fold(all, Attributes::with)
        })
    }

    fn add_rows(&mut self, columns: Attributes, on: Condition) {
        if self.of_all_rows.is_some_and(|all| all.covers(columns)) {
            return;
        }
        let index = column_index(on.attribute);
        self.add_range((index, columns), on.lower, on.upper);
    }

    /// Drops what a condition says of no further columns.
    fn add_all_rows(&mut self, columns: Attributes) {
        if self.of_all_rows.is_none() {
            self.entries += 1;
            self.bytes += cost(0);
        }
        let all = self.of_all_rows.unwrap_or_default().with(columns);
        self.of_all_rows = Some(all);
        let (mut entries, mut bytes) = (0, 0);
        self.ranges.retain(|(index, columns), ranges| {
            let keep = column_of_index(*index).is_none() || !all.covers(*columns);
            if !keep {
                entries += ranges.len();
                let costs = ranges.iter().map(|(l, u)| range_cost(l, u.as_ref()));
                bytes += costs.sum::<usize>();
            }
            keep
        });
        self.entries -= entries;
        self.bytes -= bytes;
    }

    /// Joins the range with those that it overlaps or touches.
    fn add_range(&mut self, under: Under, mut lower: Vec<u8>, mut upper: Option<Vec<u8>>) {
        let ranges = self.ranges.entry(under).or_default();
        let before = (Bound::Unbounded, Bound::Included(&lower));
        let reaching = ranges
            .range::<Vec<u8>, _>(before)
            .next_back()
            .filter(|(_, end)| end.as_ref().is_none_or(|end| *end >= lower))
            .map(|(start, _)| start.clone());
        if let Some(start) = reaching {
            lower = start;
        }
        loop {
            let next = ranges
                .range::<Vec<u8>, _>((Bound::Included(&lower), Bound::Unbounded))
                .next()
                .filter(|(start, _)| upper.as_ref().is_none_or(|upper| **start <= *upper))
                .map(|(start, _)| start.clone());
            let Some(start) = next else { break };
            if let Some(end) = ranges.remove(&start) {
                self.entries -= 1;
                self.bytes -= range_cost(&start, end.as_ref());
                upper = match (upper, end) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (None, _) | (_, None) => None,
                };
            }
        }
        self.entries += 1;
        self.bytes += range_cost(&lower, upper.as_ref());
        ranges.insert(lower, upper);
    }

    fn append_to(self, rel: RelId, entries: &mut Vec<ReadEntry>) {
        entries.extend(self.keys.into_iter().map(|pk| ReadEntry::Key { rel, pk }));
        for ((index, columns), ranges) in self.ranges {
            let entry = |(lower, upper)| match column_of_index(index) {
                None => ReadEntry::Range {
                    rel,
                    index,
                    lower,
                    upper,
                },
                Some(attribute) => ReadEntry::Rows {
                    rel,
                    columns,
                    condition: Some(Condition {
                        attribute,
                        lower,
                        upper,
                    }),
                },
            };
            entries.extend(ranges.into_iter().map(entry));
        }
        entries.extend(self.of_all_rows.map(|columns| ReadEntry::Rows {
            rel,
            columns,
            condition: None,
        }));
    }
}

/// As [`ReadEntry::bytes`] of an entry with this many bytes of keys.
fn cost(key_bytes: usize) -> usize {
    size_of::<ReadEntry>() + key_bytes
}

fn range_cost(lower: &[u8], upper: Option<&Vec<u8>>) -> usize {
    cost(lower.len() + upper.map_or(0, Vec::len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lower: &str, upper: Option<&str>) -> ReadEntry {
        ReadEntry::Range {
            rel: 1,
            index: 1,
            lower: lower.as_bytes().to_vec(),
            upper: upper.map(|upper| upper.as_bytes().to_vec()),
        }
    }

    fn build(entries: &[ReadEntry], limits: ReadLimits) -> Vec<ReadEntry> {
        let mut builder = ReadSetBuilder::new(limits);
        for entry in entries {
            builder.add(entry.clone());
        }
        builder.build().entries
    }

    #[test]
    fn a_whole_table_counts_against_the_limit_too() {
        let limits = ReadLimits {
            entries: 3,
            bytes: usize::MAX,
        };
        let key = |rel, pk: &str| ReadEntry::Key {
            rel,
            pk: pk.as_bytes().to_vec(),
        };
        let reads = [
            key(1, "a"),
            key(1, "b"),
            key(1, "c"),
            ReadEntry::Table { rel: 2 },
        ];
        let tables = [ReadEntry::Table { rel: 1 }, ReadEntry::Table { rel: 2 }];
        assert_eq!(build(&reads, limits), tables);
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let parts = [
            range("c", Some("e")),
            range("a", Some("b")),
            range("e", Some("f")),
            range("b5", Some("c")),
        ];
        let joined = build(&parts, ReadLimits::default());
        assert_eq!(joined, [range("a", Some("b")), range("b5", Some("f"))]);
        let all = [&parts[..], &[range("b", None)]].concat();
        assert_eq!(build(&all, ReadLimits::default()), [range("a", None)]);
    }

    #[test]
    fn an_empty_range_is_left_out() {
        let limits = ReadLimits::default();
        assert_eq!(
            build(&[range("b", Some("b")), range("c", Some("b"))], limits),
            []
        );
    }

    #[test]
    fn a_table_takes_the_place_of_its_parts() {
        let entries = [
            range("a", None),
            ReadEntry::Table { rel: 1 },
            range("b", None),
        ];
        let built = build(&entries, ReadLimits::default());
        assert_eq!(built, [ReadEntry::Table { rel: 1 }]);
    }

    #[test]
    fn past_the_limit_the_largest_relation_is_widened() {
        let limits = ReadLimits {
            entries: 3,
            bytes: usize::MAX,
        };
        let key = |rel, pk: u8| ReadEntry::Key { rel, pk: vec![pk] };
        let built = build(&[key(1, 1), key(2, 1), key(2, 2), key(2, 3)], limits);
        assert_eq!(built, [key(1, 1), ReadEntry::Table { rel: 2 }]);
    }

    #[test]
    fn of_columns_only_the_condition_is_given_up() {
        let limits = ReadLimits {
            entries: 2,
            bytes: usize::MAX,
        };
        let rows = |columns: &[u16], key: Option<u8>| ReadEntry::Rows {
            rel: 1,
            columns: columns.iter().copied().collect(),
            condition: key.map(|key| Condition {
                attribute: 1,
                lower: vec![key],
                upper: Some(vec![key, 0]),
            }),
        };
        let reads = [
            rows(&[1, 2], Some(1)),
            rows(&[1, 2], Some(2)),
            rows(&[1, 3], Some(1)),
        ];
        assert_eq!(build(&reads, limits), [rows(&[1, 2, 3], None)]);
        let widened = ReadSet {
            entries: reads.to_vec(),
        };
        assert_eq!(widened.widened().entries, [rows(&[1, 2, 3], None)]);
        let mut builder = ReadSetBuilder::new(limits);
        reads.into_iter().for_each(|entry| builder.add(entry));
        assert_eq!(builder.widened(), &BTreeSet::from([1]));
    }

    #[test]
    fn columns_of_all_rows_cover_those_of_some() {
        let (few, many): (Attributes, Attributes) =
            ([1].into_iter().collect(), [1, 2].into_iter().collect());
        let rows = |columns, condition| ReadEntry::Rows {
            rel: 1,
            columns,
            condition,
        };
        let on = Condition::is_null(1);
        let all = [
            rows(few, Some(on.clone())),
            rows(many, Some(on.clone())),
            rows(few, None),
            rows(few, Some(Condition::is_not_null(1))),
        ];
        let left = [rows(many, Some(on)), rows(few, None)];
        assert_eq!(build(&all, ReadLimits::default()), left);
    }

    #[test]
    fn past_the_limit_of_bytes_the_heaviest_relation_is_widened() {
        let limits = ReadLimits {
            entries: 100,
            bytes: 3 * cost(0) + 160,
        };
        let key = |rel, len| ReadEntry::Key {
            rel,
            pk: vec![0; len],
        };
        let built = build(&[key(1, 10), key(1, 11), key(2, 150)], limits);
        assert_eq!(built, [key(1, 10), key(1, 11), ReadEntry::Table { rel: 2 }]);
    }
}
