//! SQL values as values of clients and back, by the rules of LANGUAGE js (`docs/reactive-sql.md`).

use std::collections::BTreeMap;

use pg_live_values::Value;

use crate::error::{Error, Result};
use crate::js::{Data, Names, Rows, Shape};

/// A value as clients see it: int8 is a BigInt, numeric a string, json what it stands for.
pub(crate) fn to_value(data: Data) -> Result<Value> {
    Ok(match data {
        Data::Null => Value::Null,
        Data::Bool(flag) => Value::Boolean(flag),
        Data::Int(number) => Value::Float64(number.into()),
        Data::Float(number) => Value::Float64(number),
        Data::Big(number) => Value::Int64(number),
        Data::Text(text) => Value::String(text),
        Data::Bytes(bytes) => Value::Bytes(bytes),
        Data::Json(json) => Value::parse_encoded(&json).map_err(|error| {
            Error::InvalidParameter(format!(
                "a JSON value that clients cannot be given: {error}"
            ))
        })?,
        Data::Array(items) => Value::Array(items.into_iter().map(to_value).collect::<Result<_>>()?),
        Data::Record(names, values) => record(&names, values)?,
    })
}

fn record(names: &Names, values: Vec<Data>) -> Result<Value> {
    let fields: Result<BTreeMap<String, Value>> = names
        .iter()
        .zip(values)
        .map(|(name, value)| Ok((name.to_string(), to_value(value)?)))
        .collect();
    Ok(Value::Object(fields?))
}

/// All rows as an array of objects.
pub(crate) fn rows_to_value(rows: Rows) -> Result<Value> {
    let names = rows.names;
    let rows = rows.rows.into_iter().map(|row| record(&names, row));
    Ok(Value::Array(rows.collect::<Result<_>>()?))
}

/// A value as what a parameter of that shape is made of.
pub(crate) fn to_data(value: &Value, shape: &Shape) -> Data {
    match (value, shape) {
        (Value::Null, _) => Data::Null,
        (_, Shape::Json) => Data::Json(value.to_encoded()),
        (Value::Boolean(flag), _) => Data::Bool(*flag),
        (Value::Int64(number), _) => Data::Big(*number),
        (Value::Float64(number), _) => to_number(*number),
        (Value::String(text), _) => Data::Text(text.clone()),
        (Value::Bytes(bytes), _) => Data::Bytes(bytes.clone()),
        (Value::Array(items), _) => {
            let inner = match shape {
                Shape::Array(inner) => inner,
                Shape::Number | Shape::Text | Shape::Json | Shape::Record(..) => shape,
            };
            let of = |item: &Value| match item {
                // One more dimension of the same array.
                Value::Array(_) if !matches!(inner, Shape::Json) => to_data(item, shape),
                _ => to_data(item, inner),
            };
            Data::Array(items.iter().map(of).collect())
        }
        (Value::Object(fields), Shape::Record(names, shapes)) => {
            let member = |(name, shape): (&std::rc::Rc<str>, &Shape)| {
                fields
                    .get(name.as_ref())
                    .map_or(Data::Null, |value| to_data(value, shape))
            };
            let members = names.iter().zip(shapes.iter()).map(member).collect();
            Data::Record(Names::clone(names), members)
        }
        (Value::Object(_), _) => Data::Record(Names::from([]), Vec::new()),
    }
}

fn to_number(number: f64) -> Data {
    #[allow(clippy::cast_possible_truncation)] // compared with what it came from
    let whole = number as i32;
    if f64::from(whole).to_bits() == number.to_bits() {
        Data::Int(whole)
    } else {
        Data::Float(number)
    }
}
