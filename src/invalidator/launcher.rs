//! The launcher: keeps a worker, and a scribe, running for every database that asked for one.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use crate::decoder::State;
use crate::error::Result;
use crate::pg::latch::{self, ProcessSeat};
use crate::pg::shmem::{self, Counter, Memory, Slot};
use crate::pg::worker::{self, Handle};

/// The shortest time between two starts of the same worker.
const PACE: Duration = Duration::from_secs(1);
const SCRIBE_PACE: Duration = Duration::from_secs(10);
/// So many workers in a row that ended without having begun a boot, and the launcher waits until
/// one is asked for again.
const FAILURES: u32 = 5;
const IDLE: Duration = Duration::from_secs(60);

/// What the launcher knows of one slot.
#[derive(Default)]
struct Watched {
    database: u32,
    worker: Option<Handle>,
    started: Option<Instant>,
    /// How many boots there had been when the worker was started.
    boots: u64,
    failures: u32,
    scribe: Option<Handle>,
    scribe_started: Option<Instant>,
    decoder: Option<Handle>,
    decoder_started: Option<Instant>,
}

/// Asks for a worker for this process's database. Returns its slot; the worker may be yet to come.
///
/// # Errors
/// No shared memory, or no free slot.
pub(crate) fn attach_slot() -> Result<&'static Slot> {
    let memory = shmem::memory()?;
    let slot = memory.claim(shmem::own_database(), true)?;
    slot.set_stop(false);
    if slot.place().is_none() {
        memory.wake_launcher();
    }
    Ok(slot)
}

/// A database is about to be dropped, renamed or copied: its worker ends, unless relays use it, who would be in the
/// way themselves. Postgres waits some seconds for others to leave.
pub(crate) fn make_way(database: u32, by_force: bool) {
    let Ok(memory) = shmem::memory() else { return };
    let Some(slot) = memory.slot_of(database) else {
        return;
    };
    if by_force || slot.log().owners.all().is_empty() {
        ask_to_end(memory, slot);
        // A slot for replication in the database is an error at once.
        let begun = Instant::now();
        while slot.decoder().pid() != 0 && begun.elapsed() < PACE {
            slot.decoder().wake();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Ends the slot's worker and scribe, soon; the next [`attach_slot`] starts them again.
pub(crate) fn ask_to_end(memory: &Memory, slot: &Slot) {
    if slot.worker_pid() == 0 {
        memory.release(slot);
        slot.wake_scribe();
        slot.decoder().set_wanted(false);
        slot.decoder().wake();
    } else {
        slot.set_stop(true);
        slot.wake_worker();
    }
}

worker::worker_main!(pg_live_launcher_main = main);

/// The launcher's process.
fn main(_argument: pg_sys::Datum) {
    worker::begin();
    let Ok(memory) = shmem::memory() else {
        worker::exit(0)
    };
    worker::before_exit(on_exit);
    memory.set_launcher(Some(ProcessSeat::own()));
    let mut watched: Vec<Watched> = memory.slots().iter().map(|_| Watched::default()).collect();
    loop {
        latch::check_for_interrupts();
        if worker::is_asked_to_end() {
            // The postmaster starts it again, unless the server stops.
            worker::exit(1);
        }
        worker::reload_if_asked();
        let mut pause = IDLE;
        for (slot, watched) in memory.slots().iter().zip(&mut watched) {
            pause = pause.min(tend(memory, slot, watched));
        }
        latch::wait(pause);
    }
}

fn on_exit() {
    if let Ok(memory) = shmem::memory() {
        memory.set_launcher(None);
    }
}

/// Starts the slot's worker if it should run and does not. Returns when to look again.
fn tend(memory: &Memory, slot: &Slot, watched: &mut Watched) -> Duration {
    if watched.database != slot.database() {
        *watched = Watched {
            database: slot.database(),
            ..Watched::default()
        };
    }
    if watched.database == 0 || !slot.is_wanted() {
        if let Some(decoder) = &watched.decoder {
            // It may wait for a transaction that does not end.
            decoder.terminate();
        }
        *watched = Watched::default();
        return IDLE;
    }
    let others = tend_scribe(slot, watched).min(tend_decoder(slot, watched));
    if watched.worker.as_ref().is_some_and(Handle::is_alive)
        || worker::is_connected(slot.worker_pid())
    {
        return others;
    }
    if let Some(since) = watched.started.map(|started| started.elapsed()) {
        if since < PACE {
            return PACE - since;
        }
        watched.failures = if slot.counter(Counter::Boots) == watched.boots {
            watched.failures + 1
        } else {
            0
        };
    }
    if watched.failures >= FAILURES {
        pgrx::warning!(
            "pg_live gives up on the database with oid {}: its worker failed {FAILURES} times",
            watched.database
        );
        memory.release(slot);
        *watched = Watched::default();
        return IDLE;
    }
    watched.started = Some(Instant::now());
    watched.boots = slot.counter(Counter::Boots);
    watched.worker = worker::start_dynamic("pg_live worker", "pg_live_worker_main", slot.index);
    if watched.worker.is_none() {
        pgrx::warning!("pg_live cannot start its worker: raise max_worker_processes");
    }
    PACE
}

/// Starts the slot's scribe if it does not run. Live queries do without it, so its failures do not count.
fn tend_scribe(slot: &Slot, watched: &mut Watched) -> Duration {
    if watched.scribe.as_ref().is_some_and(Handle::is_alive)
        || worker::is_connected(slot.scribe_pid())
    {
        return IDLE;
    }
    if let Some(since) = watched.scribe_started.map(|started| started.elapsed())
        && since < SCRIBE_PACE
    {
        return SCRIBE_PACE - since;
    }
    watched.scribe_started = Some(Instant::now());
    watched.scribe = worker::start_dynamic("pg_live scribe", "pg_live_scribe_main", slot.index);
    if watched.scribe.is_none() {
        pgrx::warning!("pg_live cannot start its scribe: raise max_worker_processes");
    }
    SCRIBE_PACE
}

/// Starts the slot's decoder if one is of use and none runs. Without it capture from the WAL is coarse, but
/// nothing is missed, so its failures do not count.
fn tend_decoder(slot: &Slot, watched: &mut Watched) -> Duration {
    if !slot.decoder().is_wanted()
        || watched.decoder.as_ref().is_some_and(Handle::is_alive)
        || worker::is_connected(slot.decoder().pid())
    {
        return IDLE;
    }
    let pace = match slot.decoder().state() {
        State::Off | State::Starting | State::Decoding => PACE,
        State::WalLevel | State::Failed => SCRIBE_PACE,
    };
    if let Some(since) = watched.decoder_started.map(|started| started.elapsed())
        && since < pace
    {
        return pace - since;
    }
    watched.decoder_started = Some(Instant::now());
    watched.decoder = worker::start_dynamic("pg_live decoder", "pg_live_decoder_main", slot.index);
    if watched.decoder.is_none() {
        pgrx::warning!("pg_live cannot start its decoder: raise max_worker_processes");
    }
    pace
}
