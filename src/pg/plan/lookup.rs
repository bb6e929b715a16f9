//! Conditions whose values are known only while a plan runs: parameters that joins, subqueries and their results set.

use pg_live_readset::{Attribute, Condition};
use pgrx::pg_sys;

use super::condition::{self, Constant};
use super::found;
use crate::pg::column::Kind;

/// A column is to be equal to the value of a parameter of the executor.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// The column.
    pub(super) attribute: Attribute,
    /// The number of the parameter.
    pub(crate) param: usize,
    /// Its type.
    pub(crate) of_type: pg_sys::Oid,
    /// What its values are; if it is an array, what those of its elements are.
    pub(super) of: Kind,
    /// The type of the elements, for `= ANY`.
    pub(super) element: Option<pg_sys::Oid>,
}

impl Lookup {
    /// Conditions of which each row fulfils one that is found by that value; `None`: nothing is known.
    ///
    /// # Safety
    /// The value must be one of the parameter.
    pub(crate) unsafe fn conditions(
        &self,
        value: pg_sys::Datum,
        is_null: bool,
    ) -> Option<Vec<Condition>> {
        // Nothing is equal to NULL.
        let value = if is_null {
            Constant::Null
        } else {
            Constant::Value(value)
        };
        match (self.element, value) {
            // SAFETY: as the caller promises.
            (Some(element), value) => unsafe {
                condition::equal_to_any(self.attribute, self.of, element, &value)
            },
            (None, Constant::Null) => Some(vec![found::nothing(self.attribute)]),
            (None, Constant::Value(value)) => {
                let key = self.of.key(value)?;
                Some(vec![Condition::equal(self.attribute, &key)])
            }
        }
    }
}
