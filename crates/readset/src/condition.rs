//! Conditions on one column.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::attributes::Attribute;
use crate::column_key::{ColumnKey, NOT_NULL, NULL};

/// The rows whose key in one column is in `[lower, upper)`; no upper bound is +infinity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Condition {
    /// The column.
    pub attribute: Attribute,
    /// The smallest key that fulfils the condition.
    pub lower: Vec<u8>,
    /// The smallest key beyond.
    pub upper: Option<Vec<u8>>,
}

impl Condition {
    /// Rows whose value has this key.
    #[must_use]
    pub fn equal(attribute: Attribute, key: &ColumnKey) -> Condition {
        Condition {
            attribute,
            lower: key.as_bytes().to_vec(),
            upper: Some(successor(key)),
        }
    }

    /// Rows that have no value in the column.
    #[must_use]
    pub fn is_null(attribute: Attribute) -> Condition {
        Condition {
            attribute,
            lower: vec![NULL],
            upper: Some(vec![NOT_NULL]),
        }
    }

    /// Rows that have a value in the column.
    #[must_use]
    pub fn is_not_null(attribute: Attribute) -> Condition {
        Condition::range(attribute, Bound::Unbounded, Bound::Unbounded)
    }

    /// Rows with a value between the bounds; NULL is between none. A bound that was cut belongs to the
    /// range even if it is excluded: other values are cut to the same key.
    #[must_use]
    pub fn range(
        attribute: Attribute,
        lower: Bound<&ColumnKey>,
        upper: Bound<&ColumnKey>,
    ) -> Condition {
        let lower = match lower {
            Bound::Excluded(key) if !key.is_cut() => successor(key),
            Bound::Included(key) | Bound::Excluded(key) => key.as_bytes().to_vec(),
            Bound::Unbounded => vec![NOT_NULL],
        };
        let upper = match upper {
            Bound::Excluded(key) if !key.is_cut() => Some(key.as_bytes().to_vec()),
            Bound::Included(key) | Bound::Excluded(key) => Some(successor(key)),
            Bound::Unbounded => None,
        };
        Condition {
            attribute,
            lower,
            upper,
        }
    }

    /// Rows whose value, of the kind [`Bytes`](crate::ColumnValue::Bytes), begins with these bytes.
    #[must_use]
    pub fn prefix(attribute: Attribute, prefix: &[u8]) -> Condition {
        let key = ColumnKey::of_bytes(prefix);
        if key.is_cut() {
            return Condition::equal(attribute, &key);
        }
        let mut upper = key.as_bytes().to_vec();
        // The first byte is NOT_NULL, so something is left.
        while upper.last() == Some(&u8::MAX) {
            upper.pop();
        }
        if let Some(last) = upper.last_mut() {
            *last += 1;
        }
        Condition {
            attribute,
            lower: key.into_bytes(),
            upper: Some(upper),
        }
    }

    /// Whether no key is in the interval.
    pub(crate) fn is_empty(&self) -> bool {
        self.upper
            .as_ref()
            .is_some_and(|upper| *upper <= self.lower)
    }
}

/// The smallest key beyond.
fn successor(key: &ColumnKey) -> Vec<u8> {
    [key.as_bytes(), &[0]].concat()
}
