//! Calling Postgres so that an ERROR comes back as a value with all its fields.
//!
//! pgrx turns an ERROR into a panic that keeps message, detail and hint only. Where user code causes
//! errors (its SQL, its values) everything must arrive: names of constraints, context, any SQLSTATE.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::mem::MaybeUninit;

use cee_scape::call_with_sigsetjmp;
use pgrx::pg_sys;

/// Functions of Postgres without pgrx's guard, for the bodies of [`catch`].
pub(super) mod raw {
    use super::{c_char, c_int, c_void, pg_sys};

    unsafe extern "C-unwind" {
        pub(crate) fn SPI_connect() -> c_int;
        pub(crate) fn SPI_finish() -> c_int;
        pub(crate) fn SPI_prepare_cursor(
            src: *const c_char,
            nargs: c_int,
            argtypes: *mut pg_sys::Oid,
            options: c_int,
        ) -> pg_sys::SPIPlanPtr;
        pub(crate) fn SPI_keepplan(plan: pg_sys::SPIPlanPtr) -> c_int;
        pub(crate) fn SPI_execute_plan(
            plan: pg_sys::SPIPlanPtr,
            values: *mut pg_sys::Datum,
            nulls: *const c_char,
            read_only: bool,
            limit: std::ffi::c_long,
        ) -> c_int;
        pub(crate) fn SPI_register_trigger_data(data: *mut pg_sys::TriggerData) -> c_int;
        pub(crate) fn create_queryEnv() -> *mut pg_sys::QueryEnvironment;
        pub(crate) fn register_ENR(
            environment: *mut pg_sys::QueryEnvironment,
            entry: pg_sys::EphemeralNamedRelation,
        );
        pub(crate) fn palloc0(size: usize) -> *mut c_void;
        pub(crate) fn pg_parse_query(text: *const c_char) -> *mut pg_sys::List;
        pub(crate) fn parse_analyze_varparams(
            tree: *mut pg_sys::RawStmt,
            text: *const c_char,
            types: *mut *mut pg_sys::Oid,
            count: *mut c_int,
            environment: *mut pg_sys::QueryEnvironment,
        ) -> *mut pg_sys::Query;
        pub(crate) fn InputFunctionCall(
            function: *mut pg_sys::FmgrInfo,
            text: *mut c_char,
            io_param: pg_sys::Oid,
            typmod: i32,
        ) -> pg_sys::Datum;
        pub(crate) fn OutputFunctionCall(
            function: *mut pg_sys::FmgrInfo,
            value: pg_sys::Datum,
        ) -> *mut c_char;
        pub(crate) fn domain_check(
            value: pg_sys::Datum,
            is_null: bool,
            domain: pg_sys::Oid,
            extra: *mut *mut c_void,
            context: pg_sys::MemoryContext,
        );
    }
}

/// An ERROR of Postgres, as it was raised.
pub(crate) struct PgError(*mut pg_sys::ErrorData);

// SAFETY: a backend has one thread that touches Postgres' memory; the payload of a panic just has to be Send.
unsafe impl Send for PgError {}

impl PgError {
    fn data(&self) -> &pg_sys::ErrorData {
        // SAFETY: CopyErrorData gave the pointer, in memory that lives until the error has been raised again.
        unsafe { &*self.0 }
    }

    /// The packed SQLSTATE.
    pub(crate) fn code(&self) -> c_int {
        self.data().sqlerrcode
    }

    /// The copy that Postgres made.
    pub(super) fn raw(&self) -> *mut pg_sys::ErrorData {
        self.0
    }

    /// Makes the position of the error one in `sql`, which the client has not sent itself.
    pub(super) fn place_in(&mut self, sql: &CStr) {
        // SAFETY: the error is ours alone; the copy lives in the same memory context as it.
        unsafe {
            if (*self.0).cursorpos > 0 {
                (*self.0).internalpos = (*self.0).cursorpos;
                (*self.0).cursorpos = 0;
                (*self.0).internalquery =
                    pg_sys::MemoryContextStrdup((*self.0).assoc_context, sql.as_ptr());
            }
        }
    }

    /// Adds a line to what CONTEXT says.
    pub(crate) fn add_context(&mut self, line: &str) {
        let text = |pointer: *const c_char| {
            if pointer.is_null() {
                return String::new();
            }
            // SAFETY: a field of the error that is not null is a C string.
            let text = unsafe { CStr::from_ptr(pointer) };
            format!("{}\n", text.to_string_lossy())
        };
        let context = format!("{}{line}", text(self.data().context));
        let context = CString::new(context).unwrap_or_default();
        // SAFETY: the error is ours alone; the copy lives in the same memory context as it.
        unsafe {
            (*self.0).context =
                pg_sys::MemoryContextStrdup((*self.0).assoc_context, context.as_ptr());
        }
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.data().message;
        if message.is_null() {
            return f.write_str("error without a message");
        }
        // SAFETY: not null, so a C string.
        f.write_str(&unsafe { CStr::from_ptr(message) }.to_string_lossy())
    }
}

impl fmt::Debug for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for PgError {}

/// Runs `body`; an ERROR that it raises comes back. The transaction cannot go on after one: the caller must
/// raise it again, without touching the database before.
///
/// # Safety
/// `body` must call functions of [`raw`] only (a panic in it ends the process) and own nothing that has a
/// destructor, for an ERROR jumps over it.
pub(super) unsafe fn catch<T: Copy>(body: impl FnOnce() -> T) -> Result<T, PgError> {
    // SAFETY: the sequence of PG_TRY and PG_CATCH: handlers are put in place for the body alone, and put back
    // on both ways out; the error is copied out of ErrorContext and flushed before anything else happens.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let handler = pg_sys::PG_exception_stack;
        let callbacks = pg_sys::error_context_stack;
        let mut result = MaybeUninit::<T>::uninit();
        let place = result.as_mut_ptr();
        let jumped = call_with_sigsetjmp(false, |buffer| {
            pg_sys::PG_exception_stack = std::ptr::from_ref(buffer).cast_mut().cast();
            place.write(body());
            0
        });
        pg_sys::PG_exception_stack = handler;
        pg_sys::error_context_stack = callbacks;
        if jumped == 0 {
            return Ok(result.assume_init());
        }
        pg_sys::CurrentMemoryContext = context;
        let error = pg_sys::CopyErrorData();
        pg_sys::FlushErrorState();
        Err(PgError(error))
    }
}
