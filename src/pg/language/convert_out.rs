//! From JavaScript to SQL. Whatever is not of the type's own kind goes as text through its input function, so
//! that Postgres itself decides whether it fits.

use std::ffi::c_int;

use pgrx::{IntoDatum, pg_sys};

use super::types::{Converter, Element, Kind, c_string, kind_of};
use crate::error::{Error, Result};
use crate::js::Data;

impl Converter {
    /// A value of the type in the current memory context; `None` for NULL.
    pub(crate) fn to_datum(&self, data: &Data) -> Result<Option<pg_sys::Datum>> {
        let datum = match data {
            Data::Null => None,
            _ => Some(self.convert(data)?),
        };
        self.check(datum)?;
        Ok(datum)
    }

    fn convert(&self, data: &Data) -> Result<pg_sys::Datum> {
        if let Some(direct) = self.direct(data)? {
            return Ok(direct);
        }
        match data {
            Data::Bool(flag) => self.read(if *flag { "true" } else { "false" }),
            Data::Int(number) => self.read(&number.to_string()),
            Data::Float(number) => self.read(&number.to_string()),
            Data::Big(number) => self.read(&number.to_string()),
            Data::Text(text) | Data::Json(text) => self.read(text),
            Data::Null | Data::Bytes(_) | Data::Array(_) | Data::Record(..) => {
                Err(Error::DatatypeMismatch(format!(
                    "{} cannot become a value of type {}",
                    kind_of(data),
                    self.type_name()
                )))
            }
        }
    }

    /// The value if it is of the type's own kind.
    fn direct(&self, data: &Data) -> Result<Option<pg_sys::Datum>> {
        let exact = |number: f64| number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        Ok(match (&self.kind, data) {
            (Kind::Bool, Data::Bool(flag)) => flag.into_datum(),
            (Kind::Int4, Data::Int(number)) => number.into_datum(),
            (Kind::Int2, Data::Int(number)) => {
                i16::try_from(*number).ok().and_then(IntoDatum::into_datum)
            }
            (Kind::Int8, Data::Int(number)) => i64::from(*number).into_datum(),
            (Kind::Int8, Data::Big(number)) => number.into_datum(),
            #[allow(clippy::cast_possible_truncation)] // checked to be a whole number of 54 bits
            (Kind::Int8, Data::Float(number)) if exact(*number) => (*number as i64).into_datum(),
            (Kind::Oid, Data::Int(number)) => u32::try_from(*number)
                .ok()
                .and_then(|number| pg_sys::Oid::from(number).into_datum()),
            (Kind::Float8, Data::Int(number)) => f64::from(*number).into_datum(),
            (Kind::Float8, Data::Float(number)) => number.into_datum(),
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
            // rounding to the type's precision is what storing a number in it means
            (Kind::Float4, Data::Int(number)) => (*number as f32).into_datum(),
            #[allow(clippy::cast_possible_truncation)]
            // as above; an overflow goes to the input function
            (Kind::Float4, Data::Float(number))
                if (*number as f32).is_finite() == number.is_finite() =>
            {
                (*number as f32).into_datum()
            }
            (Kind::Text, Data::Text(text)) if self.typmod < 0 => {
                c_string(text)?;
                text.as_str().into_datum()
            }
            // JSON.stringify wrote it.
            (Kind::Json, Data::Text(json)) => json.as_str().into_datum(),
            (Kind::Bytea, Data::Bytes(bytes)) => bytes.as_slice().into_datum(),
            (Kind::Array(element), Data::Array(items)) => Some(array(element, items)?),
            (Kind::Row, Data::Record(_, values)) => Some(self.row_type()?.form(values)?),
            _ => None,
        })
    }
}

/// Whether a value that went to JavaScript has come back as it was.
pub(super) fn same(before: &Data, after: &Data) -> bool {
    match (before, after) {
        (Data::Int(a), Data::Float(b)) | (Data::Float(b), Data::Int(a)) => f64::from(*a) == *b,
        (Data::Float(a), Data::Float(b)) => a.to_bits() == b.to_bits(),
        (Data::Json(a), Data::Null) => a.trim() == "null",
        (Data::Json(a), Data::Text(b)) => {
            // What JSON.parse and JSON.stringify make of it, compared as values.
            let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
            matches!((parse(a), parse(b)), (Some(a), Some(b)) if same_json(&a, &b))
        }
        (Data::Array(a), Data::Array(b)) | (Data::Record(_, a), Data::Record(_, b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (a, b) => a == b,
    }
}

/// Whether two JSON values are the same to JavaScript, which has doubles only.
fn same_json(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same_json(a, b)))
        }
        (a, b) => a == b,
    }
}

/// An array, whose items are flattened.
fn array(element: &Element, items: &[Data]) -> Result<pg_sys::Datum> {
    let mut sizes = Vec::new();
    measure(items, &mut sizes);
    let mut datums = Vec::new();
    let mut nulls = Vec::new();
    flatten(element, items, &sizes, &mut datums, &mut nulls)?;
    if datums.is_empty() {
        // SAFETY: makes an array without elements, for any element type.
        let empty = unsafe { pg_sys::construct_empty_array(element.oid) };
        return Ok(pg_sys::Datum::from(empty));
    }
    let mut bounds = vec![1; sizes.len()];
    // SAFETY: there are as many datums as the product of the sizes, which `flatten` has checked; Postgres
    // refuses too many dimensions.
    unsafe {
        let array = pg_sys::construct_md_array(
            datums.as_mut_ptr(),
            nulls.as_mut_ptr(),
            c_int::try_from(sizes.len()).unwrap_or(c_int::MAX),
            sizes.as_mut_ptr(),
            bounds.as_mut_ptr(),
            element.oid,
            c_int::from(element.length),
            element.by_value,
            element.alignment,
        );
        Ok(pg_sys::Datum::from(array))
    }
}

/// The size of each dimension, going by the first items.
fn measure(items: &[Data], sizes: &mut Vec<c_int>) {
    sizes.push(c_int::try_from(items.len()).unwrap_or(c_int::MAX));
    if let Some(Data::Array(inner)) = items.first() {
        measure(inner, sizes);
    }
}

fn flatten(
    element: &Element,
    items: &[Data],
    sizes: &[c_int],
    datums: &mut Vec<pg_sys::Datum>,
    nulls: &mut Vec<bool>,
) -> Result<()> {
    let ragged = || Error::ArraySubscript;
    let (size, rest) = sizes.split_first().ok_or_else(ragged)?;
    if usize::try_from(*size) != Ok(items.len()) {
        return Err(ragged());
    }
    for item in items {
        match item {
            Data::Array(inner) => flatten(element, inner, rest, datums, nulls)?,
            _ if !rest.is_empty() => return Err(ragged()),
            _ => {
                let datum = element.of.to_datum(item)?;
                nulls.push(datum.is_none());
                datums.push(datum.unwrap_or(pg_sys::Datum::from(0)));
            }
        }
    }
    Ok(())
}
