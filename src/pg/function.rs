//! The door for SQL-callable functions: arguments in, a datum or rows out, errors with any SQLSTATE.
//!
//! pgrx maps SQLSTATEs through a closed enum, which has no room for our own class; so these
//! functions are plain version-1 C functions. In the body a Postgres ERROR is a Rust panic that keeps
//! its code; it and our own [`Error`] are raised here, after every Rust value of the call has been
//! dropped.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode};

use crate::error::{Error, Result, SqlState};
use crate::pg::{session, sqlstate};

/// Arguments and result of one call of an SQL function.
pub(crate) struct Call {
    fcinfo: pg_sys::FunctionCallInfo,
}

impl Call {
    fn argument(&self, index: usize) -> Option<pg_sys::Datum> {
        // SAFETY: Postgres passes a valid FunctionCallInfo that lives as long as the call, with
        // `nargs` arguments; the index is checked against it.
        unsafe {
            let info = &*self.fcinfo;
            assert!(
                index < info.nargs as usize,
                "SQL declaration and code disagree on arguments"
            );
            let argument = info.args.as_slice(info.nargs as usize)[index];
            (!argument.isnull).then_some(argument.value)
        }
    }

    /// The argument as `T`, or `None` for SQL NULL.
    pub(crate) fn optional<T: FromDatum>(&self, index: usize) -> Option<T> {
        let datum = self.argument(index)?;
        // SAFETY: the SQL declaration of the function gives the argument the type that T reads; where it says
        // "any", the caller asks `expect_type` first.
        unsafe { T::from_datum(datum, false) }
    }

    /// The argument as `T`; an error that names it for SQL NULL.
    pub(crate) fn required<T: FromDatum>(&self, index: usize, name: &str) -> Result<T> {
        self.optional(index)
            .ok_or_else(|| Error::InvalidParameter(format!("argument {name} must not be null")))
    }

    /// The argument as it came, or `None` for SQL NULL.
    pub(crate) fn datum(&self, index: usize) -> Option<pg_sys::Datum> {
        self.argument(index)
    }

    /// How many arguments the call has.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: valid for the call, see `argument`.
        unsafe { (*self.fcinfo).nargs as usize }
    }

    /// The raw call information, for code in this module tree.
    pub(super) fn raw(&self) -> pg_sys::FunctionCallInfo {
        self.fcinfo
    }

    /// The SQL type of an argument as the caller wrote it, for `VARIADIC "any"` functions.
    pub(crate) fn argument_type(&self, index: usize) -> pg_sys::Oid {
        // SAFETY: flinfo is set for every call that comes through the executor.
        unsafe {
            pg_sys::get_fn_expr_argtype(
                (*self.fcinfo).flinfo,
                c_int::try_from(index).unwrap_or(c_int::MAX),
            )
        }
    }

    /// Fails unless an argument of a `VARIADIC "any"` function has the type as which it will be read.
    pub(crate) fn expect_type(&self, index: usize, name: &str, of: pg_sys::Oid) -> Result<()> {
        if self.argument_type(index) == of {
            return Ok(());
        }
        // SAFETY: the name of a type that is built in; the caller's allocation.
        let wanted = unsafe { CStr::from_ptr(pg_sys::format_type_be(of)) }.to_string_lossy();
        Err(Error::InvalidParameter(format!(
            "argument {} ({name}) must be of type {wanted}: add ::{wanted} to it",
            index + 1
        )))
    }

    /// The bytes of an argument of type text, or `None` for SQL NULL.
    pub(crate) fn text(&self, index: usize) -> Option<&[u8]> {
        let datum = self.argument(index)?;
        // SAFETY: the callers read arguments declared as text, or ask `expect_type` first; the value
        // lives as long as the call, and so does a detoasted copy of it.
        unsafe {
            let text = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            let bytes = pgrx::vardata_any(text).cast::<u8>();
            Some(std::slice::from_raw_parts(
                bytes,
                pgrx::varsize_any_exhdr(text),
            ))
        }
    }

    /// What `make` makes of arguments that are mostly the same in all rows: kept for the lifetime of
    /// the calling expression (`fn_extra`), and made anew for a row that it does not fit.
    pub(crate) fn cached<T: 'static>(
        &self,
        fits: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Rc<T>> {
        // SAFETY: fn_extra is ours alone; it is null or a box that this function leaked into the
        // expression's memory context with a callback that drops it. Callers share its content, so
        // exchanging it takes nothing from them.
        unsafe {
            let flinfo = (*self.fcinfo).flinfo;
            if let Some(kept) = (*flinfo).fn_extra.cast::<Rc<T>>().as_mut() {
                if !fits(kept) {
                    *kept = Rc::new(make()?);
                }
                return Ok(Rc::clone(kept));
            }
            let made = Rc::new(make()?);
            let callback = pg_sys::MemoryContextAllocZero(
                (*flinfo).fn_mcxt,
                size_of::<pg_sys::MemoryContextCallback>(),
            )
            .cast::<pg_sys::MemoryContextCallback>();
            let boxed = Box::into_raw(Box::new(Rc::clone(&made)));
            (*callback).func = Some(drop_boxed::<Rc<T>>);
            (*callback).arg = boxed.cast();
            pg_sys::MemoryContextRegisterResetCallback((*flinfo).fn_mcxt, callback);
            (*flinfo).fn_extra = boxed.cast();
            Ok(made)
        }
    }

    /// SQL NULL as the result.
    pub(crate) fn null(&mut self) -> pg_sys::Datum {
        // SAFETY: valid for the call, see `argument`.
        unsafe { (*self.fcinfo).isnull = true };
        pg_sys::Datum::from(0)
    }

    /// `value` as the result; `None` is SQL NULL.
    pub(crate) fn value<T: IntoDatum>(&mut self, value: T) -> pg_sys::Datum {
        match value.into_datum() {
            Some(datum) => datum,
            None => self.null(),
        }
    }

    /// Rows as the result of a function declared `RETURNS TABLE` or `SETOF` a composite type.
    /// Each row holds one optional datum per column, of the declared type.
    pub(crate) fn rows(&mut self, rows: Vec<Vec<Option<pg_sys::Datum>>>) -> pg_sys::Datum {
        // SAFETY: InitMaterializedSRF checks that the caller accepts a materialised set and sets up
        // setResult and setDesc; every row is checked to have as many columns as the descriptor.
        unsafe {
            pg_sys::InitMaterializedSRF(self.fcinfo, 0);
            let info = (*self.fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let columns = (*(*info).setDesc).natts as usize;
            for row in rows {
                assert_eq!(
                    row.len(),
                    columns,
                    "SQL declaration and code disagree on columns"
                );
                let mut nulls: Vec<bool> = row.iter().map(Option::is_none).collect();
                let mut values: Vec<pg_sys::Datum> = row
                    .into_iter()
                    .map(|d| d.unwrap_or(pg_sys::Datum::from(0)))
                    .collect();
                pg_sys::tuplestore_putvalues(
                    (*info).setResult,
                    (*info).setDesc,
                    values.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                );
            }
        }
        self.null()
    }
}

unsafe extern "C-unwind" fn drop_boxed<T>(boxed: *mut std::ffi::c_void) {
    // SAFETY: registered by `Call::cached` with a pointer from Box::into_raw, called once.
    drop(unsafe { Box::from_raw(boxed.cast::<T>()) });
}

/// What an [`Error`] becomes before it is raised: C strings in Postgres memory, nothing to drop.
#[derive(Clone, Copy)]
struct Report {
    sqlstate: c_int,
    message: *const c_char,
    detail: *const c_char,
    hint: *const c_char,
    context: *const c_char,
    /// Text of a body and a place in it.
    source: *const c_char,
    position: c_int,
}

/// `ERROR` of elog.h.
const ERROR: c_int = pgrx::PgLogLevel::ERROR as c_int;

unsafe extern "C-unwind" {
    fn errstart(elevel: c_int, domain: *const c_char) -> bool;
    fn errcode(sqlerrcode: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errdetail(format: *const c_char, ...) -> c_int;
    fn errhint(format: *const c_char, ...) -> c_int;
    fn errcontext_msg(format: *const c_char, ...) -> c_int;
    fn internalerrposition(position: c_int) -> c_int;
    fn internalerrquery(text: *const c_char) -> c_int;
    fn ReThrowError(error: *mut pg_sys::ErrorData) -> !;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

fn palloc_text(text: &str) -> *const c_char {
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // SAFETY: pstrdup copies a NUL-terminated string into the current memory context.
    unsafe { pg_sys::pstrdup(text.as_ptr()) }
}

/// Five characters as Postgres packs them, six bits each.
fn pack(sqlstate: SqlState) -> c_int {
    sqlstate
        .iter()
        .rev()
        .fold(0, |code, c| (code << 6) | c_int::from((c - b'0') & 0x3f))
}

impl Report {
    fn new(error: &Error) -> Report {
        let script = match error {
            Error::Script(script) => Some(script.as_ref()),
            _ => None,
        };
        let context = script.and_then(|script| script.context.as_deref());
        let place = script.and_then(|script| script.position.as_ref());
        Report {
            sqlstate: pack(error.sqlstate()),
            message: palloc_text(&error.to_string()),
            detail: error
                .detail()
                .map_or(std::ptr::null(), |text| palloc_text(&text)),
            hint: error.hint().map_or(std::ptr::null(), palloc_text),
            context: context.map_or(std::ptr::null(), palloc_text),
            source: place.map_or(std::ptr::null(), |(source, _)| palloc_text(source)),
            position: place.map_or(0, |(_, position)| *position),
        }
    }

    /// What a panic carries: a Postgres ERROR on its way, or a defect of ours.
    fn of_panic(payload: &(dyn Any + Send)) -> Report {
        let (report, noted) = match payload.downcast_ref::<CaughtError>() {
            Some(CaughtError::PostgresError(report)) => (report, sqlstate::last()),
            Some(CaughtError::ErrorReport(report)) => (report, None),
            Some(CaughtError::RustPanic { ereport, .. }) => (ereport, None),
            None => {
                let message = session::panic_message(payload);
                return Report::new(&Error::Defect(message));
            }
        };
        let optional = |text: Option<&str>| text.map_or(std::ptr::null(), palloc_text);
        Report {
            sqlstate: match (report.sql_error_code(), noted) {
                (PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, Some(code)) => code,
                (code, _) => code as c_int,
            },
            message: palloc_text(report.message()),
            detail: optional(report.detail()),
            hint: optional(report.hint()),
            context: std::ptr::null(),
            source: std::ptr::null(),
            position: 0,
        }
    }

    /// Raises the error. The caller's frame must own nothing that has a destructor.
    unsafe fn raise(self) -> ! {
        const TEXT: &CStr = c"%s";
        // SAFETY: the calls that `ereport(ERROR)` expands to; errfinish does not return (it jumps
        // to Postgres' handler over this frame and its caller, which own nothing).
        unsafe {
            if errstart(ERROR, std::ptr::null()) {
                errcode(self.sqlstate);
                errmsg(TEXT.as_ptr(), self.message);
                if !self.detail.is_null() {
                    errdetail(TEXT.as_ptr(), self.detail);
                }
                if !self.hint.is_null() {
                    errhint(TEXT.as_ptr(), self.hint);
                }
                if !self.context.is_null() {
                    errcontext_msg(TEXT.as_ptr(), self.context);
                }
                if !self.source.is_null() {
                    internalerrquery(self.source);
                    internalerrposition(self.position);
                }
                errfinish(c"pg_live".as_ptr(), 0, c"pg_live".as_ptr());
            }
        }
        unreachable!("ereport(ERROR) returned")
    }
}

/// What is to be raised.
#[derive(Clone, Copy)]
enum Raised {
    /// An error of ours.
    Report(Report),
    /// An ERROR of Postgres, again.
    Again(*mut pg_sys::ErrorData),
}

impl Raised {
    fn of(error: &Error) -> Raised {
        match error {
            Error::Postgres(error) => Raised::Again(error.raw()),
            _ => Raised::Report(Report::new(error)),
        }
    }

    /// Raises it. The caller's frame must own nothing that has a destructor.
    unsafe fn raise(self) -> ! {
        // SAFETY: as the caller promises; the data is the copy that `catch` made.
        unsafe {
            match self {
                Raised::Report(report) => report.raise(),
                Raised::Again(error) => ReThrowError(error),
            }
        }
    }
}

/// Raises an error of ours.
///
/// # Safety
/// The caller's frames down to Postgres' handler must own nothing that has a destructor.
pub(super) unsafe fn raise(error: Error) -> ! {
    let raised = Raised::of(&error);
    drop(error);
    // SAFETY: as the caller promises; the error has been dropped.
    unsafe { raised.raise() }
}

/// Runs code of ours in a hook of Postgres: a panic in it, also by an ERROR of Postgres, is raised as an ERROR.
///
/// # Safety
/// As for [`raise`].
pub(super) unsafe fn guarded(body: impl FnOnce()) {
    let run = || catch_unwind(AssertUnwindSafe(body));
    let raised = match sqlstate::noting(run) {
        Ok(()) => None,
        Err(payload) => Some(Report::of_panic(payload.as_ref())),
    };
    if let Some(raised) = raised {
        // SAFETY: what is raised is Copy; everything else in this frame has been dropped.
        unsafe { raised.raise() }
    }
}

/// Runs the body of an SQL function; see the module's head.
///
/// # Safety
/// `fcinfo` must be what Postgres passed to a version-1 function, and the caller's frame must own
/// nothing that has a destructor.
pub(crate) unsafe fn enter(
    fcinfo: pg_sys::FunctionCallInfo,
    body: fn(&mut Call) -> Result<pg_sys::Datum>,
) -> pg_sys::Datum {
    let run = || catch_unwind(AssertUnwindSafe(|| body(&mut Call { fcinfo })));
    let outcome = match sqlstate::noting(run) {
        Ok(Ok(datum)) => Ok(datum),
        Ok(Err(error)) => Err(Raised::of(&error)),
        Err(payload) => Err(Raised::Report(Report::of_panic(payload.as_ref()))),
    };
    match outcome {
        Ok(datum) => datum,
        // SAFETY: what is raised is Copy; everything else in this frame has been dropped.
        Err(raised) => unsafe { raised.raise() },
    }
}

/// Declares SQL-callable functions: `sql_functions! { live_query = query::query; }` exports the C
/// symbol and its `pg_finfo_` record; the body is `fn(&mut Call) -> Result<Datum>`.
macro_rules! sql_functions {
    ($($symbol:ident = $body:path;)+) => {::pastey::paste! {$(
        #[unsafe(no_mangle)]
        extern "C-unwind" fn $symbol(
            fcinfo: ::pgrx::pg_sys::FunctionCallInfo,
        ) -> ::pgrx::pg_sys::Datum {
            // SAFETY: called by Postgres only; this frame owns nothing.
            unsafe { $crate::pg::function::enter(fcinfo, $body) }
        }

        #[unsafe(no_mangle)]
        extern "C" fn [<pg_finfo_ $symbol>]() -> &'static ::pgrx::pg_sys::Pg_finfo_record {
            const VERSION_1: ::pgrx::pg_sys::Pg_finfo_record =
                ::pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &VERSION_1
        }
    )+}};
}
pub(crate) use sql_functions;
