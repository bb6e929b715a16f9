//! What a changed row publishes: its id and its key in every index.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pg_live_readset::{RelId, RowImage};
use pg_live_values::Value;

use crate::documents::catalog::{Catalog, Table};
use crate::documents::freshness;
use crate::documents::key;
use crate::documents::row::{CREATION_TIME, ID};
use crate::pg::datum;
use crate::pg::jsonb::Jsonb;
use crate::pg::session::{self, Statement};
use crate::pg::spi::Access;
use crate::pg::trigger::Row;
use crate::pg::tuple::Tuple;

/// The image of a row of a document table. `None` for any other row, and for one that cannot be
/// read as a document: the caller widens to the table.
///
/// The catalog is that of the writing statement's snapshot. If it is older than an index, the image
/// has no key for it and matches every range of it.
pub(crate) fn row_image(row: &Row<'_>) -> Option<RowImage> {
    let table = table(row.relation())?;
    image(&table, &Tuple::of(row))
}

/// Whether rows of a relation are documents, as the running statement sees the catalog.
pub(crate) fn is_table(rel: RelId) -> bool {
    table(rel).is_some()
}

/// The table of a relation as the running statement sees the catalog, looked up once per statement.
fn table(oid: RelId) -> Option<Rc<Table>> {
    type Kept = (Statement, RelId, Option<Rc<Table>>);
    thread_local! {
        static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
    }
    let statement = session::statement();
    let kept = KEPT.with_borrow(|kept| match kept {
        Some((of, rel, table)) if *of == statement && *rel == oid => Some(table.clone()),
        Some(_) | None => None,
    });
    if let Some(table) = kept {
        return table;
    }
    let catalog = match freshness::current() {
        Some(kept) => kept,
        // Whoever writes the table need not be allowed to read the catalog.
        None => session::as_superuser(|| Catalog::current(Access::Read)).ok()?,
    };
    let table = catalog.table_by_oid(oid).cloned();
    KEPT.set(Some((statement, oid, table.clone())));
    table
}

fn image(table: &Table, tuple: &Tuple) -> Option<RowImage> {
    let document = indexed_part(table, tuple)?;
    let keys = table
        .indexes
        .iter()
        .map(|index| (index.number, key::of_document(index, &document)))
        .collect();
    match key::fields_of(document).and_then(|mut fields| fields.remove(ID)) {
        Some(Value::String(id)) => Some(RowImage {
            pk: Some(id.into_bytes()),
            keys,
            changed: None,
        }),
        _ => None,
    }
}

/// Only what indexes look at: the fields in which their paths begin, `_id` and `_creationTime`.
fn indexed_part(table: &Table, tuple: &Tuple) -> Option<Value> {
    let extra = tuple.by_name("_extra")?.map(|(_, extra)| Jsonb::new(extra));
    let mut fields = BTreeMap::new();
    for name in [ID, CREATION_TIME] {
        let (of, value) = tuple.by_name(name)??;
        fields.insert(name.to_owned(), datum::to_value(of, value).ok()?);
    }
    for path in table.indexes.iter().flat_map(|index| &index.fields) {
        let field = path.top();
        if fields.contains_key(field) {
            continue;
        }
        let has_column = table.columns.iter().any(|column| column.field == field);
        let column = if has_column {
            tuple.by_name(field)?
        } else {
            None
        };
        let value = match (column, &extra) {
            (Some((of, value)), _) => Some(datum::to_value(of, value).ok()?),
            (None, Some(extra)) => extra.field(field).ok()?,
            (None, None) => None,
        };
        fields.extend(value.map(|value| (field.to_owned(), value)));
    }
    Some(Value::Object(fields))
}
