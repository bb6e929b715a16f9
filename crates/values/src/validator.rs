//! Validators: what `v.object({...})` and its kin stand for, read from JSON and shown as source.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use crate::json::{JsonError, abbreviate};
use crate::limits::{FieldNameError, check_field_name};
use crate::value::{DisplayKey, Value};

/// How deep validators may be nested: no value is deeper, and a union adds one.
const MAX_NESTING: usize = 128;

/// What a value has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// `v.null()`
    Null,
    /// `v.float64()`, alias `v.number()`
    Float64,
    /// `v.int64()`, alias `v.bigint()`
    Int64,
    /// `v.boolean()`
    Boolean,
    /// `v.string()`
    String,
    /// `v.bytes()`
    Bytes,
    /// `v.any()`
    Any,
    /// `v.literal(value)`
    Literal(Value),
    /// `v.id(table)`
    Id(String),
    /// `v.array(element)`
    Array(Box<Validator>),
    /// `v.record(keys, values)`
    Record {
        /// What every key has to match, as a string.
        keys: Box<Validator>,
        /// What every value has to match.
        values: Box<Validator>,
    },
    /// `v.object({...})`
    Object(BTreeMap<String, FieldValidator>),
    /// `v.union(...)`; of nothing, it accepts nothing
    Union(Vec<Validator>),
}

/// What a field of an object has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValidator {
    /// What the value has to match if there is one.
    pub validator: Validator,
    /// Whether the field may be absent.
    pub optional: bool,
}

/// Why JSON is not a validator.
#[derive(Debug, thiserror::Error)]
pub enum ValidatorError {
    /// Not one of the known forms.
    #[error("Invalid validator: {reason} in {json}. Export it with the `convex` package.")]
    Form {
        /// What is wrong.
        reason: &'static str,
        /// Where, abbreviated.
        json: String,
    },
    /// A literal that is not a value.
    #[error("Invalid literal validator: {0}")]
    Literal(#[from] JsonError),
    /// A field name that no object can have.
    #[error("Invalid object validator: {0}")]
    FieldName(#[from] FieldNameError),
    /// `v.commitTs()`
    #[error(
        "v.commitTs() is not supported: PostgreSQL does not give commits timestamps that are in the \
         order of commits. Use v.number() and store Date.now(), or rely on _creationTime."
    )]
    CommitTs,
    /// Nested too deep.
    #[error("Invalid validator: it is nested more than {MAX_NESTING} levels deep.")]
    TooNested,
}

impl Validator {
    /// Reads the JSON form of a validator, as `exportArgs()` and `schema.export()` write it.
    ///
    /// # Errors
    /// If the form is not known.
    pub fn from_json(json: &Json) -> Result<Validator, ValidatorError> {
        from_json_at(json, 0)
    }

    /// Whether this can be the `args` of a function: an object, or anything.
    pub fn is_object_or_any(&self) -> bool {
        matches!(self, Validator::Object(_) | Validator::Any)
    }
}

fn from_json_at(json: &Json, depth: usize) -> Result<Validator, ValidatorError> {
    if depth > MAX_NESTING {
        return Err(ValidatorError::TooNested);
    }
    let wrong = |reason| ValidatorError::Form {
        reason,
        json: abbreviate(&json.to_string()),
    };
    let member = |key: &str| json.get(key).unwrap_or(&Json::Null);
    let nested = |json: &Json| from_json_at(json, depth + 1);
    let kind = member("type").as_str().ok_or_else(|| wrong("no `type`"))?;
    Ok(match kind {
        "null" => Validator::Null,
        "number" => Validator::Float64,
        "bigint" => Validator::Int64,
        "commitTs" => return Err(ValidatorError::CommitTs),
        "boolean" => Validator::Boolean,
        "string" => Validator::String,
        "bytes" => Validator::Bytes,
        "any" => Validator::Any,
        "literal" => Validator::Literal(Value::from_json(member("value").clone())?),
        "id" => {
            let name = member("tableName")
                .as_str()
                .ok_or_else(|| wrong("no `tableName`"))?;
            Validator::Id(name.to_owned())
        }
        "array" => Validator::Array(Box::new(nested(member("value"))?)),
        "record" => {
            let values = field_from_json(member("values"), depth + 1)?;
            if values.optional {
                return Err(wrong("optional values"));
            }
            let keys = Box::new(nested(member("keys"))?);
            Validator::Record {
                keys,
                values: Box::new(values.validator),
            }
        }
        "object" => {
            let fields = member("value")
                .as_object()
                .ok_or_else(|| wrong("no fields"))?;
            let mut object = BTreeMap::new();
            for (name, field) in fields {
                check_field_name(name)?;
                object.insert(name.clone(), field_from_json(field, depth + 1)?);
            }
            Validator::Object(object)
        }
        "union" => {
            let members = member("value")
                .as_array()
                .ok_or_else(|| wrong("no members"))?;
            Validator::Union(members.iter().map(nested).collect::<Result<_, _>>()?)
        }
        _ => return Err(wrong("unknown `type`")),
    })
}

fn field_from_json(json: &Json, depth: usize) -> Result<FieldValidator, ValidatorError> {
    let wrong = |reason| ValidatorError::Form {
        reason,
        json: abbreviate(&json.to_string()),
    };
    let field_type = json
        .get("fieldType")
        .ok_or_else(|| wrong("no `fieldType`"))?;
    let optional = match json.get("optional") {
        None => false,
        Some(optional) => optional.as_bool().ok_or_else(|| wrong("bad `optional`"))?,
    };
    Ok(FieldValidator {
        validator: from_json_at(field_type, depth)?,
        optional,
    })
}

/// The source form, such as `v.object({name: v.optional(v.string())})`.
impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validator::Null => f.write_str("v.null()"),
            Validator::Float64 => f.write_str("v.float64()"),
            Validator::Int64 => f.write_str("v.int64()"),
            Validator::Boolean => f.write_str("v.boolean()"),
            Validator::String => f.write_str("v.string()"),
            Validator::Bytes => f.write_str("v.bytes()"),
            Validator::Any => f.write_str("v.any()"),
            Validator::Literal(value) => write!(f, "v.literal({value})"),
            Validator::Id(table) => write!(f, "v.id({table:?})"),
            Validator::Array(element) => write!(f, "v.array({element})"),
            Validator::Record { keys, values } => write!(f, "v.record({keys}, {values})"),
            Validator::Object(fields) => {
                f.write_str("v.object({")?;
                for (position, (name, field)) in fields.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{}: {field}", DisplayKey(name))?;
                }
                f.write_str("})")
            }
            Validator::Union(members) => {
                f.write_str("v.union(")?;
                for (position, member) in members.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{member}")?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for FieldValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.optional {
            write!(f, "v.optional({})", self.validator)
        } else {
            write!(f, "{}", self.validator)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    fn validator(json: &Json) -> Validator {
        Validator::from_json(json).unwrap()
    }

    #[test]
    fn every_kind_is_read_and_shown() {
        let json = json!({"type": "object", "value": {
            "a": {"fieldType": {"type": "array", "value": {"type": "id", "tableName": "users"}},
                  "optional": false},
            "b c": {"fieldType": {"type": "record", "keys": {"type": "string"},
                    "values": {"fieldType": {"type": "bytes"}, "optional": false}},
                  "optional": true},
            "u": {"fieldType": {"type": "union", "value": [
                {"type": "null"}, {"type": "bigint"}, {"type": "boolean"}, {"type": "any"},
                {"type": "literal", "value": "x"},
                {"type": "literal", "value": {"$integer": "AQAAAAAAAAA="}}]}, "optional": false},
        }});
        assert_eq!(
            validator(&json).to_string(),
            "v.object({a: v.array(v.id(\"users\")), \
             \"b c\": v.optional(v.record(v.string(), v.bytes())), \
             u: v.union(v.null(), v.int64(), v.boolean(), v.any(), \
             v.literal(\"x\"), v.literal(1n))})"
        );
        assert!(validator(&json).is_object_or_any());
        assert!(!Validator::Null.is_object_or_any());
    }

    #[test]
    fn other_json_is_not_a_validator() {
        for json in [
            json!(null),
            json!({}),
            json!({"type": "date"}),
            json!({"type": "commitTs"}),
            json!({"type": "id"}),
            json!({"type": "array"}),
            json!({"type": "object", "value": {"$a": {"fieldType": {"type": "any"}}}}),
            json!({"type": "object", "value": {"a": {"type": "any"}}}),
            json!({"type": "union", "value": [{}]}),
            json!({"type": "literal", "value": {"$integer": 1}}),
            json!({"type": "record", "keys": {"type": "string"},
                "values": {"fieldType": {"type": "any"}, "optional": true}}),
        ] {
            assert!(Validator::from_json(&json).is_err(), "{json}");
        }
        let deep = (0..200).fold(
            json!({"type": "any"}),
            |inner, _| json!({"type": "array", "value": inner}),
        );
        assert!(matches!(
            Validator::from_json(&deep),
            Err(ValidatorError::TooNested)
        ));
    }

    proptest! {
        #[test]
        fn reading_never_panics(json in any_json()) {
            let _ = Validator::from_json(&json);
        }
    }
}
