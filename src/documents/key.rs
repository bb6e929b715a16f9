//! Index keys of documents: the SQL expression that Postgres builds and the same bytes in Rust.

use std::collections::BTreeMap;

use pg_live_values::key::encode_key;
use pg_live_values::{FieldPath, Value};

use crate::documents::catalog::{BY_ID, Column, Index, literal, quoted};
use crate::documents::row::{CREATION_TIME, ID};

/// The SQL expression of an index over `fields`. It names the columns that exist now; a field that
/// gets a column later makes another expression, and so another index.
pub(crate) fn expression(fields: &[FieldPath], columns: &[Column]) -> String {
    let mut sql = "live.index_key_v1(_extra".to_owned();
    for field in fields {
        let path = field.to_string();
        let column = columns
            .iter()
            .find(|column| column.field == field.top())
            .map_or_else(|| "NULL::text".to_owned(), |column| quoted(&column.field));
        sql.push_str(&format!(", {}::text, {column}", literal(&path)));
    }
    sql.push_str(", \"_creationTime\", _id)");
    sql
}

/// The key of a document in an index. The document has its system fields.
pub(crate) fn of_document(index: &Index, document: &Value) -> Vec<u8> {
    let id = field(document, ID);
    if index.number == BY_ID {
        return encode_key([id]);
    }
    let fields = index.fields.iter().map(|path| path.get(document));
    encode_key(fields.chain([field(document, CREATION_TIME), id]))
}

fn field<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    match document {
        Value::Object(fields) => fields.get(name),
        Value::Null
        | Value::Int64(_)
        | Value::Float64(_)
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Array(_) => None,
    }
}

/// The fields of a document, or `None` if the value is not an object.
pub(crate) fn fields_of(document: Value) -> Option<BTreeMap<String, Value>> {
    match document {
        Value::Object(fields) => Some(fields),
        Value::Null
        | Value::Int64(_)
        | Value::Float64(_)
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Array(_) => None,
    }
}
