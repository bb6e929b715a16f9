//! What the decoder and the others tell each other in shared memory.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

use super::State;
use crate::pg::latch::ProcessSeat;

/// The part of a slot that belongs to its decoder. All-zero bytes are valid: nobody is there.
#[repr(C)]
pub(crate) struct DecoderSeat {
    seat: AtomicI32,
    pid: AtomicI32,
    state: AtomicU32,
    wanted: AtomicBool,
    /// How many decoders there have been: each has the number that it made of this.
    runs: AtomicU64,
    /// The number of the one that runs, 0 if none does.
    run: AtomicU64,
    /// How far the worker needs the WAL decoded.
    wal_wanted: AtomicU64,
    /// How far it is.
    decoded: AtomicU64,
    /// When the last of what was flushed had been decoded, in milliseconds since 1970.
    caught_up_ms: AtomicU64,
}

impl DecoderSeat {
    /// The decoder begins. Returns its number.
    pub(crate) fn enter(&self, seat: ProcessSeat, pid: i32) -> u64 {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        self.seat.store(seat.to_raw(), Ordering::SeqCst);
        self.pid.store(pid, Ordering::SeqCst);
        self.caught_up_ms.store(now_ms(), Ordering::SeqCst);
        self.set_state(State::Starting);
        self.run.store(run, Ordering::SeqCst);
        run
    }

    /// It ends, or has ended.
    pub(crate) fn leave(&self, why: State) {
        self.run.store(0, Ordering::SeqCst);
        self.pid.store(0, Ordering::SeqCst);
        self.set_state(why);
    }

    /// The number of the decoder that runs, 0 if none does.
    pub(crate) fn run(&self) -> u64 {
        self.run.load(Ordering::SeqCst)
    }

    /// Its process id, 0 if there is none.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// What it does.
    pub(crate) fn state(&self) -> State {
        State::from_raw(self.state.load(Ordering::SeqCst))
    }

    /// Says what it does.
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state.to_raw(), Ordering::SeqCst);
    }

    /// Whether a decoder is of use.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Says whether a decoder is of use. Returns whether that is news.
    pub(crate) fn set_wanted(&self, wanted: bool) -> bool {
        self.wanted.swap(wanted, Ordering::SeqCst) != wanted
    }

    /// How far the WAL must be decoded, flushed or not.
    pub(crate) fn wal_wanted(&self) -> u64 {
        self.wal_wanted.load(Ordering::SeqCst)
    }

    /// Says how far the WAL must be decoded. Returns whether that is further than before.
    pub(crate) fn set_wal_wanted(&self, lsn: u64) -> bool {
        self.wal_wanted.swap(lsn, Ordering::SeqCst) < lsn
    }

    /// How far the WAL is decoded.
    pub(crate) fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::SeqCst)
    }

    /// Says how far the WAL is decoded, and whether that is all there is.
    pub(crate) fn set_decoded(&self, lsn: u64, all: bool) {
        self.decoded.store(lsn, Ordering::SeqCst);
        if all {
            self.caught_up_ms.store(now_ms(), Ordering::SeqCst);
        }
    }

    /// How long ago it had decoded all that was flushed.
    pub(crate) fn lag_ms(&self) -> Option<u64> {
        (self.state() == State::Decoding)
            .then(|| now_ms().saturating_sub(self.caught_up_ms.load(Ordering::SeqCst)))
    }

    /// Wakes it, if it runs.
    pub(crate) fn wake(&self) {
        if self.run() != 0
            && let Some(seat) = ProcessSeat::from_raw(self.seat.load(Ordering::SeqCst))
        {
            seat.wake();
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}
