//! Columns of a row: reads of some of them under a condition, and what a writer tells of them.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::str::SplitAsciiWhitespace;

use pg_live_readset::{
    Attribute, Attributes, ColumnKey, ColumnValue, Condition, IndexId, ReadSetBuilder, RelId,
    column_index,
};
use rand::Rng;
use rand::rngs::StdRng;

use crate::bug::Bug;
use crate::history::{Pk, Value, View};

/// A row has its primary key and the two halves of its value.
const COLUMNS: [Attribute; 3] = [1, 2, 3];

/// Columns that a condition looks at; writers tell keys of these only. It is filled before a registration is put into
/// the log.
pub(crate) type Watched = BTreeSet<(RelId, Attribute)>;

/// Some columns of the rows that fulfil a condition, in no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) rel: RelId,
    /// A bit for each of [`COLUMNS`]; without any, rows are only counted.
    shown: u8,
    condition: On,
}

/// A condition on one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// None.
    All,
    /// Its value is in `[.1, .2)`.
    Range(Attribute, u8, u8),
    /// Its value is one of two.
    Either(Attribute, u8, u8),
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scan {} {} ", self.rel, self.shown)?;
        match self.condition {
            On::All => write!(f, "all"),
            On::Range(column, lower, upper) => write!(f, "range {column} {lower} {upper}"),
            On::Either(column, one, other) => write!(f, "either {column} {one} {other}"),
        }
    }
}

impl Scan {
    /// One of a table.
    pub(crate) fn draw(rel: RelId, rng: &mut StdRng) -> Scan {
        let column = COLUMNS[rng.random_range(0..COLUMNS.len())];
        let (one, other) = (rng.random_range(0..4), rng.random_range(0..5));
        Scan {
            rel,
            shown: rng.random_range(0..1 << COLUMNS.len()),
            condition: match rng.random_range(0..5) {
                0 => On::All,
                1 => On::Either(column, one, other),
                _ => On::Range(column, one, other),
            },
        }
    }

    /// The scan of these words, which follow its table's number.
    pub(crate) fn parse(rel: RelId, words: &mut SplitAsciiWhitespace<'_>) -> Option<Scan> {
        let shown = words.next()?.parse().ok()?;
        let kind = words.next()?;
        let column = words.next().and_then(|word| word.parse().ok());
        let mut number = || words.next()?.parse().ok();
        let condition = match kind {
            "all" => On::All,
            "range" => On::Range(column?, number()?, number()?),
            "either" => On::Either(column?, number()?, number()?),
            _ => return None,
        };
        Some(Scan {
            rel,
            shown,
            condition,
        })
    }

    /// How often each combination of values occurs.
    pub(crate) fn result(self, view: View<'_>) -> String {
        if self.is_empty() {
            return "[]".into();
        }
        let rows = view.rows(self.rel).into_iter();
        let rows = rows.filter(|(pk, value)| match self.condition {
            On::All => true,
            On::Range(of, lower, upper) => (lower..upper).contains(&column(of, *pk, *value)),
            On::Either(of, one, other) => [one, other].contains(&column(of, *pk, *value)),
        });
        let shown: Vec<Attribute> = self.shown().collect();
        let mut rows: Vec<Vec<u8>> = rows
            .map(|(pk, value)| shown.iter().map(|of| column(*of, pk, value)).collect())
            .collect();
        rows.sort_unstable();
        format!("{}: {rows:?}", view.shape(self.rel))
    }

    /// No row can fulfil the condition, so nothing of the table is read.
    fn is_empty(self) -> bool {
        matches!(self.condition, On::Range(_, lower, upper) if lower >= upper)
    }

    fn shown(self) -> impl Iterator<Item = Attribute> {
        let shown = move |column: &Attribute| self.shown & (1 << (column - 1)) != 0;
        COLUMNS.into_iter().filter(shown)
    }

    /// The column that the condition looks at.
    fn watches(self) -> Option<Attribute> {
        match self.condition {
            On::All => None,
            On::Range(column, _, _) | On::Either(column, _, _) => Some(column),
        }
    }

    /// Adds what it depends on.
    pub(crate) fn depends(self, set: &mut ReadSetBuilder, bug: Option<Bug>) {
        let looked_at = match bug {
            Some(Bug::ConditionUnread) => None,
            _ => self.watches(),
        };
        let columns: Attributes = self.shown().chain(looked_at).collect();
        match self.condition {
            On::All => set.rows(self.rel, columns, None),
            On::Range(of, lower, upper) => {
                let upper = match bug {
                    Some(Bug::IntervalTooShort) => upper.saturating_sub(1),
                    _ => upper,
                };
                let bounds = (key(lower), key(upper));
                let (lower, upper) = (Bound::Included(&bounds.0), Bound::Excluded(&bounds.1));
                set.rows(self.rel, columns, Some(Condition::range(of, lower, upper)));
            }
            On::Either(of, one, other) => {
                set.rows(self.rel, columns, Some(Condition::equal(of, &key(one))));
                if bug != Some(Bug::OneArmOnly) {
                    set.rows(self.rel, columns, Some(Condition::equal(of, &key(other))));
                }
            }
        }
    }
}

fn column(column: Attribute, pk: Pk, value: u8) -> u8 {
    match column {
        1 => pk,
        2 => value / 2,
        _ => value % 2,
    }
}

fn key(value: u8) -> ColumnKey {
    known(ColumnValue::Int(value.into()))
}

fn known(value: ColumnValue<'_>) -> ColumnKey {
    ColumnKey::of(value).expect("only numerics may have no key")
}

/// The keys that a writer tells of one image of a row.
pub(crate) fn keys(
    (rel, pk, value): (RelId, Pk, u8),
    watched: &Watched,
    bug: Option<Bug>,
) -> Vec<(IndexId, Vec<u8>)> {
    let told = COLUMNS.into_iter().filter_map(|of| {
        let key = match (watched.contains(&(rel, of)), bug) {
            (true, _) => key(column(of, pk, value)),
            (false, Some(Bug::UntoldIsNull)) => known(ColumnValue::Null),
            (false, _) => return None,
        };
        Some((column_index(of), key.into_bytes()))
    });
    told.collect()
}

/// In which columns two images of a row differ; `None` if it came or went.
pub(crate) fn changed(pk: Pk, old: Value, new: Value, bug: Option<Bug>) -> Option<Attributes> {
    let Some((old, new)) = old.zip(new) else {
        return (bug == Some(Bug::ComesUnchanged)).then_some(Attributes::NONE);
    };
    let differs = |of: &Attribute| column(*of, pk, old) != column(*of, pk, new);
    let mut changed = COLUMNS.into_iter().filter(differs);
    Some(match bug {
        Some(Bug::FirstChangeOnly) => changed.next().into_iter().collect(),
        _ => changed.collect(),
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::query::Query;

    #[test]
    fn a_scan_survives_its_text() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..1_000 {
            let query = Query::Scan(Scan::draw(2, &mut rng));
            assert_eq!(Query::parse(&query.to_string()), Some(query));
        }
    }
}
