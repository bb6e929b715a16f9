//! Registration of results (R6), from the backends' side.

use std::cell::Cell;

use pg_live_invalidation::{Generation, LogEntry, Owner, Position, Registration, Snapshot, Sub};
use pg_live_readset::{ReadEntry, ReadSet};

use super::log::{Place, Refused};
use crate::capture::ROWS;
use crate::pg::session;
use crate::pg::shmem::{self, Counter, Slot};

/// A result that the worker will watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// The boot that it was registered with.
    pub(crate) boot: u64,
    /// The position behind the registration.
    pub(crate) position: Position,
}

/// The result may be shown, but nobody watches it: run the query again soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRegistered {
    /// No worker runs, or it has begun another boot since the snapshot was taken.
    NoBoot,
    /// The log has no room for readers.
    LogFull,
    /// The worker has no memory for more (`pg_live.max_read_set_memory`).
    MemoryFull,
    /// The owner is not attached (any more).
    NoOwner,
}

impl NotRegistered {
    fn counter(self) -> Counter {
        match self {
            NotRegistered::NoBoot => Counter::RefusedNoBoot,
            NotRegistered::LogFull => Counter::RefusedLogFull,
            NotRegistered::MemoryFull => Counter::RefusedMemory,
            NotRegistered::NoOwner => Counter::RefusedNoOwner,
        }
    }
}

impl From<Refused> for NotRegistered {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoBoot => NotRegistered::NoBoot,
            Refused::NoRoom => NotRegistered::LogFull,
            Refused::NoOwner | Refused::TooManyOwners => NotRegistered::NoOwner,
        }
    }
}

thread_local! {
    /// What [`position`] gave first in a transaction, by its number.
    static POSITION: Cell<(u32, Option<Place>)> = const { Cell::new((0, None)) };
}

/// R2: boot and position of the transaction's snapshot, read after it was taken and once in a
/// transaction; `None` while no boot is running. Only for transactions with one snapshot.
pub(crate) fn position() -> Option<Place> {
    let transaction = session::local_transaction();
    let (known, place) = POSITION.get();
    if known == transaction && place.is_some() {
        return place;
    }
    let place = shmem::own_slot()?.place();
    POSITION.set((transaction, place));
    place
}

/// R13: the boot to order a result of a snapshot with this completion count by, 0 if there is none
/// for it.
pub(crate) fn boot_of(completed: u64) -> u64 {
    shmem::own_slot().map_or(0, |slot| slot.board().boot_of_snapshot(completed))
}

/// R6: registers a result of the snapshot with what it depends on. `place` is what [`position`]
/// gave after the snapshot was taken.
///
/// # Errors
/// [`NotRegistered`] says why; it is counted. Never causes a gap.
pub(crate) fn register(
    (owner, sub, generation): (Owner, Sub, Generation),
    place: Option<Place>,
    snapshot: Snapshot,
    read_set: ReadSet,
) -> Result<Registered, NotRegistered> {
    let slot = shmem::own_slot().ok_or(NotRegistered::NoBoot)?;
    let refuse = |reason: NotRegistered| {
        slot.count(Counter::RegistrationsRefused, 1);
        slot.count(reason.counter(), 1);
        reason
    };
    let boot = place.ok_or_else(|| refuse(NotRegistered::NoBoot))?.boot;
    if slot.is_memory_full() {
        return Err(refuse(NotRegistered::MemoryFull));
    }
    // From here on writers say which rows they change.
    watch(slot, &read_set);
    let registration = Registration {
        owner,
        sub,
        generation,
        boot,
        snapshot,
        read_set,
    };
    let bytes = LogEntry::Register(registration)
        .encode()
        .map_err(|_| refuse(NotRegistered::LogFull))?;
    let position = slot
        .push_reader(boot, owner, &bytes)
        .map_err(|refused| refuse(refused.into()))?;
    slot.count(Counter::Registrations, 1);
    slot.wake_worker();
    Ok(Registered { boot, position })
}

/// Has writers say what the read-set looks at. To be called before its registration is in the log.
pub(super) fn watch(slot: &Slot, read_set: &ReadSet) {
    for entry in &read_set.entries {
        let rel = entry.rel();
        slot.watched().add(rel);
        if let ReadEntry::Rows { .. } = entry {
            slot.watched_columns().add(rel, ROWS);
        }
        if let Some(column) = entry.attribute() {
            slot.watched_columns().add(rel, column);
        }
    }
}
