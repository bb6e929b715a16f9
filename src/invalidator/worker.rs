//! The worker of one database: boots, drains the log, resolves writers, publishes batches.

use std::time::{Duration, Instant};

use pg_live_invalidation::{Invalidator, LogEntry, Stats};
use pgrx::pg_sys;

use super::boot;
use super::decoder::Waits;
use super::messages;
use super::notifier::Notifier;
use super::register;
use super::settings;
use super::world;
use crate::pg::latch::{self, ProcessSeat};
use crate::pg::shmem::{self, Counter, Slot};
use crate::pg::worker;

/// R5's net while writers are unresolved.
const UNRESOLVED: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(10);
/// Writers that commit in quick succession would wake the worker each time, at a price for them.
/// Where the last work is younger than `BUSY` it lets a `NAP`'s worth of entries gather.
const BUSY: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(500);
/// How long a relation counts as watched after its last live query has gone: most come back.
const WATCHED: Duration = Duration::from_secs(30);
/// Bytes taken out of the log at a time, so that writers wait for the lock only briefly.
const CHUNK: usize = 512 * 1024;

/// Why the worker's loop ended.
enum End {
    /// Asked to stop, or nothing to serve any more.
    Done,
    /// The launcher is to start another one.
    Failed,
}

worker::worker_main!(pg_live_worker_main = main);

/// The worker's process; the argument is the slot's number.
fn main(argument: pg_sys::Datum) {
    worker::begin();
    let Ok(memory) = shmem::memory() else {
        worker::exit(0)
    };
    let Some(slot) = memory.slots().get(argument.value()) else {
        worker::exit(0)
    };
    let database = slot.database();
    if database == 0 || worker::is_connected(slot.worker_pid()) {
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
    slot.set_worker(Some((ProcessSeat::own(), worker::own_pid())));
    match serve(slot) {
        End::Done => {
            slot.end_boot();
            slot.set_worker(None);
            slot.decoder().set_wanted(false);
            slot.decoder().wake();
            memory.release(slot);
            slot.wake_scribe();
            worker::exit(0);
        }
        End::Failed => worker::exit(1),
    }
}

/// Whatever ends the worker: without it nothing is put into the log, and nobody registers.
fn on_exit() {
    if let Some(slot) = shmem::own_slot()
        && slot.worker_pid() == worker::own_pid()
    {
        slot.end_boot();
        slot.set_worker(None);
        if let Ok(memory) = shmem::memory() {
            memory.wake_launcher();
        }
    }
}

fn serve(slot: &Slot) -> End {
    // A notification need not survive a crash of the server: relays start anew then (R8). While
    // another session's commit holds the queue the worker goes on with its other work.
    worker::set_parameter(c"synchronous_commit", c"off");
    worker::set_parameter(c"lock_timeout", c"200ms");
    worker::set_parameter(c"search_path", c"pg_catalog, pg_temp");
    let mut notifier = Notifier::default();
    loop {
        match extension_exists() {
            Ok(true) => {}
            Ok(false) => return End::Done,
            Err(message) => return failed(&message),
        }
        let (mut state, owners) = match boot::begin(slot) {
            Ok(state) => state,
            Err(message) => return failed(&message),
        };
        notifier.begin_boot(slot.board().boot, &owners);
        worker::report_activity("matching writes with live queries");
        if let Some(end) = serve_boot(slot, &mut state, &mut notifier) {
            return end;
        }
    }
}

fn failed(message: &str) -> End {
    pgrx::log!("pg_live worker ends, to be started again: {message}");
    End::Failed
}

fn extension_exists() -> Result<bool, String> {
    worker::transaction(|| worker::extension() != 0)
}

/// Works until the boot ends: `None` asks for a new one (R3).
fn serve_boot(slot: &Slot, state: &mut Invalidator, notifier: &mut Notifier) -> Option<End> {
    let mut checked = Instant::now();
    let mut worked = Instant::now();
    let mut last = Stats::default();
    let mut aged = Instant::now();
    let mut waits = Waits::default();
    loop {
        latch::check_for_interrupts();
        worker::reload_if_asked();
        if worker::is_asked_to_end() {
            return Some(End::Failed);
        }
        if slot.has_stop() {
            return Some(End::Done);
        }
        if slot.has_overflow() {
            pgrx::log!("pg_live begins a new boot: the log had a gap (pg_live.ring_size_kb)");
            return None;
        }
        if aged.elapsed() >= WATCHED {
            aged = Instant::now();
            slot.watched().age(state.relations());
            slot.watched_columns().age(state.columns());
        }
        if checked.elapsed() >= IDLE {
            checked = Instant::now();
            match extension_exists() {
                Ok(true) => {}
                Ok(false) => return Some(End::Done),
                Err(message) => return Some(failed(&message)),
            }
        }
        let more = match process(slot, state, &mut waits) {
            Ok(more) => more,
            Err(message) => {
                pgrx::warning!("pg_live begins a new boot: {message}");
                return None;
            }
        };
        publish(slot, state, notifier, &mut last);
        if slot.take_hint() {
            let (boot, owners) = slot.attached();
            notifier.hint(boot, &owners);
        }
        notifier.send(slot);
        if more {
            if worked.elapsed() < BUSY {
                std::thread::sleep(NAP);
            }
            worked = Instant::now();
        } else {
            let pause = if state.has_unresolved() {
                UNRESOLVED
            } else {
                IDLE
            };
            latch::wait(notifier.pause().map_or(pause, |retry| retry.min(pause)));
        }
    }
}

/// R4, R5: takes a part of the log and resolves what has left the ProcArray. Returns whether the
/// log may hold more.
fn process(slot: &Slot, state: &mut Invalidator, waits: &mut Waits) -> Result<bool, String> {
    let records = slot.drain(CHUNK);
    let more = !records.is_empty();
    for (position, bytes) in records {
        let entry = LogEntry::decode(&bytes).map_err(|error| error.to_string())?;
        if let LogEntry::Register(registration) = &entry {
            // It may have been on its way for longer than what the backend had put there stays.
            register::watch(slot, &registration.read_set);
        }
        state.process(position, entry);
        slot.count(Counter::Processed, 1);
    }
    waits.before(slot, state);
    state.resolve(&mut world::Postgres);
    waits.after(slot, state);
    Ok(more)
}

/// R7: the batches, then the record, in one step under the board's lock.
fn publish(slot: &Slot, state: &mut Invalidator, notifier: &mut Notifier, last: &mut Stats) {
    let batches = state.take_batches();
    let record = state.record();
    let stats = state.stats();
    slot.board_mut().publish(&batches, &record, &stats);
    if settings::emit_wal() {
        batches.iter().for_each(messages::emit);
    }
    slot.count(Counter::Batches, batches.len() as u64);
    report(slot, stats, last);
    let items: usize = batches.iter().map(|batch| batch.items.len()).sum();
    slot.count(Counter::Invalidations, items as u64);
    notifier.add(&batches);
}

/// Counts what has happened since the `last` statistics, and keeps the bound of memory.
fn report(slot: &Slot, stats: Stats, last: &mut Stats) {
    let at_once = stats.invalidated_at_once - last.invalidated_at_once;
    slot.count(Counter::InvalidationsAtOnce, at_once);
    slot.count(
        Counter::ReadSetsWidened,
        stats.reads_widened - last.reads_widened,
    );
    *last = stats;
    let max = settings::max_read_set_bytes();
    let full = stats.read_bytes >= max;
    if full && !slot.is_memory_full() {
        pgrx::log!(
            "pg_live takes no more live queries: {} take {} MB of memory \
             (pg_live.max_read_set_memory); they are run again from time to time instead",
            stats.subs,
            stats.read_bytes / 1024 / 1024
        );
    }
    slot.set_memory_full(full);
}
