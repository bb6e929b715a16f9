//! Generators and helpers shared by the unit tests.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

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
        "[ab]{0,200}",
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
