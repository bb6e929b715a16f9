//! Limits as settings: a session may lower them for itself, only a superuser may raise them above what
//! the server's configuration, the database or the role says.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use pgrx::pg_sys;

/// What the numbers of a limit count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things, or what the name says.
    Count,
    /// Bytes, written like `16MB`.
    Bytes,
}

/// A limit.
pub(crate) struct Limit {
    /// The name of the setting.
    pub(crate) name: &'static CStr,
    /// What it is, in a line.
    pub(crate) short: &'static CStr,
    /// What comes of it.
    pub(crate) long: &'static CStr,
    /// The smallest and the greatest value.
    pub(crate) bounds: (i32, i32),
    /// What the numbers count.
    pub(crate) unit: Unit,
    /// The value unless something else is set.
    pub(crate) default: i32,
    /// The value in force; written by Postgres.
    pub(crate) value: AtomicI32,
}

impl Limit {
    /// The value in force.
    pub(crate) fn get(&self) -> i32 {
        self.value.load(Ordering::Relaxed)
    }

    /// The value that the session began with, whatever it has set since.
    pub(crate) fn configured(&self) -> i32 {
        in_configuration(self.name).unwrap_or_else(|| self.get())
    }
}

/// How many limits there are: each has a hook of its own, since Postgres does not tell a hook which
/// setting it is called for.
const COUNT: usize = 10;

static LIMITS: OnceLock<[&'static Limit; COUNT]> = OnceLock::new();

type Hook =
    unsafe extern "C-unwind" fn(*mut c_int, *mut *mut c_void, pg_sys::GucSource::Type) -> bool;

const HOOKS: [Hook; COUNT] = [
    check::<0>, check::<1>, check::<2>, check::<3>, check::<4>, check::<5>, check::<6>, check::<7>,
    check::<8>, check::<9>,
];

/// Registers the limits; once, when the library is loaded.
pub(crate) fn register(limits: [&'static Limit; COUNT]) {
    if LIMITS.set(limits).is_err() {
        return;
    }
    for (limit, hook) in limits.into_iter().zip(HOOKS) {
        let flags = match limit.unit {
            Unit::Count => 0,
            Unit::Bytes => pg_sys::GUC_UNIT_BYTE,
        };
        let (least, most) = limit.bounds;
        // SAFETY: texts, value and hook are static; Postgres writes the value on this thread, and an
        // AtomicI32 has the form of a C int.
        unsafe {
            pg_sys::DefineCustomIntVariable(
                limit.name.as_ptr(),
                limit.short.as_ptr(),
                limit.long.as_ptr(),
                limit.value.as_ptr(),
                limit.default,
                least,
                most,
                pg_sys::GucContext::PGC_USERSET,
                flags.cast_signed(),
                Some(hook),
                None,
                None,
            );
        }
    }
}

/// # Safety
/// Called by Postgres with a pointer to the new value.
unsafe extern "C-unwind" fn check<const NUMBER: usize>(
    value: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as the caller promises.
    let value = unsafe { *value };
    let limit = LIMITS.get().map(|limits| limits[NUMBER]);
    // An ERROR in it, a panic by now, must not run into frames of C.
    let allowed = catch_unwind(AssertUnwindSafe(|| {
        limit.is_none_or(|l| may_set(l, value, source))
    }));
    allowed.unwrap_or(false)
}

/// Whether the current user may give `limit` this value.
fn may_set(limit: &Limit, value: i32, source: pg_sys::GucSource::Type) -> bool {
    use pg_sys::GucSource as From;
    // What stands in the configuration, or for the database or role, was checked when it was written.
    // A parallel worker takes over what its leader has.
    // SAFETY: a plain read of a global of this process.
    if source < From::PGC_S_CLIENT || unsafe { pg_sys::InitializingParallelWorker } {
        return true;
    }
    // SAFETY: a setting that comes from a user is set in a transaction.
    if unsafe { pg_sys::superuser() } {
        return true;
    }
    if source == From::PGC_S_CLIENT {
        // It comes before the settings of the database and the role, and would win over them.
        return refuse(limit, "It can be lowered with SET after connecting.");
    }
    match in_configuration(limit.name) {
        Some(most) if value > most => refuse(
            limit,
            "Only a superuser can raise it; others can lower it for their session.",
        ),
        Some(_) => true,
        None => false,
    }
}

/// The value that RESET would give.
fn in_configuration(name: &CStr) -> Option<i32> {
    // SAFETY: the setting exists; the text lives until the next call.
    unsafe {
        let text = pg_sys::GetConfigOptionResetString(name.as_ptr());
        if text.is_null() {
            return None;
        }
        CStr::from_ptr(text).to_str().ok()?.parse().ok()
    }
}

fn refuse(limit: &Limit, hint: &str) -> bool {
    let copy = |text: String| -> *mut c_char {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: copies into the current memory context.
        unsafe { pg_sys::pstrdup(text.as_ptr()) }
    };
    let name = limit.name.to_string_lossy();
    // SAFETY: what the macros GUC_check_errmsg and so on do; Postgres reads it right after the hook.
    unsafe {
        pg_sys::GUC_check_errcode(pgrx::PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE as c_int);
        pg_sys::GUC_check_errmsg_string =
            copy(format!("permission denied to raise the limit \"{name}\""));
        pg_sys::GUC_check_errhint_string = copy(hint.to_owned());
    }
    false
}
