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

/// The columns of a row, each with its type; `None` is NULL. `datum` must be of a composite type.
pub(crate) fn columns(datum: pg_sys::Datum) -> Vec<(pg_sys::Oid, Option<pg_sys::Datum>)> {
    // SAFETY: the callers checked that the datum is a composite; its header names its descriptor,
    // which is held while it is read. Values point into the row, which outlives the call.
    unsafe {
        let header =
            pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let descriptor = pg_sys::lookup_rowtype_tupdesc(
            pgrx::heap_tuple_header_get_type_id(header),
            pgrx::heap_tuple_header_get_typmod(header),
        );
        let count = (*descriptor).natts as usize;
        let types: Vec<pg_sys::Oid> = (*descriptor)
            .attrs
            .as_slice(count)
            .iter()
            .map(|a| a.atttypid)
            .collect();
        let (mut values, mut nulls) = (vec![pg_sys::Datum::from(0); count], vec![true; count]);
        let mut tuple = pg_sys::HeapTupleData {
            t_len: pgrx::heap_tuple_header_get_datum_length(header) as u32,
            t_data: header,
            ..pg_sys::HeapTupleData::default()
        };
        pg_sys::heap_deform_tuple(
            &mut tuple,
            descriptor,
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
        );
        if (*descriptor).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(descriptor);
        }
        let values = values
            .into_iter()
            .zip(nulls)
            .map(|(value, null)| (!null).then_some(value));
        types.into_iter().zip(values).collect()
    }
}
