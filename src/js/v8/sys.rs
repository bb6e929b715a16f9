//! What is needed from libc.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::time::Duration;

unsafe extern "C" {
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    fn pthread_getcpuclockid(thread: libc::pthread_t, clock: *mut libc::clockid_t) -> c_int;
    fn pthread_attr_getstack(
        attributes: *const libc::pthread_attr_t,
        address: *mut *mut c_void,
        size: *mut libc::size_t,
    ) -> c_int;
}

/// From now on the process ends through `_exit`: V8's and the C++ library's destructors would run below
/// frames of JavaScript that a FATAL error left behind, and crash.
pub(super) fn exit_without_destructors() {
    extern "C" fn leave(status: c_int, _argument: *mut c_void) {
        // SAFETY: `_exit` may be called at any time.
        unsafe { libc::_exit(status) }
    }
    // SAFETY: the handler is a function that lives as long as the process and takes no argument.
    unsafe { on_exit(leave, std::ptr::null_mut()) };
}

/// Installs `handler` for the signals by which V8 gives up.
pub(super) fn catch_traps(handler: extern "C" fn(c_int)) {
    for signal in [libc::SIGTRAP, libc::SIGILL, libc::SIGABRT] {
        // SAFETY: the structure is filled in as sigaction(2) wants it; the handler lives as long as the process.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_NODEFER;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Lets `signal` do what it does by default.
pub(super) fn raise_by_default(signal: c_int) {
    // SAFETY: both calls are async-signal-safe and take a valid signal number.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// The highest address of the calling thread's stack.
pub(super) fn stack_base() -> Option<usize> {
    let mut address = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: the attributes are initialised by the first call, read, and destroyed once.
    unsafe {
        let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let found = pthread_attr_getstack(attributes.as_ptr(), &raw mut address, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (found == 0).then_some(address as usize + size)
    }
}

/// An address near the top of the stack as it is now.
#[inline(never)]
pub(super) fn stack_pointer() -> usize {
    let marker = 0_u8;
    std::hint::black_box(&raw const marker) as usize
}

/// A clock of the processor time that one thread has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuClock(libc::clockid_t);

impl CpuClock {
    /// The calling thread's, readable from other threads.
    pub(super) fn of_this_thread() -> Self {
        let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
        // SAFETY: the thread is the calling one; the clock is written only on success.
        unsafe { pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        Self(clock)
    }

    /// Time used so far.
    pub(super) fn now(self) -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is valid for the write; a failure leaves it zero.
        unsafe { libc::clock_gettime(self.0, &raw mut time) };
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }
}

/// The memory of this process that it shares with no other.
pub(super) struct PrivateMemory(Option<std::fs::File>);

impl PrivateMemory {
    /// Opens the kernel's account of it.
    pub(super) fn open() -> Self {
        Self(std::fs::File::open("/proc/self/statm").ok())
    }

    /// Bytes now; `None` where the kernel does not tell.
    pub(super) fn bytes(&self) -> Option<usize> {
        const PAGE: usize = 4096;
        let mut buffer = [0_u8; 128];
        let read = self.0.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let mut fields = std::str::from_utf8(&buffer[..read])
            .ok()?
            .split(' ')
            .skip(1);
        let resident: usize = fields.next()?.parse().ok()?;
        let shared: usize = fields.next()?.parse().ok()?;
        Some(resident.saturating_sub(shared) * PAGE)
    }
}

/// Runs `start` with every signal blocked, so that a thread made by it never takes one.
pub(super) fn with_signals_blocked<R>(start: impl FnOnce() -> R) -> R {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the full set is initialised by sigfillset, the former mask by pthread_sigmask.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = start();
    // SAFETY: `before` was initialised above; a zeroed one would be no mask of this thread.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
    result
}

/// Runs `body` with the environment's time zone set to UTC, and puts it back after.
pub(super) fn with_utc<R>(body: impl FnOnce() -> R) -> R {
    let before = std::env::var_os("TZ");
    // SAFETY: V8 is being started on the only thread that runs; no other one reads the environment.
    unsafe { std::env::set_var("TZ", "UTC") };
    let result = body();
    // SAFETY: as above.
    unsafe {
        match before {
            Some(zone) => std::env::set_var("TZ", zone),
            None => std::env::remove_var("TZ"),
        }
    }
    result
}
