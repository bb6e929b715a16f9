//! jsonb as document values, without a detour over text.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::mem::MaybeUninit;

use pg_live_values::Value;
use pg_live_values::limits::MAX_VALUE_NESTING;
use pgrx::pg_sys;
use pgrx::pg_sys::{JsonbIteratorToken as Token, JsonbValue, jbvType};

use crate::error::{Error, Result};

/// A jsonb value, detoasted.
pub(crate) struct Jsonb {
    root: *mut pg_sys::JsonbContainer,
}

impl Jsonb {
    /// The value of a datum of type jsonb, which must not be NULL.
    pub(crate) fn new(datum: pg_sys::Datum) -> Jsonb {
        // SAFETY: the callers checked the datum's type; the detoasted copy (or the value itself)
        // lives as long as the caller's memory context, which outlives the call.
        let root = unsafe {
            let jsonb = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::Jsonb>();
            &raw mut (*jsonb).root
        };
        Jsonb { root }
    }

    /// The document value that the jsonb encodes.
    ///
    /// # Errors
    /// If it is not the exact encoding of a value.
    pub(crate) fn value(&self) -> Result<Value> {
        walk(self.root, 0)
    }

    /// The fields of the object that the jsonb encodes.
    ///
    /// # Errors
    /// If it is not the exact encoding of an object.
    pub(crate) fn fields(&self) -> Result<BTreeMap<String, Value>> {
        match self.value()? {
            Value::Object(fields) => Ok(fields),
            Value::Null
            | Value::Int64(_)
            | Value::Float64(_)
            | Value::Boolean(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Array(_) => Err(not_an_object()),
        }
    }

    /// One field of the object that the jsonb encodes; the others are not looked at.
    ///
    /// # Errors
    /// If the jsonb is not an object or the field is not the exact encoding of a value.
    pub(crate) fn field(&self, name: &str) -> Result<Option<Value>> {
        let mut found = MaybeUninit::<JsonbValue>::uninit();
        // SAFETY: `root` is a container; its header's flags say what it holds. The name is passed
        // with its length, and a value is written to `found` if the result is not null.
        let found = unsafe {
            if (*self.root).header & pg_sys::JB_FOBJECT == 0 {
                return Err(not_an_object());
            }
            let length = c_int::try_from(name.len()).unwrap_or(c_int::MAX);
            let value = pg_sys::getKeyJsonValueFromContainer(
                self.root,
                name.as_ptr().cast(),
                length,
                found.as_mut_ptr(),
            );
            value.as_ref()
        };
        found.map(|value| nested(value, 1)).transpose()
    }
}

fn not_an_object() -> Error {
    Error::InvalidParameter("_extra must hold a JSON object".to_owned())
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::InvalidParameter(format!("jsonb that is not a document value: {error}"))
}

/// A value within a container: a scalar, or a container of its own.
fn nested(value: &JsonbValue, depth: usize) -> Result<Value> {
    if value.type_ == jbvType::jbvBinary {
        // SAFETY: the tag says which member of the union is set.
        return walk(unsafe { value.val.binary.data }, depth);
    }
    scalar(value)
}

fn scalar(value: &JsonbValue) -> Result<Value> {
    // SAFETY: the tag says which member of the union is set; a string has `len` bytes.
    unsafe {
        match value.type_ {
            jbvType::jbvNull => Ok(Value::Null),
            jbvType::jbvBool => Ok(Value::Boolean(value.val.boolean)),
            jbvType::jbvNumeric => Ok(Value::Float64(float(value.val.numeric)?)),
            jbvType::jbvString => text(value).map(|text| Value::String(text.to_owned())),
            other => Err(Error::Catalog(format!("jsonb value of kind {other}"))),
        }
    }
}

/// The text of a string or a key.
///
/// # Safety
/// The value must be a string.
unsafe fn text(value: &JsonbValue) -> Result<&str> {
    // SAFETY: the caller promises a string, whose bytes live as long as the container.
    let bytes = unsafe {
        let string = value.val.string;
        std::slice::from_raw_parts(string.val.cast::<u8>(), string.len.max(0) as usize)
    };
    std::str::from_utf8(bytes).map_err(|error| unreadable(&error))
}

/// The nearest float of a number: what JavaScript reads from its text.
///
/// # Safety
/// `number` must be a numeric.
unsafe fn float(number: pg_sys::Numeric) -> Result<f64> {
    // SAFETY: the caller promises a numeric. What is too large comes back as infinity.
    let float = unsafe {
        pgrx::direct_function_call::<f64>(
            pg_sys::numeric_float8_no_overflow,
            &[Some(pg_sys::Datum::from(number.cast::<u8>()))],
        )
    };
    float
        .filter(|float| float.is_finite())
        .ok_or_else(|| unreadable(&"a number is out of range for a float64"))
}

/// What is being read: an array's elements, or an object's fields with the key of the next one.
enum Open {
    Array(Vec<Value>),
    Object(BTreeMap<String, Value>, Option<String>),
}

/// Reads a whole container. An error names the place within it.
fn walk(container: *mut pg_sys::JsonbContainer, depth: usize) -> Result<Value> {
    let mut open = Vec::new();
    read_into(container, depth, &mut open).map_err(|error| match (place(&open), error) {
        (Some(place), Error::InvalidParameter(why)) => {
            Error::InvalidParameter(format!("field `{place}`: {why}"))
        }
        (_, error) => error,
    })
}

/// The names of the fields that are being read, from the outside in; `None` outside of any.
fn place(open: &[Open]) -> Option<String> {
    let mut place = String::new();
    for container in open {
        match container {
            Open::Array(items) => place.push_str(&format!("[{}]", items.len())),
            Open::Object(_, key) => {
                let separator = if place.is_empty() { "" } else { "." };
                place.push_str(separator);
                place.push_str(key.as_deref().unwrap_or_default());
            }
        }
    }
    let place = place.trim_end_matches('.');
    (!place.is_empty()).then(|| place.to_owned())
}

fn read_into(
    container: *mut pg_sys::JsonbContainer,
    depth: usize,
    open: &mut Vec<Open>,
) -> Result<Value> {
    // SAFETY: the iterator runs over the container, which outlives this call, until its end. It
    // sets `value` for keys, elements and values; for the beginning of an array it says in `value`
    // whether a scalar stands alone.
    unsafe {
        let mut iterator = pg_sys::JsonbIteratorInit(container);
        let mut value = MaybeUninit::<JsonbValue>::zeroed().assume_init();
        loop {
            let finished = match pg_sys::JsonbIteratorNext(&mut iterator, &mut value, false) {
                // A scalar that stands alone comes as the only element of an array.
                Token::WJB_BEGIN_ARRAY if value.val.array.rawScalar => continue,
                Token::WJB_BEGIN_ARRAY => {
                    open.push(Open::Array(Vec::new()));
                    continue;
                }
                Token::WJB_BEGIN_OBJECT => {
                    open.push(Open::Object(BTreeMap::new(), None));
                    continue;
                }
                Token::WJB_KEY => {
                    if let Some(Open::Object(_, key)) = open.last_mut() {
                        *key = Some(text(&value)?.to_owned());
                    }
                    continue;
                }
                Token::WJB_ELEM | Token::WJB_VALUE => scalar(&value)?,
                Token::WJB_END_ARRAY | Token::WJB_END_OBJECT => close(open, depth)?,
                Token::WJB_DONE => return Err(Error::Catalog("unfinished jsonb value".to_owned())),
                other => return Err(Error::Catalog(format!("jsonb token {other}"))),
            };
            match open.last_mut() {
                Some(Open::Array(items)) => items.push(finished),
                Some(Open::Object(fields, key)) => {
                    fields.insert(key.take().unwrap_or_default(), finished);
                }
                None => return Ok(finished),
            }
        }
    }
}

/// Ends the innermost array or object. A special object is a scalar, so what is too deep can be told
/// only now.
fn close(open: &mut Vec<Open>, depth: usize) -> Result<Value> {
    let level = depth + open.len();
    let value = match open.pop() {
        Some(Open::Array(items)) => Value::Array(items),
        Some(Open::Object(fields, _)) => {
            Value::from_encoded_fields(fields).map_err(|error| unreadable(&error))?
        }
        None => return Err(Error::Catalog("unfinished jsonb value".to_owned())),
    };
    let container = matches!(value, Value::Array(_) | Value::Object(_));
    if container && level > MAX_VALUE_NESTING {
        return Err(unreadable(&"arrays and objects are nested too deep"));
    }
    Ok(value)
}
