//! The current user, subtransactions and the transaction's character.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;

use crate::error::{Error, Result};

/// The current user and security context, put back on drop.
pub(crate) struct UserGuard {
    user: pg_sys::Oid,
    context: std::ffi::c_int,
}

impl UserGuard {
    /// Becomes `user` until the guard is dropped.
    pub(crate) fn become_user(user: pg_sys::Oid) -> UserGuard {
        let mut before = UserGuard {
            user: pg_sys::InvalidOid,
            context: 0,
        };
        // SAFETY: plain reads and writes of the backend's user state; an abort resets it as well.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.user, &mut before.context);
            pg_sys::SetUserIdAndSecContext(
                user,
                before.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE.cast_signed(),
            );
        }
        before
    }
}

impl Drop for UserGuard {
    fn drop(&mut self) {
        // SAFETY: as above; SetUserIdAndSecContext only assigns two variables.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}

/// The settings as they were before it was made, put back on drop.
pub(crate) struct SettingsGuard(std::ffi::c_int);

/// A setting and the value that it gets.
pub(crate) struct Setting<'a> {
    /// Its name.
    pub(crate) name: &'static std::ffi::CStr,
    /// The text of its value; what follows a NUL character is cut off.
    pub(crate) value: &'a str,
}

impl SettingsGuard {
    /// Names are looked up in pg_catalog only, whatever the session's search_path is.
    fn pinned_search_path() -> SettingsGuard {
        SettingsGuard::with(&[Setting {
            name: c"search_path",
            value: "pg_catalog, pg_temp",
        }])
    }

    /// Settings that hold until drop.
    pub(crate) fn with(settings: &[Setting<'_>]) -> SettingsGuard {
        // SAFETY: opens a level of settings that drop closes; an abort of the transaction closes it as well.
        let guard = SettingsGuard(unsafe { pg_sys::NewGUCNestLevel() });
        for Setting { name, value } in settings {
            let value = value.split('\0').next().unwrap_or_default();
            let value = std::ffi::CString::new(value).unwrap_or_default();
            // SAFETY: the parameter and its value are C strings, which Postgres copies.
            unsafe {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
        }
        guard
    }
}

impl Drop for SettingsGuard {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level that was opened last, see above.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) };
        }
    }
}

/// The settings as they were before it was made, put back on drop, whatever set others meanwhile and for how long.
pub(crate) struct SettingsUndone(std::ffi::c_int);

impl SettingsUndone {
    /// From now on.
    pub(crate) fn new() -> SettingsUndone {
        // SAFETY: opens a level of settings that drop closes; an abort of the transaction closes it as well.
        SettingsUndone(unsafe { pg_sys::NewGUCNestLevel() })
    }
}

impl Drop for SettingsUndone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level that was opened last; it is closed as that of a subtransaction that is rolled back.
            unsafe { pg_sys::AtEOXact_GUC(false, self.0) };
        }
    }
}

/// The value of the session's search_path.
pub(crate) fn search_path() -> String {
    // SAFETY: a setting's value is a C string; it is copied at once.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::namespace_search_path) }
        .to_string_lossy()
        .into_owned()
}

/// Makes the transaction read-only until drop: no statement of any function can write.
pub(crate) struct ReadOnly(bool);

impl ReadOnly {
    /// From now on.
    pub(crate) fn new() -> ReadOnly {
        // SAFETY: a plain setting of the transaction; the end of a subtransaction puts it back as well.
        unsafe {
            let before = ReadOnly(pg_sys::XactReadOnly);
            pg_sys::XactReadOnly = true;
            before
        }
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // SAFETY: as in `new`; no Postgres function is called.
        unsafe { pg_sys::XactReadOnly = self.0 };
    }
}

/// The role that called, outside of all functions that change it.
pub(crate) fn outer_user() -> pg_sys::Oid {
    // SAFETY: a plain read.
    unsafe { pg_sys::GetOuterUserId() }
}

/// Whether this session's login was granted the role: it is neither the login itself nor a superuser.
pub(crate) fn may_become(role: pg_sys::Oid) -> bool {
    // SAFETY: catalog lookups in a transaction.
    unsafe {
        let login = pg_sys::GetSessionUserId();
        role != login
            && !pg_sys::superuser_arg(role)
            && pg_sys::is_member_of_role_nosuper(login, role)
    }
}

/// Raises an ERROR with a SQLSTATE, as a panic.
pub(crate) fn raise(state: [u8; 5], message: &str) -> ! {
    let code = state.iter().rev().fold(0_i32, |code, character| {
        (code << 6) | i32::from(character.wrapping_sub(b'0') & 0x3f)
    });
    pgrx::pg_sys::panic::ErrorReport::new(
        pgrx::PgSqlErrorCode::from(code),
        message.to_owned(),
        "statement",
    )
    .report(pgrx::PgLogLevel::ERROR);
    unreachable!("ereport(ERROR) returned")
}

/// Runs `body` as the bootstrap superuser with a safe search_path: for reads of the extension's own tables on
/// behalf of somebody who may not read them.
pub(crate) fn as_superuser<T>(body: impl FnOnce() -> T) -> T {
    const BOOTSTRAP_SUPERUSER: u32 = 10;
    let _user = UserGuard::become_user(pg_sys::Oid::from(BOOTSTRAP_SUPERUSER));
    let _settings = SettingsGuard::pinned_search_path();
    body()
}

/// The current user's oid.
pub(crate) fn current_user() -> pg_sys::Oid {
    // SAFETY: a plain read.
    unsafe { pg_sys::GetUserId() }
}

/// The oid of a role by name.
pub(crate) fn role(name: &str) -> Result<pg_sys::Oid> {
    let text = std::ffi::CString::new(name)
        .map_err(|_| Error::InvalidParameter("role name with a NUL character".to_owned()))?;
    // SAFETY: a catalog lookup in a transaction; missing_ok gives InvalidOid.
    let oid = unsafe { pg_sys::get_role_oid(text.as_ptr(), true) };
    if oid == pg_sys::InvalidOid {
        return Err(Error::Catalog(format!(
            "role {name} of the deployment does not exist"
        )));
    }
    Ok(oid)
}

/// What became of a subtransaction.
pub(crate) enum Subtransaction<T> {
    /// It was released; its writes belong to the caller's transaction.
    Released(T),
    /// The body asked for a rollback with this value.
    RolledBack(T),
}

/// Runs `body` in a subtransaction. It is released if `keep` says so of the result, else rolled
/// back. A panic (a Postgres ERROR) rolls it back and goes on as a panic.
pub(crate) fn subtransaction<T>(
    body: impl FnOnce() -> T,
    keep: impl FnOnce(&T) -> bool,
) -> Subtransaction<T> {
    // SAFETY: the sequence that PL/pgSQL's exception blocks use: begin, run, release or roll back,
    // with memory context and resource owner put back afterwards.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = catch_unwind(AssertUnwindSafe(body));
        let outcome = match result {
            Ok(value) if keep(&value) => {
                pg_sys::ReleaseCurrentSubTransaction();
                Ok(Subtransaction::Released(value))
            }
            Ok(value) => {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
                Ok(Subtransaction::RolledBack(value))
            }
            Err(panic) => {
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
                Err(panic)
            }
        };
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The panic payload of a Postgres ERROR or of our own guard, as text and SQLSTATE.
pub(crate) struct Caught {
    /// The primary message.
    pub(crate) message: String,
    /// True for codes that the caller must see: cancel, shutdown, serialization, deadlock.
    pub(crate) must_rethrow: bool,
    /// True if a lock could not be had in time, or only at the price of a deadlock.
    pub(crate) lock_refused: bool,
}

/// The message of a panic that is not a Postgres ERROR.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown failure".to_owned())
}

/// Reads a caught panic payload.
pub(crate) fn describe(payload: &(dyn std::any::Any + Send)) -> Caught {
    use pgrx::PgSqlErrorCode as Code;
    use pgrx::pg_sys::panic::CaughtError;
    let Some(caught) = payload.downcast_ref::<CaughtError>() else {
        return Caught {
            message: panic_message(payload),
            must_rethrow: true,
            lock_refused: false,
        };
    };
    let report = match caught {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report,
        CaughtError::RustPanic { ereport, .. } => ereport,
    };
    let code = report.sql_error_code();
    let must_rethrow = matches!(
        code,
        Code::ERRCODE_QUERY_CANCELED
            | Code::ERRCODE_ADMIN_SHUTDOWN
            | Code::ERRCODE_CRASH_SHUTDOWN
            | Code::ERRCODE_T_R_SERIALIZATION_FAILURE
            | Code::ERRCODE_T_R_DEADLOCK_DETECTED
            | Code::ERRCODE_LOCK_NOT_AVAILABLE
    );
    Caught {
        message: report.message().to_owned(),
        must_rethrow,
        lock_refused: matches!(
            code,
            Code::ERRCODE_LOCK_NOT_AVAILABLE | Code::ERRCODE_T_R_DEADLOCK_DETECTED
        ),
    }
}

/// True in REPEATABLE READ and SERIALIZABLE.
pub(crate) fn has_transaction_snapshot() -> bool {
    // SAFETY: a plain read of the transaction's isolation level.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ.cast_signed() }
}

/// True in a READ ONLY transaction.
pub(crate) fn is_read_only() -> bool {
    // SAFETY: a plain read.
    unsafe { pg_sys::XactReadOnly }
}

/// Raises a pending cancel or termination as the error it is.
pub(crate) fn check_for_interrupts() {
    pgrx::check_for_interrupts!();
}

/// Reads the flag that a signal handler sets when an interrupt waits; safe from any thread.
pub(crate) fn interrupt_pending() -> bool {
    // SAFETY: a volatile read of a sig_atomic_t that lives as long as the process.
    unsafe { std::ptr::read_volatile(&raw const pg_sys::InterruptPending) != 0 }
}

/// From 1970 to 2000, where Postgres' timestamps begin.
const UNIX_TO_POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A timestamptz, from milliseconds since 1970; the years up to 9999 do not overflow.
pub(crate) fn timestamp(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms * 1000).unwrap_or(i64::MAX) - UNIX_TO_POSTGRES_EPOCH_US
}

/// The transaction's start in microseconds since 1970.
pub(crate) fn transaction_start_us() -> i64 {
    // SAFETY: a plain read.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() + UNIX_TO_POSTGRES_EPOCH_US }
}

/// The start of the client's statement in microseconds since 1970.
pub(crate) fn statement_start_us() -> i64 {
    const UNIX_TO_POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
    // SAFETY: a plain read.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() + UNIX_TO_POSTGRES_EPOCH_US }
}

/// Now, in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() + UNIX_TO_POSTGRES_EPOCH_US }
}

/// The name of the database that this session is connected to.
pub(crate) fn database_name() -> String {
    // SAFETY: a catalog lookup in a transaction; the text is palloc'd, and null if the database is gone.
    unsafe {
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        if name.is_null() {
            return String::new();
        }
        std::ffi::CStr::from_ptr(name)
            .to_string_lossy()
            .into_owned()
    }
}

/// A number that tells this backend's transactions apart.
pub(crate) fn local_transaction() -> u32 {
    // SAFETY: MyProc is set in every backend that runs SQL.
    unsafe { (*pg_sys::MyProc).lxid }
}

/// How much of the stack JavaScript may use, from its base: less than `max_stack_depth`, so that deep
/// recursion is an error that JavaScript can catch.
pub(crate) fn stack_bytes() -> usize {
    // SAFETY: a plain read of a setting in kB.
    let kilobytes = unsafe { pg_sys::max_stack_depth };
    usize::try_from(kilobytes).unwrap_or(2048) * 1024 / 4 * 3
}

/// Ends this session because JavaScript left the process in a state that cannot go on.
pub(crate) fn end_session(reason: &str) -> ! {
    pgrx::pg_sys::panic::ErrorReport::new(
        pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        format!("the JavaScript engine could not go on: {reason}"),
        "end_session",
    )
    .report(pgrx::PgLogLevel::FATAL);
    unreachable!("ereport(FATAL) returned")
}

/// What tells the statements of this backend apart: transaction, snapshot, command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    transaction: u32,
    started: i64,
    xmax: u32,
    command: u32,
}

/// The running statement.
pub(crate) fn statement() -> Statement {
    // SAFETY: plain reads; a running statement has an active snapshot.
    unsafe {
        let snapshot = pg_sys::GetActiveSnapshot();
        Statement {
            transaction: local_transaction(),
            started: pg_sys::GetCurrentTransactionStartTimestamp(),
            xmax: (*snapshot).xmax.into(),
            command: (*snapshot).curcid,
        }
    }
}
