//! Latches: waiting for something to do, and waking another process.

use std::time::Duration;

use pgrx::pg_sys;

/// Where a process can be woken: its place in the array of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessSeat(i32);

impl ProcessSeat {
    /// What stands for nobody in shared memory.
    pub(crate) const NOBODY: i32 = -1;

    /// The seat of this process.
    pub(crate) fn own() -> ProcessSeat {
        // SAFETY: set at the start of every process that has shared memory, before our code runs.
        ProcessSeat(unsafe { (*pg_sys::MyProc).pgprocno })
    }

    /// As it is kept in shared memory.
    pub(crate) fn to_raw(self) -> i32 {
        self.0
    }

    /// The reverse of [`to_raw`](Self::to_raw); `None` for [`NOBODY`](Self::NOBODY).
    pub(crate) fn from_raw(raw: i32) -> Option<ProcessSeat> {
        (raw != Self::NOBODY).then_some(ProcessSeat(raw))
    }

    /// Sets the latch of whoever sits there: in the worst case somebody looks up in vain.
    pub(crate) fn wake(self) {
        let Ok(index) = usize::try_from(self.0) else {
            return;
        };
        // SAFETY: the number came from a PGPROC of this server; the array never moves, and a latch
        // may be set at any time.
        unsafe {
            let process = (*pg_sys::ProcGlobal).allProcs.add(index);
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}

/// Waits until the own latch is set or the time is over, and resets the latch. Ends the process if
/// the postmaster died. Interrupts are left for [`check_for_interrupts`].
pub(crate) fn wait(timeout: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let milliseconds = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    // SAFETY: MyLatch is this process's latch from its start to its end.
    unsafe {
        #[allow(clippy::cast_possible_wrap)] // a small set of flags
        let events = events as i32;
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events,
            milliseconds,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}

/// Acts on a pending cancel (raises an ERROR) or termination (ends the process).
pub(crate) fn check_for_interrupts() {
    // SAFETY: what CHECK_FOR_INTERRUPTS() expands to; no lock of ours is held by callers.
    unsafe {
        if (&raw const pg_sys::InterruptPending).read_volatile() != 0 {
            pg_sys::ProcessInterrupts();
        }
    }
}
