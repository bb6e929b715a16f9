//! A row that a trigger was given, by its columns.

use std::ptr::NonNull;

use pg_live_readset::{Attribute, Attributes};
use pgrx::pg_sys;

use super::trigger::Row;

/// The columns of a row.
pub(crate) struct Tuple<'a> {
    slot: NonNull<pg_sys::TupleTableSlot>,
    _row: &'a Row<'a>,
}

impl<'a> Tuple<'a> {
    /// The columns of a trigger's row.
    pub(crate) fn of(row: &'a Row<'a>) -> Tuple<'a> {
        // SAFETY: a row's slot holds a tuple as long as the row is borrowed.
        unsafe {
            let slot = row.slot.as_ptr();
            let columns = (*(*slot).tts_tupleDescriptor).natts;
            if i32::from((*slot).tts_nvalid) < columns {
                pg_sys::slot_getsomeattrs_int(slot, columns);
            }
        }
        Tuple {
            slot: row.slot,
            _row: row,
        }
    }

    /// A column: `None` if there is none of that name, `Some(None)` for NULL, else type and datum.
    pub(crate) fn by_name(&self, name: &str) -> Option<Option<(pg_sys::Oid, pg_sys::Datum)>> {
        let attributes = self.attributes();
        // SAFETY: `of` filled the arrays for every attribute of the descriptor.
        unsafe {
            let slot = self.slot.as_ptr();
            let position = attributes.iter().position(|attribute| {
                !attribute.attisdropped && pgrx::name_data_to_str(&attribute.attname) == name
            })?;
            if *(*slot).tts_isnull.add(position) {
                return Some(None);
            }
            Some(Some((
                attributes[position].atttypid,
                *(*slot).tts_values.add(position),
            )))
        }
    }

    fn attributes(&self) -> &[pg_sys::FormData_pg_attribute] {
        // SAFETY: the description belongs to the relation, which is open as long as the row is valid.
        unsafe {
            let description = (*self.slot.as_ptr()).tts_tupleDescriptor;
            (*description).attrs.as_slice((*description).natts as usize)
        }
    }

    /// The columns that there are, by number, with their types.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (Attribute, pg_sys::Oid)> {
        let live = self.attributes().iter().filter(|one| !one.attisdropped);
        live.filter_map(|one| Some((Attribute::try_from(one.attnum).ok()?, one.atttypid)))
    }

    /// The column of a number that [`columns`](Self::columns) gave: `None` for NULL.
    pub(crate) fn by_number(&self, number: Attribute) -> Option<pg_sys::Datum> {
        let position = usize::from(number) - 1;
        // SAFETY: `of` filled the arrays for every attribute of the descriptor.
        unsafe {
            let slot = self.slot.as_ptr();
            let is_null = *(*slot).tts_isnull.add(position);
            (!is_null).then(|| *(*slot).tts_values.add(position))
        }
    }

    /// The columns in which two rows of a relation differ. What is only stored in another way may be among them.
    pub(crate) fn differing(&self, other: &Tuple<'_>) -> Attributes {
        let live = self.attributes().iter().filter(|one| !one.attisdropped);
        let numbered = live.map(|one| (Attribute::try_from(one.attnum), one));
        numbered.fold(Attributes::NONE, |differing, (number, one)| {
            let Ok(number) = number else {
                return Attributes::ALL;
            };
            // SAFETY: the values are those of the column.
            if unsafe { same_value(one, self.by_number(number), other.by_number(number)) } {
                differing
            } else {
                differing.with(Attributes::of(number))
            }
        })
    }
}

/// Whether two values of a column have the same bytes.
///
/// # Safety
/// The values must be of the column's type.
pub(super) unsafe fn same_value(
    attribute: &pg_sys::FormData_pg_attribute,
    one: Option<pg_sys::Datum>,
    other: Option<pg_sys::Datum>,
) -> bool {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (None, None) => return true,
        (Some(_), None) | (None, Some(_)) => return false,
    };
    if attribute.attbyval {
        return one == other;
    }
    // SAFETY: as the caller promises: a value that is not passed as it is has the length of its type, or says its
    // own; one that is stored elsewhere is as long as the note of where that is.
    unsafe {
        let length = |value: pg_sys::Datum| match attribute.attlen {
            -1 => Some(pgrx::varsize_any(value.cast_mut_ptr())),
            length => usize::try_from(length).ok(),
        };
        let (Some(length), Some(of_other)) = (length(one), length(other)) else {
            return false;
        };
        let bytes = |value: pg_sys::Datum| {
            std::slice::from_raw_parts(value.cast_mut_ptr::<u8>().cast_const(), length)
        };
        length == of_other && bytes(one) == bytes(other)
    }
}
