//! The one door through which the extension runs SQL (R16).
//!
//! Reads of a query go to `SPI_execute_snapshot` with the caller's snapshot and `read_only`: they
//! take no transaction id and see one state, however many statements a function runs. Plans are
//! kept for the life of the backend, one per text, always generic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int};

use pgrx::pg_sys;
use pgrx::{FromDatum, IntoDatum};

use crate::error::{Error, Result};

/// How a statement sees and touches the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// At the active snapshot, nothing may be written.
    Read,
    /// As a statement of its own in a writing transaction; sees what the transaction wrote.
    Write,
}

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Param<'a> {
    /// text
    Text(&'a str),
    /// bytea
    Bytes(&'a [u8]),
    /// float8
    Float8(f64),
    /// int8
    Int8(i64),
    /// boolean
    Bool(bool),
    /// A null of the type that the other variants have in this place.
    Null(Type),
}

/// The SQL type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// text
    Text,
    /// bytea
    Bytes,
    /// float8
    Float8,
    /// int8
    Int8,
    /// boolean
    Bool,
}

impl Type {
    fn oid(self) -> pg_sys::Oid {
        match self {
            Type::Text => pg_sys::TEXTOID,
            Type::Bytes => pg_sys::BYTEAOID,
            Type::Float8 => pg_sys::FLOAT8OID,
            Type::Int8 => pg_sys::INT8OID,
            Type::Bool => pg_sys::BOOLOID,
        }
    }
}

impl Param<'_> {
    fn type_of(&self) -> Type {
        match self {
            Param::Text(_) => Type::Text,
            Param::Bytes(_) => Type::Bytes,
            Param::Float8(_) => Type::Float8,
            Param::Int8(_) => Type::Int8,
            Param::Bool(_) => Type::Bool,
            Param::Null(of) => *of,
        }
    }

    fn datum(&self) -> Option<pg_sys::Datum> {
        match self {
            Param::Text(text) => text.into_datum(),
            Param::Bytes(bytes) => bytes.into_datum(),
            Param::Float8(number) => number.into_datum(),
            Param::Int8(number) => number.into_datum(),
            Param::Bool(flag) => flag.into_datum(),
            Param::Null(_) => None,
        }
    }
}

/// How SPI marks parameters.
const NOT_NULL: c_char = b' '.cast_signed();
const NULL: c_char = b'n'.cast_signed();

/// The number of a column as SPI counts, from 1.
fn column_number(column: usize) -> c_int {
    c_int::try_from(column + 1).unwrap_or(c_int::MAX)
}

/// One row of a result, valid while the row function runs.
pub(crate) struct Row {
    tuple: pg_sys::HeapTuple,
    description: pg_sys::TupleDesc,
}

impl Row {
    /// The value of a column (from 0), or `None` for NULL.
    pub(crate) fn datum(&self, column: usize) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: tuple and descriptor belong to the SPI result that is alive around the row
        // function; SPI_getbinval checks the column number and gives NULL for a bad one.
        let datum = unsafe {
            pg_sys::SPI_getbinval(
                self.tuple,
                self.description,
                column_number(column),
                &mut is_null,
            )
        };
        (!is_null).then_some(datum)
    }

    /// The SQL type of a column (from 0).
    pub(crate) fn type_oid(&self, column: usize) -> pg_sys::Oid {
        // SAFETY: as in `datum`.
        unsafe { pg_sys::SPI_gettypeid(self.description, column_number(column)) }
    }

    /// A column (from 0) as `T`, or `None` for NULL. `T` must be the column's type.
    pub(crate) fn get<T: FromDatum>(&self, column: usize) -> Option<T> {
        // SAFETY: our statements name columns whose types we know.
        self.datum(column)
            .and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    /// A column of our own catalog that is declared NOT NULL.
    pub(crate) fn need<T: FromDatum>(&self, column: usize) -> Result<T> {
        self.get(column)
            .ok_or_else(|| Error::Catalog(format!("unexpected NULL in result column {column}")))
    }
}

/// Parameter types and the plan for them.
type Kept = (Vec<Type>, pg_sys::SPIPlanPtr);

thread_local! {
    /// Kept plans by text and parameter types.
    static PLANS: RefCell<HashMap<String, Vec<Kept>>> =
        RefCell::new(HashMap::new());
}

/// Plans kept before all are dropped: a bound on memory for code that makes up many texts.
const PLANS_MAX: usize = 2000;

fn kept_plan(sql: &str, types: &[Type]) -> Option<pg_sys::SPIPlanPtr> {
    PLANS.with_borrow(|plans| {
        plans
            .get(sql)?
            .iter()
            .find(|(of, _)| of == types)
            .map(|(_, plan)| *plan)
    })
}

fn forget_plans() {
    let plans = PLANS.with_borrow_mut(std::mem::take);
    for (_, plan) in plans.into_values().flatten() {
        // SAFETY: kept by `plan`, in no other list, and not running: we are between statements.
        unsafe { pg_sys::SPI_freeplan(plan) };
    }
}

fn plan(sql: &str, types: &[Type]) -> Result<pg_sys::SPIPlanPtr> {
    if let Some(plan) = kept_plan(sql, types) {
        return Ok(plan);
    }
    let text = CString::new(sql)
        .map_err(|_| Error::Untranslatable("SQL text with a NUL character".to_owned()))?;
    let mut oids: Vec<pg_sys::Oid> = types.iter().map(|of| of.oid()).collect();
    // SAFETY: connected to SPI by the caller; the arrays live through the call.
    let plan = unsafe {
        let plan = pg_sys::SPI_prepare_cursor(
            text.as_ptr(),
            c_int::try_from(oids.len()).unwrap_or(c_int::MAX),
            oids.as_mut_ptr(),
            pg_sys::CURSOR_OPT_GENERIC_PLAN.cast_signed(),
        );
        if plan.is_null() {
            return Err(Error::Catalog(format!("cannot prepare: {sql}")));
        }
        pg_sys::SPI_keepplan(plan);
        plan
    };
    PLANS.with_borrow_mut(|plans| {
        plans
            .entry(sql.to_owned())
            .or_default()
            .push((types.to_vec(), plan));
    });
    Ok(plan)
}

/// Runs one statement by a kept plan and gives each row to `row`.
///
/// # Errors
/// What `row` returns; a Postgres ERROR is a panic that keeps its SQLSTATE.
pub(crate) fn query<T>(
    sql: &str,
    params: &[Param<'_>],
    access: Access,
    mut row: impl FnMut(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    if PLANS.with_borrow(HashMap::len) > PLANS_MAX {
        forget_plans();
    }
    let types: Vec<Type> = params.iter().map(Param::type_of).collect();
    // SAFETY: connect and finish bracket all use of SPI memory; on a panic in between the
    // transaction or subtransaction aborts and closes the SPI level.
    unsafe {
        pg_sys::SPI_connect();
        let rows = execute_plan(sql, &types, params, access, &mut row);
        pg_sys::SPI_finish();
        rows
    }
}

/// # Safety
/// Connected to SPI; what is allocated goes to SPI memory.
unsafe fn execute_plan<T>(
    sql: &str,
    types: &[Type],
    params: &[Param<'_>],
    access: Access,
    row: &mut impl FnMut(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    let plan = plan(sql, types)?;
    let mut values = Vec::with_capacity(params.len());
    let mut nulls = Vec::with_capacity(params.len());
    for param in params {
        let datum = param.datum();
        nulls.push(if datum.is_some() { NOT_NULL } else { NULL });
        values.push(datum.unwrap_or(pg_sys::Datum::from(0)));
    }
    // SAFETY: as the caller promises; there is a value and a mark for each parameter of the plan.
    // Rows are read before SPI_finish frees them.
    unsafe {
        let snapshot = match access {
            Access::Read => pg_sys::GetActiveSnapshot(),
            Access::Write => std::ptr::null_mut(),
        };
        pg_sys::SPI_execute_snapshot(
            plan,
            values.as_mut_ptr(),
            nulls.as_ptr(),
            snapshot,
            std::ptr::null_mut(),
            access == Access::Read,
            true,
            0,
        );
        let count = pg_sys::SPI_processed as usize;
        let table = pg_sys::SPI_tuptable;
        let mut rows = Vec::new();
        if !table.is_null() {
            rows.reserve(count);
            for index in 0..count {
                let tuple = *(*table).vals.add(index);
                rows.push(row(&Row {
                    tuple,
                    description: (*table).tupdesc,
                })?);
            }
        }
        Ok(rows)
    }
}

/// Like [`query`], for at most one row.
pub(crate) fn query_one<T>(
    sql: &str,
    params: &[Param<'_>],
    access: Access,
    row: impl FnMut(&Row) -> Result<T>,
) -> Result<Option<T>> {
    Ok(query(sql, params, access, row)?.pop())
}

/// Runs a statement for its effect.
pub(crate) fn execute(sql: &str, params: &[Param<'_>]) -> Result<()> {
    query(sql, params, Access::Write, |_| Ok(())).map(drop)
}

/// Runs a definition statement (DDL); its plan is not kept.
pub(crate) fn define(sql: &str) -> Result<()> {
    let text = CString::new(sql)
        .map_err(|_| Error::Untranslatable("SQL text with a NUL character".to_owned()))?;
    // SAFETY: connected; SPI_execute copies the text.
    unsafe {
        pg_sys::SPI_connect();
        pg_sys::SPI_execute(text.as_ptr(), false, 0);
        pg_sys::SPI_finish();
    }
    Ok(())
}

/// Makes the planner use indexes whatever its statistics say, while it is alive: order and bounds
/// of document reads are those of an index that always exists.
pub(crate) struct PreferIndexes {
    seqscan: bool,
    bitmapscan: bool,
    sort: bool,
    jit: bool,
}

impl PreferIndexes {
    /// Switches the planner's settings until drop.
    pub(crate) fn new() -> PreferIndexes {
        // SAFETY: plain settings of this single-threaded backend, read by the planner only.
        unsafe {
            let before = PreferIndexes {
                seqscan: pg_sys::enable_seqscan,
                bitmapscan: pg_sys::enable_bitmapscan,
                sort: pg_sys::enable_sort,
                jit: pg_sys::jit_enabled,
            };
            pg_sys::enable_seqscan = false;
            pg_sys::enable_bitmapscan = false;
            pg_sys::enable_sort = false;
            // On large tables the estimate of a scan of which little is read would ask for it.
            pg_sys::jit_enabled = false;
            before
        }
    }
}

impl Drop for PreferIndexes {
    fn drop(&mut self) {
        // SAFETY: as in `new`; no Postgres function is called, so this is safe while unwinding.
        unsafe {
            pg_sys::enable_seqscan = self.seqscan;
            pg_sys::enable_bitmapscan = self.bitmapscan;
            pg_sys::enable_sort = self.sort;
            pg_sys::jit_enabled = self.jit;
        }
    }
}
