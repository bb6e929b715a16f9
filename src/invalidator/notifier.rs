//! R7: notifications. They are hints: what they announce is on the board already.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_live_invalidation::{Batch, Owner};

use crate::pg::shmem::{Counter, Slot};
use crate::pg::worker;

const RETRY: Duration = Duration::from_millis(500);
const LOG_EVERY: Duration = Duration::from_secs(30);

/// What is to be announced: the last batch of each owner.
#[derive(Default)]
pub(super) struct Notifier {
    pending: BTreeMap<Owner, (u64, u64)>,
    retry_at: Option<Instant>,
    logged_at: Option<Instant>,
}

impl Notifier {
    /// R8: whoever was attached to the boot before is told, and finds that there is another one. What was pending for
    /// it is of no use any more.
    pub(super) fn begin_boot(&mut self, boot: u64, owners: &[Owner]) {
        self.pending = owners.iter().map(|owner| (*owner, (boot, 0))).collect();
    }

    /// A session has news of its own, or a relay may look once for nothing.
    pub(super) fn hint(&mut self, boot: u64, owners: &[Owner]) {
        for owner in owners {
            self.pending.entry(*owner).or_insert((boot, 0));
        }
    }

    pub(super) fn add(&mut self, batches: &[Batch]) {
        for batch in batches {
            self.pending.insert(batch.owner, (batch.boot, batch.n));
        }
    }

    /// When to try again, if something could not be sent.
    pub(super) fn pause(&self) -> Option<Duration> {
        let at = self.retry_at.filter(|_| !self.pending.is_empty())?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Sends what is pending in one transaction. What fails is kept: another session may hold
    /// Postgres' lock on the notification queue for as long as its commit takes.
    pub(super) fn send(&mut self, slot: &Slot) {
        if self.pending.is_empty() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let sent = worker::transaction(|| {
            for (owner, (boot, n)) in &self.pending {
                worker::notify(c"pg_live", &format!("{owner} {boot} {n}"));
            }
        });
        match sent {
            Ok(()) => {
                slot.count(Counter::Notifies, self.pending.len() as u64);
                self.pending.clear();
                self.retry_at = None;
            }
            Err(message) => {
                self.retry_at = Some(Instant::now() + RETRY);
                if self.logged_at.is_none_or(|at| at.elapsed() > LOG_EVERY) {
                    self.logged_at = Some(Instant::now());
                    pgrx::log!("pg_live could not notify relays and will try again: {message}");
                }
            }
        }
    }
}
