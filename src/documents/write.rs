//! Writes of documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pg_live_values::{DocumentId, Value};

use crate::documents::catalog::{Table, quoted};
use crate::documents::row::{Laid, parameter_cast};
use crate::error::Result;
use crate::pg::session;
use crate::pg::spi::{self, Param};

/// A new id for a document of the table with this number.
pub(crate) fn new_id(table_number: u32) -> String {
    let unix_ms = u64::try_from(session::now_us() / 1000).unwrap_or(0);
    DocumentId::new(table_number, unix_ms, rand::random()).encode()
}

/// Milliseconds since 1970 of the transaction's start; a thousandth more with each call in it, so
/// that the order of creation is the order of insertion.
pub(crate) fn creation_time() -> f64 {
    use std::cell::Cell;
    thread_local! {
        static LAST: Cell<(u32, i64, i64)> = const { Cell::new((0, 0, 0)) };
    }
    let (transaction, start) = (
        session::local_transaction(),
        session::transaction_start_us(),
    );
    let (last_transaction, last_start, last) = LAST.get();
    let next = if (last_transaction, last_start) == (transaction, start) {
        last + 1
    } else {
        start
    };
    LAST.set((transaction, start, next));
    next as f64 / 1000.0
}

/// Inserts a document and returns its id and creation time.
pub(crate) fn insert(table: &Table, fields: &BTreeMap<String, Value>) -> Result<(String, f64)> {
    insert_as(table, None, None, fields)
}

/// Inserts a document under an id and with a creation time that it may have already.
pub(crate) fn insert_as(
    table: &Table,
    id: Option<String>,
    time: Option<f64>,
    fields: &BTreeMap<String, Value>,
) -> Result<(String, f64)> {
    let id = id.unwrap_or_else(|| new_id(table.number));
    let time = time.unwrap_or_else(creation_time);
    let laid = Laid::new(table, fields);
    let mut params = vec![Param::Text(&id), Param::Float8(time)];
    params.extend(laid.params(table));
    spi::execute(&insert_sql(table), &params)?;
    Ok((id, time))
}

/// Replaces the fields of the document with this id.
pub(crate) fn update(table: &Table, id: &str, fields: &BTreeMap<String, Value>) -> Result<()> {
    let laid = Laid::new(table, fields);
    let mut params = vec![Param::Text(id)];
    params.extend(laid.params(table));
    spi::execute(&update_sql(table), &params)
}

/// Deletes the document with this id.
pub(crate) fn delete(table: &Table, id: &str) -> Result<()> {
    let sql = format!("DELETE FROM {} WHERE _id = $1", table.relation);
    spi::execute(&sql, &[Param::Text(id)])
}

fn insert_sql(table: &Table) -> String {
    let mut columns = "_id, \"_creationTime\", _extra".to_owned();
    let mut values = "$1, $2, $3::pg_catalog.jsonb".to_owned();
    for (position, column) in table.columns.iter().enumerate() {
        let _ = write!(columns, ", {}", quoted(&column.field));
        let _ = write!(values, ", ${}{}", position + 4, parameter_cast(column.of));
    }
    format!(
        "INSERT INTO {} ({columns}) VALUES ({values})",
        table.relation
    )
}

fn update_sql(table: &Table) -> String {
    let mut assignments = "_extra = $2::pg_catalog.jsonb".to_owned();
    for (position, column) in table.columns.iter().enumerate() {
        let cast = parameter_cast(column.of);
        let _ = write!(
            assignments,
            ", {} = ${}{cast}",
            quoted(&column.field),
            position + 3
        );
    }
    format!("UPDATE {} SET {assignments} WHERE _id = $1", table.relation)
}
