//! The queries that clients ask, and what their results depend on.

use std::fmt;

use pg_live_readset::{
    IndexId, ReadSet, ReadSetBuilder, RelId, RowImage, WriteSet, WriteSetBuilder,
};

use crate::database::Done;
use crate::history::{Change, DEPLOYMENT, DOCUMENTS, PLAIN, Pk, View};

const INDEX: IndexId = 1;

/// A query. Each also reads which deployment is in force (R19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// One row.
    Row(RelId, Pk),
    /// The rows whose value is in `[.1, .2)`.
    Between(RelId, u8, u8),
    /// All rows.
    All(RelId),
    /// All rows of two tables, one after the other.
    Both,
}

/// One statement of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A row.
    Row(RelId, Pk),
    /// A range.
    Between(RelId, u8, u8),
    /// A table.
    All(RelId),
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Row(rel, pk) => write!(f, "row {rel} {pk}"),
            Query::Between(rel, lower, upper) => write!(f, "between {rel} {lower} {upper}"),
            Query::All(rel) => write!(f, "all {rel}"),
            Query::Both => write!(f, "both"),
        }
    }
}

impl Query {
    /// The query that was displayed so.
    pub(crate) fn parse(text: &str) -> Option<Query> {
        let mut words = text.split(' ');
        let kind = words.next();
        let rel = words.next().and_then(|word| word.parse().ok());
        let mut number = || words.next()?.parse().ok();
        match kind? {
            "row" => Some(Query::Row(rel?, number()?)),
            "between" => Some(Query::Between(rel?, number()?, number()?)),
            "all" => Some(Query::All(rel?)),
            "both" => Some(Query::Both),
            _ => None,
        }
    }

    /// Its statements.
    pub(crate) fn reads(self) -> Vec<Read> {
        let mut reads = vec![Read::Row(DEPLOYMENT, 0)];
        match self {
            Query::Row(rel, pk) => reads.push(Read::Row(rel, pk)),
            Query::Between(rel, lower, upper) => reads.push(Read::Between(rel, lower, upper)),
            Query::All(rel) => reads.push(Read::All(rel)),
            Query::Both => reads.extend([Read::All(DOCUMENTS), Read::All(PLAIN)]),
        }
        reads
    }

    /// The tables that it reads.
    pub(crate) fn rels(self) -> Vec<RelId> {
        self.reads().into_iter().map(Read::rel).collect()
    }

    pub(crate) fn result(self, view: View<'_>) -> String {
        let parts: Vec<String> = self.reads().iter().map(|read| read.result(view)).collect();
        join(&parts)
    }

    pub(crate) fn read_set(self) -> ReadSet {
        let mut set = ReadSetBuilder::default();
        for read in self.reads() {
            match read {
                Read::Row(rel, pk) => set.key(rel, vec![pk]),
                Read::Between(rel, lower, upper) => {
                    set.range(rel, INDEX, vec![lower], Some(vec![upper]));
                }
                Read::All(rel) => set.table(rel),
            }
        }
        set.build()
    }

    /// Without the deployment: a mistake.
    pub(crate) fn read_set_without_deployment(self) -> ReadSet {
        let mut set = self.read_set();
        set.entries.retain(|entry| entry.rel() != DEPLOYMENT);
        set
    }
}

/// The result of a query whose statements gave these.
pub(crate) fn join(parts: &[String]) -> String {
    parts.join("; ")
}

impl Read {
    pub(crate) fn rel(self) -> RelId {
        match self {
            Read::Row(rel, _) | Read::Between(rel, _, _) | Read::All(rel) => rel,
        }
    }

    pub(crate) fn result(self, view: View<'_>) -> String {
        let shape = view.shape(self.rel());
        match self {
            Read::Row(rel, pk) => format!("{shape}: {:?}", view.value(rel, pk)),
            // Nothing of the table: an empty range is in no read-set.
            Read::Between(_, lower, upper) if lower >= upper => "[]".into(),
            Read::Between(rel, lower, upper) => {
                let mut rows = view.rows(rel);
                rows.retain(|(_, value)| (lower..upper).contains(value));
                format!("{shape}: {rows:?}")
            }
            Read::All(rel) => format!("{shape}: {:?}", view.rows(rel)),
        }
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

/// What a writer publishes for what it did, undone or not. Empty: nothing.
pub(crate) fn write_set(done: &[Done], images: Images) -> WriteSet {
    let mut set = WriteSetBuilder::default();
    for done in done.iter().filter(|done| done.captured) {
        match done.change {
            Change::Row { rel, pk, old, new } => {
                let both = match images {
                    Images::Both => [old, new],
                    Images::New => [new, new],
                    Images::WithoutKeys => {
                        set.row(rel, image(pk, vec![]));
                        continue;
                    }
                    Images::Table => {
                        set.table(rel);
                        continue;
                    }
                };
                for value in both.into_iter().flatten() {
                    set.row(rel, image(pk, vec![(INDEX, vec![value])]));
                }
            }
            Change::Truncate { rel } | Change::Reshape { rel } => set.table(rel),
            Change::Capture { .. } => {}
        }
    }
    set.build()
}

fn image(pk: Pk, keys: Vec<(IndexId, Vec<u8>)>) -> RowImage {
    RowImage {
        pk: Some(vec![pk]),
        keys,
        changed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_its_text() {
        let all = [
            Query::Row(1, 3),
            Query::Between(2, 1, 7),
            Query::All(1),
            Query::Both,
        ];
        for query in all {
            assert_eq!(Query::parse(&query.to_string()), Some(query));
        }
        assert_eq!(Query::parse("row"), None);
    }
}
