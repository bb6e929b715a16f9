//! The decoder's process.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pg_live_invalidation::{LogEntry, Lsn};
use pgrx::pg_sys;

use super::State;
use super::collector::{Collector, Decoded, Shared};
use crate::invalidator::log::Refused;
use crate::pg::decoding::{self, Decoding};
use crate::pg::latch::{self, ProcessSeat};
use crate::pg::shmem::{self, Slot};
use crate::pg::{wal, worker};

/// WAL of others is read at least so often.
const IDLE: Duration = Duration::from_millis(500);
/// Postgres may remove what lies before the confirmed place; to confirm writes a file.
const CONFIRM: Duration = Duration::from_secs(10);
/// Commits that do not wait for the disk are flushed for the worker's sake at most this often.
const FLUSH_PACE: Duration = Duration::from_millis(10);
/// Between two attempts to put something into a log that is full.
const NO_ROOM: Duration = Duration::from_millis(1);
/// Records that are decoded before the worker is woken.
const CHUNK: usize = 256;
/// Writers that commit in quick succession are decoded together.
const BUSY: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(500);

worker::worker_main!(pg_live_decoder_main = main);

/// The process; the argument is the slot's number.
fn main(argument: pg_sys::Datum) {
    worker::begin_interruptible();
    let Ok(memory) = shmem::memory() else {
        worker::exit(0)
    };
    let Some(slot) = memory.slots().get(argument.value()) else {
        worker::exit(0)
    };
    let database = slot.database();
    if database == 0 || worker::is_connected(slot.decoder().pid()) {
        worker::exit(0);
    }
    worker::connect(database);
    if memory
        .slot_of(database)
        .is_none_or(|own| own.index != slot.index)
    {
        // The slot was given to another database meanwhile.
        worker::exit(0);
    }
    worker::before_exit(on_exit);
    let run = slot.decoder().enter(ProcessSeat::own(), worker::own_pid());
    if !decoding::is_possible() {
        slot.decoder().leave(State::WalLevel);
        worker::exit(0);
    }
    match serve(slot, run) {
        Ok(()) => {
            slot.decoder().leave(State::Off);
            worker::exit(0);
        }
        Err(message) => {
            pgrx::warning!("pg_live decoder ends, to be started again: {message}");
            worker::exit(1);
        }
    }
}

/// Whatever ends the process: the worker must not wait for it.
fn on_exit() {
    if let Some(slot) = shmem::own_slot()
        && slot.decoder().pid() == worker::own_pid()
    {
        slot.decoder().leave(State::Failed);
        slot.wake_worker();
    }
}

/// What the loop has told the worker.
struct Told {
    /// The decoder's number.
    run: u64,
    /// The boot in which it has said that it is ready.
    boot: u64,
    /// All before here was handed over.
    to: Lsn,
}

/// Decodes until nobody needs it.
fn serve(slot: &Slot, run: u64) -> Result<(), String> {
    worker::set_parameter(c"search_path", c"pg_catalog, pg_temp");
    // What users may name as an output plugin is not for this process.
    worker::set_parameter_if_known(c"output_plugin_libraries", c"pg_live");
    worker::report_activity("waits for older transactions");
    let shared = Rc::new(RefCell::new(Shared::default()));
    let collector = Box::new(Collector::new(Rc::clone(&shared)));
    let name = format!("pg_live_{}_{}", slot.database(), worker::own_pid());
    let mut decoding = Decoding::begin(&name, collector)?;
    shared.borrow_mut().shapes.begin()?;
    slot.decoder().set_state(State::Decoding);
    worker::report_activity("decoding");
    let mut told = Told {
        run,
        boot: 0,
        to: decoding.position(),
    };
    let (mut confirmed, mut flushed, mut worked) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        latch::check_for_interrupts();
        worker::reload_if_asked();
        if worker::is_asked_to_end() || slot.has_stop() || !slot.decoder().is_wanted() {
            return Ok(());
        }
        announce(slot, &mut told, decoding.position());
        if flushed.elapsed() >= FLUSH_PACE && flush(slot) {
            flushed = Instant::now();
        }
        let more = decode(slot, &mut decoding, &shared, &mut told)?;
        progress(slot, &mut told, decoding.position());
        if confirmed.elapsed() >= CONFIRM {
            confirmed = Instant::now();
            decoding.confirm();
        }
        if more {
            if worked.elapsed() < BUSY {
                std::thread::sleep(NAP);
            }
            worked = Instant::now();
        } else {
            latch::wait(if slot.decoder().wal_wanted() > decoding.position() {
                FLUSH_PACE
            } else {
                IDLE
            });
        }
    }
}

/// Says in each boot anew from where on it hands over.
fn announce(slot: &Slot, told: &mut Told, position: Lsn) {
    let Some(place) = slot.place() else { return };
    if place.boot == told.boot {
        return;
    }
    let entry = LogEntry::DecoderReady {
        run: told.run,
        lsn: position,
    };
    if push(slot, place.boot, &entry) {
        told.boot = place.boot;
        told.to = position;
    }
}

/// F5: a commit that did not wait for the disk is visible, but cannot be decoded before it is flushed.
fn flush(slot: &Slot) -> bool {
    let wanted = slot.decoder().wal_wanted();
    let behind = wal::flushed().0 < wanted;
    if behind {
        wal::flush(wanted);
    }
    behind
}

/// Decodes a part of what is flushed. Whether there may be more.
fn decode(
    slot: &Slot,
    decoding: &mut Decoding,
    shared: &RefCell<Shared>,
    told: &mut Told,
) -> Result<bool, String> {
    let mut handed_over = false;
    let mut more = false;
    for _ in 0..CHUNK {
        more = decoding.position() < wal::flushed().0;
        if !more {
            break;
        }
        shared.borrow_mut().shapes.advance(decoding.position())?;
        decoding.step()?;
        let finished = std::mem::take(&mut shared.borrow_mut().finished);
        for decoded in finished {
            handed_over |= hand_over(slot, told, decoded);
        }
    }
    slot.decoder().set_decoded(decoding.position(), !more);
    if handed_over {
        slot.wake_worker();
    }
    Ok(more)
}

fn hand_over(slot: &Slot, told: &mut Told, decoded: Decoded) -> bool {
    let Decoded { xid, end, set } = decoded;
    if set.entries.is_empty() {
        return false;
    }
    let pushed = push(slot, told.boot, &LogEntry::Decoded { xid, lsn: end, set });
    told.to = end;
    pushed
}

/// Tells the worker how far decoding has come, if it waits for that.
fn progress(slot: &Slot, told: &mut Told, position: Lsn) {
    let wanted = slot.decoder().wal_wanted();
    if wanted > told.to && position >= wanted {
        if push(slot, told.boot, &LogEntry::DecodedTo { lsn: position }) {
            slot.wake_worker();
        }
        told.to = position;
    }
}

/// Puts an entry into the log of a boot, waiting for room; what does not fit beside others is widened. Nothing
/// is lost if the boot is over: the next one does not know of those that wait (R0).
fn push(slot: &Slot, boot: u64, entry: &LogEntry) -> bool {
    let mut bytes = entry.encode().unwrap_or_default();
    if bytes.is_empty() || bytes.len() as u64 > slot.ring_capacity() / 4 {
        let LogEntry::Decoded { xid, lsn, set } = entry else {
            return false;
        };
        let (xid, lsn, set) = (*xid, *lsn, set.widened());
        bytes = LogEntry::Decoded { xid, lsn, set }
            .encode()
            .unwrap_or_default();
    }
    loop {
        match slot.push_decoded(boot, &bytes) {
            Ok(_) => return true,
            Err(Refused::NoBoot | Refused::NoOwner | Refused::TooManyOwners) => return false,
            Err(Refused::NoRoom) => {
                slot.wake_worker();
                latch::check_for_interrupts();
                latch::wait(NO_ROOM);
                if worker::is_asked_to_end() || slot.has_stop() {
                    return false;
                }
            }
        }
    }
}
