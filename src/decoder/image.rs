//! The keys of a decoded row: in every index of its table, and in columns.

use std::collections::BTreeMap;

use pg_live_readset::{Attributes, RowImage};
use pg_live_values::Value;

use crate::capture::{Interest, Told};
use crate::documents::catalog::Table;
use crate::documents::key;
use crate::documents::row::{CREATION_TIME, ID};
use crate::pg::datum;
use crate::pg::decoding::{Column, Row};
use crate::pg::jsonb::Jsonb;

/// The image of a row, as far as anything is known of it: as a document, by the columns that live queries look at,
/// or both. A large value that the change has left as it was is taken from the old row. With `None` the whole table
/// counts as changed.
pub(super) fn of(
    table: Option<&Table>,
    interest: Option<&Interest>,
    row: &Row<'_>,
    old: Option<&Row<'_>>,
) -> Option<RowImage> {
    let document = table.and_then(|table| document(table, row, old));
    let Some(interest) = interest else {
        return document;
    };
    let mut image = document.unwrap_or_default();
    image.keys.extend(interest.keys(|number| {
        let column = match row.by_number(number) {
            Column::Unchanged => old.map_or(Column::Unchanged, |old| old.by_number(number)),
            known => known,
        };
        match column {
            Column::Null => Told::Null,
            Column::Value(_, value) => Told::Value(value),
            Column::Missing | Column::Unchanged => Told::Unknown,
        }
    }));
    Some(image)
}

/// Both rows of an update, with the columns in which they differ.
pub(super) fn of_pair(
    table: Option<&Table>,
    interest: Option<&Interest>,
    old: &Row<'_>,
    new: &Row<'_>,
) -> Option<[RowImage; 2]> {
    let changed: Option<Attributes> = interest.map(|_| new.differing(old));
    let before = of(table, interest, old, None)?;
    let after = of(table, interest, new, Some(old))?;
    Some([before, after].map(|image| RowImage { changed, ..image }))
}

fn document(table: &Table, row: &Row<'_>, old: Option<&Row<'_>>) -> Option<RowImage> {
    let document = Value::Object(indexed_fields(table, row, old)?);
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

/// What indexes look at: the fields in which their paths begin, `_id` and `_creationTime`.
fn indexed_fields(
    table: &Table,
    row: &Row<'_>,
    old: Option<&Row<'_>>,
) -> Option<BTreeMap<String, Value>> {
    let mut fields = BTreeMap::new();
    for name in [ID, CREATION_TIME] {
        let value = value(row, old, name)?;
        fields.insert(name.to_owned(), value?);
    }
    let extra = extra(row, old)?;
    for path in table.indexes.iter().flat_map(|index| &index.fields) {
        let field = path.top();
        if fields.contains_key(field) {
            continue;
        }
        let is_column = !matches!(row.by_name(field), Column::Missing);
        if is_column != table.columns.iter().any(|column| column.field == field) {
            // The table was redefined in some other way than by a deploy.
            return None;
        }
        let column = if is_column {
            value(row, old, field)?
        } else {
            None
        };
        let value = match (column, &extra) {
            (Some(value), _) => Some(value),
            (None, Some(extra)) => extra.field(field).ok()?,
            (None, None) => None,
        };
        fields.extend(value.map(|value| (field.to_owned(), value)));
    }
    Some(fields)
}

/// The column of a row, or of the old row if the WAL does not repeat it.
fn column(row: &Row<'_>, old: Option<&Row<'_>>, name: &str) -> Column {
    match row.by_name(name) {
        Column::Unchanged => old.map_or(Column::Unchanged, |old| old.by_name(name)),
        known => known,
    }
}

/// A column's value, `Some(None)` for NULL.
fn value(row: &Row<'_>, old: Option<&Row<'_>>, name: &str) -> Option<Option<Value>> {
    match column(row, old, name) {
        Column::Null => Some(None),
        Column::Value(of, value) => datum::to_value(of, value).ok().map(Some),
        Column::Missing | Column::Unchanged => None,
    }
}

fn extra(row: &Row<'_>, old: Option<&Row<'_>>) -> Option<Option<Jsonb>> {
    match column(row, old, "_extra") {
        Column::Null => Some(None),
        Column::Value(of, value) if of == pgrx::pg_sys::JSONBOID => Some(Some(Jsonb::new(value))),
        Column::Value(..) | Column::Missing | Column::Unchanged => None,
    }
}
