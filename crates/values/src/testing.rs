//! Generators and helpers shared by the unit tests.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::validation::TableLookup;
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
