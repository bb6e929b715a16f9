//! The queries that clients ask, and what their results depend on.

use std::fmt;

use pg_live_readset::{ReadSet, ReadSetBuilder, WriteSet, WriteSetBuilder};

use crate::database::{Database, Pk, Time, Write};

const REL: u32 = 1;
const INDEX: u32 = 1;

/// A query over the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// One row.
    Row(Pk),
    /// The rows whose value is in `[.0, .1)`.
    Between(u8, u8),
    /// All rows.
    All,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Row(pk) => write!(f, "row {pk}"),
            Query::Between(lower, upper) => write!(f, "between {lower} {upper}"),
            Query::All => write!(f, "all"),
        }
    }
}

impl Query {
    /// The query that was displayed so.
    pub(crate) fn parse(text: &str) -> Option<Query> {
        let mut words = text.split(' ');
        let kind = words.next();
        let mut number = || words.next()?.parse().ok();
        match kind? {
            "row" => Some(Query::Row(number()?)),
            "between" => Some(Query::Between(number()?, number()?)),
            "all" => Some(Query::All),
            _ => None,
        }
    }

    pub(crate) fn result(self, db: &Database, at: Time) -> String {
        match self {
            Query::Row(pk) => format!("{:?}", db.value(pk, at)),
            Query::Between(lower, upper) => {
                let rows = db.rows(at);
                let within = rows.filter(|(_, value)| (lower..upper).contains(value));
                format!("{:?}", within.collect::<Vec<_>>())
            }
            Query::All => format!("{:?}", db.rows(at).collect::<Vec<_>>()),
        }
    }

    pub(crate) fn read_set(self) -> ReadSet {
        let mut reads = ReadSetBuilder::default();
        match self {
            Query::Row(pk) => reads.key(REL, vec![pk]),
            Query::Between(lower, upper) => {
                reads.range(REL, INDEX, vec![lower], Some(vec![upper]));
            }
            Query::All => reads.table(REL),
        }
        reads.build()
    }
}

/// Which images of a change a writer publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Images {
    /// The old and the new one.
    Both,
    /// Only the new one: a mistake.
    New,
    /// Both, without keys: an index that the writer does not know.
    WithoutKeys,
    /// Only that the table changed.
    Table,
}

/// What a writer publishes for these changes.
pub(crate) fn write_set(writes: &[Write], images: Images) -> WriteSet {
    let mut set = WriteSetBuilder::default();
    for write in writes {
        let both = match images {
            Images::Both | Images::WithoutKeys => [write.old, write.new],
            Images::New => [write.new, write.new],
            Images::Table => {
                set.table(REL);
                continue;
            }
        };
        let mut row = |keys| set.row(REL, vec![write.pk], keys);
        match images {
            Images::WithoutKeys => row(vec![]),
            Images::Both | Images::New | Images::Table => {
                for value in both.into_iter().flatten() {
                    row(vec![(INDEX, vec![value])]);
                }
            }
        }
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_its_text() {
        for query in [Query::Row(3), Query::Between(1, 7), Query::All] {
            assert_eq!(Query::parse(&query.to_string()), Some(query));
        }
        assert_eq!(Query::parse("row"), None);
    }
}
