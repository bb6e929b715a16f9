//! Checking values against validators, and putting mismatches into words.

use std::collections::BTreeMap;

use crate::id::DocumentId;
use crate::limits::is_system_field;
use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

/// Longer values are abbreviated in messages, in characters.
const MAX_SHOWN: usize = 2_000;

/// Knows which tables have which numbers, for `v.id(...)`.
pub trait TableLookup {
    /// The number of the table, or `None` if there is no such table.
    fn table_number(&self, name: &str) -> Option<u32>;
    /// The name of the table, or `None` if no table has the number.
    fn table_name(&self, number: u32) -> Option<String>;
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
            | (Validator::Int64, Value::Int64(_))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tables, any_value, object};
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

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

    proptest! {
        #[test]
        fn a_literal_matches_itself(value in any_value(), other in any_value()) {
            let literal = Validator::Literal(value.clone());
            prop_assert!(literal.check(&value, &Tables).is_ok());
            prop_assert_eq!(literal.check(&other, &Tables).is_ok(), value == other);
        }
    }
}
