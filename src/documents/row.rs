//! Rows as documents and documents as rows, by the one rule: a field is in its column if it has one
//! and the column's type holds the value exactly; else it is under its name in `_extra`.

use std::collections::BTreeMap;

use pg_live_values::{ColumnType, Value, json, layout};

use crate::documents::catalog::{Table, quoted};
use crate::error::Result;
use crate::pg::datum;
use crate::pg::jsonb::Jsonb;
use crate::pg::spi::{Param, Row, Type};

/// The fields of the system in every document.
pub(crate) const ID: &str = "_id";
/// Milliseconds since 1970, as float64.
pub(crate) const CREATION_TIME: &str = "_creationTime";

/// The columns to select so that [`from_row`] reads a document.
pub(crate) fn select_list(table: &Table) -> String {
    let mut list = "_id, \"_creationTime\", _extra".to_owned();
    for column in &table.columns {
        list.push_str(", ");
        list.push_str(&quoted(&column.field));
    }
    list
}

/// The document in a row whose columns begin as [`select_list`] says.
pub(crate) fn from_row(table: &Table, row: &Row) -> Result<Value> {
    let mut fields = match row.datum(2) {
        Some(extra) => Jsonb::new(extra).fields()?,
        None => BTreeMap::new(),
    };
    fields.insert(ID.to_owned(), Value::String(row.need(0)?));
    fields.insert(CREATION_TIME.to_owned(), Value::Float64(row.need(1)?));
    let mut columns = Vec::with_capacity(table.columns.len());
    for (position, column) in table.columns.iter().enumerate() {
        let value = row
            .datum(3 + position)
            .map(|value| datum::to_value(row.type_oid(3 + position), value))
            .transpose()?;
        columns.push((column.field.as_str(), value));
    }
    Ok(Value::Object(layout::gather(fields, columns)))
}

/// A document laid out for its table: one parameter per column, and what is left for `_extra`.
pub(crate) struct Laid<'v> {
    columns: Vec<Option<&'v Value>>,
    json: Vec<Option<String>>,
    extra: Option<String>,
}

impl<'v> Laid<'v> {
    /// Lays out a document's own fields (`_id` and `_creationTime` are left out).
    pub(crate) fn new(table: &Table, document: &'v BTreeMap<String, Value>) -> Laid<'v> {
        let fields = document
            .iter()
            .filter(|(field, _)| *field != ID && *field != CREATION_TIME);
        let columns = table.columns.iter().map(|c| (c.field.as_str(), c.of));
        let layout::Laid { columns, rest } = layout::lay_out(fields, columns);
        let json = columns
            .iter()
            .zip(&table.columns)
            .map(|(value, column)| match column.of {
                ColumnType::Jsonb => value.map(Value::to_encoded),
                ColumnType::Text
                | ColumnType::Float8
                | ColumnType::Int8
                | ColumnType::Bool
                | ColumnType::Bytea => None,
            })
            .collect();
        Laid {
            json,
            columns,
            extra: (!rest.is_empty()).then(|| json::encode_object(&rest)),
        }
    }

    /// The parameters: `_extra` first, then the columns in the table's order.
    pub(crate) fn params(&self, table: &Table) -> Vec<Param<'_>> {
        let mut params = Vec::with_capacity(1 + self.columns.len());
        params.push(
            self.extra
                .as_deref()
                .map_or(Param::Null(Type::Text), Param::Text),
        );
        for ((value, json), column) in self.columns.iter().zip(&self.json).zip(&table.columns) {
            params.push(param(*value, json.as_deref(), column.of));
        }
        params
    }
}

fn param<'a>(value: Option<&'a Value>, json: Option<&'a str>, of: ColumnType) -> Param<'a> {
    let null = Param::Null(parameter_type(of));
    match (of, value) {
        (_, None) => null,
        (ColumnType::Jsonb, Some(_)) => json.map_or(null, Param::Text),
        (ColumnType::Text, Some(Value::String(text))) => Param::Text(text),
        (ColumnType::Float8, Some(Value::Float64(number))) => Param::Float8(*number),
        (ColumnType::Int8, Some(Value::Int64(number))) => Param::Int8(*number),
        (ColumnType::Bool, Some(Value::Boolean(flag))) => Param::Bool(*flag),
        (ColumnType::Bytea, Some(Value::Bytes(bytes))) => Param::Bytes(bytes),
        (
            ColumnType::Text
            | ColumnType::Float8
            | ColumnType::Int8
            | ColumnType::Bool
            | ColumnType::Bytea,
            Some(_),
        ) => unreachable!("ColumnType::holds accepted a value of another type"),
    }
}

/// The type of the parameter that carries a column; jsonb travels as text.
pub(crate) fn parameter_type(of: ColumnType) -> Type {
    match of {
        ColumnType::Text | ColumnType::Jsonb => Type::Text,
        ColumnType::Float8 => Type::Float8,
        ColumnType::Int8 => Type::Int8,
        ColumnType::Bool => Type::Bool,
        ColumnType::Bytea => Type::Bytes,
    }
}

/// The cast that turns the parameter into the column's type.
pub(crate) fn parameter_cast(of: ColumnType) -> &'static str {
    match of {
        ColumnType::Jsonb => "::pg_catalog.jsonb",
        ColumnType::Text
        | ColumnType::Float8
        | ColumnType::Int8
        | ColumnType::Bool
        | ColumnType::Bytea => "",
    }
}
