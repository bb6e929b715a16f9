//! The queries that clients ask, and what their results depend on.

use std::fmt;

use pg_live_readset::{
    Attributes, IndexId, ReadSet, ReadSetBuilder, RelId, RowImage, WriteSet, WriteSetBuilder,
};

use crate::bug::Bug;
use crate::columns::{Scan, Watched, changed, keys};
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
    /// Some columns of the rows that fulfil a condition.
    Scan(Scan),
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
    /// Columns under a condition.
    Scan(Scan),
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Row(rel, pk) => write!(f, "row {rel} {pk}"),
            Query::Between(rel, lower, upper) => write!(f, "between {rel} {lower} {upper}"),
            Query::All(rel) => write!(f, "all {rel}"),
            Query::Both => write!(f, "both"),
            Query::Scan(scan) => write!(f, "{scan}"),
        }
    }
}

impl Query {
    /// The query that was displayed so.
    pub(crate) fn parse(text: &str) -> Option<Query> {
        let mut words = text.split_ascii_whitespace();
        let kind = words.next();
        let rel = words.next().and_then(|word| word.parse().ok());
        if kind == Some("scan") {
            return Scan::parse(rel?, &mut words).map(Query::Scan);
        }
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
            Query::Scan(scan) => reads.push(Read::Scan(scan)),
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

    pub(crate) fn read_set(self, bug: Option<Bug>) -> ReadSet {
        let mut set = ReadSetBuilder::default();
        for read in self.reads() {
            match read {
                Read::Row(rel, pk) => set.key(rel, vec![pk]),
                Read::Between(rel, lower, upper) => {
                    set.range(rel, INDEX, vec![lower], Some(vec![upper]));
                }
                Read::All(rel) => set.table(rel),
                Read::Scan(scan) => scan.depends(&mut set, bug),
            }
        }
        let mut set = set.build();
        if bug == Some(Bug::DeploymentUnread) {
            set.entries.retain(|entry| entry.rel() != DEPLOYMENT);
        }
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
            Read::Scan(scan) => scan.rel,
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
            Read::Scan(scan) => scan.result(view),
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
pub(crate) fn write_set(
    done: &[Done],
    images: Images,
    watched: &Watched,
    bug: Option<Bug>,
) -> WriteSet {
    let mut set = WriteSetBuilder::default();
    for done in done.iter().filter(|done| done.captured) {
        match done.change {
            Change::Row { rel, pk, old, new } => {
                let changed = changed(pk, old, new, bug);
                let both = match images {
                    Images::Both => [old, new],
                    Images::New => [new, new],
                    Images::WithoutKeys => {
                        set.row(rel, image(pk, vec![], changed));
                        continue;
                    }
                    Images::Table => {
                        set.table(rel);
                        continue;
                    }
                };
                for value in both.into_iter().flatten() {
                    let mut keys = keys((rel, pk, value), watched, bug);
                    keys.push((INDEX, vec![value]));
                    set.row(rel, image(pk, keys, changed));
                }
            }
            Change::Truncate { rel } | Change::Reshape { rel } => set.table(rel),
            Change::Capture { .. } => {}
        }
    }
    set.build()
}

fn image(pk: Pk, keys: Vec<(IndexId, Vec<u8>)>, changed: Option<Attributes>) -> RowImage {
    RowImage {
        pk: Some(vec![pk]),
        keys,
        changed,
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
