//! A row that a trigger was given.

use pgrx::pg_sys;

/// The columns of a slot, by name.
pub(crate) struct Tuple {
    slot: *mut pg_sys::TupleTableSlot,
}

impl Tuple {
    /// # Safety
    /// `slot` must hold a tuple and stay so while the result is used.
    pub(crate) unsafe fn from_slot(slot: *mut pg_sys::TupleTableSlot) -> Tuple {
        // SAFETY: the caller vouches for the slot.
        unsafe { pg_sys::slot_getallattrs(slot) };
        Tuple { slot }
    }

    /// A column: `None` if there is none of that name, `Some(None)` for NULL, else type and datum.
    pub(crate) fn by_name(
        &self,
        name: &str,
    ) -> Option<Option<(pg_sys::Oid, pg_sys::Datum)>> {
        // SAFETY: slot_getallattrs filled the arrays for every attribute of the descriptor.
        unsafe {
            let description = (*self.slot).tts_tupleDescriptor;
            let attributes = (*description).attrs.as_slice((*description).natts as usize);
            let position = attributes.iter().position(|attribute| {
                !attribute.attisdropped && pgrx::name_data_to_str(&attribute.attname) == name
            })?;
            if *(*self.slot).tts_isnull.add(position) {
                return Some(None);
            }
            Some(Some((attributes[position].atttypid, *(*self.slot).tts_values.add(position))))
        }
    }
}
