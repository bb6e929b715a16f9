//! The one helper thread: ends functions that run too long, and tells them of interrupts.
//!
//! It sleeps for good when no JavaScript has run for a while; a call then costs one wake-up. All signals
//! are blocked in it. It never touches V8 but through the two requests that any thread may make.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deno_core::v8;

use super::sys::{self, CpuClock, PrivateMemory};
use crate::js::Limits;

/// What V8 calls on its own thread when it has been asked to interrupt.
pub(super) type InterruptCallback = unsafe extern "C" fn(v8::UnsafeRawIsolatePtr, *mut c_void);

/// How often a running function is looked at.
const TICK: Duration = Duration::from_millis(2);
/// How soon one is found that begins after a look at which none ran.
const IDLE_TICK: Duration = Duration::from_millis(10);
/// Looks without a function after which the thread sleeps for good.
const LINGER_TICKS: u32 = 20;
/// Stack of the thread; it calls nothing deep.
const STACK_BYTES: usize = 128 * 1024;
/// The heap and array buffers may each take the limit of the heap.
const MEMORY_FACTOR: usize = 2;
/// What V8 itself may take besides.
const MEMORY_SLACK: usize = 64 * 1024 * 1024;

/// How exactly the processor time of a call is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metering {
    /// From its first instruction on; reading the clock costs a call of the kernel each time.
    Exact,
    /// From the first tick that finds it running: enough for the limit, and free for short calls.
    Coarse,
}

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
    /// Processor time used before `since`, by calls nested in this one, too.
    used: Duration,
    /// How much of it nested calls used.
    nested: Duration,
    metering: Metering,
    /// Whether JavaScript runs; false during host calls.
    running: bool,
    /// When JavaScript was last entered, or first seen to run since then.
    since: Option<Duration>,
    timed_out: bool,
    told_of_interrupt: bool,
    /// Most private memory JavaScript may add to the process before it comes to a host call.
    memory_limit: usize,
    /// Private memory when JavaScript was last seen to run on.
    memory_before: Option<usize>,
    out_of_memory: bool,
}

impl Watched {
    /// A call that has not started yet; JavaScript will run on the calling thread.
    pub(super) fn new(
        isolate: v8::IsolateHandle,
        limits: &Limits,
        on_interrupt: InterruptCallback,
        clock: CpuClock,
        metering: Metering,
    ) -> Self {
        Self {
            isolate,
            limit: limits.user_time,
            interrupt_pending: limits.interrupt_pending,
            on_interrupt,
            clock,
            used: Duration::ZERO,
            nested: Duration::ZERO,
            metering,
            running: false,
            since: None,
            timed_out: false,
            told_of_interrupt: false,
            memory_limit: MEMORY_FACTOR * limits.heap_bytes + MEMORY_SLACK,
            memory_before: None,
            out_of_memory: false,
        }
    }

    fn start(&mut self) {
        self.running = true;
        self.since = match self.metering {
            Metering::Exact => Some(self.clock.now()),
            Metering::Coarse => None,
        };
    }

    fn stop(&mut self) {
        self.running = false;
        if let Some(since) = self.since.take() {
            self.used += self.clock.now().saturating_sub(since);
        }
    }

    /// One look. The state is locked, so a request can not hit a later call.
    fn check(&mut self, memory: &PrivateMemory) {
        if !self.running {
            return;
        }
        self.check_memory(memory);
        let now = self.clock.now();
        let since = *self.since.get_or_insert(now);
        if !self.timed_out && self.used + now.saturating_sub(since) > self.limit {
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

impl Watched {
    /// The net below the heap's own limit: memory that V8 does not count, like WebAssembly's.
    fn check_memory(&mut self, memory: &PrivateMemory) {
        let Some(now) = memory.bytes() else { return };
        let before = *self.memory_before.get_or_insert(now);
        if !self.out_of_memory && now.saturating_sub(before) > self.memory_limit {
            self.out_of_memory = true;
            self.isolate.terminate_execution();
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

/// What the watchdog has seen of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// Processor time it used, without that of calls nested in it.
    pub(super) user_time: Duration,
    /// That was too much.
    pub(super) timed_out: bool,
    /// It used too much memory.
    pub(super) out_of_memory: bool,
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

    /// Watches `next` from now on; gives back the call that was watched before, which `next` is nested in:
    /// what that one has left of its time is all that `next` may use.
    pub(super) fn begin(&self, mut next: Watched) -> Option<Watched> {
        next.start();
        let mut state = self.shared.lock();
        if let Some(outer) = &state.watched {
            next.limit = next.limit.min(outer.limit.saturating_sub(outer.used));
        }
        let outer = state.watched.replace(next);
        if state.asleep {
            state.asleep = false;
            self.shared.wake.notify_one();
        }
        outer
    }

    /// Stops watching the present call and goes back to `outer`.
    pub(super) fn end(&self, outer: Option<Watched>) -> Verdict {
        let mut state = self.shared.lock();
        let Some(mut ended) = std::mem::replace(&mut state.watched, outer) else {
            return Verdict::default();
        };
        ended.stop();
        if let Some(outer) = &mut state.watched {
            outer.used += ended.used;
            outer.nested += ended.used;
        }
        Verdict {
            user_time: ended.used.saturating_sub(ended.nested),
            timed_out: ended.timed_out,
            out_of_memory: ended.out_of_memory,
        }
    }

    /// The present call leaves JavaScript for a host call.
    pub(super) fn pause(&self) {
        if let Some(call) = &mut self.shared.lock().watched {
            call.stop();
            call.memory_before = None;
        }
    }

    /// The present call comes back from a host call.
    pub(super) fn resume(&self) {
        if let Some(call) = &mut self.shared.lock().watched {
            call.start();
            // A nested call may have been told in its place.
            call.told_of_interrupt = false;
        }
    }

    /// The present call has served the interrupts it was told of.
    pub(super) fn interrupts_served(&self) {
        if let Some(call) = &mut self.shared.lock().watched {
            call.told_of_interrupt = false;
        }
    }

    /// Whether the watchdog stops the present call.
    pub(super) fn stops(&self) -> bool {
        let state = self.shared.lock();
        state
            .watched
            .as_ref()
            .is_some_and(|call| call.timed_out || call.out_of_memory)
    }
}

/// The thread.
fn run(shared: &Shared) {
    let memory = PrivateMemory::open();
    let mut idle_ticks = 0;
    let mut state = shared.lock();
    loop {
        let pause = match &mut state.watched {
            Some(call) => {
                idle_ticks = 0;
                call.check(&memory);
                TICK
            }
            None => {
                idle_ticks += 1;
                IDLE_TICK
            }
        };
        if idle_ticks > LINGER_TICKS {
            state.asleep = true;
            state = shared
                .wake
                .wait_while(state, |state| state.asleep)
                .unwrap_or_else(PoisonError::into_inner);
            idle_ticks = 0;
        } else {
            drop(state);
            std::thread::sleep(pause);
            state = shared.lock();
        }
    }
}
