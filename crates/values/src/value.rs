//! The value type, its total order and its size.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value as functions see it: what is stored in documents, passed as arguments and returned.
///
/// `undefined` (an absent field) is not a value; where it can occur, it is the `None` of an
/// `Option<Value>`. Equality is exact and agrees with the total order of [`compare`]: `-0.0` is not
/// `0.0`, a NaN equals a NaN of the same bits, an integer never equals a float.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// A JavaScript `bigint` of 64 bits.
    Int64(i64),
    /// A JavaScript `number`.
    Float64(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A string of Unicode scalar values (no lone surrogates).
    String(String),
    /// An `ArrayBuffer`.
    Bytes(Vec<u8>),
    /// An array.
    Array(Vec<Value>),
    /// An object; keys are kept sorted by their bytes.
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// The size in bytes by which limits and metrics count a value (not its length in memory).
    pub fn size(&self) -> usize {
        match self {
            Value::Null | Value::Boolean(_) => 1,
            Value::Int64(_) | Value::Float64(_) => 9,
            Value::String(text) => 2 + text.len(),
            Value::Bytes(bytes) => 2 + bytes.len(),
            Value::Array(items) => 2 + items.iter().map(Value::size).sum::<usize>(),
            Value::Object(fields) => {
                2 + fields
                    .iter()
                    .map(|(key, value)| key.len() + 1 + value.size())
                    .sum::<usize>()
            }
        }
    }

    /// How many arrays and objects are nested in each other: 0 for a scalar, 1 for `[]` or `{a: 1}`.
    pub fn nesting(&self) -> usize {
        match self {
            Value::Null
            | Value::Int64(_)
            | Value::Float64(_)
            | Value::Boolean(_)
            | Value::String(_)
            | Value::Bytes(_) => 0,
            Value::Array(items) => 1 + items.iter().map(Value::nesting).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(Value::nesting).max().unwrap_or(0),
        }
    }

    /// The place of the value's type in the total order; `undefined` comes before all of them.
    fn type_rank(&self) -> u8 {
        match self {
            Value::Null => 1,
            Value::Int64(_) => 2,
            Value::Float64(_) => 3,
            Value::Boolean(_) => 4,
            Value::String(_) => 5,
            Value::Bytes(_) => 6,
            Value::Array(_) => 7,
            Value::Object(_) => 8,
        }
    }
}

/// Compares two values, or absent ones (`None`), in the order of indexes and filters.
///
/// undefined < null < int64 < float64 (IEEE 754 `totalOrder`) < false < true < string (UTF-8 bytes)
/// < bytes < array (element-wise) < object (entry-wise: key, then value).
pub fn compare(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    left.cmp(&right)
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Int64(left), Value::Int64(right)) => left.cmp(right),
            (Value::Float64(left), Value::Float64(right)) => left.total_cmp(right),
            (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Bytes(left), Value::Bytes(right)) => left.cmp(right),
            (Value::Array(left), Value::Array(right)) => left.cmp(right),
            (Value::Object(left), Value::Object(right)) => left.cmp(right),
            _ => self.type_rank().cmp(&other.type_rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float64(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int64(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Boolean(truth)
    }
}

/// The form of error messages: `{age: 3.0, name: "Ann"}`, integers as `3n`. For people, not parsers.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Int64(number) => write!(f, "{number}n"),
            Value::Float64(number) if number.is_infinite() => f.write_str(if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            }),
            Value::Float64(number) => write!(f, "{number:?}"),
            Value::Boolean(truth) => write!(f, "{truth}"),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Bytes(bytes) => write!(f, "bytes(\"{}\")", STANDARD.encode(bytes)),
            Value::Array(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
            Value::Object(fields) => {
                f.write_str("{")?;
                for (position, (key, value)) in fields.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{}: {value}", DisplayKey(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A field name as source code would write it: bare if it is an identifier, quoted if not.
pub(crate) struct DisplayKey<'a>(pub(crate) &'a str);

impl fmt::Display for DisplayKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = self
            .0
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && self
                .0
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if bare {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_optional_value, object};
    use proptest::prelude::*;

    /// One value of each neighbourhood, in ascending order.
    fn ladder() -> Vec<Option<Value>> {
        let values = vec![
            Value::Null,
            Value::Int64(i64::MIN),
            Value::Int64(-1),
            Value::Int64(0),
            Value::Int64(i64::MAX),
            Value::Float64(-f64::NAN),
            Value::Float64(f64::NEG_INFINITY),
            Value::Float64(-1.5),
            Value::Float64(-0.0),
            Value::Float64(0.0),
            Value::Float64(5e-324),
            Value::Float64(f64::INFINITY),
            Value::Float64(f64::NAN),
            Value::Boolean(false),
            Value::Boolean(true),
            Value::from(""),
            Value::from("\0"),
            Value::from("a"),
            Value::from("a\0"),
            Value::from("a\u{1}"),
            // UTF-16 order would put the second of these first.
            Value::from("\u{ff61}"),
            Value::from("\u{1f600}"),
            Value::Bytes(vec![]),
            Value::Bytes(vec![0]),
            Value::Bytes(vec![0, 255]),
            Value::Bytes(vec![1]),
            Value::Array(vec![]),
            Value::Array(vec![Value::Null]),
            Value::Array(vec![Value::Null, Value::Null]),
            Value::Array(vec![Value::Int64(0)]),
            object(&[]),
            object(&[("a", Value::Null)]),
            object(&[("a", Value::Null), ("b", Value::Null)]),
            object(&[("a", Value::Int64(0))]),
            object(&[("b", Value::Null)]),
        ];
        std::iter::once(None)
            .chain(values.into_iter().map(Some))
            .collect()
    }

    #[test]
    fn the_ladder_ascends() {
        let ladder = ladder();
        for (i, left) in ladder.iter().enumerate() {
            for (j, right) in ladder.iter().enumerate() {
                let order = compare(left.as_ref(), right.as_ref());
                assert_eq!(order, i.cmp(&j), "{left:?} against {right:?}");
            }
        }
    }

    #[test]
    fn sizes_follow_the_rules() {
        assert_eq!(Value::Null.size(), 1);
        assert_eq!(Value::Boolean(true).size(), 1);
        assert_eq!(Value::Int64(7).size(), 9);
        assert_eq!(Value::Float64(7.0).size(), 9);
        assert_eq!(Value::from("é").size(), 4);
        assert_eq!(Value::Bytes(vec![1, 2, 3]).size(), 5);
        assert_eq!(Value::Array(vec![Value::Null, Value::Int64(1)]).size(), 12);
        assert_eq!(object(&[("ab", Value::Null)]).size(), 2 + 3 + 1);
    }

    #[test]
    fn nesting_counts_containers() {
        assert_eq!(Value::from("x").nesting(), 0);
        assert_eq!(Value::Array(vec![]).nesting(), 1);
        assert_eq!(
            Value::Array(vec![object(&[("a", Value::Array(vec![]))])]).nesting(),
            3
        );
    }

    #[test]
    fn people_can_read_it() {
        let value = object(&[
            ("a b", Value::Int64(-3)),
            ("list", Value::Array(vec![Value::Null, Value::Float64(1.0)])),
            ("name", Value::from("A\"n")),
            ("raw", Value::Bytes(vec![1])),
        ]);
        assert_eq!(
            value.to_string(),
            r#"{"a b": -3n, list: [null, 1.0], name: "A\"n", raw: bytes("AQ==")}"#
        );
    }

    proptest! {
        #[test]
        fn order_is_total(
            a in any_optional_value(), b in any_optional_value(), c in any_optional_value(),
        ) {
            let (a, b, c) = (a.as_ref(), b.as_ref(), c.as_ref());
            prop_assert_eq!(compare(a, a), Ordering::Equal);
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            if compare(a, b).is_le() && compare(b, c).is_le() {
                prop_assert!(compare(a, c).is_le());
            }
        }
    }
}
