//! From SQL to JavaScript.

use std::ffi::{CStr, c_char, c_int};

use pgrx::pg_sys;

use super::rows::RowType;
use super::types::{Converter, Element, Kind};
use crate::error::{Error, Result};
use crate::js::Data;
use crate::pg::datum::read;

/// Longest text of a point in time (`MAXDATELEN`).
const TIME_TEXT_BYTES: usize = 128;

impl Converter {
    /// A value for JavaScript.
    pub(crate) fn to_data(&self, datum: Option<pg_sys::Datum>) -> Result<Data> {
        let Some(datum) = datum else {
            return Ok(Data::Null);
        };
        let data = match &self.kind {
            Kind::Bool => read(datum).map(Data::Bool),
            Kind::Int2 => read::<i16>(datum).map(|number| Data::Int(number.into())),
            Kind::Int4 => read(datum).map(Data::Int),
            Kind::Oid => read::<pg_sys::Oid>(datum).map(|oid| Data::Float(oid.to_u32().into())),
            Kind::Int8 => read(datum).map(Data::Big),
            Kind::Float4 => read::<f32>(datum).map(|number| Data::Float(number.into())),
            Kind::Float8 => read(datum).map(Data::Float),
            Kind::Text => read(datum).map(Data::Text),
            Kind::Bytea => read(datum).map(Data::Bytes),
            Kind::Json => read(datum).map(Data::Json),
            Kind::Jsonb => Some(Data::Json(self.write(datum)?)),
            Kind::Time => Some(Data::Text(self.point_in_time(datum))),
            Kind::Array(element) => Some(array(element, datum)?),
            Kind::Row => Some(row(datum)?),
            Kind::Other => Some(Data::Text(self.write(datum)?)),
        };
        data.ok_or_else(|| Error::Defect("an unreadable value".to_owned()))
    }

    /// ISO 8601, in UTC: it does not depend on settings.
    fn point_in_time(&self, datum: pg_sys::Datum) -> String {
        let mut buffer = [0 as c_char; TIME_TEXT_BYTES + 1];
        let utc: c_int = 0;
        // SAFETY: the buffer has the size that the function is documented to need, and gets a C string.
        unsafe {
            pg_sys::JsonEncodeDateTime(buffer.as_mut_ptr(), datum, self.base, &raw const utc);
            CStr::from_ptr(buffer.as_ptr())
                .to_string_lossy()
                .into_owned()
        }
    }
}

/// An array as nested arrays, one level per dimension.
fn array(element: &Element, datum: pg_sys::Datum) -> Result<Data> {
    let (mut datums, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: the datum is an array of the element's type; what is read of it was just made in the current
    // memory context. The dimensions lie behind the fixed part of the header.
    let (items, sizes) = unsafe {
        let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        pg_sys::deconstruct_array(
            array,
            element.oid,
            c_int::from(element.length),
            element.by_value,
            element.alignment,
            &raw mut datums,
            &raw mut nulls,
            &raw mut count,
        );
        let count = usize::try_from(count).unwrap_or(0);
        let items: Result<Vec<Data>> = (0..count)
            .map(|index| {
                let value = (!*nulls.add(index)).then(|| *datums.add(index));
                element.of.to_data(value)
            })
            .collect();
        let dimensions = usize::try_from((*array).ndim).unwrap_or(0);
        let sizes = std::slice::from_raw_parts(array.add(1).cast::<c_int>(), dimensions);
        (items?, sizes.to_vec())
    };
    let mut items = items.into_iter();
    Ok(nest(&mut items, &sizes))
}

fn nest(items: &mut impl Iterator<Item = Data>, sizes: &[c_int]) -> Data {
    match sizes {
        [] => Data::Array(Vec::new()),
        [size] => {
            let size = usize::try_from(*size).unwrap_or(0);
            Data::Array(items.by_ref().take(size).collect())
        }
        [size, rest @ ..] => Data::Array((0..*size).map(|_| nest(items, rest)).collect()),
    }
}

/// A composite value as an object; it tells its own type.
fn row(datum: pg_sys::Datum) -> Result<Data> {
    // SAFETY: the datum is a composite value, which begins with its length, type and modifier.
    unsafe {
        let header =
            pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::HeapTupleHeaderData>();
        let fields = (*header).t_choice.t_datum;
        let mut tuple = pg_sys::HeapTupleData {
            t_len: u32::from_ne_bytes(fields.datum_len_.to_ne_bytes()) >> 2,
            t_data: header,
            ..Default::default()
        };
        let of = if fields.datum_typeid == pg_sys::RECORDOID {
            let description =
                pg_sys::lookup_rowtype_tupdesc_copy(fields.datum_typeid, fields.datum_typmod);
            std::rc::Rc::new(RowType::copied(description))
        } else {
            Converter::of(fields.datum_typeid, -1).row_type()?
        };
        of.to_data(&raw mut tuple)
    }
}
