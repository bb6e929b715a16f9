//! Statements of functions in LANGUAGE js: one each, parameters by placeholders, plans kept per function.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::rc::Rc;

use pgrx::pg_sys;

use super::rows::RowType;
use super::types::Converter;
use super::{guard, transition};
use crate::error::{Error, Result};
use crate::js::{Data, Names, Rows, Shape};
use crate::pg::catch::{PgError, catch, raw};

/// How SPI marks parameters.
const NOT_NULL: c_char = b' '.cast_signed();
const NULL: c_char = b'n'.cast_signed();

/// A statement with its plan.
pub(crate) struct Prepared {
    plan: pg_sys::SPIPlanPtr,
    params: Vec<Rc<Converter>>,
    /// What each parameter must become.
    pub(crate) shapes: Rc<[Shape]>,
    /// The columns of the last result.
    columns: RefCell<Option<Rc<RowType>>>,
    /// Where names were looked up, and for whom.
    path: Vec<u8>,
    user: pg_sys::Oid,
    /// The trigger whose transition tables it may read.
    trigger: Option<pg_sys::Oid>,
}

thread_local! {
    /// Plans that nobody uses any more; freed when the next statement is prepared.
    static UNUSED: RefCell<Vec<pg_sys::SPIPlanPtr>> = const { RefCell::new(Vec::new()) };
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Postgres must not be called here: an ERROR may be on its way.
        UNUSED.with_borrow_mut(|unused| unused.push(self.plan));
    }
}

fn free_unused() {
    for plan in UNUSED.with_borrow_mut(std::mem::take) {
        // SAFETY: a kept plan whose only owner has gone.
        unsafe { pg_sys::SPI_freeplan(plan) };
    }
}

/// The setting search_path.
fn search_path() -> Vec<u8> {
    // SAFETY: a setting's value is a C string.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::namespace_search_path) }
        .to_bytes()
        .to_vec()
}

/// Which statements may be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// All that SPI runs.
    All,
    /// SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE: no definitions, no other commands.
    QueriesAndWrites,
}

impl Prepared {
    /// Prepares a statement; the types of its parameters follow from where they stand.
    pub(crate) fn new(sql: &str, allowed: Allowed) -> Result<Prepared> {
        free_unused();
        let text = CString::new(sql).map_err(|_| {
            Error::Untranslatable("the text of a statement cannot hold a NUL character".to_owned())
        })?;
        let mut types = parameter_types(&text, allowed)?;
        let params: Vec<Rc<Converter>> = types.iter().map(|of| Converter::of(*of, -1)).collect();
        let shapes: Result<Vec<Shape>> = params.iter().map(|param| param.shape()).collect();
        let shapes = shapes?.into();
        let count = c_int::try_from(types.len()).unwrap_or(c_int::MAX);
        let oids = types.as_mut_ptr();
        // SAFETY: connected around the use of SPI; the text and the types outlive the calls.
        let plan = unsafe {
            catch(|| raw::SPI_connect())?;
            transition::register()?;
            catch(|| {
                let plan = raw::SPI_prepare_cursor(text.as_ptr(), count, oids, 0);
                if !plan.is_null() {
                    raw::SPI_keepplan(plan);
                }
                raw::SPI_finish();
                plan
            })?
        };
        if plan.is_null() {
            // SAFETY: a plain read of SPI's result.
            return Err(refused(unsafe { pg_sys::SPI_result }));
        }
        // SAFETY: a plain read.
        let user = unsafe { pg_sys::GetUserId() };
        Ok(Prepared {
            plan,
            params,
            shapes,
            columns: RefCell::default(),
            path: search_path(),
            user,
            trigger: transition::trigger(),
        })
    }

    /// Whether names in it would be looked up in the same way now.
    pub(crate) fn fits_now(&self) -> bool {
        // SAFETY: a setting's value is a C string; a plain read.
        unsafe {
            std::ffi::CStr::from_ptr(pg_sys::namespace_search_path).to_bytes() == self.path
                && pg_sys::GetUserId() == self.user
                && transition::trigger() == self.trigger
        }
    }

    /// Runs it. A read-only one sees the snapshot of the calling statement and may not write.
    pub(crate) fn run(&self, params: &[Data], read_only: bool) -> Result<Rows> {
        // SAFETY: connect and finish bracket all use of SPI memory, in which the parameters are made; after an
        // ERROR the (sub)transaction ends and closes the level.
        unsafe { catch(|| raw::SPI_connect())? };
        transition::register()?;
        let mut values = Vec::with_capacity(params.len());
        let mut nulls = Vec::with_capacity(params.len());
        for (param, value) in self.params.iter().zip(params) {
            let datum = param.to_datum(value)?;
            nulls.push(if datum.is_some() { NOT_NULL } else { NULL });
            values.push(datum.unwrap_or(pg_sys::Datum::from(0)));
        }
        let (values, nulls) = (values.as_mut_ptr(), nulls.as_ptr());
        // SAFETY: there are as many values and marks as the plan has parameters.
        let code = unsafe {
            let _running = guard::Running::new();
            catch(|| raw::SPI_execute_plan(self.plan, values, nulls, read_only, 0))?
        };
        if code < 0 {
            return Err(refused(code));
        }
        let rows = self.result()?;
        // SAFETY: closes the level that was opened above.
        unsafe { catch(|| raw::SPI_finish())? };
        Ok(rows)
    }

    /// What SPI holds as the result.
    fn result(&self) -> Result<Rows> {
        // SAFETY: SPI's result is valid until the level is closed.
        unsafe {
            let count = pg_sys::SPI_processed;
            let table = pg_sys::SPI_tuptable;
            if table.is_null() {
                return Ok(Rows {
                    names: Names::from([]),
                    rows: Vec::new(),
                    count,
                });
            }
            let columns = self.columns((*table).tupdesc);
            let held = usize::try_from((*table).numvals).unwrap_or(0);
            let rows: Result<Vec<Vec<Data>>> = (0..held)
                .map(|index| columns.values(*(*table).vals.add(index)))
                .collect();
            Ok(Rows {
                names: columns.names().clone(),
                rows: rows?,
                count,
            })
        }
    }

    /// # Safety
    /// The descriptor must be valid.
    unsafe fn columns(&self, description: pg_sys::TupleDesc) -> Rc<RowType> {
        // SAFETY: as the caller promises.
        unsafe {
            if let Some(known) = &*self.columns.borrow()
                && known.is(description)
            {
                return Rc::clone(known);
            }
            let made = Rc::new(RowType::copied(description));
            self.columns.replace(Some(Rc::clone(&made)));
            made
        }
    }
}

/// Parses and analyses one statement: the types of its parameters. Refuses what a function must not run.
fn parameter_types(text: &CString, allowed: Allowed) -> Result<Vec<pg_sys::Oid>> {
    // SAFETY: the text outlives the calls; the list holds RawStmt nodes.
    unsafe {
        let placed = |mut error: PgError| {
            error.place_in(text);
            error
        };
        let list = catch(|| raw::pg_parse_query(text.as_ptr())).map_err(placed)?;
        let length = if list.is_null() { 0 } else { (*list).length };
        if length != 1 {
            return Err(Error::NotOneStatement(format!(
                "a call must run one statement, its text holds {length}"
            )));
        }
        let tree = (*(*list).elements).ptr_value.cast::<pg_sys::RawStmt>();
        let mut types: *mut pg_sys::Oid = std::ptr::null_mut();
        let mut count: c_int = 0;
        let (types_out, count_out) = (&raw mut types, &raw mut count);
        let environment = transition::environment()?;
        let query = catch(|| {
            raw::parse_analyze_varparams(tree, text.as_ptr(), types_out, count_out, environment)
        })
        .map_err(placed)?;
        guard::check_query(query)?;
        if allowed == Allowed::QueriesAndWrites
            && (*query).commandType == pg_sys::CmdType::CMD_UTILITY
        {
            return Err(Error::FeatureNotSupported(
                "only queries, INSERT, UPDATE, DELETE and MERGE can be run here: no definitions (CREATE, ALTER, DROP, \
                 ...), no transaction control, no other commands"
                    .to_owned(),
            ));
        }
        let count = usize::try_from(count).unwrap_or(0);
        let types: Vec<pg_sys::Oid> = (0..count).map(|index| *types.add(index)).collect();
        let undecided = |of: &pg_sys::Oid| [pg_sys::UNKNOWNOID, pg_sys::InvalidOid].contains(of);
        match types.iter().position(undecided) {
            None => Ok(types),
            Some(index) => Err(Error::IndeterminateDatatype(format!(
                "the type of parameter ${} does not follow from the statement; add a cast, as in ${}::text",
                index + 1,
                index + 1
            ))),
        }
    }
}

/// What SPI refuses to run.
fn refused(code: c_int) -> Error {
    let what = match code {
        pg_sys::SPI_ERROR_TRANSACTION => "transaction control",
        pg_sys::SPI_ERROR_COPY => "COPY to or from the client",
        pg_sys::SPI_ERROR_CURSOR => "this use of a cursor",
        _ => "this statement",
    };
    Error::FeatureNotSupported(format!(
        "{what} is not possible in a function of LANGUAGE js"
    ))
}
