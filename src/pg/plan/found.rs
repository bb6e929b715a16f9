//! A condition on one column, of those that a scan has: how good it is, and what becomes of it beside others.

use std::ops::Bound;

use pg_live_readset::{Attribute, ColumnKey, Condition};
use pgrx::pg_sys;

use super::operator::Comparison;
use crate::pg::column::Kind;

/// Greater than the keys of all values.
const BEYOND: &[u8] = &[2];

/// How few rows a condition may be expected to let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// One key, or some.
    Equality,
    /// Between two bounds.
    Interval,
    /// Beyond a bound.
    HalfInterval,
    /// NULL or not, true or false.
    Coarse,
}

/// A condition on one column: a row must fulfil one of these.
pub(super) struct Found {
    /// How good it is.
    pub(super) class: Class,
    /// The alternatives.
    pub(super) any_of: Vec<Condition>,
}

/// A column compares like that with a value of this key.
pub(super) fn compared(attribute: Attribute, comparison: Comparison, key: &ColumnKey) -> Found {
    use Bound::{Excluded, Included, Unbounded};
    let (lower, upper) = match comparison {
        Comparison::Equal => {
            return Found {
                class: Class::Equality,
                any_of: vec![Condition::equal(attribute, key)],
            };
        }
        Comparison::Less => (Unbounded, Excluded(key)),
        Comparison::LessOrEqual => (Unbounded, Included(key)),
        Comparison::GreaterOrEqual => (Included(key), Unbounded),
        Comparison::Greater => (Excluded(key), Unbounded),
    };
    Found {
        class: Class::HalfInterval,
        any_of: vec![Condition::range(attribute, lower, upper)],
    }
}

/// Joins an interval with those of the same column that must hold, too.
pub(super) fn intersected(found: Found, intervals: &mut Vec<Condition>) -> Found {
    let ([own], Class::HalfInterval | Class::Interval) = (&found.any_of[..], found.class) else {
        return found;
    };
    let known = intervals
        .iter_mut()
        .find(|known| known.attribute == own.attribute);
    let Some(known) = known else {
        intervals.push(own.clone());
        return found;
    };
    known.lower = own.lower.clone().max(std::mem::take(&mut known.lower));
    known.upper = match (known.upper.take(), own.upper.clone()) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    if known
        .upper
        .as_ref()
        .is_some_and(|upper| *upper <= known.lower)
    {
        return no_row(known.attribute);
    }
    Found {
        class: Class::Interval,
        any_of: vec![known.clone()],
    }
}

/// No row fulfils it. The table is in the read-set all the same.
pub(super) fn nothing(attribute: Attribute) -> Condition {
    Condition {
        attribute,
        lower: BEYOND.to_vec(),
        upper: None,
    }
}

/// What no row fulfils.
pub(super) fn no_row(attribute: Attribute) -> Found {
    Found {
        class: Class::Equality,
        any_of: vec![nothing(attribute)],
    }
}

/// A condition that says little.
pub(super) fn coarse(any_of: Vec<Condition>) -> Option<Found> {
    Some(Found {
        class: Class::Coarse,
        any_of,
    })
}

/// Rows whose boolean column has this value.
pub(super) fn is(attribute: Attribute, value: bool) -> Option<Condition> {
    let key = Kind::Bool.key(pg_sys::Datum::from(value))?;
    Some(Condition::equal(attribute, &key))
}

/// `column IS [NOT] TRUE` and the like.
pub(super) fn boolean_test(column: Attribute, test: pg_sys::BoolTestType::Type) -> Option<Found> {
    use pg_sys::BoolTestType as Test;
    let null = || Condition::is_null(column);
    coarse(match test {
        Test::IS_TRUE => vec![is(column, true)?],
        Test::IS_NOT_TRUE => vec![is(column, false)?, null()],
        Test::IS_FALSE => vec![is(column, false)?],
        Test::IS_NOT_FALSE => vec![is(column, true)?, null()],
        Test::IS_UNKNOWN => vec![null()],
        Test::IS_NOT_UNKNOWN => vec![Condition::is_not_null(column)],
        _ => return None,
    })
}
