//! Background workers: registration, start, connection, and short transactions.

use std::ffi::{CStr, CString, c_char};
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;

use pgrx::PgTryBuilder;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;

unsafe extern "C-unwind" {
    fn Async_Notify(channel: *const c_char, payload: *const c_char);
    // Without the guard that the generated bindings add: signal handlers must stay as they are.
    fn SignalHandlerForConfigReload(signal: i32);
    fn die(signal: i32);
    fn SignalHandlerForShutdownRequest(signal: i32);
    fn procsignal_sigusr1_handler(signal: i32);
}

/// A worker that this process has asked for.
pub(crate) struct Handle(NonNull<pg_sys::BackgroundWorkerHandle>);

/// Whether the library is being preloaded by the postmaster.
pub(crate) fn is_preloading() -> bool {
    // SAFETY: a plain global.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

fn definition(
    name: &str,
    function: &str,
    flags: u32,
    restart_seconds: i32,
) -> pg_sys::BackgroundWorker {
    let mut worker = pg_sys::BackgroundWorker::default();
    copy_text(name, &mut worker.bgw_name);
    copy_text(name, &mut worker.bgw_type);
    copy_text("pg_live", &mut worker.bgw_library_name);
    copy_text(function, &mut worker.bgw_function_name);
    worker.bgw_flags = i32::try_from(flags).unwrap_or(0);
    worker.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = restart_seconds;
    worker
}

fn copy_text(text: &str, to: &mut [c_char]) {
    for (place, byte) in to.iter_mut().zip(text.bytes()) {
        *place = byte.cast_signed();
    }
}

/// Registers a worker without a database that the postmaster keeps running. While preloading only.
pub(crate) fn register_static(name: &str, function: &str, restart_seconds: i32) {
    let mut worker = definition(
        name,
        function,
        pg_sys::BGWORKER_SHMEM_ACCESS,
        restart_seconds,
    );
    // SAFETY: called in the postmaster while preloading; the definition is copied.
    unsafe { pg_sys::RegisterBackgroundWorker(&raw mut worker) };
}

/// Starts a worker that can connect to a database; this process is told when it starts and ends.
/// `None` if max_worker_processes are in use.
pub(crate) fn start_dynamic(name: &str, function: &str, argument: usize) -> Option<Handle> {
    let flags = pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION;
    let mut worker = definition(name, function, flags, pg_sys::BGW_NEVER_RESTART);
    worker.bgw_main_arg = pg_sys::Datum::from(argument);
    let mut handle = std::ptr::null_mut();
    // SAFETY: called in a worker with access to shared memory; the definition is copied; the
    // handle is allocated in the current context, which in the launcher lasts to its end.
    unsafe {
        worker.bgw_notify_pid = pg_sys::MyProcPid;
        if pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle) {
            NonNull::new(handle).map(Handle)
        } else {
            None
        }
    }
}

impl Handle {
    /// Whether the worker has not ended yet (it may not have begun).
    pub(crate) fn is_alive(&self) -> bool {
        let mut pid = 0;
        // SAFETY: the handle is valid, see `start_dynamic`.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.0.as_ptr(), &raw mut pid) };
        matches!(
            status,
            pg_sys::BgwHandleStatus::BGWH_STARTED | pg_sys::BgwHandleStatus::BGWH_NOT_YET_STARTED
        )
    }
}

impl Handle {
    /// Asks the worker to end.
    pub(crate) fn terminate(&self) {
        // SAFETY: the handle is valid, see `start_dynamic`.
        unsafe { pg_sys::TerminateBackgroundWorker(self.0.as_ptr()) };
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: allocated by Postgres for us alone.
        unsafe { pg_sys::pfree(self.0.as_ptr().cast()) };
    }
}

/// Whether a process with this id is connected to this server.
pub(crate) fn is_connected(pid: i32) -> bool {
    // SAFETY: looks the id up under a lock.
    pid != 0 && unsafe { !pg_sys::BackendPidGetProc(pid).is_null() }
}

/// Memory of a process of this server, as the system counts it; `None` if it cannot be known.
pub(crate) fn resident_bytes(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The id of this process.
pub(crate) fn own_pid() -> i32 {
    // SAFETY: a plain global.
    unsafe { pg_sys::MyProcPid }
}

/// First step of a worker: termination and configuration signals are obeyed from here on.
pub(crate) fn begin() {
    // SAFETY: before anything else in the worker; the handlers are Postgres' own.
    unsafe {
        pg_sys::pqsignal(libc::SIGHUP, Some(SignalHandlerForConfigReload));
        pg_sys::pqsignal(libc::SIGTERM, Some(SignalHandlerForShutdownRequest));
        // The one that a worker without a database gets by default does not set its latch.
        pg_sys::pqsignal(libc::SIGUSR1, Some(procsignal_sigusr1_handler));
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// As [`begin`], for a worker that may wait long within Postgres: a termination ends it there.
pub(crate) fn begin_interruptible() {
    begin();
    // SAFETY: as in `begin`; what interrupts cannot wait for is under Postgres' control.
    unsafe { pg_sys::pqsignal(libc::SIGTERM, Some(die)) };
}

/// Connects a worker to a database as the bootstrap superuser. Ends the process if that fails.
pub(crate) fn connect(database: u32) {
    // SAFETY: once in a worker that asked for a connection.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            pg_sys::Oid::from(database),
            pg_sys::InvalidOid,
            0,
        );
    }
}

/// Whether the process was asked to end. What a worker waits for within a transaction is bounded by
/// its lock_timeout, so it sees this soon.
pub(crate) fn is_asked_to_end() -> bool {
    // SAFETY: a flag set by the signal handler.
    unsafe { (&raw const pg_sys::ShutdownRequestPending).read_volatile() != 0 }
}

/// Reads the configuration anew if that was asked for.
pub(crate) fn reload_if_asked() {
    // SAFETY: flag and call are Postgres' own; no transaction is open.
    unsafe {
        if (&raw const pg_sys::ConfigReloadPending).read_volatile() != 0 {
            (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Sets a parameter for the rest of the process.
pub(crate) fn set_parameter(name: &CStr, value: &CStr) {
    // SAFETY: two C strings; the parameter may be set by a superuser's session.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// As [`set_parameter`], for one that not every minor version of Postgres has.
pub(crate) fn set_parameter_if_known(name: &CStr, value: &CStr) {
    // SAFETY: a C string; what is asked for is whether the parameter exists.
    if unsafe { !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null() } {
        set_parameter(name, value);
    }
}

/// What the process shows as its state in pg_stat_activity.
pub(crate) fn report_activity(text: &str) {
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: the text is copied.
    unsafe {
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, text.as_ptr());
    }
}

/// Ends the process; the postmaster takes 0 as done and 1 as failed.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: runs the exit callbacks and does not return.
    unsafe { pg_sys::proc_exit(status) }
}

/// Has `callback` called when this process gives up shared memory, whatever ends it. A panic in it
/// is swallowed.
pub(crate) fn before_exit(callback: fn()) {
    let argument = pg_sys::Datum::from(callback as usize);
    // SAFETY: the function lives as long as the library, which is never unloaded.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), argument) };
}

unsafe extern "C-unwind" fn on_exit(_status: i32, argument: pg_sys::Datum) {
    // SAFETY: `before_exit` put a function of this type there.
    let callback = unsafe { std::mem::transmute::<usize, fn()>(argument.value()) };
    let _ = std::panic::catch_unwind(AssertUnwindSafe(callback));
}

/// Runs `body` in a transaction of its own with a snapshot. An ERROR in it or at its commit rolls
/// it back and comes back as its message; a termination ends the process.
pub(crate) fn transaction<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    PgTryBuilder::new(AssertUnwindSafe(|| {
        // SAFETY: no transaction is open in the worker's loop.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let value = body();
        // SAFETY: as opened above.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
        Ok(value)
    }))
    .catch_others(|error| {
        // SAFETY: what a worker's error path does; the error itself was copied before.
        unsafe {
            pg_sys::AbortCurrentTransaction();
            pg_sys::LWLockReleaseAll();
        }
        Err(match error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic {
                ereport: report, ..
            } => report.message().to_string(),
        })
    })
    .execute()
}

/// Queues a notification in the running transaction.
pub(crate) fn notify(channel: &CStr, payload: &str) {
    let payload = CString::new(payload).unwrap_or_default();
    // SAFETY: two C strings that are copied; an ERROR becomes a panic at the boundary.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| Async_Notify(channel.as_ptr(), payload.as_ptr()));
    }
}

/// The oid of the extension, 0 if it is not there. Within a transaction.
pub(crate) fn extension() -> u32 {
    // SAFETY: a catalog look-up within a transaction.
    unsafe { pg_sys::get_extension_oid(c"pg_live".as_ptr(), true) }.to_u32()
}

/// Whether this server is a standby, or is still recovering.
pub(crate) fn is_standby() -> bool {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Declares the entry of a background worker's process:
/// `worker_main!(pg_live_worker_main = main);` exports the symbol; the body is `fn(Datum)`.
macro_rules! worker_main {
    ($symbol:ident = $body:path) => {
        #[pgrx::pg_guard]
        #[unsafe(no_mangle)]
        extern "C-unwind" fn $symbol(argument: ::pgrx::pg_sys::Datum) {
            $body(argument);
        }
    };
}
pub(crate) use worker_main;
