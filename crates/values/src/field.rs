//! Paths to fields within documents.

use std::fmt;

use crate::limits::{FieldNameError, check_field_name};
use crate::value::Value;

/// A path to a field, such as `author.name`. Arrays are not looked into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    /// The names from the outside in, at least one.
    segments: Vec<String>,
}

/// Why a string is not the path of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathError {
    /// Nothing before, between or after the dots.
    #[error("Invalid field path `{0}`: a field name is empty. Write it like `author.name`.")]
    Empty(String),
    /// A name that no field can have.
    #[error("Invalid field path `{path}`: {cause}")]
    Name {
        /// The whole path.
        path: String,
        /// What is wrong with the name.
        cause: FieldNameError,
    },
}

impl FieldPath {
    /// The path of the system field with the document's id.
    pub fn id() -> FieldPath {
        FieldPath {
            segments: vec!["_id".to_owned()],
        }
    }

    /// The path of the system field with the time of creation.
    pub fn creation_time() -> FieldPath {
        FieldPath {
            segments: vec!["_creationTime".to_owned()],
        }
    }

    /// Reads a path whose names are separated by dots.
    ///
    /// # Errors
    /// If a name is empty or not allowed for a field.
    pub fn parse(path: &str) -> Result<FieldPath, FieldPathError> {
        let mut segments = Vec::new();
        for name in path.split('.') {
            if name.is_empty() {
                return Err(FieldPathError::Empty(path.to_owned()));
            }
            check_field_name(name).map_err(|cause| FieldPathError::Name {
                path: path.to_owned(),
                cause,
            })?;
            segments.push(name.to_owned());
        }
        Ok(FieldPath { segments })
    }

    /// The names from the outside in, at least one.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The field of the document itself in which the path begins.
    pub fn top(&self) -> &str {
        &self.segments[0]
    }

    /// The value at the path, or `None` if any part of it is absent.
    pub fn get<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        descend(document, &self.segments)
    }

    /// As [`FieldPath::get`], from the value of the field in which the path begins.
    pub fn get_within<'v>(&self, top: &'v Value) -> Option<&'v Value> {
        descend(top, &self.segments[1..])
    }
}

fn descend<'v>(value: &'v Value, names: &[String]) -> Option<&'v Value> {
    names.iter().try_fold(value, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Null
        | Value::Int64(_)
        | Value::Float64(_)
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Array(_) => None,
    })
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;

    #[test]
    fn paths_lead_into_objects() {
        let document = object(&[
            ("a", object(&[("b", Value::Int64(1)), ("c", Value::Null)])),
            ("list", Value::Array(vec![Value::Null])),
        ]);
        let get = |path: &str| {
            let path = FieldPath::parse(path).unwrap();
            let found = path.get(&document);
            let top = FieldPath::parse(path.top()).unwrap();
            let within = top.get(&document).and_then(|top| path.get_within(top));
            assert_eq!(found, within);
            found.cloned()
        };
        assert_eq!(get("a.b"), Some(Value::Int64(1)));
        assert_eq!(get("a.c"), Some(Value::Null));
        assert_eq!(get("a.c.d"), None);
        assert_eq!(get("x"), None);
        assert_eq!(get("list.0"), None);
    }

    #[test]
    fn paths_are_checked() {
        for bad in ["", ".", "a.", ".a", "a..b", "$a", "a.$b", "é"] {
            assert!(FieldPath::parse(bad).is_err(), "{bad}");
        }
        let path = FieldPath::parse("a.b c").unwrap();
        assert_eq!((path.top(), path.to_string().as_str()), ("a", "a.b c"));
        assert_eq!(FieldPath::parse("_id"), Ok(FieldPath::id()));
        assert_eq!(
            FieldPath::parse("_creationTime"),
            Ok(FieldPath::creation_time())
        );
    }
}
