//! A row that a trigger was given, by column names.

use std::ptr::NonNull;

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
        // SAFETY: `of` filled the arrays for every attribute of the descriptor.
        unsafe {
            let slot = self.slot.as_ptr();
            let description = (*slot).tts_tupleDescriptor;
            let attributes = (*description).attrs.as_slice((*description).natts as usize);
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
}
