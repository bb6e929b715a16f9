//! Where the documents of a query come from: the table, the index and the range of it.

use std::ops::Bound;
use std::rc::Rc;

use pg_live_values::query::{Order, QueryError, Source};
use pg_live_values::{FieldPath, IndexName, ResolvedRange, system_tables};

use crate::documents::catalog::{Catalog, Index, Table};
use crate::documents::read::{Direction, Scan};

/// The indexes that every table has, one that is yet to be made too.
const BY_CREATION_TIME: &str = "by_creation_time";
const BY_ID: &str = "by_id";

/// A source found in the catalog.
pub(crate) struct Found {
    /// The fields of the index, `_creationTime` among them.
    pub(crate) fields: Vec<FieldPath>,
    /// `None`: there are no such documents, and nothing to read.
    range: Option<Range>,
    direction: Direction,
}

struct Range {
    table: Rc<Table>,
    index: Index,
    range: ResolvedRange,
}

impl Found {
    /// Finds a source. The error is the message for the function.
    pub(crate) fn new(catalog: &Catalog, source: Source) -> Result<Found, String> {
        let (name, range, order) = match source {
            Source::FullTableScan { table, order } => {
                let index = BY_CREATION_TIME.to_owned();
                (IndexName { table, index }, None, order)
            }
            Source::IndexRange { range, order } => (range.index.clone(), Some(range), order),
            Source::Search { index, .. } => return Err(no_search(catalog, &index)),
        };
        let table = catalog.table(&name.table);
        let index = find_index(table, &name)?;
        let fields = match name.index.as_str() {
            BY_ID => vec![FieldPath::id()],
            _ => {
                let declared = index.map(|index| index.fields.clone()).unwrap_or_default();
                let implied = [FieldPath::creation_time()];
                declared.into_iter().chain(implied).collect()
            }
        };
        let range = match range {
            Some(range) => range.resolve(&fields).map_err(|error| error.to_string())?,
            None => ResolvedRange {
                prefix: Vec::new(),
                lower: Bound::Unbounded,
                upper: Bound::Unbounded,
            },
        };
        let range = table.zip(index).map(|(table, index)| Range {
            table: Rc::clone(table),
            index: index.clone(),
            range,
        });
        Ok(Found {
            fields,
            range,
            direction: match order {
                Order::Asc => Direction::Ascending,
                Order::Desc => Direction::Descending,
            },
        })
    }

    /// A scan that has read nothing yet; `at_most`: how many rows will be wanted, if that is known.
    pub(crate) fn scan(self, at_most: Option<usize>) -> Option<Scan> {
        let direction = self.direction;
        self.range
            .map(|at| Scan::new(&at.table, &at.index, at.range, direction, at_most))
    }

    /// Which way the source is read.
    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }
}

/// The index of a source; `None` if the table does not exist, but the index would with it.
fn find_index<'t>(
    table: Option<&'t Rc<Table>>,
    name: &IndexName,
) -> Result<Option<&'t Index>, String> {
    if let Some(table) = table {
        return table.queryable_index(&name.index).map(Some);
    }
    if system_tables::is_system_name(&name.table) && system_tables::number(&name.table).is_none() {
        return Err(format!(
            "There is no system table {}. There are _storage and _scheduled_functions.",
            name.table
        ));
    }
    match name.index.as_str() {
        BY_CREATION_TIME | BY_ID => Ok(None),
        _ => Err(QueryError::IndexNotFound(name.clone()).to_string()),
    }
}

/// Why a text search is refused.
fn no_search(catalog: &Catalog, name: &IndexName) -> String {
    let table = catalog.table(&name.table);
    if table.is_some_and(|table| table.index(&name.index).is_some()) {
        return format!(
            "IndexNotASearchIndexError: Index {name} is not a search index. Use `withIndex`."
        );
    }
    match table.and_then(|table| table.other_index(&name.index)) {
        Some("text") => format!(
            "Text search is not available in pg_live yet (see LIMITATIONS.md): index {name} is kept \
             in the schema, and cannot be queried."
        ),
        Some(kind) => format!(
            "IndexNotASearchIndexError: Index {name} is a {kind} index, not a text search index."
        ),
        None => QueryError::IndexNotFound(name.clone()).to_string(),
    }
}
