//! The order-preserving encoding of index keys. **The format is frozen**: stored indexes, cursors
//! and journals depend on it; another format gets another name.
//!
//! A key is the concatenation of its components, one per index field. The order of keys as bytes is
//! the order of the tuples of values ([`crate::compare`] field by field). Each component begins with
//! a tag and ends itself:
//!
//! | value | bytes |
//! |---|---|
//! | undefined | `10` |
//! | null | `18` |
//! | int64 | `20`, 8 bytes big-endian with the sign bit flipped |
//! | float64 | `28`, 8 bytes big-endian: negative: all bits flipped; else the sign bit flipped |
//! | false, true | `30`, `31` |
//! | string | `38`, UTF-8 with `00` as `00 FF`, then `00 00` |
//! | bytes | `40`, the bytes with `00` as `00 FF`, then `00 00` |
//! | array | `48`, the elements as components, then `00` |
//! | object | `50`, for each field by key: the key as a string component, the value; then `00` |
//!
//! **Cut components.** PostgreSQL limits an entry of a btree to about 2700 bytes, so long components
//! are cut. A component longer than the limit at its place ([`MAX_COMPONENT_BYTES`] at the start,
//! less after other long ones, always enough for an id, so that no key of 18 fields is longer than
//! [`MAX_KEY_BYTES`]) is its first `limit` bytes and then the first 16 bytes of the SHA-256 of all
//! of it. The limit follows from the length of what comes before in the key. So two keys are cut
//! alike as long as they are equal, and order holds: no component, cut or not, is a prefix of
//! another, because whole components are not prefixes of each other and a cut one is never shorter
//! than a whole one. Values that differ only after the cut stay distinct, but their order is that of
//! the hashes; [`range_bounds`] widens for them.

use std::ops::Bound;

use sha2::{Digest as _, Sha256};

use crate::value::Value;

/// The most bytes kept of a component, hash not counted.
pub const MAX_COMPONENT_BYTES: usize = 512;
/// Components of up to so many bytes are never cut.
pub const MIN_COMPONENT_BYTES: usize = 64;
/// No key of up to 18 components (16 fields, creation time, id) is longer.
pub const MAX_KEY_BYTES: usize = 2600;

/// Half of what remains of this is the limit of the next component.
const BUDGET_BYTES: usize = 1536;
const HASH_BYTES: usize = 16;

const UNDEFINED: u8 = 0x10;
const NULL: u8 = 0x18;
const INT64: u8 = 0x20;
const FLOAT64: u8 = 0x28;
const FALSE: u8 = 0x30;
const TRUE: u8 = 0x31;
const STRING: u8 = 0x38;
const BYTES: u8 = 0x40;
const ARRAY: u8 = 0x48;
const OBJECT: u8 = 0x50;
/// Ends arrays and objects; less than every tag, so that a prefix sorts first.
const END: u8 = 0x00;
const SIGN: u64 = 1 << 63;

/// The keys from `lower` on and less than `upper` (`None`: no end).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The first key that may belong to the range.
    pub lower: Vec<u8>,
    /// The first key after the range, or `None` if it has no end.
    pub upper: Option<Vec<u8>>,
    /// Whether only matching keys are in it. If not, the rows found must be compared once more.
    pub exact: bool,
}

/// The key of a tuple of values.
pub fn encode_key<'a>(components: impl IntoIterator<Item = Option<&'a Value>>) -> Vec<u8> {
    let mut key = Vec::new();
    for component in components {
        encode_component(&mut key, component);
    }
    key
}

/// Appends the next component to `key`, which must hold the components before it and nothing else.
/// Returns whether the component is whole, not cut.
pub fn encode_component(key: &mut Vec<u8>, value: Option<&Value>) -> bool {
    let start = key.len();
    let limit = component_limit(start);
    write_component(key, value);
    if key.len() - start <= limit {
        return true;
    }
    let hash = Sha256::digest(&key[start..]);
    key.truncate(start + limit);
    key.extend_from_slice(&hash[..HASH_BYTES]);
    false
}

/// The smallest key greater than every key that begins with `prefix`; `None` if there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The keys of the tuples that begin with the values of `prefix` and whose next value is within the
/// bounds. It never leaves out a match; where a bound is cut it takes in more (`exact` is false).
/// A range that nothing can match has `upper == Some(lower)`.
pub fn range_bounds(
    prefix: &[Option<Value>],
    lower: Bound<&Option<Value>>,
    upper: Bound<&Option<Value>>,
) -> KeyRange {
    let prefix = encode_key(prefix.iter().map(Option::as_ref));
    let mut exact = true;
    let mut bound = |value: &Option<Value>, past: bool, widen_past: bool| {
        let mut key = prefix.clone();
        let whole = encode_component(&mut key, value.as_ref());
        exact &= whole;
        if !whole {
            // Everything with the same kept bytes may be on either side of the bound.
            key.truncate(key.len() - HASH_BYTES);
        }
        if if whole { past } else { widen_past } {
            prefix_end(&key)
        } else {
            Some(key)
        }
    };
    let lower = match lower {
        Bound::Included(value) => bound(value, false, false),
        Bound::Excluded(value) => bound(value, true, false),
        Bound::Unbounded => Some(prefix.clone()),
    };
    let upper = match upper {
        Bound::Included(value) => bound(value, true, true),
        Bound::Excluded(value) => bound(value, false, true),
        Bound::Unbounded => prefix_end(&prefix),
    };
    // A component begins with a tag below FF, so only the empty prefix has no end.
    let lower = lower.unwrap_or_default();
    let upper = upper.map(|upper| upper.max(lower.clone()));
    KeyRange {
        lower,
        upper,
        exact,
    }
}

/// How many bytes the component that begins at `start` may have before it is cut.
fn component_limit(start: usize) -> usize {
    (BUDGET_BYTES.saturating_sub(start) / 2).clamp(MIN_COMPONENT_BYTES, MAX_COMPONENT_BYTES)
}

fn write_component(key: &mut Vec<u8>, value: Option<&Value>) {
    match value {
        None => key.push(UNDEFINED),
        Some(Value::Null) => key.push(NULL),
        Some(Value::Int64(number)) => {
            key.push(INT64);
            key.extend_from_slice(&(number.cast_unsigned() ^ SIGN).to_be_bytes());
        }
        Some(Value::Float64(number)) => {
            key.push(FLOAT64);
            let bits = number.to_bits();
            let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
            key.extend_from_slice(&ordered.to_be_bytes());
        }
        Some(Value::Boolean(false)) => key.push(FALSE),
        Some(Value::Boolean(true)) => key.push(TRUE),
        Some(Value::String(text)) => write_escaped(key, STRING, text.as_bytes()),
        Some(Value::Bytes(bytes)) => write_escaped(key, BYTES, bytes),
        Some(Value::Array(items)) => {
            key.push(ARRAY);
            for item in items {
                write_component(key, Some(item));
            }
            key.push(END);
        }
        Some(Value::Object(fields)) => {
            key.push(OBJECT);
            for (name, field) in fields {
                write_escaped(key, STRING, name.as_bytes());
                write_component(key, Some(field));
            }
            key.push(END);
        }
    }
}

fn write_escaped(key: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    key.push(tag);
    let mut pieces = bytes.split(|byte| *byte == 0);
    if let Some(first) = pieces.next() {
        key.extend_from_slice(first);
    }
    for piece in pieces {
        key.extend_from_slice(&[0x00, 0xff]);
        key.extend_from_slice(piece);
    }
    key.extend_from_slice(&[0x00, 0x00]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DocumentId;
    use crate::testing::{any_optional_value, object};
    use crate::value::compare;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    fn hex_key(value: Option<&Value>) -> String {
        hex::encode(encode_key([value]))
    }

    #[test]
    fn the_format_is_frozen() {
        let nested = object(&[("a", Value::Array(vec![Value::Null, Value::from("")]))]);
        let golden = [
            (None, "10"),
            (Some(Value::Null), "18"),
            (Some(Value::Int64(i64::MIN)), "200000000000000000"),
            (Some(Value::Int64(-1)), "207fffffffffffffff"),
            (Some(Value::Int64(0)), "208000000000000000"),
            (Some(Value::Int64(1)), "208000000000000001"),
            (
                Some(Value::Float64(f64::NEG_INFINITY)),
                "28000fffffffffffff",
            ),
            (Some(Value::Float64(-1.5)), "284007ffffffffffff"),
            (Some(Value::Float64(-0.0)), "287fffffffffffffff"),
            (Some(Value::Float64(0.0)), "288000000000000000"),
            (Some(Value::Float64(1.0)), "28bff0000000000000"),
            (Some(Value::Float64(f64::NAN)), "28fff8000000000000"),
            (Some(Value::Boolean(false)), "30"),
            (Some(Value::Boolean(true)), "31"),
            (Some(Value::from("")), "380000"),
            (Some(Value::from("a\0é")), "386100ffc3a90000"),
            (Some(Value::Bytes(vec![0, 255])), "4000ffff0000"),
            (Some(Value::Array(vec![])), "4800"),
            (Some(object(&[])), "5000"),
            (Some(nested), "503861000048183800000000"),
        ];
        for (value, expected) in golden {
            assert_eq!(hex_key(value.as_ref()), expected, "{value:?}");
        }
        let long = hex_key(Some(&Value::String("x".repeat(600))));
        assert_eq!(
            long,
            format!(
                "38{}{}",
                "78".repeat(511),
                "3b45e01b824eff07dc3d7c24cd0bbc53"
            )
        );
    }

    #[test]
    fn ids_and_short_values_are_never_cut() {
        let long = Value::String("x".repeat(5_000));
        let id = Value::String(
            DocumentId {
                table: u32::MAX,
                internal: [0; 16],
            }
            .encode(),
        );
        let mut key = encode_key(std::iter::repeat_n(Some(&long), 16));
        assert!(encode_component(&mut key, Some(&Value::Float64(1.0))));
        assert!(encode_component(&mut key, Some(&id)));
        assert!(key.len() <= MAX_KEY_BYTES, "{} bytes", key.len());
    }

    #[test]
    fn values_that_differ_after_the_cut_stay_distinct() {
        let text = |end: &str| Value::String("x".repeat(600) + end);
        let key = |value: &Value| encode_key([Some(value)]);
        assert_ne!(key(&text("a")), key(&text("b")));
        assert_eq!(key(&text("a")).len(), MAX_COMPONENT_BYTES + HASH_BYTES);
        assert_ne!(
            key(&Value::String("x".repeat(599))),
            key(&Value::String("x".repeat(600)))
        );
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end(&[]), None);
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 0xff]), Some(vec![2]));
    }

    #[test]
    fn an_impossible_range_is_empty() {
        let (five, three) = (Some(Value::Int64(5)), Some(Value::Int64(3)));
        let range = range_bounds(&[], Bound::Excluded(&five), Bound::Excluded(&three));
        assert_eq!(range.upper.as_ref(), Some(&range.lower));
        assert_eq!(
            range_bounds(&[], Bound::Unbounded, Bound::Unbounded),
            KeyRange {
                lower: vec![],
                upper: None,
                exact: true
            }
        );
    }

    /// Values with long ones among them, so that cuts happen at every place.
    fn any_component() -> impl Strategy<Value = Option<Value>> {
        let long = (0usize..4, 0usize..900, "[ab\\x00]{0,2}", any::<bool>()).prop_map(
            |(kind, length, end, array)| {
                let text = ["x", "\0", "xy", "é"][kind].repeat(length) + &end;
                let value = Value::String(text);
                Some(if array {
                    Value::Array(vec![value, Value::Null])
                } else {
                    value
                })
            },
        );
        prop_oneof![4 => any_optional_value(), 1 => long]
    }

    fn whole(tuple: &[Option<Value>]) -> bool {
        let mut key = Vec::new();
        tuple
            .iter()
            .all(|value| encode_component(&mut key, value.as_ref()))
    }

    fn key_of(tuple: &[Option<Value>]) -> Vec<u8> {
        encode_key(tuple.iter().map(Option::as_ref))
    }

    fn order(left: &[Option<Value>], right: &[Option<Value>]) -> Ordering {
        let pairs = left.iter().zip(right);
        pairs
            .map(|(l, r)| compare(l.as_ref(), r.as_ref()))
            .find(|order| order.is_ne())
            .unwrap_or(left.len().cmp(&right.len()))
    }

    fn within(
        value: &Option<Value>,
        lower: &Bound<Option<Value>>,
        upper: &Bound<Option<Value>>,
    ) -> bool {
        let above = match lower {
            Bound::Included(bound) => value >= bound,
            Bound::Excluded(bound) => value > bound,
            Bound::Unbounded => true,
        };
        let below = match upper {
            Bound::Included(bound) => value <= bound,
            Bound::Excluded(bound) => value < bound,
            Bound::Unbounded => true,
        };
        above && below
    }

    fn any_bound() -> impl Strategy<Value = Bound<Option<Value>>> {
        prop_oneof![
            any_component().prop_map(Bound::Included),
            any_component().prop_map(Bound::Excluded),
            Just(Bound::Unbounded),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn byte_order_is_value_order(
            shared in vec(any_component(), 0..3),
            left in vec(any_component(), 0..3),
            right in vec(any_component(), 0..3),
        ) {
            let left = [shared.clone(), left].concat();
            let right = [shared, right].concat();
            let by_value = order(&left, &right);
            let by_key = key_of(&left).cmp(&key_of(&right));
            prop_assert_eq!(by_value.is_eq(), by_key.is_eq());
            if whole(&left) && whole(&right) {
                prop_assert_eq!(by_key, by_value);
            }
            // No key of one length is a prefix of another of the same number of components.
            if left.len() == right.len() && by_value.is_ne() {
                prop_assert!(!key_of(&left).starts_with(&key_of(&right)));
            }
        }

        #[test]
        fn cut_components_keep_the_order_of_what_was_kept(
            shared in 490usize..520, a in "[ab]{0,30}", b in "[ab]{0,30}",
        ) {
            let [a, b] = [a, b].map(|end| "x".repeat(shared) + &end);
            let key = |text: &str| encode_key([Some(&Value::from(text))]);
            let kept = |text: &str| text.len().min(MAX_COMPONENT_BYTES - 1);
            if a[..kept(&a)] != b[..kept(&b)] {
                prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
            }
        }

        #[test]
        fn ranges_are_sound_and_exact_when_they_say_so(
            prefix in vec(any_component(), 0..2),
            lower in any_bound(),
            upper in any_bound(),
            other in any_component(),
            rest in vec(any_component(), 0..2),
        ) {
            let range = range_bounds(&prefix, lower.as_ref(), upper.as_ref());
            let bounds = [&lower, &upper].into_iter().filter_map(|bound| match bound {
                Bound::Included(value) | Bound::Excluded(value) => Some(value.clone()),
                Bound::Unbounded => None,
            });
            for value in bounds.chain([other]) {
                let key = key_of(&[prefix.clone(), vec![value.clone()], rest.clone()].concat());
                let found = range.lower <= key && range.upper.as_ref().is_none_or(|end| key < *end);
                if within(&value, &lower, &upper) {
                    prop_assert!(found, "{:?} was left out", value);
                } else if range.exact {
                    prop_assert!(!found, "{:?} was taken in", value);
                }
            }
        }

        #[test]
        fn another_prefix_is_outside(
            prefix in vec(any_component(), 1..3),
            other in vec(any_component(), 1..3),
        ) {
            let range = range_bounds(&prefix, Bound::Unbounded, Bound::Unbounded);
            let key = key_of(&other);
            let found = range.lower <= key && range.upper.as_ref().is_none_or(|end| key < *end);
            let begins = other.len() >= prefix.len() && other[..prefix.len()] == prefix[..];
            prop_assert_eq!(found, begins);
        }
    }
}
