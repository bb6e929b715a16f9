//! What functions log, and figures about their calls, on the way to tables of the database. A call that fails
//! or only reads cannot write rows itself: it leaves a record in a queue in shared memory, which a background
//! worker, the scribe, empties. Nobody waits for the scribe: what finds no room is dropped and counted.

mod capturer;
mod poller;
mod record;
mod scribe;
pub(crate) mod settings;

use pg_live_shared::{Full, Span};

pub(crate) use record::{Entry, Figures, Outcome};

use crate::pg::shmem::{self, Counter, Slot};

/// The part of a slot that the queue's lock guards.
#[repr(C)]
pub(crate) struct JournalState {
    /// Where the queue begins and ends.
    pub(crate) span: Span,
}

/// Leaves the record of a call. Never fails, and waits for nothing but the queue's lock.
pub(crate) fn leave(entry: &Entry<'_>) {
    let Some(slot) = shmem::own_slot() else {
        return;
    };
    if !settings::log_calls() || slot.scribe_pid() == 0 {
        return;
    }
    // One call may take a quarter of the queue.
    let limit = slot.journal_capacity() / 4;
    let (bytes, cut) = entry.encode(limit);
    let pushed = slot.push_journal(bytes.as_bytes());
    if cut || pushed.is_err() {
        slot.count(Counter::LogRecordsDropped, 1);
    }
}

/// Leaves word that calls of a module must not share a context. Sessions that come learn it from `live.functions`.
pub(crate) fn leave_fresh_module(unix_us: i64, deployment: i64, module: &str, reason: &str) {
    if let Some(slot) = shmem::own_slot()
        && slot.scribe_pid() != 0
    {
        let record = record::fresh_module(unix_us, deployment, module, reason);
        if slot.push_journal(record.as_bytes()).is_err() {
            slot.count(Counter::LogRecordsDropped, 1);
        }
    }
}

impl Slot {
    /// Puts a record into the queue; wakes the scribe for the first.
    fn push_journal(&self, record: &[u8]) -> Result<(), Full> {
        let first = {
            let mut journal = self.journal_mut();
            if self.database() != shmem::own_database() {
                return Ok(());
            }
            let first = journal.span.used() == 0;
            self.journal_ring(&mut journal).push(record)?;
            first
        };
        if first {
            self.wake_scribe();
        }
        Ok(())
    }

    /// Takes up to `limit` bytes of records out.
    fn drain_journal(&self, limit: usize) -> Vec<Vec<u8>> {
        let mut journal = self.journal_mut();
        if self.database() != shmem::own_database() {
            return Vec::new();
        }
        let mut ring = self.journal_ring(&mut journal);
        let mut taken = 0;
        let mut records = Vec::new();
        while taken < limit {
            let Some((_, record)) = ring.pop() else { break };
            taken += record.len();
            records.push(record);
        }
        records
    }
}
