//! Rows: their columns, to and from objects.

use std::ffi::CStr;
use std::rc::Rc;

use pgrx::pg_sys;

use super::convert_out::same;
use super::types::{Converter, lasting_memory};
use crate::error::{Error, Result};
use crate::js::{Data, Names, Shape};

/// A column that has not been dropped.
struct Column {
    /// Its place in the row.
    index: usize,
    of: Rc<Converter>,
}

/// A row type at one moment: a later change of the type is another one.
pub(crate) struct RowType {
    description: pg_sys::TupleDesc,
    names: Names,
    columns: Vec<Column>,
}

impl Drop for RowType {
    fn drop(&mut self) {
        // After an ERROR memory is taken away as a whole.
        if !std::thread::panicking() {
            // SAFETY: the copy that `copied` made, which nothing else points to.
            unsafe { pg_sys::FreeTupleDesc(self.description) };
        }
    }
}

impl RowType {
    /// The row type of a descriptor, which is copied.
    ///
    /// # Safety
    /// The descriptor must be valid.
    pub(super) unsafe fn copied(description: pg_sys::TupleDesc) -> RowType {
        // SAFETY: as the caller promises; a descriptor of type record is registered before it is used to form
        // values, which must tell their columns.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(lasting_memory());
            let description = pg_sys::CreateTupleDescCopy(description);
            pg_sys::MemoryContextSwitchTo(before);
            if (*description).tdtypeid == pg_sys::RECORDOID && (*description).tdtypmod < 0 {
                pg_sys::BlessTupleDesc(description);
            }
            let attributes = (*description).attrs.as_slice((*description).natts as usize);
            let mut names: Vec<Rc<str>> = Vec::with_capacity(attributes.len());
            let mut columns = Vec::with_capacity(attributes.len());
            for (index, attribute) in attributes.iter().enumerate() {
                if attribute.attisdropped {
                    continue;
                }
                let name = CStr::from_ptr(attribute.attname.data.as_ptr());
                names.push(name.to_string_lossy().into());
                let of = Converter::of(attribute.atttypid, attribute.atttypmod);
                columns.push(Column { index, of });
            }
            RowType {
                description,
                names: names.into(),
                columns,
            }
        }
    }

    /// Names of the columns.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// What an object must become to be a row of this type.
    pub(crate) fn shape(&self) -> Result<Shape> {
        let shapes: Result<Vec<Shape>> = self
            .columns
            .iter()
            .map(|column| column.of.shape())
            .collect();
        Ok(Shape::Record(self.names.clone(), shapes?.into()))
    }

    fn width(&self) -> usize {
        // SAFETY: the descriptor lives as long as this.
        unsafe { (*self.description).natts as usize }
    }

    /// Whether a result with this descriptor has the same columns.
    ///
    /// # Safety
    /// The descriptor must be valid.
    pub(super) unsafe fn is(&self, description: pg_sys::TupleDesc) -> bool {
        // SAFETY: both are valid; attributes are compared as far as they matter here.
        unsafe {
            let theirs = (*description).attrs.as_slice((*description).natts as usize);
            let ours = (*self.description).attrs.as_slice(self.width());
            theirs.len() == ours.len()
                && theirs.iter().zip(ours).all(|(a, b)| {
                    a.atttypid == b.atttypid
                        && a.atttypmod == b.atttypmod
                        && a.attname.data == b.attname.data
                })
        }
    }

    /// The values of a row, one per column.
    ///
    /// # Safety
    /// The tuple must be valid and of this type.
    pub(super) unsafe fn values(&self, tuple: pg_sys::HeapTuple) -> Result<Vec<Data>> {
        let (mut datums, mut nulls) = self.blank();
        // SAFETY: as the caller promises; the arrays have room for every attribute.
        unsafe {
            pg_sys::heap_deform_tuple(
                tuple,
                self.description,
                datums.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
        self.columns
            .iter()
            .map(|column| {
                let value = (!nulls[column.index]).then(|| datums[column.index]);
                column.of.to_data(value)
            })
            .collect()
    }

    /// A row as an object.
    ///
    /// # Safety
    /// The tuple must be valid and of this type.
    pub(super) unsafe fn to_data(&self, tuple: pg_sys::HeapTuple) -> Result<Data> {
        // SAFETY: as the caller promises.
        let values = unsafe { self.values(tuple)? };
        Ok(Data::Record(self.names.clone(), values))
    }

    /// As many nulls as there are attributes.
    pub(super) fn blank(&self) -> (Vec<pg_sys::Datum>, Vec<bool>) {
        let width = self.width();
        (vec![pg_sys::Datum::from(0); width], vec![true; width])
    }

    /// Datums and null flags of every attribute for an object's values.
    pub(super) fn datums(&self, values: &[Data]) -> Result<(Vec<pg_sys::Datum>, Vec<bool>)> {
        let (mut datums, mut nulls) = self.blank();
        if values.len() != self.columns.len() {
            return Err(Error::Defect(
                "a row with other columns than its type".to_owned(),
            ));
        }
        for (column, value) in self.columns.iter().zip(values) {
            if let Some(datum) = column.of.to_datum(value)? {
                datums[column.index] = datum;
                nulls[column.index] = false;
            }
        }
        Ok((datums, nulls))
    }

    /// A value of this type, in the current memory context.
    pub(crate) fn form(&self, values: &[Data]) -> Result<pg_sys::Datum> {
        let (mut datums, mut nulls) = self.datums(values)?;
        // SAFETY: there is a value for each attribute of the descriptor.
        unsafe {
            let tuple =
                pg_sys::heap_form_tuple(self.description, datums.as_mut_ptr(), nulls.as_mut_ptr());
            Ok(pg_sys::heap_copy_tuple_as_datum(tuple, self.description))
        }
    }

    /// The row with those columns replaced in which `after` differs from `before`: a value that a function did
    /// not touch stays as it is, down to its bytes.
    ///
    /// # Safety
    /// The tuple must be valid and of this type.
    pub(super) unsafe fn modified(
        &self,
        tuple: pg_sys::HeapTuple,
        before: &[Data],
        after: &[Data],
    ) -> Result<pg_sys::HeapTuple> {
        let (mut datums, mut nulls) = self.blank();
        let mut replace = vec![false; self.width()];
        for (column, (old, new)) in self.columns.iter().zip(before.iter().zip(after)) {
            if !same(old, new) {
                replace[column.index] = true;
                if let Some(datum) = column.of.to_datum(new)? {
                    datums[column.index] = datum;
                    nulls[column.index] = false;
                }
            }
        }
        if !replace.contains(&true) {
            return Ok(tuple);
        }
        // SAFETY: as the caller promises; the arrays have room for every attribute.
        Ok(unsafe {
            pg_sys::heap_modify_tuple(
                tuple,
                self.description,
                datums.as_mut_ptr(),
                nulls.as_mut_ptr(),
                replace.as_mut_ptr(),
            )
        })
    }
}
