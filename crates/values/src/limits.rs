//! The limits on values and names, and the checks that report them.

use crate::json::abbreviate;
use crate::value::Value;

/// How deep arrays and objects of any value may be nested.
pub const MAX_VALUE_NESTING: usize = 64;
/// How deep arrays and objects of a document may be nested, the document itself included.
pub const MAX_DOCUMENT_NESTING: usize = 16;
/// The size of any value, in bytes of [`Value::size`].
pub const MAX_VALUE_BYTES: usize = 32 << 20;
/// The size of a document, in bytes of [`Value::size`].
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// The size of the arguments of a function, in bytes of [`Value::size`].
pub const MAX_ARGUMENT_BYTES: usize = 16 << 20;
/// The size of the result of a function, in bytes of [`Value::size`].
pub const MAX_RESULT_BYTES: usize = 16 << 20;
/// The number of fields of an object.
pub const MAX_OBJECT_FIELDS: usize = 1024;
/// The number of elements of an array.
pub const MAX_ARRAY_ELEMENTS: usize = 8192;
/// The length of a field name, in characters.
pub const MAX_FIELD_NAME_LENGTH: usize = 1024;
/// The length of the name of a table, an index or a component, in characters.
pub const MAX_IDENTIFIER_LENGTH: usize = 64;

/// Why a string cannot be the name of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldNameError {
    /// Longer than [`MAX_FIELD_NAME_LENGTH`].
    #[error(
        "Field name {}... exceeds maximum field name length {MAX_FIELD_NAME_LENGTH}.",
        .0.chars().take(64).collect::<String>()
    )]
    TooLong(String),
    /// Begins with `$`.
    #[error("Field name {0} starts with a '$', which is reserved.")]
    Dollar(String),
    /// Contains something other than printable ASCII.
    #[error(
        "Field name {0} has invalid character '{1}': Field names can only contain non-control \
         ASCII characters."
    )]
    Character(String, char),
    /// A field of a document, other than the system's own, begins with `_`.
    #[error(
        "Field name {0} starts with an underscore, which is only allowed for system fields like \
         '_id'. Rename the field."
    )]
    Underscore(String),
}

/// Why a value is too large, too deep or cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A value is larger than allowed.
    #[error("Value is too large ({} > maximum size {})", mebibytes(*.size), mebibytes(*.maximum))]
    TooLarge {
        /// The size in bytes.
        size: usize,
        /// The largest allowed size in bytes.
        maximum: usize,
    },
    /// A document is nested too deep.
    #[error(
        "Document is too nested (nested {0} levels deep > maximum nesting {MAX_DOCUMENT_NESTING})"
    )]
    DocumentTooNested(usize),
    /// A value is nested too deep.
    #[error("Value is too nested (nested {0} levels deep > maximum nesting {MAX_VALUE_NESTING})")]
    ValueTooNested(usize),
    /// An array has too many elements.
    #[error("Array length is too long ({0} > maximum length {MAX_ARRAY_ELEMENTS})")]
    ArrayTooLong(usize),
    /// An object has too many fields.
    #[error("Object has too many fields ({0} > maximum number {MAX_OBJECT_FIELDS})")]
    TooManyFields(usize),
    /// A field has a name that is not allowed.
    #[error(transparent)]
    FieldName(#[from] FieldNameError),
    /// A document is not an object.
    #[error("A document must be an object, got {0}.")]
    NotAnObject(String),
    /// A string that PostgreSQL cannot store.
    #[error(
        "The string in field `{0}` contains a NUL character (U+0000), which PostgreSQL cannot \
         store. Remove it, or store the data as bytes (`v.bytes()`)."
    )]
    Nul(String),
}

/// Bytes as `1.50 MiB`, whole numbers as `1 MiB`.
fn mebibytes(bytes: usize) -> String {
    const MEBIBYTE: usize = 1 << 20;
    if bytes.is_multiple_of(MEBIBYTE) {
        return format!("{} MiB", bytes / MEBIBYTE);
    }
    // Rounded up, so that a size just over its limit never prints as the limit.
    let hundredths = (bytes * 100).div_ceil(MEBIBYTE);
    format!("{}.{:02} MiB", hundredths / 100, hundredths % 100)
}

/// Checks a name as a field of any object.
///
/// # Errors
/// If it is too long, begins with `$` or is not printable ASCII.
pub fn check_field_name(name: &str) -> Result<(), FieldNameError> {
    if name.chars().nth(MAX_FIELD_NAME_LENGTH).is_some() {
        return Err(FieldNameError::TooLong(name.to_owned()));
    }
    if name.starts_with('$') {
        return Err(FieldNameError::Dollar(name.to_owned()));
    }
    match name.chars().find(|c| !matches!(c, ' '..='~')) {
        Some(bad) => Err(FieldNameError::Character(name.to_owned(), bad)),
        None => Ok(()),
    }
}

/// Whether `name` has the form of a table, index or component name: at most 64 characters
/// `[A-Za-z_][A-Za-z0-9_]*`, not only underscores.
pub fn is_identifier(name: &str) -> bool {
    name.len() <= MAX_IDENTIFIER_LENGTH
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().any(|b| b != b'_')
}

/// Checks what every value has to keep: the number of elements and fields, nesting and size.
///
/// # Errors
/// The first limit that the value breaks.
pub fn check_value(value: &Value) -> Result<(), LimitError> {
    let nesting = value.nesting();
    if nesting > MAX_VALUE_NESTING {
        return Err(LimitError::ValueTooNested(nesting));
    }
    check_counts(value)?;
    check_size(value, MAX_VALUE_BYTES)
}

/// Checks the arguments of a function (the object, not the array around it).
///
/// # Errors
/// As [`check_value`], with the limit of 16 MiB.
pub fn check_arguments(arguments: &Value) -> Result<(), LimitError> {
    check_value(arguments)?;
    check_size(arguments, MAX_ARGUMENT_BYTES)
}

/// Checks the result of a function.
///
/// # Errors
/// As [`check_value`], with the limit of 16 MiB.
pub fn check_result(result: &Value) -> Result<(), LimitError> {
    check_value(result)?;
    check_size(result, MAX_RESULT_BYTES)
}

/// Whether the exact encoding of a value shows at a glance that the value keeps the limits of results:
/// no nesting, array, object or size near them. A `false` says nothing; then the value itself is to be
/// checked. Reads each byte once and makes nothing, so it costs little where results are small.
pub fn surely_small(json: &str) -> bool {
    // An element takes two bytes at least and counts as nine.
    if json.len() > MAX_RESULT_BYTES / 9 * 2 {
        return false;
    }
    let (mut in_string, mut escaped) = (false, false);
    let mut commas = [0_usize; MAX_VALUE_NESTING];
    let mut depth = 0;
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                if depth == MAX_VALUE_NESTING {
                    return false;
                }
                commas[depth] = 0;
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth > 0 => {
                commas[depth - 1] += 1;
                if commas[depth - 1] == MAX_OBJECT_FIELDS {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

/// Checks a value that is to be stored as a document, with or without its system fields.
///
/// # Errors
/// If it is not an object, has a field that begins with `_` and is not `_id` or `_creationTime`, is
/// too large or too deep, or contains a NUL character, which PostgreSQL cannot store in text.
pub fn check_document(document: &Value) -> Result<(), LimitError> {
    let Value::Object(fields) = document else {
        return Err(LimitError::NotAnObject(abbreviate(&document.to_string())));
    };
    for name in fields.keys() {
        if name.starts_with('_') && !is_system_field(name) {
            return Err(FieldNameError::Underscore(name.clone()).into());
        }
    }
    let nesting = document.nesting();
    if nesting > MAX_DOCUMENT_NESTING {
        return Err(LimitError::DocumentTooNested(nesting));
    }
    // The system's own fields come on top, so that a full document can be changed, too.
    let own = fields.keys().filter(|name| !is_system_field(name)).count();
    if own > MAX_OBJECT_FIELDS {
        return Err(LimitError::TooManyFields(own));
    }
    fields.iter().try_for_each(|(name, field)| {
        check_field_name(name)?;
        check_counts(field)
    })?;
    check_size(document, MAX_DOCUMENT_BYTES)?;
    match find_nul(document) {
        Some(path) => Err(LimitError::Nul(path)),
        None => Ok(()),
    }
}

/// Whether `name` is one of the two fields that the system gives every document.
pub fn is_system_field(name: &str) -> bool {
    matches!(name, "_id" | "_creationTime")
}

fn check_size(value: &Value, maximum: usize) -> Result<(), LimitError> {
    let size = value.size();
    if size > maximum {
        Err(LimitError::TooLarge { size, maximum })
    } else {
        Ok(())
    }
}

fn check_counts(value: &Value) -> Result<(), LimitError> {
    match value {
        Value::Array(items) if items.len() > MAX_ARRAY_ELEMENTS => {
            Err(LimitError::ArrayTooLong(items.len()))
        }
        Value::Array(items) => items.iter().try_for_each(check_counts),
        Value::Object(fields) if fields.len() > MAX_OBJECT_FIELDS => {
            Err(LimitError::TooManyFields(fields.len()))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            check_field_name(name)?;
            check_counts(field)
        }),
        Value::Null
        | Value::Int64(_)
        | Value::Float64(_)
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_) => Ok(()),
    }
}

/// The path, such as `a.b[2]`, of the first string with a NUL character.
fn find_nul(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(position, item)| {
            find_nul(item).map(|rest| format!("[{position}]{}", dotted(&rest)))
        }),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, field)| find_nul(field).map(|rest| name.clone() + &dotted(&rest))),
        Value::Null | Value::Int64(_) | Value::Float64(_) | Value::Boolean(_) | Value::Bytes(_) => {
            None
        }
    }
}

fn dotted(rest: &str) -> String {
    if rest.is_empty() || rest.starts_with('[') {
        rest.to_owned()
    } else {
        format!(".{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_value, object};
    use proptest::prelude::*;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn field_names() {
        assert_eq!(check_field_name("a b"), Ok(()));
        assert_eq!(check_field_name(""), Ok(()));
        assert_eq!(check_field_name(&"x".repeat(1024)), Ok(()));
        assert!(matches!(
            check_field_name(&"x".repeat(1025)),
            Err(FieldNameError::TooLong(_))
        ));
        assert!(matches!(
            check_field_name("$a"),
            Err(FieldNameError::Dollar(_))
        ));
        let error = check_field_name("aé").unwrap_err().to_string();
        assert!(
            error.starts_with("Field name aé has invalid character 'é'"),
            "{error}"
        );
    }

    #[test]
    fn identifiers() {
        for good in ["a", "_a", "messages_2", "A"] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in ["", "_", "__", "1a", "a-b", "a b", "é", &"x".repeat(65)] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }

    #[test]
    fn documents() {
        let document = |field: Value| object(&[("_id", Value::from("x")), ("a", field)]);
        assert_eq!(check_document(&document(nested(15))), Ok(()));
        assert_eq!(
            check_document(&document(nested(16))),
            Err(LimitError::DocumentTooNested(17))
        );
        let error = check_document(&document(Value::Bytes(vec![0; 1 << 20]))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Value is too large (1.01 MiB > maximum size 1 MiB)"
        );
        let error = check_document(&object(&[("_a", Value::Null)]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("starts with an underscore"), "{error}");
        let full = |count: usize| {
            let own = (0..count).map(|n| (format!("f{n}"), Value::Null));
            Value::Object(own.chain([("_id".to_owned(), Value::from("x"))]).collect())
        };
        assert_eq!(check_document(&full(1024)), Ok(()));
        let error = check_document(&full(1025));
        assert_eq!(error, Err(LimitError::TooManyFields(1025)));
        assert!(matches!(
            check_document(&Value::Null),
            Err(LimitError::NotAnObject(_))
        ));
        let nul = object(&[("b", Value::Array(vec![Value::Null, Value::from("\0")]))]);
        assert_eq!(
            check_document(&document(nul)),
            Err(LimitError::Nul("a.b[1]".to_owned()))
        );
    }

    #[test]
    fn small_at_a_glance() {
        for small in [
            "null",
            "[]",
            r#"{"a":[1,2,{"b":"]]]]\\"[["}]}"#,
            &nested(64).to_encoded(),
        ] {
            assert!(surely_small(small), "{small}");
        }
        let wide = Value::Array(vec![Value::Null; 1025]).to_encoded();
        assert!(!surely_small(&wide));
        assert!(!surely_small(&nested(65).to_encoded()));
        assert!(!surely_small(&format!("\"{}\"", "x".repeat(4 << 20))));
    }

    proptest! {
        #[test]
        fn what_is_small_at_a_glance_keeps_the_limits(value in any_value(), wrap in 0_usize..80) {
            let value = (0..wrap).fold(value, |inner, _| Value::Array(vec![inner]));
            if surely_small(&value.to_encoded()) {
                prop_assert_eq!(check_result(&value), Ok(()));
            }
        }
    }

    #[test]
    fn counts() {
        assert_eq!(check_value(&Value::Array(vec![Value::Null; 8192])), Ok(()));
        assert_eq!(
            check_value(&Value::Array(vec![Value::Null; 8193])),
            Err(LimitError::ArrayTooLong(8193))
        );
        let fields = (0..1025).map(|n| (format!("f{n}"), Value::Null)).collect();
        let wide = Value::Array(vec![Value::Object(fields)]);
        assert_eq!(check_arguments(&wide), Err(LimitError::TooManyFields(1025)));
        assert_eq!(
            check_result(&nested(65)),
            Err(LimitError::ValueTooNested(65))
        );
        let large = Value::Bytes(vec![0; 17 << 20]);
        assert_eq!(check_value(&large), Ok(()));
        assert!(check_result(&large).is_err());
    }
}
