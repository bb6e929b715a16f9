//! Generators and helpers shared by the unit tests.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::id::DocumentId;
use crate::validation::TableLookup;
use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

/// An object of the given fields.
pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    Value::Object(
        fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
    )
}

/// Floats with the awkward ones (zeros, infinities, NaNs, neighbours) made frequent.
fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<i32>().prop_map(f64::from),
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::MIN_POSITIVE),
        ],
    ]
}

/// Strings over an alphabet that makes prefixes, NULs and high bytes collide often.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\x00\\x01a\u{ff61}\u{1f600}]{0,5}",
        "[ab]{0,40}",
        any::<String>()
    ]
}

/// Values up to four levels deep.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Int64),
        any_float().prop_map(Value::Float64),
        any::<bool>().prop_map(Value::Boolean),
        any_text().prop_map(Value::String),
        vec(
            prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()],
            0..8
        )
        .prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            btree_map("[a-c ]{0,2}", inner, 0..4).prop_map(Value::Object),
        ]
    })
}

/// Values that PostgreSQL can hold: without NUL characters.
pub(crate) fn any_storable_value() -> impl Strategy<Value = Value> {
    any_value().prop_map(without_nul)
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{1}")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(key, field)| (key, without_nul(field)))
                    .collect(),
            )
        }
        Value::Null | Value::Int64(_) | Value::Float64(_) | Value::Boolean(_) | Value::Bytes(_) => {
            value
        }
    }
}

/// A validator of the kind that its JSON form names as `type`, and a value that matches it.
pub(crate) fn matching(kind: &'static str) -> BoxedStrategy<(Validator, Value)> {
    let scalar = |validator: Validator, values: BoxedStrategy<Value>| {
        values
            .prop_map(move |value| (validator.clone(), value))
            .boxed()
    };
    match kind {
        "null" => scalar(Validator::Null, Just(Value::Null).boxed()),
        "number" => scalar(
            Validator::Float64,
            any_float().prop_map(Value::Float64).boxed(),
        ),
        "bigint" => scalar(
            Validator::Int64,
            any::<i64>().prop_map(Value::Int64).boxed(),
        ),
        "boolean" => scalar(
            Validator::Boolean,
            any::<bool>().prop_map(Value::Boolean).boxed(),
        ),
        "string" => {
            let texts = any_text().prop_map(|text| without_nul(Value::String(text)));
            scalar(Validator::String, texts.boxed())
        }
        "bytes" => scalar(
            Validator::Bytes,
            vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed(),
        ),
        "any" => scalar(Validator::Any, any_storable_value().boxed()),
        "literal" => any_storable_value()
            .prop_map(|value| (Validator::Literal(value.clone()), value))
            .boxed(),
        "id" => any::<[u8; 16]>()
            .prop_map(|internal| {
                let id = DocumentId {
                    table: 10_001,
                    internal,
                };
                (
                    Validator::Id("users".to_owned()),
                    Value::String(id.encode()),
                )
            })
            .boxed(),
        "array" => (any_matching(), 0usize..4)
            .prop_map(|((element, value), length)| {
                (
                    Validator::Array(Box::new(element)),
                    Value::Array(vec![value; length]),
                )
            })
            .boxed(),
        "record" => (any_matching(), btree_set("[a-z ]{0,3}", 0..4))
            .prop_map(|((values, value), names)| {
                let fields = names
                    .into_iter()
                    .map(|name| (name, value.clone()))
                    .collect();
                let keys = Box::new(Validator::String);
                let values = Box::new(values);
                (Validator::Record { keys, values }, Value::Object(fields))
            })
            .boxed(),
        "object" => btree_map("[a-z ]{0,3}", (any_matching(), any::<bool>()), 0..4)
            .prop_map(|fields| {
                let field = |validator, optional| FieldValidator {
                    validator,
                    optional,
                };
                let validators = fields.iter().map(|(name, ((validator, _), optional))| {
                    (name.clone(), field(validator.clone(), *optional))
                });
                let values = fields
                    .iter()
                    .map(|(name, ((_, value), _))| (name.clone(), value.clone()));
                (
                    Validator::Object(validators.collect()),
                    Value::Object(values.collect()),
                )
            })
            .boxed(),
        "union" => vec(any_matching(), 1..4)
            .prop_map(|members| {
                let value = members[0].1.clone();
                let validators = members.into_iter().map(|(validator, _)| validator);
                (Validator::Union(validators.collect()), value)
            })
            .boxed(),
        other => panic!("no validator is of kind {other}"),
    }
}

/// A validator of a simple kind, and a value that matches it.
fn any_matching() -> impl Strategy<Value = (Validator, Value)> {
    prop_oneof![
        matching("null"),
        matching("number"),
        matching("bigint"),
        matching("boolean"),
        matching("string"),
        matching("bytes"),
        matching("any"),
        matching("literal"),
        matching("id"),
    ]
}

/// Values or `undefined`.
pub(crate) fn any_optional_value() -> impl Strategy<Value = Option<Value>> {
    option::weighted(0.9, any_value())
}

/// JSON trees with the keys that parsers look for, to see that none panics.
pub(crate) fn any_json() -> impl Strategy<Value = Json> {
    let words = prop_oneof![
        Just("object"),
        Just("union"),
        Just("literal"),
        Just("Eq"),
        Just("Gt"),
        Just("IndexRange"),
        Just("FullTableScan"),
        Just("a"),
        Just("a.b"),
        Just("asc"),
        Just("t.by_a"),
    ];
    let keys = prop_oneof![
        Just("type"),
        Just("value"),
        Just("fieldType"),
        Just("keys"),
        Just("values"),
        Just("tableName"),
        Just("source"),
        Just("operators"),
        Just("filter"),
        Just("limit"),
        Just("range"),
        Just("fieldPath"),
        Just("indexName"),
        Just("order"),
        Just("$eq"),
        Just("$and"),
        Just("$field"),
        Just("$literal"),
        Just("$undefined"),
        Just("$neg"),
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3i32..3).prop_map(Json::from),
        words.prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Json::from),
            vec((keys.clone(), inner), 0..4).prop_map(|fields| {
                fields
                    .into_iter()
                    .map(|(key, field)| (key.to_owned(), field))
                    .collect()
            }),
        ]
    })
}

/// Two tables: `users` is 10001, `posts` 10002.
pub(crate) struct Tables;

impl TableLookup for Tables {
    fn table_number(&self, name: &str) -> Option<u32> {
        match name {
            "users" => Some(10_001),
            "posts" => Some(10_002),
            _ => None,
        }
    }

    fn table_name(&self, number: u32) -> Option<String> {
        let name = match number {
            10_001 => "users",
            10_002 => "posts",
            _ => return None,
        };
        Some(name.to_owned())
    }
}
