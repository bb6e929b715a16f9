//! The one helper thread: ends functions that run too long, and tells them of interrupts.
//!
//! It sleeps for good when no JavaScript has run for a while; a call then costs one wake-up. All signals
//! are blocked in it. It never touches V8 but through the two requests that any thread may make.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deno_core::v8;

use super::sys::{self, CpuClock};

/// What V8 calls on its own thread when it has been asked to interrupt.
pub(super) type InterruptCallback = unsafe extern "C" fn(v8::UnsafeRawIsolatePtr, *mut c_void);

/// How often a running function is looked at.
const TICK: Duration = Duration::from_millis(2);
/// Ticks without a function after which the thread sleeps for good.
const LINGER_TICKS: u32 = 100;
/// Stack of the thread; it calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;

/// What is watched of one call.
pub(super) struct Watched {
    /// Isolate it runs in.
    pub(super) isolate: v8::IsolateHandle,
    /// Processor time it may use.
    pub(super) limit: Duration,
    /// Whether the server wants to interrupt.
    pub(super) interrupt_pending: fn() -> bool,
    /// What V8 calls on its own thread at an interrupt.
    pub(super) on_interrupt: InterruptCallback,
    clock: CpuClock,
    /// Processor time used before `since`.
    used: Duration,
    /// When JavaScript was last entered; `None` during host calls.
    since: Option<Duration>,
    timed_out: bool,
    told_of_interrupt: bool,
}

impl Watched {
    /// A call that has not started yet; JavaScript will run on the calling thread.
    pub(super) fn new(
        isolate: v8::IsolateHandle,
        limit: Duration,
        interrupt_pending: fn() -> bool,
        on_interrupt: InterruptCallback,
        clock: CpuClock,
    ) -> Self {
        Self {
            isolate,
            limit,
            interrupt_pending,
            on_interrupt,
            clock,
            used: Duration::ZERO,
            since: None,
            timed_out: false,
            told_of_interrupt: false,
        }
    }

    fn used_until(&self, now: Duration) -> Duration {
        self.used
            + self
                .since
                .map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// One look. The state is locked, so a request can not hit a later call.
    fn check(&mut self) {
        if self.since.is_none() {
            return;
        }
        if !self.timed_out && self.used_until(self.clock.now()) > self.limit {
            self.timed_out = true;
            self.isolate.terminate_execution();
        }
        if !self.told_of_interrupt && (self.interrupt_pending)() {
            self.told_of_interrupt = true;
            self.isolate
                .request_interrupt(self.on_interrupt, std::ptr::null_mut());
        }
    }
}

#[derive(Default)]
struct State {
    watched: Option<Watched>,
    asleep: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calling thread's end of the watchdog.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
}

impl Watchdog {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        sys::with_signals_blocked(|| {
            std::thread::Builder::new()
                .name("pg_live watchdog".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || run(&theirs))
        })?;
        Ok(Self { shared })
    }

    /// Watches `next` from now on; gives back the call that was watched before, which `next` is nested in.
    pub(super) fn begin(&self, mut next: Watched) -> Option<Watched> {
        next.since = Some(next.clock.now());
        let mut state = self.shared.lock();
        let outer = state.watched.replace(next);
        if state.asleep {
            state.asleep = false;
            self.shared.wake.notify_one();
        }
        outer
    }

    /// Stops watching the present call and goes back to `outer`. Gives the processor time it used and
    /// whether that was too much.
    pub(super) fn end(&self, outer: Option<Watched>) -> (Duration, bool) {
        let mut state = self.shared.lock();
        let ended = std::mem::replace(&mut state.watched, outer);
        ended.map_or((Duration::ZERO, false), |call| {
            (call.used_until(call.clock.now()), call.timed_out)
        })
    }

    /// The present call leaves JavaScript for a host call.
    pub(super) fn pause(&self) {
        if let Some(call) = &mut self.shared.lock().watched {
            call.used = call.used_until(call.clock.now());
            call.since = None;
        }
    }

    /// The present call comes back from a host call.
    pub(super) fn resume(&self) {
        if let Some(call) = &mut self.shared.lock().watched {
            call.since = Some(call.clock.now());
        }
    }

    /// The present call has served the interrupts it was told of.
    pub(super) fn interrupts_served(&self) {
        if let Some(call) = &mut self.shared.lock().watched {
            call.told_of_interrupt = false;
        }
    }

    /// Whether the present call has used up its time.
    pub(super) fn timed_out(&self) -> bool {
        self.shared
            .lock()
            .watched
            .as_ref()
            .is_some_and(|call| call.timed_out)
    }
}

/// The thread.
fn run(shared: &Shared) {
    let mut idle_ticks = 0;
    let mut state = shared.lock();
    loop {
        match &mut state.watched {
            Some(call) => {
                idle_ticks = 0;
                call.check();
            }
            None => idle_ticks += 1,
        }
        if idle_ticks > LINGER_TICKS {
            state.asleep = true;
            state = shared
                .wake
                .wait_while(state, |state| state.asleep)
                .unwrap_or_else(PoisonError::into_inner);
            idle_ticks = 0;
        } else {
            drop(state);
            std::thread::sleep(TICK);
            state = shared.lock();
        }
    }
}
