//! A decoded row, by its columns.

use std::marker::PhantomData;

use pg_live_readset::{Attribute, Attributes};
use pgrx::pg_sys;

use crate::pg::tuple::same_value;

/// A row of a relation as it was described at the time of the change.
pub(crate) struct Row<'a> {
    description: pg_sys::TupleDesc,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    tuple: *mut pg_sys::HeapTupleData,
    lifetime: PhantomData<&'a ()>,
}

/// A column of a row.
pub(crate) enum Column {
    /// There is none of that name.
    Missing,
    /// SQL NULL.
    Null,
    /// Type and value.
    Value(pg_sys::Oid, pg_sys::Datum),
    /// A large value that the change has left as it was: the WAL does not have it.
    Unchanged,
}

impl Row<'_> {
    /// # Safety
    /// The relation must be open and the tuple one of its rows, both for as long as the result lives.
    pub(super) unsafe fn of<'a>(
        relation: pg_sys::Relation,
        tuple: *mut pg_sys::ReorderBufferTupleBuf,
    ) -> Option<Row<'a>> {
        if tuple.is_null() {
            return None;
        }
        // SAFETY: as the caller promises; the arrays have a place for each attribute.
        unsafe {
            let description = (*relation).rd_att;
            let count = usize::try_from((*description).natts).unwrap_or(0);
            let mut values = vec![pg_sys::Datum::from(0); count];
            let mut nulls = vec![true; count];
            let tuple = &raw mut (*tuple).tuple;
            pg_sys::heap_deform_tuple(tuple, description, values.as_mut_ptr(), nulls.as_mut_ptr());
            Some(Row {
                description,
                values,
                nulls,
                tuple,
                lifetime: PhantomData,
            })
        }
    }

    fn attributes(&self) -> &[pg_sys::FormData_pg_attribute] {
        // SAFETY: the description is held with the relation.
        unsafe { (*self.description).attrs.as_slice(self.values.len()) }
    }

    /// The column of a name.
    pub(crate) fn by_name(&self, name: &str) -> Column {
        let position = self.attributes().iter().position(|attribute| {
            !attribute.attisdropped && pgrx::name_data_to_str(&attribute.attname) == name
        });
        position.map_or(Column::Missing, |position| self.column(position))
    }

    /// The column at a position that is not dropped.
    pub(super) fn column(&self, position: usize) -> Column {
        if self.nulls[position] {
            return Column::Null;
        }
        let (attribute, value) = (&self.attributes()[position], self.values[position]);
        // SAFETY: a value of variable length is a pointer to its header.
        let unchanged = attribute.attlen == -1
            && unsafe { pgrx::varatt_is_1b_e(value.cast_mut_ptr()) && is_on_disk(value) };
        if unchanged {
            return Column::Unchanged;
        }
        Column::Value(attribute.atttypid, value)
    }

    /// Positions and names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let attributes = self.attributes().iter().enumerate();
        attributes
            .filter(|(_, attribute)| !attribute.attisdropped)
            .map(|(position, attribute)| (position, pgrx::name_data_to_str(&attribute.attname)))
    }

    /// The columns that there are, by number, with their types.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (Attribute, pg_sys::Oid)> {
        let live = self.attributes().iter().filter(|one| !one.attisdropped);
        live.filter_map(|one| Some((Attribute::try_from(one.attnum).ok()?, one.atttypid)))
    }

    /// The column of a number that [`columns`](Self::columns) gave.
    pub(crate) fn by_number(&self, number: Attribute) -> Column {
        self.column(usize::from(number) - 1)
    }

    /// The columns in which the row differs from the one that it was. What is only stored in another way may be
    /// among them.
    pub(crate) fn differing(&self, old: &Row<'_>) -> Attributes {
        let live = self.attributes().iter().filter(|one| !one.attisdropped);
        let numbered = live.map(|one| (Attribute::try_from(one.attnum), one));
        numbered.fold(Attributes::NONE, |differing, (number, one)| {
            let Ok(number) = number else {
                return Attributes::ALL;
            };
            let position = usize::from(number) - 1;
            let value = |row: &Row<'_>| (!row.nulls[position]).then(|| row.values[position]);
            let is_same = match self.column(position) {
                Column::Unchanged => true,
                // SAFETY: the values are those of the column; neither lies elsewhere.
                Column::Missing | Column::Null | Column::Value(..) => unsafe {
                    same_value(one, value(self), value(old))
                },
            };
            if is_same {
                differing
            } else {
                differing.with(Attributes::of(number))
            }
        })
    }

    /// Whether both rows have the same bytes: then nobody can tell them apart.
    pub(crate) fn same_bytes(&self, other: &Row<'_>) -> bool {
        // SAFETY: both tuples live as long as the rows.
        unsafe { content(self.tuple) == content(other.tuple) }
    }
}

/// Whether a value that is not in the row lies in the TOAST table, rather than in memory.
///
/// # Safety
/// The datum must be a value that is stored outside of its row.
unsafe fn is_on_disk(value: pg_sys::Datum) -> bool {
    const ON_DISK: u8 = 18;
    // SAFETY: the second byte of such a value says where it is.
    unsafe { *value.cast_mut_ptr::<u8>().add(1) == ON_DISK }
}

/// Number of columns, whether there are NULLs, and the bytes from the NULL bitmap on.
///
/// # Safety
/// The tuple must be valid.
unsafe fn content<'a>(tuple: *mut pg_sys::HeapTupleData) -> (u32, bool, u8, &'a [u8]) {
    // SAFETY: a valid tuple has t_len bytes, of which t_bits begins behind the fixed part.
    unsafe {
        let header = (*tuple).t_data;
        let fixed = std::mem::offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
        let length = (*tuple).t_len as usize;
        let bytes = std::slice::from_raw_parts(header.cast::<u8>().add(fixed), length - fixed);
        let columns = u32::from((*header).t_infomask2) & pg_sys::HEAP_NATTS_MASK;
        let nulls = u32::from((*header).t_infomask) & pg_sys::HEAP_HASNULL != 0;
        (columns, nulls, (*header).t_hoff, bytes)
    }
}
