//! The worker's side of WAL capture: whether a decoder is of use, how far it must come, and whether it is gone.

use std::time::{Duration, Instant};

use pg_live_invalidation::{Invalidator, Lsn};

use crate::pg::shmem::{self, Slot};

/// How long the invalidations of a commit wait at most for its rows. A large transaction takes long to decode.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the worker waits for.
#[derive(Default)]
pub(super) struct Waits {
    since: Option<(Lsn, Instant)>,
}

impl Waits {
    /// To be called before writers are resolved.
    pub(super) fn before(&mut self, slot: &Slot, state: &mut Invalidator) {
        let run = slot.decoder().run();
        if state.decoder_run().is_some_and(|known| known != run) {
            state.decoder_gone();
        }
        if let Some((wanted, since)) = self.since
            && since.elapsed() >= PATIENCE
        {
            self.since = None;
            state.stop_waiting(wanted);
        }
    }

    /// To be called after writers were resolved. F5: what they wait for may have to be flushed first.
    pub(super) fn after(&mut self, slot: &Slot, state: &Invalidator) {
        let decoder = slot.decoder();
        if decoder.set_wanted(state.watches_wal()) {
            if let Ok(memory) = shmem::memory() {
                memory.wake_launcher();
            }
            decoder.wake();
        }
        let wanted = state.wal_wanted();
        match wanted {
            None => self.since = None,
            Some(wanted) => {
                // Those of before are done if what is waited for now is all later; at worst this is early.
                self.since.get_or_insert((wanted, Instant::now()));
            }
        }
        if decoder.set_wal_wanted(wanted.unwrap_or(0)) {
            decoder.wake();
        }
    }
}
