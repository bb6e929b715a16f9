//! The state of one running call, reachable from V8's callbacks.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use deno_core::v8;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::engine::Engine;
use super::kept::Keep;
use super::modules::Loaded;
use super::platform;
use crate::js::log_lines::LogLines;
use crate::js::{Host, HostError, Interrupts, JsError};

thread_local! {
    /// The innermost call; null outside of calls.
    static CURRENT: Cell<*const Frame<'static>> = const { Cell::new(ptr::null()) };
}

/// A `Convex.asyncSyscall` that waits for its turn.
pub(super) struct Pending {
    pub(super) op: String,
    pub(super) args: String,
    pub(super) resolver: v8::Global<v8::PromiseResolver>,
}

/// Why the host side stops a call.
pub(super) enum Halted {
    /// A host call failed for good.
    Host(Box<dyn Any + Send>),
    /// The server interrupts.
    Interrupted,
    /// The function used what it must not: it ends with this error, and can not catch it.
    Ended(JsError),
}

/// How far a call has got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Modules are imported; syscalls are refused.
    Import,
    /// The function runs.
    Run,
    /// It has ended; what it left behind must do nothing any more.
    Ended,
}

/// How a host call failed.
pub(super) enum HostFault {
    /// With an error the function may catch.
    Js {
        message: String,
        data: Option<String>,
    },
    /// The call is being stopped; JavaScript must not go on.
    Stopped,
}

/// One call.
pub(super) struct Frame<'a> {
    pub(super) engine: Rc<Engine>,
    host: RefCell<&'a mut dyn Host>,
    /// Under which number the code is cached; none for code that is being analysed.
    pub(super) deployment: Option<i64>,
    pub(super) phase: Cell<Phase>,
    /// Which kept contexts the call may take, and whether its own is kept after it.
    pub(super) keep: Keep,
    /// Whether modules are imported from guarded texts.
    pub(super) guarded: bool,
    /// Why a module cannot be guarded, as its text alone shows.
    pub(super) refusal: RefCell<Option<String>>,
    /// Whether the context was kept from an earlier call, or prepared for this one.
    pub(super) resumed: Cell<bool>,
    /// Whether the server wants to interrupt.
    pub(super) interrupt_pending: fn() -> bool,
    random: RefCell<ChaCha12Rng>,
    pub(super) log_lines: RefCell<LogLines>,
    pub(super) pending: RefCell<VecDeque<Pending>>,
    /// Promises that were rejected and that nobody handles so far.
    pub(super) rejections: RefCell<Vec<v8::Global<v8::Promise>>>,
    pub(super) loaded: RefCell<Loaded>,
    /// What the bootstrap gave.
    pub(super) runtime: RefCell<Option<v8::Global<v8::Object>>>,
    /// The exports of the call's module, once it is imported.
    pub(super) exports: RefCell<Option<v8::Global<v8::Object>>>,
    halted: RefCell<Option<Halted>>,
}

impl<'a> Frame<'a> {
    /// A call that is still to begin. `seed` is the one module code sees.
    pub(super) fn new(
        engine: Rc<Engine>,
        host: &'a mut dyn Host,
        deployment: Option<i64>,
        interrupt_pending: fn() -> bool,
        seed: [u8; 32],
    ) -> Self {
        Self {
            engine,
            host: RefCell::new(host),
            deployment,
            phase: Cell::new(Phase::Import),
            keep: Keep::Nothing,
            guarded: false,
            refusal: RefCell::default(),
            resumed: Cell::new(false),
            interrupt_pending,
            random: RefCell::new(ChaCha12Rng::from_seed(seed)),
            log_lines: RefCell::default(),
            pending: RefCell::default(),
            rejections: RefCell::default(),
            loaded: RefCell::default(),
            runtime: RefCell::default(),
            exports: RefCell::default(),
            halted: RefCell::default(),
        }
    }

    /// Runs `body` with this as the innermost call.
    pub(super) fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        let this = ptr::from_ref(self).cast::<Frame<'static>>();
        let outer = CURRENT.replace(this);
        let result = body();
        CURRENT.set(outer);
        result
    }

    /// From now on the function itself runs, with random numbers of its own.
    pub(super) fn start_running(&self, seed: [u8; 32]) {
        self.random.replace(ChaCha12Rng::from_seed(seed));
        self.phase.set(Phase::Run);
    }

    /// Fills `bytes` with the call's next random numbers.
    pub(super) fn fill_random(&self, bytes: &mut [u8]) {
        self.random.borrow_mut().fill_bytes(bytes);
    }

    /// Whether the call is being stopped, for whatever reason.
    pub(super) fn stopped(&self) -> bool {
        self.halted.borrow().is_some() || self.engine.heap.reached() || self.engine.watchdog.stops()
    }

    /// Stops the call: JavaScript does not go on, and can not catch it.
    pub(super) fn halt(&self, why: Halted) {
        self.halted.borrow_mut().get_or_insert(why);
        self.engine.isolate().terminate_execution();
    }

    /// Why the host side stopped the call, if it did.
    pub(super) fn take_halted(&self) -> Option<Halted> {
        self.halted.take()
    }

    /// Leaves V8 for the host. A panic there ends here, and ends the call.
    pub(super) fn call_host<R>(
        &self,
        call: impl FnOnce(&mut dyn Host) -> Result<R, HostError>,
    ) -> Result<R, HostFault> {
        if self.stopped() {
            self.engine.isolate().terminate_execution();
            return Err(HostFault::Stopped);
        }
        let watchdog = &self.engine.watchdog;
        watchdog.pause();
        let inside = platform::set_inside(false);
        let result = catch_unwind(AssertUnwindSafe(|| call(&mut **self.host.borrow_mut())));
        platform::set_inside(inside);
        watchdog.resume();
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(HostError::Js { message, data })) => Err(HostFault::Js { message, data }),
            Ok(Err(HostError::Fatal(payload))) | Err(payload) => {
                self.halt(Halted::Host(payload));
                Err(HostFault::Stopped)
            }
        }
    }

    /// Serves the server's interrupts, in the middle of JavaScript.
    fn serve_interrupts(&self) {
        if (self.interrupt_pending)() {
            match self.call_host(|host| Ok(host.serve_interrupts())) {
                Ok(Interrupts::Continue) => {}
                Ok(Interrupts::Stop) => self.halt(Halted::Interrupted),
                Err(HostFault::Js { .. } | HostFault::Stopped) => return,
            }
        }
        self.engine.watchdog.interrupts_served();
    }
}

/// Runs `body` with the innermost call; `None` if there is none.
pub(super) fn with_current<R>(body: impl FnOnce(&Frame<'_>) -> R) -> Option<R> {
    let current = CURRENT.get();
    // SAFETY: the pointer is set only while `Frame::enter` borrows the frame, and callbacks run within it.
    unsafe { current.as_ref() }.map(body)
}

/// See [`crate::js::append_log_lines`].
pub(in crate::js) fn append_log_lines(lines: Vec<String>) {
    with_current(|frame| frame.log_lines.borrow_mut().append(lines));
}

/// V8's callback at an interrupt that the watchdog asked for.
///
/// # Safety
/// Called by V8 on the isolate's thread.
pub(super) unsafe extern "C" fn on_interrupt(
    _isolate: v8::UnsafeRawIsolatePtr,
    _data: *mut std::ffi::c_void,
) {
    with_current(|frame| frame.serve_interrupts());
}
