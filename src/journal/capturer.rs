//! R18: adds the triggers of relations that queries have read and that are not captured yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_live_readset::RelId;

use crate::capture;
use crate::error::Result;
use crate::pg::shmem::Slot;
use crate::pg::worker;

/// The first pause after a failure; each further one is twice as long.
const RETRY: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// Then the request is dropped; the next run of a query makes a new one.
const ATTEMPTS: u32 = 20;

/// The requests that failed so far: mostly because a writer held its table for longer than `lock_timeout`.
#[derive(Default)]
pub(super) struct Capturer {
    failed: BTreeMap<RelId, Failed>,
}

struct Failed {
    attempts: u32,
    again: Instant,
}

impl Capturer {
    /// Serves what is due, each request in a transaction of its own. Returns when to come again.
    pub(super) fn serve(&mut self, slot: &Slot) -> Option<Duration> {
        let wanted: Vec<RelId> = slot.capture_requests().iter().collect();
        self.failed.retain(|rel, _| wanted.contains(rel));
        for rel in wanted {
            let failed = self.failed.get(&rel);
            if failed.is_some_and(|failed| Instant::now() < failed.again) {
                continue;
            }
            match add_triggers(rel) {
                Ok(()) => {
                    self.failed.remove(&rel);
                    slot.capture_requests().remove(rel);
                }
                Err(message) => self.note_failure(slot, rel, &message),
            }
        }
        let next = self.failed.values().map(|failed| failed.again).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn note_failure(&mut self, slot: &Slot, rel: RelId, message: &str) {
        let attempts = self.failed.get(&rel).map_or(0, |failed| failed.attempts) + 1;
        if attempts == 1 || attempts == ATTEMPTS {
            pgrx::log!(
                "pg_live cannot capture the changes of the relation with oid {rel} (attempt {attempts}): {message}"
            );
        }
        if attempts == ATTEMPTS {
            self.failed.remove(&rel);
            slot.capture_requests().remove(rel);
            return;
        }
        let pause = RETRY
            .saturating_mul(1 << (attempts - 1).min(10))
            .min(LONGEST);
        let again = Instant::now() + pause;
        self.failed.insert(rel, Failed { attempts, again });
    }
}

fn add_triggers(rel: RelId) -> std::result::Result<(), String> {
    worker::transaction(|| {
        if worker::extension() == 0 {
            return Ok(());
        }
        capture::capture_relation(rel)
    })
    .and_then(|done: Result<()>| done.map_err(|error| error.to_string()))
}
