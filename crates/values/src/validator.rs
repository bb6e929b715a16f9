//! Validators: what `v.object({...})` and its kin accept, and what they say when they do not.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use crate::id::DocumentId;
use crate::json::{JsonError, abbreviate};
use crate::limits::{FieldNameError, check_field_name, is_system_field};
use crate::value::{DisplayKey, Value};

/// How deep validators may be nested: no value is deeper, and a union adds one.
const MAX_NESTING: usize = 128;
/// Longer values are abbreviated in messages, in characters.
const MAX_SHOWN: usize = 2_000;

/// What a value has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// `v.null()`
    Null,
    /// `v.float64()`, alias `v.number()`
    Float64,
    /// `v.int64()`, alias `v.bigint()`
    Int64,
    /// `v.commitTs()`: an integer once it is stored
    CommitTs,
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

/// Knows which tables have which numbers, for `v.id(...)`.
pub trait TableLookup {
    /// The number of the table, or `None` if there is no such table.
    fn table_number(&self, name: &str) -> Option<u32>;
    /// The name of the table, or `None` if no table has the number.
    fn table_name(&self, number: u32) -> Option<String>;
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
    /// Nested too deep.
    #[error("Invalid validator: it is nested more than {MAX_NESTING} levels deep.")]
    TooNested,
}

/// Why a value does not match a validator. Printed, it is the body of an `ArgumentValidationError`
/// or of a schema error: several lines that end in a newline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n{path_line}\n{label}: {value}\nValidator: {validator}\n")]
pub struct ValidationError {
    /// The first line: what does not match.
    pub message: String,
    /// `Path: .a.b`, or nothing at the root.
    path_line: String,
    /// `Object` or `Value`.
    label: &'static str,
    /// The value that does not match, abbreviated if it is long.
    pub value: String,
    /// The validator that it does not match.
    pub validator: String,
}

impl Validator {
    /// Reads the JSON form of a validator, as `exportArgs()` and `schema.export()` write it.
    ///
    /// # Errors
    /// If the form is not known.
    pub fn from_json(json: &Json) -> Result<Validator, ValidatorError> {
        from_json_at(json, 0)
    }

    /// Whether a value matches; `tables` resolves the names of `v.id(...)`.
    ///
    /// # Errors
    /// The first mismatch, in the order of the fields' names.
    pub fn check(&self, value: &Value, tables: &dyn TableLookup) -> Result<(), ValidationError> {
        Check {
            tables,
            document: false,
        }
        .value(self, value)
        .map_err(|mismatch| mismatch.into_error(tables))
    }

    /// As [`Validator::check`] for a document: `_id` and `_creationTime` are allowed at the top,
    /// although schemas do not list them.
    ///
    /// # Errors
    /// As [`Validator::check`].
    pub fn check_document(
        &self,
        document: &Value,
        tables: &dyn TableLookup,
    ) -> Result<(), ValidationError> {
        Check {
            tables,
            document: true,
        }
        .value(self, document)
        .map_err(|mismatch| mismatch.into_error(tables))
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
        "commitTs" => Validator::CommitTs,
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

/// One walk over a value; mismatches are put into words only at its end.
struct Check<'t> {
    tables: &'t dyn TableLookup,
    /// Whether the walk is at the top of a document.
    document: bool,
}

/// Where a walk failed. `path` is collected on the way out, innermost first.
struct Mismatch<'v> {
    kind: MismatchKind<'v>,
    path: Vec<Segment<'v>>,
    validator: &'v Validator,
}

enum MismatchKind<'v> {
    MissingField {
        object: &'v Value,
        field: &'v str,
    },
    ExtraField {
        object: &'v Value,
        field: &'v str,
    },
    Value(&'v Value),
    /// A key of a record; there it is no value of its own.
    Key(Value),
    Table {
        value: Value,
        id: DocumentId,
        expected: &'v str,
    },
    Literal {
        value: &'v Value,
        literal: &'v Value,
    },
}

enum Segment<'v> {
    Field(&'v str),
    Element(usize),
}

impl Check<'_> {
    fn value<'v>(&self, validator: &'v Validator, value: &'v Value) -> Result<(), Mismatch<'v>> {
        let matches = match (validator, value) {
            (Validator::Any, _)
            | (Validator::Null, Value::Null)
            | (Validator::Float64, Value::Float64(_))
            | (Validator::Int64 | Validator::CommitTs, Value::Int64(_))
            | (Validator::Boolean, Value::Boolean(_))
            | (Validator::String, Value::String(_))
            | (Validator::Bytes, Value::Bytes(_)) => true,
            (Validator::Literal(literal), _) => {
                if literal == value {
                    return Ok(());
                }
                return Err(Mismatch::new(
                    validator,
                    MismatchKind::Literal { value, literal },
                ));
            }
            (Validator::Id(table), Value::String(text)) => return self.id(validator, table, text),
            (Validator::Array(element), Value::Array(items)) => {
                return self.array(element, items);
            }
            (Validator::Record { keys, values }, Value::Object(fields)) => {
                return self.record(keys, values, fields);
            }
            (Validator::Object(fields), Value::Object(_)) => {
                return self.object(validator, fields, value);
            }
            (Validator::Union(members), _) => members
                .iter()
                .any(|member| self.value(member, value).is_ok()),
            (
                Validator::Null
                | Validator::Float64
                | Validator::Int64
                | Validator::CommitTs
                | Validator::Boolean
                | Validator::String
                | Validator::Bytes
                | Validator::Id(_)
                | Validator::Array(_)
                | Validator::Record { .. }
                | Validator::Object(_),
                _,
            ) => false,
        };
        if matches {
            Ok(())
        } else {
            Err(Mismatch::new(validator, MismatchKind::Value(value)))
        }
    }

    fn id<'v>(
        &self,
        validator: &'v Validator,
        table: &'v str,
        text: &'v str,
    ) -> Result<(), Mismatch<'v>> {
        let kind = match DocumentId::parse(text) {
            Ok(id) if self.tables.table_number(table) == Some(id.table) => return Ok(()),
            Ok(id) => MismatchKind::Table {
                value: Value::from(text),
                id,
                expected: table,
            },
            Err(_) => MismatchKind::Key(Value::from(text)),
        };
        Err(Mismatch::new(validator, kind))
    }

    fn array<'v>(&self, element: &'v Validator, items: &'v [Value]) -> Result<(), Mismatch<'v>> {
        let inner = Check {
            tables: self.tables,
            document: false,
        };
        items.iter().enumerate().try_for_each(|(position, item)| {
            inner
                .value(element, item)
                .map_err(|mismatch| mismatch.at(Segment::Element(position)))
        })
    }

    fn record<'v>(
        &self,
        keys: &'v Validator,
        values: &'v Validator,
        fields: &'v BTreeMap<String, Value>,
    ) -> Result<(), Mismatch<'v>> {
        let inner = Check {
            tables: self.tables,
            document: false,
        };
        for (key, value) in fields {
            if self.document && is_system_field(key) {
                continue;
            }
            inner.key(keys, key)?;
            inner
                .value(values, value)
                .map_err(|mismatch| mismatch.at(Segment::Field(key.as_str())))?;
        }
        Ok(())
    }

    /// Whether the key of a record matches; it is a string to every validator.
    fn key<'v>(&self, validator: &'v Validator, key: &'v str) -> Result<(), Mismatch<'v>> {
        let matches = match validator {
            Validator::String | Validator::Any => true,
            Validator::Literal(Value::String(literal)) => literal == key,
            Validator::Id(table) => return self.id(validator, table, key),
            Validator::Union(members) => members.iter().any(|member| self.key(member, key).is_ok()),
            Validator::Null
            | Validator::Float64
            | Validator::Int64
            | Validator::CommitTs
            | Validator::Boolean
            | Validator::Bytes
            | Validator::Literal(_)
            | Validator::Array(_)
            | Validator::Record { .. }
            | Validator::Object(_) => false,
        };
        if matches {
            return Ok(());
        }
        Err(Mismatch::new(
            validator,
            MismatchKind::Key(Value::from(key)),
        ))
    }

    fn object<'v>(
        &self,
        validator: &'v Validator,
        expected: &'v BTreeMap<String, FieldValidator>,
        object: &'v Value,
    ) -> Result<(), Mismatch<'v>> {
        let Value::Object(fields) = object else {
            return Err(Mismatch::new(validator, MismatchKind::Value(object)));
        };
        let inner = Check {
            tables: self.tables,
            document: false,
        };
        for (
            field,
            FieldValidator {
                validator: wanted,
                optional,
            },
        ) in expected
        {
            match fields.get(field) {
                Some(value) => inner
                    .value(wanted, value)
                    .map_err(|mismatch| mismatch.at(Segment::Field(field.as_str())))?,
                None if *optional => {}
                None => {
                    let kind = MismatchKind::MissingField { object, field };
                    return Err(Mismatch::new(validator, kind));
                }
            }
        }
        let allowed =
            |field: &str| expected.contains_key(field) || (self.document && is_system_field(field));
        match fields.keys().find(|field| !allowed(field)) {
            Some(field) => Err(Mismatch::new(
                validator,
                MismatchKind::ExtraField { object, field },
            )),
            None => Ok(()),
        }
    }
}

impl<'v> Mismatch<'v> {
    fn new(validator: &'v Validator, kind: MismatchKind<'v>) -> Mismatch<'v> {
        Mismatch {
            kind,
            path: Vec::new(),
            validator,
        }
    }

    fn at(mut self, segment: Segment<'v>) -> Mismatch<'v> {
        self.path.push(segment);
        self
    }

    fn into_error(self, tables: &dyn TableLookup) -> ValidationError {
        let not_matching = || "Value does not match validator.".to_owned();
        let (message, label, value) = match &self.kind {
            MismatchKind::MissingField { object, field } => (
                format!(
                    "Object is missing the required field `{field}`. Consider wrapping the field \
                     validator in `v.optional(...)` if this is expected."
                ),
                "Object",
                *object,
            ),
            MismatchKind::ExtraField { object, field } => (
                format!("Object contains extra field `{field}` that is not in the validator."),
                "Object",
                *object,
            ),
            MismatchKind::Value(value) => (not_matching(), "Value", *value),
            MismatchKind::Key(value) => (not_matching(), "Value", value),
            MismatchKind::Table {
                value,
                id,
                expected,
            } => {
                let message = match tables.table_name(id.table) {
                    Some(table) => format!(
                        "Found ID \"{id}\" from table `{table}`, which does not match the table \
                         name in validator `v.id(\"{expected}\")`."
                    ),
                    None => not_matching(),
                };
                (message, "Value", value)
            }
            MismatchKind::Literal { value, literal } => (
                format!(
                    "`{}` does not match literal validator `v.literal({literal})`.",
                    shown(&value.to_string())
                ),
                "Value",
                *value,
            ),
        };
        ValidationError {
            message,
            path_line: path_line(&self.path),
            label,
            value: shown(&value.to_string()),
            validator: shown(&self.validator.to_string()),
        }
    }
}

fn path_line(path: &[Segment<'_>]) -> String {
    if path.is_empty() {
        return String::new();
    }
    let segments = path.iter().rev().map(|segment| match segment {
        Segment::Field(name) => format!(".{name}"),
        Segment::Element(position) => format!("[{position}]"),
    });
    format!("Path: {}", segments.collect::<String>())
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// The source form, such as `v.object({name: v.optional(v.string())})`.
impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validator::Null => f.write_str("v.null()"),
            Validator::Float64 => f.write_str("v.float64()"),
            Validator::Int64 => f.write_str("v.int64()"),
            Validator::CommitTs => f.write_str("v.commitTs()"),
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
    use crate::testing::{Tables, any_json, any_value, object};
    use proptest::prelude::*;
    use serde_json::json;

    fn validator(json: &Json) -> Validator {
        Validator::from_json(json).unwrap()
    }

    /// `v.object({name: v.string(), age: v.optional(v.float64())})`
    fn person() -> Validator {
        validator(&json!({"type": "object", "value": {
            "name": {"fieldType": {"type": "string"}, "optional": false},
            "age": {"fieldType": {"type": "number"}, "optional": true},
        }}))
    }

    fn error(validator: &Validator, value: &Value) -> String {
        validator.check(value, &Tables).unwrap_err().to_string()
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
                {"type": "commitTs"}, {"type": "literal", "value": "x"},
                {"type": "literal", "value": {"$integer": "AQAAAAAAAAA="}}]}, "optional": false},
        }});
        assert_eq!(
            validator(&json).to_string(),
            "v.object({a: v.array(v.id(\"users\")), \
             \"b c\": v.optional(v.record(v.string(), v.bytes())), \
             u: v.union(v.null(), v.int64(), v.boolean(), v.any(), v.commitTs(), \
             v.literal(\"x\"), v.literal(1n))})"
        );
        assert!(validator(&json).is_object_or_any());
        assert!(!Validator::Null.is_object_or_any());
    }

    #[test]
    fn scalars_match_their_own_kind_only() {
        let values = [
            (Value::Null, Validator::Null),
            (Value::Int64(1), Validator::Int64),
            (Value::Float64(1.0), Validator::Float64),
            (Value::Boolean(true), Validator::Boolean),
            (Value::from("x"), Validator::String),
            (Value::Bytes(vec![]), Validator::Bytes),
        ];
        for (i, (value, _)) in values.iter().enumerate() {
            assert!(Validator::Any.check(value, &Tables).is_ok());
            assert!(Validator::Union(vec![]).check(value, &Tables).is_err());
            for (j, (_, validator)) in values.iter().enumerate() {
                assert_eq!(
                    validator.check(value, &Tables).is_ok(),
                    i == j,
                    "{validator} {value}"
                );
            }
        }
    }

    #[test]
    fn objects_are_strict() {
        let ann = ("name", Value::from("Ann"));
        assert!(
            person()
                .check(&object(std::slice::from_ref(&ann)), &Tables)
                .is_ok()
        );
        assert_eq!(
            error(&person(), &object(&[])),
            "Object is missing the required field `name`. Consider wrapping the field validator \
             in `v.optional(...)` if this is expected.\n\nObject: {}\nValidator: \
             v.object({age: v.optional(v.float64()), name: v.string()})\n"
        );
        let extra = object(&[ann.clone(), ("x", Value::Null)]);
        let message = error(&person(), &extra);
        assert!(message.starts_with("Object contains extra field `x` that is not in the"));
        let wrong = object(&[ann, ("age", Value::Null)]);
        let list = Validator::Array(Box::new(person()));
        assert_eq!(
            error(&list, &Value::Array(vec![wrong])),
            "Value does not match validator.\nPath: [0].age\nValue: null\nValidator: v.float64()\n"
        );
        assert!(error(&person(), &Value::Null).starts_with("Value does not match validator.\n\n"));
    }

    #[test]
    fn documents_may_carry_system_fields() {
        let document = object(&[
            ("_creationTime", Value::Float64(1.0)),
            ("_id", Value::from("x")),
            ("name", Value::from("Ann")),
        ]);
        let union = Validator::Union(vec![Validator::Null, person()]);
        for validator in [person(), union, Validator::Any] {
            assert!(validator.check_document(&document, &Tables).is_ok());
        }
        assert!(person().check(&document, &Tables).is_err());
        let nested = Validator::Array(Box::new(person()));
        assert!(
            nested
                .check_document(&Value::Array(vec![document]), &Tables)
                .is_err()
        );
    }

    #[test]
    fn ids_belong_to_their_table() {
        let users = DocumentId {
            table: 10_001,
            internal: [1; 16],
        }
        .to_string();
        let posts = DocumentId {
            table: 10_002,
            internal: [1; 16],
        }
        .to_string();
        let unknown = DocumentId {
            table: 77,
            internal: [1; 16],
        }
        .to_string();
        let id = Validator::Id("users".to_owned());
        assert!(id.check(&Value::from(users.clone()), &Tables).is_ok());
        assert!(
            error(&id, &Value::from(posts.clone())).starts_with(&format!(
                "Found ID \"{posts}\" from table `posts`, which does not match the table name in \
             validator `v.id(\"users\")`.\n"
            ))
        );
        for text in [unknown, "x".to_owned()] {
            let message = error(&id, &Value::from(text));
            assert!(
                message.starts_with("Value does not match validator."),
                "{message}"
            );
        }
        let nowhere = Validator::Id("nowhere".to_owned());
        assert!(nowhere.check(&Value::from(users.clone()), &Tables).is_err());
        let record = validator(
            &json!({"type": "record", "keys": {"type": "id", "tableName":
            "users"}, "values": {"fieldType": {"type": "number"}, "optional": false}}),
        );
        assert!(
            record
                .check(&object(&[(&users, Value::Float64(1.0))]), &Tables)
                .is_ok()
        );
        assert!(error(&record, &object(&[(&posts, Value::Null)])).starts_with("Found ID"));
        let message = error(&record, &object(&[(&users, Value::Null)]));
        assert!(
            message.contains(&format!("Path: .{users}\nValue: null")),
            "{message}"
        );
    }

    #[test]
    fn literals_compare_by_value() {
        let one = Validator::Literal(Value::Float64(1.0));
        assert!(one.check(&Value::Float64(1.0), &Tables).is_ok());
        assert_eq!(
            error(&one, &Value::Int64(1)),
            "`1n` does not match literal validator `v.literal(1.0)`.\n\nValue: 1n\n\
             Validator: v.literal(1.0)\n"
        );
    }

    #[test]
    fn long_values_are_abbreviated() {
        let message = error(&Validator::Null, &Value::String("x".repeat(1 << 20)));
        assert!(message.len() < 3_000, "{} bytes", message.len());
    }

    #[test]
    fn other_json_is_not_a_validator() {
        for json in [
            json!(null),
            json!({}),
            json!({"type": "date"}),
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

        #[test]
        fn a_literal_matches_itself(value in any_value(), other in any_value()) {
            let literal = Validator::Literal(value.clone());
            prop_assert!(literal.check(&value, &Tables).is_ok());
            prop_assert_eq!(literal.check(&other, &Tables).is_ok(), value == other);
        }
    }
}
