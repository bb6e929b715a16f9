//! Registration of results (R6), from the backends' side.

use pg_live_invalidation::{Generation, LogEntry, Owner, Position, Registration, Snapshot, Sub};
use pg_live_readset::ReadSet;

use super::log::{Place, Refused};
use crate::pg::shmem::{self, Counter};

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
pub(crate) struct NotRegistered;

/// R2: boot and end of the log. To be read after the snapshot was taken; `None` while no boot is
/// running.
pub(crate) fn position() -> Option<Place> {
    shmem::own_slot()?.place()
}

/// R13: the boot to order a result of a snapshot by, 0 if there is none for it.
pub(crate) fn boot_of(snapshot: &Snapshot) -> u64 {
    shmem::own_slot().map_or(0, |slot| slot.board().boot_of_snapshot(snapshot.completed))
}

/// R6: registers a result of the snapshot with what it depends on. `place` is what [`position`]
/// gave after the snapshot was taken.
///
/// # Errors
/// [`NotRegistered`] if no worker runs, if its boot is another one by now, or if the log has no
/// room for readers. Never causes a gap.
pub(crate) fn register(
    (owner, sub, generation): (Owner, Sub, Generation),
    place: Option<Place>,
    snapshot: Snapshot,
    read_set: ReadSet,
) -> Result<Registered, NotRegistered> {
    let slot = shmem::own_slot().ok_or(NotRegistered)?;
    let refuse = || {
        slot.count(Counter::RegistrationsRefused, 1);
        NotRegistered
    };
    let boot = place.ok_or_else(refuse)?.boot;
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
        .map_err(|_| refuse())?;
    let position = slot
        .push_reader(boot, &bytes)
        .map_err(|refused| match refused {
            Refused::NoBoot | Refused::NoRoom => refuse(),
        })?;
    slot.count(Counter::Registrations, 1);
    slot.wake_worker();
    Ok(Registered { boot, position })
}
