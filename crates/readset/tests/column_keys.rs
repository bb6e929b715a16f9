//! Keys of columns are ordered as Postgres orders the values, and conditions over keys hold what they should.

use std::cmp::Ordering;
use std::ops::Bound;

use pg_live_readset::{ColumnKey, ColumnValue, Condition};
use proptest::prelude::*;

fn key(value: ColumnValue<'_>) -> Vec<u8> {
    ColumnKey::of(value)
        .expect("the value has a key")
        .into_bytes()
}

fn holds(on: &Condition, key: &[u8]) -> bool {
    on.lower.as_slice() <= key && on.upper.as_ref().is_none_or(|upper| key < upper.as_slice())
}

/// Postgres' order of floats.
fn compare_floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).expect("both are numbers"),
    }
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        prop::num::f64::ANY,
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            f64::INFINITY,
            1.0,
            -1.0
        ]),
        any::<f32>().prop_map(f64::from),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    // Long ones that begin alike are cut at the same place.
    let long = (0usize..4, prop::collection::vec(0u8..2, 0..4)).prop_map(|(more, end)| {
        let mut bytes = vec![7; 126 + more];
        bytes.extend(end);
        bytes
    });
    prop_oneof![
        prop::collection::vec(0u8..3, 0..5),
        prop::collection::vec(any::<u8>(), 0..5),
        long,
    ]
}

/// An integer times a power of ten, written in one of several ways.
fn numeric() -> impl Strategy<Value = (i64, u32, String)> {
    let number = prop_oneof![
        -30i64..30,
        -1_000_000i64..1_000_000,
        any::<i32>().prop_map(i64::from)
    ];
    (number, 0u32..8, 0usize..3).prop_map(|(number, scale, zeros)| {
        let digits = number.unsigned_abs().to_string();
        let width = scale as usize + 1;
        let digits = format!("{digits:0>width$}");
        let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
        let sign = if number < 0 { "-" } else { "" };
        let fraction = format!("{fraction}{}", "0".repeat(zeros));
        let point = if fraction.is_empty() { "" } else { "." };
        (number, scale, format!("{sign}{whole}{point}{fraction}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn numbers_keep_their_order(
        ints in (any::<i64>(), -3i64..3),
        floats in (float(), float()),
        dates in (any::<i32>(), any::<i32>()),
        oids in (any::<u32>(), any::<u32>()),
        uuids in (any::<[u8; 16]>(), any::<[u8; 16]>()),
    ) {
        let near = ints.0.saturating_add(ints.1);
        prop_assert_eq!(
            key(ColumnValue::Int(ints.0)).cmp(&key(ColumnValue::Int(near))),
            ints.0.cmp(&near)
        );
        prop_assert_eq!(
            key(ColumnValue::Time(ints.0)).cmp(&key(ColumnValue::Time(ints.1))),
            ints.0.cmp(&ints.1)
        );
        prop_assert_eq!(
            key(ColumnValue::Float(floats.0)).cmp(&key(ColumnValue::Float(floats.1))),
            compare_floats(floats.0, floats.1)
        );
        prop_assert_eq!(
            key(ColumnValue::Date(dates.0)).cmp(&key(ColumnValue::Date(dates.1))),
            dates.0.cmp(&dates.1)
        );
        prop_assert_eq!(
            key(ColumnValue::Oid(oids.0)).cmp(&key(ColumnValue::Oid(oids.1))),
            oids.0.cmp(&oids.1)
        );
        prop_assert_eq!(
            key(ColumnValue::Uuid(uuids.0)).cmp(&key(ColumnValue::Uuid(uuids.1))),
            uuids.0.cmp(&uuids.1)
        );
    }

    #[test]
    fn numerics_keep_their_order(one in numeric(), other in numeric()) {
        let scaled = |(number, scale, _): &(i64, u32, String)| {
            i128::from(*number) * 10i128.pow(8 - scale)
        };
        prop_assert_eq!(
            key(ColumnValue::Numeric(&one.2)).cmp(&key(ColumnValue::Numeric(&other.2))),
            scaled(&one).cmp(&scaled(&other)),
            "{} and {}", one.2, other.2
        );
    }

    #[test]
    fn no_text_makes_the_numeric_reader_panic(text in ".{0,12}", digits in "[-.0-9a-zA-Z]{0,12}") {
        let _ = ColumnKey::of(ColumnValue::Numeric(&text));
        let _ = ColumnKey::of(ColumnValue::Numeric(&digits));
    }

    #[test]
    fn texts_keep_their_order_as_far_as_they_are_kept(one in bytes(), other in bytes()) {
        let keys = (key(ColumnValue::Bytes(&one)), key(ColumnValue::Bytes(&other)));
        let order = keys.0.cmp(&keys.1);
        if order == Ordering::Equal {
            prop_assert!(one == other || (one.len() > 128 && one[..128] == other[..128]));
        } else {
            prop_assert_eq!(order, one.cmp(&other));
        }
    }

    #[test]
    fn a_condition_holds_every_key_of_a_value_that_fulfils_it(
        value in bytes(),
        one in bytes(),
        other in bytes(),
    ) {
        let k = |bytes: &[u8]| ColumnKey::of(ColumnValue::Bytes(bytes)).unwrap();
        let own = k(&value).into_bytes();
        let short = value.len() <= 128 && one.len() <= 128 && other.len() <= 128;
        let check = |on: Condition, fulfilled: bool| {
            let held = holds(&on, &own);
            prop_assert!(held || !fulfilled, "{on:?} misses {value:?}");
            prop_assert!(!short || held == fulfilled, "{on:?} holds {value:?}");
            prop_assert!(!holds(&on, &[0]), "NULL fulfils nothing");
            Ok(())
        };
        check(Condition::equal(1, &k(&one)), value == one)?;
        check(Condition::is_not_null(1), true)?;
        check(Condition::prefix(1, &one), value.starts_with(&one))?;
        let v = value.as_slice();
        let bounds = [
            (Bound::Included(&one), Bound::Excluded(&other)),
            (Bound::Excluded(&one), Bound::Included(&other)),
            (Bound::Excluded(&one), Bound::Unbounded),
            (Bound::Unbounded, Bound::Excluded(&other)),
            (Bound::Included(&one), Bound::Included(&one)),
        ];
        for (lower, upper) in bounds {
            let fulfilled = (match lower {
                Bound::Included(bound) => v >= bound.as_slice(),
                Bound::Excluded(bound) => v > bound.as_slice(),
                Bound::Unbounded => true,
            }) && (match upper {
                Bound::Included(bound) => v <= bound.as_slice(),
                Bound::Excluded(bound) => v < bound.as_slice(),
                Bound::Unbounded => true,
            });
            let (lower, upper) = (lower.map(|bytes| k(bytes)), upper.map(|bytes| k(bytes)));
            check(Condition::range(1, lower.as_ref(), upper.as_ref()), fulfilled)?;
        }
    }
}

#[test]
fn kinds_of_equal_values_have_one_key() {
    assert_eq!(key(ColumnValue::Float(0.0)), key(ColumnValue::Float(-0.0)));
    assert_eq!(
        key(ColumnValue::Padded(b"ab  ")),
        key(ColumnValue::Padded(b"ab"))
    );
    assert_ne!(
        key(ColumnValue::Bytes(b"ab  ")),
        key(ColumnValue::Bytes(b"ab"))
    );
    assert_eq!(
        key(ColumnValue::Padded(&[b' '; 200])),
        key(ColumnValue::Bytes(b""))
    );
    let numerics = ["0", "-0", "0.000", "00"];
    for text in numerics {
        assert_eq!(
            key(ColumnValue::Numeric(text)),
            key(ColumnValue::Numeric("0.0"))
        );
    }
}

#[test]
fn numerics_beyond_all_numbers() {
    let ascending = [
        "-Infinity",
        "-1e",
        "-100000000000000000000.5",
        "-1",
        "-0.001",
        "0",
        "0.001",
        "0.01",
        "1",
        "1.5",
        "99999999999999999999",
        "Infinity",
        "NaN",
    ];
    let keys: Vec<_> = ascending
        .iter()
        .filter_map(|text| ColumnKey::of(ColumnValue::Numeric(text)))
        .collect();
    assert_eq!(
        keys.len(),
        ascending.len() - 1,
        "exponents are never written"
    );
    assert!(keys.is_sorted_by(|a, b| a < b));
    for text in ["", "-", ".", "1.2.3", "--1", "+1", " 1", "-NaN"] {
        assert!(
            ColumnKey::of(ColumnValue::Numeric(text)).is_none(),
            "{text:?}"
        );
    }
}

#[test]
fn null_is_before_all_values_and_in_no_range() {
    let null = key(ColumnValue::Null);
    assert!(holds(&Condition::is_null(1), &null));
    assert!(!holds(&Condition::is_not_null(1), &null));
    let values = [
        ColumnValue::Bool(false),
        ColumnValue::Int(i64::MIN),
        ColumnValue::Bytes(b""),
        ColumnValue::Float(f64::NEG_INFINITY),
        ColumnValue::Float(f64::NAN),
        ColumnValue::Numeric("-Infinity"),
        ColumnValue::Oid(0),
    ];
    for value in values {
        assert!(key(value) > null);
        assert!(!holds(&Condition::is_null(1), &key(value)), "{value:?}");
        assert!(holds(&Condition::is_not_null(1), &key(value)), "{value:?}");
    }
    assert!(key(ColumnValue::Bool(false)) < key(ColumnValue::Bool(true)));
}
