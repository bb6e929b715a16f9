//! Column values as document values.

use pgrx::FromDatum;
use pgrx::pg_sys;

use pg_live_values::Value;

use crate::error::{Error, Result};
use crate::pg::jsonb::Jsonb;

/// A column's value as a document value.
///
/// # Errors
/// For a type that documents do not use, and for jsonb that is not the wire's encoding.
pub(crate) fn to_value(type_oid: pg_sys::Oid, datum: pg_sys::Datum) -> Result<Value> {
    let value = match type_oid {
        pg_sys::TEXTOID | pg_sys::VARCHAROID => read::<String>(datum).map(Value::String),
        pg_sys::FLOAT8OID => read::<f64>(datum).map(Value::Float64),
        pg_sys::INT8OID => read::<i64>(datum).map(Value::Int64),
        pg_sys::BOOLOID => read::<bool>(datum).map(Value::Boolean),
        pg_sys::BYTEAOID => read::<Vec<u8>>(datum).map(Value::Bytes),
        pg_sys::JSONBOID => Some(Jsonb::new(datum).value()?),
        other => {
            return Err(Error::InvalidParameter(format!(
                "a document column cannot have the type with oid {}",
                other.to_u32()
            )));
        }
    };
    value.ok_or_else(|| Error::Catalog("unreadable column value".to_owned()))
}

/// A datum as `T`.
pub(crate) fn read<T: FromDatum>(datum: pg_sys::Datum) -> Option<T> {
    // SAFETY: the callers checked the datum's type against T.
    unsafe { T::from_datum(datum, false) }
}
