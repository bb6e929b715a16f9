//! The log: what writers and readers put into the ring, and what the worker takes out.

use pg_live_invalidation::{CodecError, LogEntry, Owner, Position};
use pg_live_shared::{Attached, Full, Owners, Redefinitions, Span, TooMany};

use crate::pg::lwlock::Writing;
use crate::pg::session;
use crate::pg::shmem::{self, Counter, Slot};

/// The part of a slot that the log's lock guards.
#[repr(C)]
pub(crate) struct LogState {
    /// The boot that the log belongs to, 0 while no worker runs.
    pub(crate) boot: u64,
    /// Where the log begins and ends.
    pub(crate) span: Span,
    /// The position behind the newest write; what follows are entries of readers.
    pub(crate) written: Position,
    /// R17: recent changes that older snapshots see too.
    pub(crate) redefinitions: Redefinitions,
    /// R8: who is attached to this boot.
    pub(crate) owners: Owners,
    /// When the oldest entry that is in the log, or was when it was last taken out, was put there;
    /// microseconds.
    pub(crate) waiting_since: i64,
}

impl LogState {
    /// To be called before something is put into the log.
    fn note_waiting(&mut self) {
        if self.span.used() == 0 {
            self.waiting_since = session::now_us();
        }
    }
}

/// R2: a place in the order of all that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The boot.
    pub(crate) boot: u64,
    /// The position within the boot.
    pub(crate) position: Position,
}

/// Why something is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No worker runs, or a new boot is about to begin.
    NoBoot,
    /// There is no room left for anything but writes.
    NoRoom,
    /// The owner is not attached (any more), R8.
    NoOwner,
    /// There are as many owners as can be attached.
    TooManyOwners,
}

/// Readers may fill this part of the ring; the rest is kept for writers.
fn readers_share(capacity: u64) -> u64 {
    capacity / 4 * 3
}

/// Writers wake the worker after their commit if somebody may look at what they wrote. However that is, it must not
/// sleep while the log fills.
fn wake_from(capacity: u64) -> u64 {
    capacity / 8
}

impl Slot {
    /// R2: the place behind all writes in the log, to be read after a snapshot was taken. `None`
    /// while no boot is running or the running one is at its end.
    pub(crate) fn place(&self) -> Option<Place> {
        let log = self.log();
        let running = log.boot != 0 && !self.has_overflow() && self.is_own();
        running.then_some(Place {
            boot: log.boot,
            position: log.written,
        })
    }

    fn is_own(&self) -> bool {
        self.database() == shmem::own_database()
    }

    /// R1, R3: publishes a write-set: as it is, or widened, or as a gap. Never fails, and waits
    /// for nothing but the lock.
    pub(crate) fn publish(
        &self,
        exact: Result<Vec<u8>, CodecError>,
        widened: impl FnOnce() -> Result<Vec<u8>, CodecError>,
    ) {
        // A quarter of the ring for one transaction would leave the others without room.
        let limit = self.ring_capacity() / 4;
        let exact = exact.ok().filter(|bytes| bytes.len() as u64 <= limit);
        let pushed = exact.is_some_and(|bytes| self.push_write(&bytes).is_ok());
        if !pushed {
            self.count(Counter::Widened, 1);
            let gap = match widened() {
                Ok(bytes) => self.push_write(&bytes).is_err(),
                Err(_) => true,
            };
            if gap {
                self.set_overflow(true);
                self.count(Counter::Overflows, 1);
                self.wake_worker();
            }
        }
        self.count(Counter::Published, 1);
    }

    fn push_write(&self, record: &[u8]) -> Result<(), Full> {
        let mut log = self.log_mut();
        // R0: without a boot the worker's list of running transactions has this one; in a gap the
        // next boot's list has it.
        if log.boot == 0 || !self.is_own() || self.has_overflow() {
            return Ok(());
        }
        log.note_waiting();
        log.written = self.ring(&mut log).push(record)?;
        let used = log.span.used();
        drop(log);
        if used > wake_from(self.ring_capacity()) {
            self.wake_worker();
        }
        Ok(())
    }

    /// Puts an entry of an attached owner into the log and returns the position behind it. Never
    /// causes a gap.
    pub(crate) fn push_reader(
        &self,
        boot: u64,
        owner: Owner,
        record: &[u8],
    ) -> Result<Position, Refused> {
        let mut log = self.log_mut();
        if !log.owners.contains(owner) {
            return Err(Refused::NoOwner);
        }
        self.push_into(&mut log, boot, record)
    }

    /// Puts an entry of the decoder into the log. Never causes a gap.
    pub(crate) fn push_decoded(&self, boot: u64, record: &[u8]) -> Result<Position, Refused> {
        self.push_into(&mut self.log_mut(), boot, record)
    }

    fn push_into(
        &self,
        log: &mut Writing<'_, LogState>,
        boot: u64,
        record: &[u8],
    ) -> Result<Position, Refused> {
        if log.boot != boot || boot == 0 || !self.is_own() || self.has_overflow() {
            return Err(Refused::NoBoot);
        }
        log.note_waiting();
        let limit = readers_share(self.ring_capacity());
        self.ring(log)
            .push_within(record, limit)
            .map_err(|Full| Refused::NoRoom)
    }

    /// R8: attaches an owner, and has the worker drop what belonged to it before; the position at
    /// which it has done so.
    pub(crate) fn attach(&self, boot: u64, new: Attached) -> Result<Position, Refused> {
        let Ok(gone) = (LogEntry::OwnerGone { owner: new.owner }).encode() else {
            return Err(Refused::NoRoom);
        };
        let mut log = self.log_mut();
        let position = self.push_into(&mut log, boot, &gone)?;
        log.owners
            .attach(new)
            .map_err(|TooMany| Refused::TooManyOwners)?;
        Ok(position)
    }

    /// R8: takes an owner of this process out, in one step with the news of it.
    pub(crate) fn detach(&self, owner: Owner, pid: i32) {
        let gone = LogEntry::OwnerGone { owner }.encode();
        let mut log = self.log_mut();
        if !log.owners.detach(owner, pid.into()) {
            return;
        }
        let boot = log.boot;
        let told = gone.is_ok_and(|bytes| self.push_into(&mut log, boot, &bytes).is_ok());
        if !told && boot != 0 {
            // Rather a new boot than registrations that nobody ever drops.
            self.set_overflow(true);
        }
    }

    /// Takes up to `limit` bytes of records out, with the position behind each.
    pub(crate) fn drain(&self, limit: usize) -> Vec<(Position, Vec<u8>)> {
        let mut log = self.log_mut();
        let mut ring = self.ring(&mut log);
        let mut taken = 0;
        let mut records = Vec::new();
        while taken < limit {
            let Some(record) = ring.pop() else { break };
            taken += record.1.len();
            records.push(record);
        }
        records
    }

    /// R0: the ring starts anew under a new boot. Returns who was attached to the one before (R8).
    pub(crate) fn restart(&self, boot: u64) -> Vec<Owner> {
        let mut log = self.log_mut();
        log.boot = boot;
        log.span = Span::default();
        let before = std::mem::take(&mut log.owners);
        log.written = 0;
        self.set_overflow(false);
        before.all().iter().map(|owner| owner.owner).collect()
    }

    /// The boot, and who is attached to it.
    pub(crate) fn attached(&self) -> (u64, Vec<Owner>) {
        let log = self.log();
        let owners = log.owners.all().iter().map(|owner| owner.owner);
        (log.boot, owners.collect())
    }

    /// R1 for what concerns other databases, too: publishes it in the slot of any of them. As [`publish`](Self::publish).
    pub(crate) fn publish_foreign(&self, bytes: &[u8]) {
        let mut log = self.log_mut();
        if log.boot == 0 || self.has_overflow() {
            return;
        }
        log.note_waiting();
        let pushed = self.ring(&mut log).push(bytes);
        match pushed {
            Ok(position) => log.written = position,
            Err(Full) => self.set_overflow(true),
        }
    }

    /// Ends the boot: from now on nothing is put into the log.
    pub(crate) fn end_boot(&self) {
        self.log_mut().boot = 0;
    }
}
