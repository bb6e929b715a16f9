//! The keys of documents in indexes, computed by Postgres from the columns of a row.

use pg_live_values::key::encode_component;
use pg_live_values::{FieldPath, Value};
use pgrx::pg_sys::{self, Datum, Oid};

use crate::error::{Error, Result};
use crate::pg::datum;
use crate::pg::function::Call;
use crate::pg::jsonb::Jsonb;

/// A field of an index: its path, the path's text as it was passed, and the type of its column.
struct Field {
    text: Vec<u8>,
    path: FieldPath,
    column: Oid,
}

/// The arguments that say which fields the key has: pairs from the second argument on.
struct Fields(Vec<Field>);

impl Fields {
    fn parse(call: &Call, count: usize) -> Result<Fields> {
        let time = 1 + 2 * count;
        call.expect_type(time, "_creationTime", pg_sys::FLOAT8OID)?;
        call.expect_type(time + 1, "_id", pg_sys::TEXTOID)?;
        let parse = |position: usize| {
            call.expect_type(position, "field", pg_sys::TEXTOID)?;
            let path: String = call.required(position, "field")?;
            Ok(Field {
                path: FieldPath::parse(&path).map_err(|error| {
                    Error::InvalidParameter(format!("field path {path}: {error}"))
                })?,
                column: call.argument_type(position + 1),
                text: path.into_bytes(),
            })
        };
        let fields = (0..count).map(|n| parse(1 + 2 * n));
        fields.collect::<Result<_>>().map(Fields)
    }

    fn are_those_of(&self, call: &Call, count: usize) -> bool {
        self.0.len() == count
            && self
                .0
                .iter()
                .enumerate()
                .all(|(n, field)| call.text(1 + 2 * n).is_some_and(|text| text == field.text))
    }
}

/// `live.index_key_v1(extra, field, column, ..., "_creationTime", _id) -> bytea`
pub(super) fn index_key(call: &mut Call) -> Result<Datum> {
    let arguments = call.len();
    if arguments < 3 || arguments.is_multiple_of(2) {
        return Err(Error::InvalidParameter(
            "live.index_key_v1 takes _extra, pairs of field and column, \"_creationTime\" and _id"
                .to_owned(),
        ));
    }
    let count = (arguments - 3) / 2;
    let fields = call.cached(
        |kept: &Fields| kept.are_those_of(call, count),
        || Fields::parse(call, count),
    )?;
    let extra = call.datum(0).map(Jsonb::new);
    let mut key = Vec::with_capacity(128);
    for (n, field) in fields.0.iter().enumerate() {
        let top = match (call.datum(2 + 2 * n), &extra) {
            (Some(column), _) => Some(datum::to_value(field.column, column)?),
            (None, Some(extra)) => extra.field(field.path.top())?,
            (None, None) => None,
        };
        let value = top.as_ref().and_then(|top| field.path.get_within(top));
        encode_component(&mut key, value);
    }
    let time = call.optional::<f64>(arguments - 2).map(Value::Float64);
    let id = call.optional::<String>(arguments - 1).map(Value::String);
    encode_component(&mut key, time.as_ref());
    encode_component(&mut key, id.as_ref());
    Ok(call.value(key))
}
