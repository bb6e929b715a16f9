//! Conditions of read-sets as SQL would say them.

use pg_live_readset::{Attribute, Attributes, Condition, RelId};
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::column::value_of_key;
use crate::pg::spi::{self, Access, Param};

/// What keys of columns begin with.
const NULL: &[u8] = &[0];
const NOT_NULL: &[u8] = &[1];
/// No key is so great.
const BEYOND: &[u8] = &[2];

/// A column of a table.
pub(super) struct Column {
    number: Attribute,
    name: String,
    of: pg_sys::Oid,
}

/// The columns of a table.
pub(super) fn columns(rel: RelId) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    spi::query(
        "SELECT attnum::pg_catalog.int4, pg_catalog.quote_ident(attname), atttypid FROM pg_catalog.pg_attribute
         WHERE attrelid = $1::pg_catalog.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        &[Param::Int8(rel.into())],
        Access::Read,
        |row| {
            let number: i32 = row.need(0)?;
            columns.push(Column {
                number: Attribute::try_from(number).unwrap_or_default(),
                name: row.need(1)?,
                of: row.need(2)?,
            });
            Ok(())
        },
    )?;
    Ok(columns)
}

/// The names of those that were read.
pub(super) fn names(columns: &[Column], read: Attributes) -> String {
    if read.is_all() {
        return "*".to_owned();
    }
    let read = columns.iter().filter(|column| read.contains(column.number));
    let names: Vec<&str> = read.map(|column| column.name.as_str()).collect();
    names.join(", ")
}

/// The name of a column, and what writes its keys.
fn column(columns: &[Column], number: Attribute) -> (&str, impl Fn(&[u8]) -> String) {
    let column = columns.iter().find(|one| one.number == number);
    let (name, of) = column.map_or(("?", pg_sys::InvalidOid), |column| {
        (column.name.as_str(), column.of)
    });
    let value = move |key: &[u8]| {
        let known = (of != pg_sys::InvalidOid).then(|| value_of_key(of, key));
        known.flatten().unwrap_or_else(|| hex(key))
    };
    (name, value)
}

/// Whether it is one key that fulfils it.
pub(super) fn is_equality(condition: &Condition) -> bool {
    let upper = condition.upper.as_deref();
    upper.is_some_and(|upper| is_next(&condition.lower, upper))
}

/// Equalities of the same column as SQL.
pub(super) fn one_of(columns: &[Column], conditions: &[&Condition]) -> String {
    let number = conditions.first().map_or(0, |first| first.attribute);
    let (name, value) = column(columns, number);
    let values: Vec<String> = conditions.iter().map(|one| value(&one.lower)).collect();
    format!("{name} IN ({})", values.join(", "))
}

/// A condition as SQL.
pub(super) fn describe(columns: &[Column], condition: &Condition) -> String {
    let (name, value) = column(columns, condition.attribute);
    let (lower, upper) = (&condition.lower, condition.upper.as_deref());
    match upper {
        Some(NOT_NULL) if lower == NULL => return format!("{name} IS NULL"),
        None if lower == BEYOND => return "false".to_owned(),
        None if lower == NOT_NULL => return format!("{name} IS NOT NULL"),
        Some(_) if is_equality(condition) => return format!("{name} = {}", value(lower)),
        Some(_) | None => {}
    }
    let mut parts = Vec::new();
    if lower != NOT_NULL {
        // What ends in a byte more than a key is the place behind it.
        let comparison = if is_behind(lower) { ">" } else { ">=" };
        parts.push(format!("{name} {comparison} {}", value(lower)));
    }
    if let Some(upper) = upper {
        let comparison = if is_behind(upper) { "<=" } else { "<" };
        parts.push(format!("{name} {comparison} {}", value(upper)));
    }
    parts.join(" AND ")
}

fn is_next(key: &[u8], other: &[u8]) -> bool {
    other.split_last() == Some((&0, key))
}

/// Keys of values of a fixed length have 1, 4, 8 or 16 bytes behind the first one.
fn is_behind(key: &[u8]) -> bool {
    matches!(key.len(), 3 | 6 | 10 | 18) && key.last() == Some(&0)
}

/// Bytes as text.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
