//! The rows that a function returns, one after the other.

use std::marker::PhantomData;

use pgrx::pg_sys;

use super::proc::Wanted;
use crate::error::{Error, Result};
use crate::js::Data;
use crate::pg::function::Call;

/// Takes the rows of a call.
pub(crate) struct Sink<'call> {
    info: *mut pg_sys::ReturnSetInfo,
    /// Memory for one row.
    memory: pg_sys::MemoryContext,
    call: PhantomData<&'call Call>,
}

impl<'call> Sink<'call> {
    /// Opens the result of a call; an error if the caller cannot take a set.
    pub(crate) fn open(call: &'call Call) -> Result<Sink<'call>> {
        // SAFETY: InitMaterializedSRF checks that the caller takes a materialised set, and sets it up with the
        // columns that the caller expects.
        unsafe {
            let info = (*call.raw()).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            if !info.is_null() && (*info).expectedDesc.is_null() {
                return Err(Error::FeatureNotSupported(
                    "a set was asked for by a caller that does not know its columns".to_owned(),
                ));
            }
            pg_sys::InitMaterializedSRF(call.raw(), pg_sys::MAT_SRF_USE_EXPECTED_DESC);
            let memory = pg_sys::AllocSetContextCreateExtended(
                pg_sys::CurrentMemoryContext,
                c"pg_live row".as_ptr(),
                0,
                8 * 1024,
                8 * 1024 * 1024,
            );
            Ok(Sink {
                info,
                memory,
                call: PhantomData,
            })
        }
    }

    /// Adds a row.
    pub(crate) fn put(&mut self, wanted: &Wanted, row: &Data) -> Result<()> {
        // SAFETY: the row's memory is emptied after the tuplestore has copied it; the arrays have an entry for
        // each column that the store was made with.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let (mut datums, mut nulls) = match (wanted, row) {
                (Wanted::Row(of), Data::Record(_, values)) => of.datums(values)?,
                (Wanted::Row(of), Data::Null) => of.blank(),
                (Wanted::Value(of), Data::Record(_, values)) if of.is_row() => {
                    of.row_type()?.datums(values)?
                }
                (Wanted::Value(of), Data::Null) if of.is_row() => of.row_type()?.blank(),
                (Wanted::Value(of), _) => {
                    let datum = of.to_datum(row)?;
                    (
                        vec![datum.unwrap_or(pg_sys::Datum::from(0))],
                        vec![datum.is_none()],
                    )
                }
                (Wanted::Row(_) | Wanted::Nothing, _) => {
                    return Err(Error::DatatypeMismatch(
                        "each row must be an object with a member per column".to_owned(),
                    ));
                }
            };
            let columns = usize::try_from((*(*self.info).setDesc).natts).unwrap_or(0);
            if columns != datums.len() {
                return Err(Error::DatatypeMismatch(format!(
                    "the caller expects rows of {columns} columns, the function returns {}",
                    datums.len()
                )));
            }
            pg_sys::tuplestore_putvalues(
                (*self.info).setResult,
                (*self.info).setDesc,
                datums.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(self.memory);
        }
        Ok(())
    }
}
