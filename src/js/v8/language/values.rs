//! Between [`Data`] and V8's values.

use deno_core::v8;

use super::super::convert::{short, string, text};
use super::super::ops::{throw, throw_type_error};
use super::super::ops_web::view_bytes;
use crate::js::routine::{Data, Names, Rows, Shape};

/// Deepest nesting of arrays and records.
const MAX_DEPTH: usize = 64;

/// A value for JavaScript; `None` if V8 has thrown.
pub(super) fn into_v8<'s>(
    scope: &v8::PinScope<'s, '_>,
    data: &Data,
) -> Option<v8::Local<'s, v8::Value>> {
    Some(match data {
        Data::Null => v8::null(scope).into(),
        Data::Bool(flag) => v8::Boolean::new(scope, *flag).into(),
        Data::Int(number) => v8::Integer::new(scope, *number).into(),
        Data::Float(number) => v8::Number::new(scope, *number).into(),
        Data::Big(number) => v8::BigInt::new_from_i64(scope, *number).into(),
        Data::Text(text) => long_string(scope, text)?.into(),
        Data::Bytes(bytes) => byte_array(scope, bytes)?,
        Data::Json(json) => v8::json::parse(scope, long_string(scope, json)?)?,
        Data::Array(items) => {
            let values: Option<Vec<_>> = items.iter().map(|item| into_v8(scope, item)).collect();
            v8::Array::new_with_elements(scope, &values?).into()
        }
        Data::Record(names, values) => {
            let keys = keys(scope, names)?;
            object(scope, &keys, values)?.into()
        }
    })
}

/// The rows of a result as an array of objects; `None` if V8 has thrown.
pub(super) fn rows_into_v8<'s>(
    scope: &v8::PinScope<'s, '_>,
    rows: &Rows,
) -> Option<v8::Local<'s, v8::Value>> {
    let keys = keys(scope, &rows.names)?;
    let objects: Option<Vec<v8::Local<v8::Value>>> = rows
        .rows
        .iter()
        .map(|row| Some(object(scope, &keys, row)?.into()))
        .collect();
    Some(v8::Array::new_with_elements(scope, &objects?).into())
}

fn long_string<'s>(scope: &v8::PinScope<'s, '_>, text: &str) -> Option<v8::Local<'s, v8::String>> {
    let made = string(scope, text);
    if made.is_none() {
        throw(scope, "the value is too long for a string of JavaScript");
    }
    made
}

fn byte_array<'s>(scope: &v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::Value>> {
    let global = scope.get_current_context().global(scope);
    let class = global.get(scope, short(scope, "Uint8Array").into())?;
    let class: v8::Local<v8::Function> = class.try_into().ok()?;
    // The constructor throws where the API would end the process: if there is no memory.
    let length = v8::Number::new(scope, bytes.len() as f64);
    let made = class.new_instance(scope, &[length.into()])?;
    let view: v8::Local<v8::ArrayBufferView> = made.try_into().ok()?;
    view_bytes(scope, view).copy_from_slice(bytes);
    Some(made.into())
}

fn keys<'s>(scope: &v8::PinScope<'s, '_>, names: &Names) -> Option<Vec<v8::Local<'s, v8::Name>>> {
    names
        .iter()
        .map(|name| {
            let key =
                v8::String::new_from_utf8(scope, name.as_bytes(), v8::NewStringType::Internalized)?;
            Some(key.into())
        })
        .collect()
}

fn object<'s>(
    scope: &v8::PinScope<'s, '_>,
    keys: &[v8::Local<'s, v8::Name>],
    values: &[Data],
) -> Option<v8::Local<'s, v8::Object>> {
    let object = v8::Object::new(scope);
    for (key, value) in keys.iter().zip(values) {
        let value = into_v8(scope, value)?;
        object.create_data_property(scope, *key, value)?;
    }
    Some(object)
}

/// A value of JavaScript; `None` if V8 has thrown, or does so here because the value does not fit.
pub(super) fn from_v8<'s>(
    scope: &v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    shape: &Shape,
) -> Option<Data> {
    nested(scope, value, shape, 0)
}

fn nested<'s>(
    scope: &v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    shape: &Shape,
    depth: usize,
) -> Option<Data> {
    if value.is_null_or_undefined() {
        return Some(Data::Null);
    }
    if depth > MAX_DEPTH {
        throw_type_error(scope, "the value is nested too deeply");
        return None;
    }
    match shape {
        Shape::Number => scalar(scope, value, false),
        Shape::Text => scalar(scope, value, true),
        Shape::Json => json(scope, value),
        Shape::Array(of) => array(scope, value, of, depth),
        Shape::Record(names, shapes) => record(scope, value, names, shapes, depth),
    }
}

fn refuse(scope: &v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>, wanted: &str) {
    let kind = if value.is_array() {
        "an array".to_owned()
    } else if value.is_typed_array() {
        "a typed array".to_owned()
    } else {
        let kind = value.type_of(scope).to_rust_string_lossy(scope);
        let article = if kind.starts_with(['o', 'u']) {
            "an"
        } else {
            "a"
        };
        format!("{article} {kind}")
    };
    throw_type_error(scope, &format!("{kind} cannot become {wanted}"));
}

fn scalar<'s>(
    scope: &v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    as_text: bool,
) -> Option<Data> {
    if let Ok(string) = v8::Local::<v8::String>::try_from(value) {
        return whole_text(scope, string).map(Data::Text);
    }
    if value.is_boolean() {
        return Some(Data::Bool(value.is_true()));
    }
    if value.is_number() {
        if as_text {
            let written = value.to_string(scope)?;
            return Some(Data::Text(written.to_rust_string_lossy(scope)));
        }
        if value.is_int32() {
            return value.int32_value(scope).map(Data::Int);
        }
        return value.number_value(scope).map(Data::Float);
    }
    if let Ok(big) = v8::Local::<v8::BigInt>::try_from(value) {
        if !as_text && let (number, true) = big.i64_value() {
            return Some(Data::Big(number));
        }
        let written = value.to_string(scope)?;
        return Some(Data::Text(written.to_rust_string_lossy(scope)));
    }
    if let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value)
        && (value.is_uint8_array() || value.is_data_view())
    {
        return Some(Data::Bytes(view_bytes(scope, view).to_vec()));
    }
    if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value)
        && let Some(view) = v8::Uint8Array::new(scope, buffer, 0, buffer.byte_length())
    {
        return Some(Data::Bytes(view_bytes(scope, view.into()).to_vec()));
    }
    if let Ok(date) = v8::Local::<v8::Date>::try_from(value) {
        return iso(scope, date);
    }
    refuse(
        scope,
        value,
        "a value of this SQL type; write it as a string",
    );
    None
}

/// The text of a string; throws if it holds half of a surrogate pair, which SQL cannot hold.
fn whole_text(scope: &v8::PinScope<'_, '_>, string: v8::Local<'_, v8::String>) -> Option<String> {
    let text = string.to_rust_string_lossy(scope);
    if text.contains(char::REPLACEMENT_CHARACTER) {
        let mut units = vec![0_u16; string.length()];
        string.write_v2(scope, 0, &mut units, v8::WriteFlags::empty());
        if String::from_utf16(&units).is_err() {
            throw(scope, "SQL cannot hold text with half of a surrogate pair");
            return None;
        }
    }
    Some(text)
}

/// The date as SQL reads it, in UTC.
fn iso(scope: &v8::PinScope<'_, '_>, date: v8::Local<'_, v8::Date>) -> Option<Data> {
    const MS_PER_DAY: i64 = 86_400_000;
    let ms = date.value_of();
    if !ms.is_finite() {
        throw_type_error(scope, "an invalid Date cannot become a value of SQL");
        return None;
    }
    // A Date holds at most 8.64e15 milliseconds, whole ones.
    let ms = ms as i64;
    let (days, rest) = (ms.div_euclid(MS_PER_DAY), ms.rem_euclid(MS_PER_DAY));
    let (year, month, day) = civil(days);
    let (shown, era) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    Some(Data::Text(format!(
        "{shown:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}+00{era}",
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1000 % 60,
        rest % 1000
    )))
}

/// Year, month and day of a day counted from 1970, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    // Years are counted from March on, so that a leap day ends one.
    let days = days + 719_468;
    let era = days.div_euclid(DAYS_PER_ERA);
    let of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn json<'s>(scope: &v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Option<Data> {
    let written = v8::json::stringify(scope, value)?;
    if written.length() == 0 || value.is_function() || value.is_symbol() {
        refuse(scope, value, "JSON");
        return None;
    }
    Some(Data::Text(written.to_rust_string_lossy(scope)))
}

fn array<'s>(
    scope: &v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    of: &Shape,
    depth: usize,
) -> Option<Data> {
    if let Ok(list) = v8::Local::<v8::Array>::try_from(value) {
        let items: Option<Vec<Data>> = (0..list.length())
            .map(|index| {
                let item = list.get_index(scope, index)?;
                let inner = item.is_array() && !matches!(of, Shape::Json);
                if inner {
                    array(scope, item, of, depth + 1)
                } else {
                    nested(scope, item, of, depth + 1)
                }
            })
            .collect();
        return items.map(Data::Array);
    }
    if value.is_string() {
        // Postgres' own notation, `{1,2}`.
        return text(scope, value).map(Data::Text);
    }
    refuse(scope, value, "an SQL array; use Array.from(...)");
    None
}

fn record<'s>(
    scope: &v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    names: &Names,
    shapes: &[Shape],
    depth: usize,
) -> Option<Data> {
    if value.is_string() {
        // Postgres' own notation, `(1,2)`.
        return text(scope, value).map(Data::Text);
    }
    let object = match v8::Local::<v8::Object>::try_from(value) {
        Ok(object) if !value.is_array() && !value.is_function() => object,
        _ => {
            refuse(
                scope,
                value,
                "a row; return an object with a member per column",
            );
            return None;
        }
    };
    refuse_unknown(scope, object, names)?;
    let keys = keys(scope, names)?;
    let values: Option<Vec<Data>> = keys
        .iter()
        .zip(shapes)
        .map(|(key, shape)| {
            let member = object.get(scope, (*key).into())?;
            nested(scope, member, shape, depth + 1)
        })
        .collect();
    values.map(|values| Data::Record(names.clone(), values))
}

/// Throws if the object has a member that is no column: a misspelt name must not become NULL.
fn refuse_unknown(
    scope: &v8::PinScope<'_, '_>,
    object: v8::Local<'_, v8::Object>,
    names: &Names,
) -> Option<()> {
    let members = object.get_own_property_names(scope, v8::GetPropertyNamesArgs::default())?;
    for index in 0..members.length() {
        let member = members.get_index(scope, index)?;
        let member = member.to_string(scope)?.to_rust_string_lossy(scope);
        if !names.iter().any(|name| **name == *member) {
            let columns = names.join(", ");
            let message = format!("the row has no column \"{member}\"; its columns are: {columns}");
            throw_type_error(scope, &message);
            return None;
        }
    }
    Some(())
}
