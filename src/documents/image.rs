//! What a changed row publishes: its id and its key in every index.

use std::collections::BTreeMap;
use std::rc::Rc;

use pg_live_readset::{IndexId, RelId};
use pg_live_values::{ColumnType, Value};

use crate::documents::catalog::{Catalog, Table};
use crate::documents::row::{CREATION_TIME, ID, extra_fields};
use crate::documents::key;
use crate::pg::datum;
use crate::pg::spi::Access;
use crate::pg::tuple::Tuple;

/// Reads images of rows of one table of documents.
pub(crate) struct Imager {
    table: Rc<Table>,
}

/// An image: the primary key's bytes, and the row's key in each index.
pub(crate) type Image = (Vec<u8>, Vec<(IndexId, Vec<u8>)>);

impl Imager {
    /// For a relation; `None` if it is not a table of documents as far as this statement sees.
    pub(crate) fn for_relation(oid: RelId) -> Option<Imager> {
        let catalog = Catalog::current(Access::Read).ok()?;
        catalog.table_by_oid(oid).map(|table| Imager { table: Rc::clone(table) })
    }

    /// The image of a row; `None` if it is not readable as a document, so the caller widens.
    pub(crate) fn image(&self, tuple: &Tuple) -> Option<Image> {
        let document = self.document(tuple)?;
        let keys = self
            .table
            .indexes
            .iter()
            .map(|index| (index.number, key::of_document(index, &document)))
            .collect();
        let id = key::fields_of(document).and_then(|mut fields| fields.remove(ID));
        match id {
            Some(Value::String(id)) => Some((id.into_bytes(), keys)),
            _ => None,
        }
    }

    /// Only what indexes look at: their fields, `_id` and `_creationTime`.
    fn document(&self, tuple: &Tuple) -> Option<Value> {
        let mut fields = match tuple.by_name("_extra")? {
            Some((_, extra)) => extra_fields(datum::jsonb(extra).ok()?).ok()?,
            None => BTreeMap::new(),
        };
        for name in [ID, CREATION_TIME] {
            let (of, value) = tuple.by_name(name)??;
            fields.insert(name.to_owned(), datum::to_value(of, value).ok()?);
        }
        for column in &self.table.columns {
            if column.of == ColumnType::Jsonb && !self.is_indexed(&column.field) {
                continue;
            }
            if let Some((of, value)) = tuple.by_name(&column.field)? {
                fields.insert(column.field.clone(), datum::to_value(of, value).ok()?);
            }
        }
        Some(Value::Object(fields))
    }

    fn is_indexed(&self, field: &str) -> bool {
        self.table.indexes.iter().flat_map(|index| &index.fields).any(|path| path.top() == field)
    }
}
