//! The JSON encodings of values: the exact one of the wire and the store, the lossy clean one, and the
//! one of exports.
//!
//! | value | exact | clean | export |
//! |---|---|---|---|
//! | finite float but `-0` | number | number | number |
//! | `-0`, infinities, NaN | `{"$float": base64 of 8 bytes, little-endian}` | `0`, `"Infinity"`, ... | as exact |
//! | int64 | `{"$integer": base64 of 8 bytes, little-endian}` | decimal string | integer |
//! | bytes | `{"$bytes": base64}` | base64 string | as exact |
//!
//! The special keys count only in an object that has no other key. `undefined`, where it may stand,
//! is `{"$undefined": null}`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::limits::{FieldNameError, MAX_VALUE_NESTING, check_field_name};
use crate::value::Value;

/// Why a JSON text or tree is not the encoding of a value.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("Invalid JSON: {0}. Pass the JSON encoding of a value.")]
    Syntax(#[from] serde_json::Error),
    /// A field name is not allowed.
    #[error(transparent)]
    FieldName(#[from] FieldNameError),
    /// A special object such as `{"$integer": ...}` has the wrong content.
    #[error("Malformed {key} field: {reason}.")]
    Malformed {
        /// The special key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An encoding that used to exist or is not supported here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Arrays and objects are nested too deep.
    #[error("Value is too nested (maximum nesting {MAX_VALUE_NESTING}).")]
    TooNested,
    /// `undefined` where a value is needed.
    #[error(
        "undefined is not a valid Convex value. To learn about supported types, see \
         https://docs.convex.dev/using/types."
    )]
    Undefined,
    /// Something other than an object where an object is needed.
    #[error("Expected an object, got {0}.")]
    NotAnObject(String),
}

impl Value {
    /// Decodes the exact encoding.
    ///
    /// # Errors
    /// If a field name, a special object or the nesting breaks the rules of the encoding.
    pub fn from_json(json: Json) -> Result<Value, JsonError> {
        from_json_at(json, 0)
    }

    /// Decodes the exact encoding from text.
    ///
    /// # Errors
    /// As [`Value::from_json`], and if `text` is not JSON.
    pub fn parse_encoded(text: &str) -> Result<Value, JsonError> {
        Value::from_json(serde_json::from_str(text)?)
    }

    /// What an object of the exact encoding stands for, given its decoded fields: a special object
    /// such as `{"$integer": ...}`, or else an object.
    ///
    /// # Errors
    /// If a field name or the content of a special object breaks the rules of the encoding.
    pub fn from_encoded_fields(fields: BTreeMap<String, Value>) -> Result<Value, JsonError> {
        if fields.len() == 1
            && let Some((key, content)) = fields.first_key_value()
            && let Some(special) = from_special(key, content)?
        {
            return Ok(special);
        }
        for name in fields.keys() {
            check_field_name(name)?;
        }
        Ok(Value::Object(fields))
    }

    /// The exact encoding as JSON text: keys sorted, no spaces, numbers as JavaScript prints them.
    /// Equal values give equal texts.
    pub fn to_encoded(&self) -> String {
        let mut out = String::new();
        self.write_encoded(&mut out);
        out
    }

    /// Appends [`Value::to_encoded`] to `out`.
    pub fn write_encoded(&self, out: &mut String) {
        write_json(self, out, &write_exact_scalar);
    }

    /// The clean encoding as JSON text: easy to read, but int64, bytes and special floats become
    /// strings and cannot be told from strings.
    pub fn to_clean_json(&self) -> String {
        let mut out = String::new();
        write_json(self, &mut out, &write_clean_scalar);
        out
    }
}

/// A form in which a client may ask for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The exact encoding.
    Encoded,
    /// The clean encoding.
    Clean,
    /// The encoding of exports: integers are numbers without a point, floats always have one or an exponent.
    Export,
}

impl Format {
    /// The format of this name, as requests write it; `None` if there is none.
    pub fn parse(name: &str) -> Option<Format> {
        match name {
            "convex_encoded_json" | "convex_json" => Some(Format::Encoded),
            "json" | "convex_clean_json" => Some(Format::Clean),
            "export_json" => Some(Format::Export),
            _ => None,
        }
    }

    /// The JSON text of a value.
    pub fn write(self, value: &Value) -> String {
        match self {
            Format::Encoded => value.to_encoded(),
            Format::Clean => value.to_clean_json(),
            Format::Export => {
                let mut out = String::new();
                write_json(value, &mut out, &write_export_scalar);
                out
            }
        }
    }
}

/// JSON text in which the escapes of halves of surrogate pairs, which no Unicode text has, stand for
/// NUL characters: no store that refuses the one takes the other, and the text can be parsed.
pub fn halves_as_nul(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        out.push_str(&rest[..at]);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\u0000");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            // The character after a backslash belongs to it, a second backslash too.
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out + rest
}

/// The UTF-16 unit of an escape `\uXXXX` at the beginning of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// Decodes the exact encoding of a value or of `undefined` (`{"$undefined": null}`, `None`).
///
/// # Errors
/// As [`Value::from_json`].
pub fn parse_optional(json: Json) -> Result<Option<Value>, JsonError> {
    if is_undefined(&json) {
        Ok(None)
    } else {
        Value::from_json(json).map(Some)
    }
}

/// Decodes an object whose top-level fields may be `undefined` (`None`): the argument of a patch,
/// where `undefined` deletes the field.
///
/// # Errors
/// As [`Value::from_json`], and if `json` is not an object.
pub fn parse_patch(json: Json) -> Result<BTreeMap<String, Option<Value>>, JsonError> {
    let fields = match json {
        Json::Object(fields) => fields,
        other => return Err(JsonError::NotAnObject(abbreviate(&other.to_string()))),
    };
    let mut patch = BTreeMap::new();
    for (key, field) in fields {
        check_field_name(&key)?;
        patch.insert(key, parse_optional(field)?);
    }
    Ok(patch)
}

/// The exact encoding of a value or of `undefined`; the inverse of [`parse_optional`].
pub fn encode_optional(value: Option<&Value>) -> String {
    value.map_or_else(|| r#"{"$undefined":null}"#.to_owned(), Value::to_encoded)
}

/// The exact encoding of an object of these fields.
pub fn encode_object(fields: &BTreeMap<&str, &Value>) -> String {
    let mut out = "{".to_owned();
    for (position, (key, field)) in fields.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_string(key, &mut out);
        out.push(':');
        field.write_encoded(&mut out);
    }
    out + "}"
}

/// At most 200 characters of `text`, for error messages.
pub(crate) fn abbreviate(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_undefined(json: &Json) -> bool {
    json.as_object()
        .is_some_and(|fields| fields.len() == 1 && fields.get("$undefined") == Some(&Json::Null))
}

fn from_json_at(json: Json, depth: usize) -> Result<Value, JsonError> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(truth) => Ok(Value::Boolean(truth)),
        Json::Number(number) => {
            // Every number of a JSON text is a float to JavaScript, however it is written.
            let float = number.as_f64().ok_or(JsonError::Malformed {
                key: "number",
                reason: format!("{number} is out of range for a float64"),
            })?;
            Ok(Value::Float64(float))
        }
        Json::String(text) => Ok(Value::String(text)),
        Json::Array(items) => {
            let depth = deeper(depth)?;
            let items = items.into_iter().map(|item| from_json_at(item, depth));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        Json::Object(fields) => {
            let inner = deeper(depth).or_else(|error| {
                // A special object is a scalar: it may stand where nothing may be nested further.
                if fields.len() == 1 && fields.keys().all(|key| key.starts_with('$')) {
                    Ok(depth)
                } else {
                    Err(error)
                }
            })?;
            let mut object = BTreeMap::new();
            for (key, field) in fields {
                object.insert(key, from_json_at(field, inner)?);
            }
            Value::from_encoded_fields(object)
        }
    }
}

fn deeper(depth: usize) -> Result<usize, JsonError> {
    if depth >= MAX_VALUE_NESTING {
        Err(JsonError::TooNested)
    } else {
        Ok(depth + 1)
    }
}

/// The value that an object with one special key stands for; `None` if the key is not special.
fn from_special(key: &str, content: &Value) -> Result<Option<Value>, JsonError> {
    match key {
        "$integer" => {
            let bytes = eight_bytes("$integer", content)?;
            Ok(Some(Value::Int64(i64::from_le_bytes(bytes))))
        }
        "$float" => {
            let float = f64::from_le_bytes(eight_bytes("$float", content)?);
            if is_special_float(float) {
                return Ok(Some(Value::Float64(float)));
            }
            let reason = format!("the float {float} should be encoded as a number");
            Err(JsonError::Malformed {
                key: "$float",
                reason,
            })
        }
        "$bytes" => Ok(Some(Value::Bytes(from_base64("$bytes", content)?))),
        "$undefined" if *content == Value::Null => Err(JsonError::Undefined),
        "$commitTs" => Err(JsonError::Unsupported(
            "Commit timestamps (`db.vars.commitTs`) are not supported. Store `Date.now()` or rely \
             on `_creationTime` instead.",
        )),
        "$set" => Err(JsonError::Unsupported(
            "Received a Set, which is not a Convex type: use an array.",
        )),
        "$map" => Err(JsonError::Unsupported(
            "Received a Map, which is not a Convex type: use an object or an array of pairs.",
        )),
        _ => Ok(None),
    }
}

fn eight_bytes(key: &'static str, content: &Value) -> Result<[u8; 8], JsonError> {
    let bytes = from_base64(key, content)?;
    let count = bytes.len();
    <[u8; 8]>::try_from(bytes).map_err(|_| JsonError::Malformed {
        key,
        reason: format!("received {count} bytes, expected 8"),
    })
}

fn from_base64(key: &'static str, content: &Value) -> Result<Vec<u8>, JsonError> {
    let malformed = |reason: String| JsonError::Malformed { key, reason };
    let Value::String(text) = content else {
        return Err(malformed("expected a base64 string".to_owned()));
    };
    STANDARD
        .decode(text)
        .map_err(|error| malformed(error.to_string()))
}

fn is_special_float(float: f64) -> bool {
    !float.is_finite() || is_negative_zero(float)
}

fn is_negative_zero(float: f64) -> bool {
    float == 0.0 && float.is_sign_negative()
}

/// Writes the structure common to both encodings; `scalar` writes everything else.
fn write_json(value: &Value, out: &mut String, scalar: &impl Fn(&Value, &mut String)) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_json(item, out, scalar);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (position, (key, field)) in fields.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_json(field, out, scalar);
            }
            out.push('}');
        }
        Value::Null
        | Value::Int64(_)
        | Value::Float64(_)
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_) => scalar(value, out),
    }
}

fn write_exact_scalar(value: &Value, out: &mut String) {
    match value {
        Value::Int64(number) => write_special("$integer", &number.to_le_bytes(), out),
        Value::Float64(float) if is_special_float(*float) => {
            write_special("$float", &float.to_le_bytes(), out);
        }
        Value::Bytes(bytes) => write_special("$bytes", bytes, out),
        other => write_plain_scalar(other, out),
    }
}

fn write_clean_scalar(value: &Value, out: &mut String) {
    match value {
        Value::Int64(number) => push_display(format_args!("\"{number}\""), out),
        Value::Float64(float) if float.is_nan() => out.push_str("\"NaN\""),
        Value::Float64(float) if float.is_infinite() => {
            out.push_str(if *float > 0.0 {
                "\"Infinity\""
            } else {
                "\"-Infinity\""
            });
        }
        Value::Bytes(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        other => write_plain_scalar(other, out),
    }
}

fn write_export_scalar(value: &Value, out: &mut String) {
    match value {
        Value::Int64(number) => push_display(format_args!("{number}"), out),
        Value::Float64(float) => {
            let start = out.len();
            write_exact_scalar(value, out);
            let is_digits = out[start..]
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'-');
            if float.is_finite() && is_digits {
                out.push_str(".0");
            }
        }
        other => write_exact_scalar(other, out),
    }
}

fn write_plain_scalar(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Float64(float) => write_number(*float, out),
        Value::String(text) => write_string(text, out),
        Value::Int64(_) | Value::Bytes(_) | Value::Array(_) | Value::Object(_) => {
            unreachable!("written by the callers")
        }
    }
}

fn write_special(key: &str, bytes: &[u8], out: &mut String) {
    out.push_str("{\"");
    out.push_str(key);
    out.push_str("\":\"");
    STANDARD.encode_string(bytes, out);
    out.push_str("\"}");
}

/// Appends a JSON string literal, escaped as `JSON.stringify` does.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut copied = 0;
    for (position, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[copied..position]);
        copied = position + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => push_display(format_args!("\\u{control:04x}"), out),
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

/// Appends a finite float as ECMAScript's `Number::toString` (ECMA-262, 6.1.6.1.20) prints it: the
/// shortest digits that read back exactly, `-0` as `0`.
fn write_number(float: f64, out: &mut String) {
    const LARGEST_PLAIN: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() < LARGEST_PLAIN {
        #[allow(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
        push_display(format_args!("{}", float as i64), out);
        return;
    }
    if float < 0.0 {
        out.push('-');
    }
    let (digits, point) = shortest_digits(float.abs());
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if count <= point && point <= 21 {
        out.push_str(&digits);
        out.extend((count..point).map(|_| '0'));
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(point.unsigned_abs() as usize);
        push_display(format_args!("{whole}.{fraction}"), out);
    } else if -6 < point && point <= 0 {
        out.push_str("0.");
        out.extend((point..0).map(|_| '0'));
        out.push_str(&digits);
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if point < 1 { '-' } else { '+' };
        let exponent = (point - 1).unsigned_abs();
        push_display(format_args!("{first}{dot}{rest}e{sign}{exponent}"), out);
    }
}

/// The shortest digits that read back as a positive finite float, the nearest to it if there are
/// several, and the place of the decimal point: `0.digits * 10^point`. Taken from what `serde_json`
/// prints, which breaks ties as JavaScript engines do (the standard library does not).
fn shortest_digits(float: f64) -> (String, i32) {
    let printed = Json::from(float).to_string();
    let (mantissa, exponent) = printed.split_once('e').unwrap_or((&printed, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading = all.len() - digits.len();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shift = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let point = exponent + shift(whole.len()) - shift(leading);
    (digits.trim_end_matches('0').to_owned(), point)
}

fn push_display(arguments: std::fmt::Arguments<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let written = out.write_fmt(arguments);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_value, object};
    use proptest::prelude::*;

    fn encoded(value: &Value) -> String {
        value.to_encoded()
    }

    #[test]
    fn encodes_like_the_client() {
        assert_eq!(encoded(&Value::Int64(1)), r#"{"$integer":"AQAAAAAAAAA="}"#);
        assert_eq!(encoded(&Value::Int64(-1)), r#"{"$integer":"//////////8="}"#);
        assert_eq!(
            encoded(&Value::Float64(-0.0)),
            r#"{"$float":"AAAAAAAAAIA="}"#
        );
        assert_eq!(
            encoded(&Value::Float64(f64::INFINITY)),
            r#"{"$float":"AAAAAAAA8H8="}"#
        );
        assert_eq!(encoded(&Value::Bytes(vec![1, 2])), r#"{"$bytes":"AQI="}"#);
        let value = object(&[
            ("b", Value::Null),
            ("a", Value::Array(vec![Value::from(true)])),
        ]);
        assert_eq!(encoded(&value), r#"{"a":[true],"b":null}"#);
    }

    #[test]
    fn numbers_look_like_javascript() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-5.0, "-5"),
            (0.1, "0.1"),
            (-1_144_232_160_556_944.2, "-1144232160556944.2"),
            (-1.5, "-1.5"),
            (123.456, "123.456"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e21, "1.5e+21"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.25e-7, "1.25e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1_700_000_000_000.123_4, "1700000000000.1233"),
        ];
        for (number, text) in cases {
            assert_eq!(encoded(&Value::Float64(number)), text);
        }
    }

    #[test]
    fn strings_are_escaped() {
        let value = Value::from("a\"\\\n\r\t\u{8}\u{c}\u{1}\0é/\u{7f}");
        assert_eq!(
            encoded(&value),
            "\"a\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u0000é/\u{7f}\""
        );
    }

    #[test]
    fn clean_json_is_plain() {
        let value = object(&[
            ("bytes", Value::Bytes(vec![1, 2])),
            ("int", Value::Int64(-7)),
            ("nan", Value::Float64(f64::NAN)),
            ("neg", Value::Float64(f64::NEG_INFINITY)),
            ("zero", Value::Float64(-0.0)),
        ]);
        assert_eq!(
            value.to_clean_json(),
            r#"{"bytes":"AQI=","int":"-7","nan":"NaN","neg":"-Infinity","zero":0}"#
        );
    }

    #[test]
    fn formats_have_names() {
        let value = object(&[
            ("bytes", Value::Bytes(vec![1, 2])),
            ("int", Value::Int64(i64::MIN)),
            ("zero", Value::Float64(-0.0)),
        ]);
        let write = |name: &str| Format::parse(name).unwrap().write(&value);
        assert_eq!(
            write("export_json"),
            r#"{"bytes":{"$bytes":"AQI="},"int":-9223372036854775808,"zero":{"$float":"AAAAAAAAAIA="}}"#
        );
        assert_eq!(write("json"), value.to_clean_json());
        assert_eq!(write("convex_clean_json"), value.to_clean_json());
        assert_eq!(write("convex_encoded_json"), value.to_encoded());
        assert_eq!(write("convex_json"), value.to_encoded());
        assert_eq!(Format::parse("JSON"), None);
    }

    #[test]
    fn halves_of_pairs_become_nul() {
        for (json, mended) in [
            (r#"["\ud83d"]"#, r#"["\u0000"]"#),
            (
                r#"["\ud83d\ud83d\ude00\uDE00x"]"#,
                r#"["\u0000\ud83d\ude00\u0000x"]"#,
            ),
            (r#"["\\ud83d", "\\\ud83d"]"#, r#"["\\ud83d", "\\\u0000"]"#),
            (r#"["\ud83d\n\u00e9é\ud83"]"#, r#"["\u0000\n\u00e9é\ud83"]"#),
            ("\\", "\\"),
        ] {
            assert_eq!(halves_as_nul(json), mended);
        }
    }

    #[test]
    fn bad_encodings_are_refused() {
        for text in [
            "{",
            r#""\ud800""#,
            r#"{"$integer":1}"#,
            r#"{"$integer":"AQ=="}"#,
            r#"{"$integer":"?"}"#,
            r#"{"$float":"AAAAAAAA8D8="}"#,
            r#"{"$bytes":"A"}"#,
            r#"{"$undefined":null}"#,
            r#"{"$commitTs":null}"#,
            r#"{"$set":[]}"#,
            r#"{"$map":[]}"#,
            r#"{"$other":1}"#,
            r#"{"$integer":"AQAAAAAAAAA=","a":1}"#,
            r#"{"é":1}"#,
            "{\"a\\n\":1}",
            "1e999",
        ] {
            assert!(Value::parse_encoded(text).is_err(), "{text}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Value::parse_encoded(&deep(64)).is_ok());
        assert!(matches!(
            Value::parse_encoded(&deep(65)),
            Err(JsonError::TooNested)
        ));
    }

    #[test]
    fn undefined_is_known_where_it_may_stand() {
        let undefined = || serde_json::json!({"$undefined": null});
        assert_eq!(parse_optional(undefined()).unwrap(), None);
        assert_eq!(parse_optional(Json::Null).unwrap(), Some(Value::Null));
        assert_eq!(encode_optional(None), undefined().to_string());
        let patch = parse_patch(serde_json::json!({"a": undefined(), "b": 1})).unwrap();
        assert_eq!(patch["a"], None);
        assert_eq!(patch["b"], Some(Value::Float64(1.0)));
        assert!(parse_patch(Json::Null).is_err());
        assert!(parse_patch(serde_json::json!({"a": {"b": undefined()}})).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn exact_encoding_round_trips(value in any_value()) {
            let text = value.to_encoded();
            prop_assert_eq!(Value::parse_encoded(&text).unwrap(), value);
        }

        #[test]
        fn clean_encoding_is_json(value in any_value()) {
            prop_assert!(serde_json::from_str::<Json>(&value.to_clean_json()).is_ok());
        }

        #[test]
        fn floats_round_trip(bits in any::<u64>()) {
            let value = Value::Float64(f64::from_bits(bits));
            prop_assert_eq!(Value::parse_encoded(&value.to_encoded()).unwrap(), value);
        }

        #[test]
        fn parsing_never_panics(text in "[\\[\\]{}\":,$a-z0-9\\\\ ]{0,40}") {
            let _ = Value::parse_encoded(&text);
        }
    }
}
