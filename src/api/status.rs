//! What an operator sees: `live.status()`, the counters behind `live.stats`, `live.stop()`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_live_shared::Attached;
use pgrx::{IntoDatum, pg_sys};
use serde_json::{Map, Value, json};

use crate::capture;
use crate::decoder;
use crate::error::Result;
use crate::invalidator::{self, settings};
use crate::js;
use crate::pg::function::{Call, sql_functions};
use crate::pg::shmem::{self, Counter, Slot};
use crate::pg::{latch, session, snapshot, worker};

/// How long `live.stop` waits for the worker.
const STOP: Duration = Duration::from_secs(5);

sql_functions! {
    pg_live_status = status;
    pg_live_counters = counters;
    pg_live_stop = stop;
    pg_live_engine = engine;
}

/// `live.status()`: the state of this database's worker, log and board, as JSON text.
fn status(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let mut state = shmem::own_slot().map_or_else(|| json!({ "attached": false }), describe);
    let captured = capture::status()?;
    state["captured"] = captured.map_or(Value::Null, |text| {
        serde_json::from_str(&text).unwrap_or_default()
    });
    if let Some(slot) = shmem::own_slot() {
        let wanted: Vec<u32> = slot.capture_requests().iter().collect();
        state["captured"]["wanted_oids"] = json!(wanted);
    }
    Ok(call.value(state.to_string()))
}

/// What is in the log, which has a lock of its own.
struct LogView {
    boot: u64,
    used: u64,
    end: u64,
    waiting_since: i64,
    owners: Vec<Attached>,
}

impl LogView {
    fn of(slot: &Slot) -> Self {
        let log = slot.log();
        LogView {
            boot: log.boot,
            used: log.span.used(),
            end: log.span.tail,
            waiting_since: log.waiting_since,
            owners: log.owners.all().to_vec(),
        }
    }
}

fn describe(slot: &Slot) -> Value {
    // What writers of unwatched tables have left in the log is worked off first, soon.
    slot.wake_worker();
    // One lock at a time: the parts may be a moment apart.
    let log = LogView::of(slot);
    let (journal_used, journal_size) = (slot.journal_used(), slot.journal_capacity());
    let board = slot.board();
    let stats = &board.stats;
    let lag_bytes = log.end.saturating_sub(board.w);
    let waiting_us = session::now_us().saturating_sub(log.waiting_since).max(0);
    let (batches_used, batches_size) = board.room();
    let emitted: BTreeMap<_, _> = board.emitted().collect();
    let owners: Map<String, Value> = log
        .owners
        .iter()
        .map(|owner| (owner.owner.to_string(), describe_owner(owner, &emitted)))
        .collect();
    json!({
        "attached": true,
        "worker_pid": slot.worker_pid(),
        "scribe_pid": slot.scribe_pid(),
        "boot": log.boot,
        "overflow": slot.has_overflow(),
        "completion_count": snapshot::completion_count(),
        "c0": board.c0,
        "log": {
            "position": log.end,
            "processed": board.w,
            "lag_bytes": lag_bytes,
            "lag_ms": if lag_bytes == 0 { 0 } else { waiting_us / 1000 },
            "used_bytes": log.used,
            "size_bytes": slot.ring_capacity(),
        },
        "history": { "writes": stats.log_entries, "bytes": stats.log_bytes, "dropped_up_to": stats.dropped },
        "unresolved": board.unresolved,
        "unresolved_bytes": stats.unresolved_bytes,
        "unresolved_ids": board.unresolved_ids().iter().take(100).collect::<Vec<_>>(),
        "decoder": decoder::status(slot),
        "live_queries": stats.subs,
        "entries": {
            "keys": stats.read_entries.keys,
            "ranges": stats.read_entries.ranges,
            "tables": stats.read_entries.tables,
        },
        "read_set_bytes": stats.read_bytes,
        "read_set_bytes_max": settings::max_read_set_bytes(),
        "refusing": slot.is_memory_full(),
        "worker_memory_bytes": worker::resident_bytes(slot.worker_pid()),
        "batches": { "used_bytes": batches_used, "size_bytes": batches_size },
        "journal": { "used_bytes": journal_used, "size_bytes": journal_size },
        "owners": owners,
    })
}

fn describe_owner(owner: &Attached, emitted: &BTreeMap<i64, (u64, u64)>) -> Value {
    let (sent, fetched) = emitted.get(&owner.owner).copied().unwrap_or_default();
    json!({
        "pid": owner.pid,
        "attached_ms": session::now_us().saturating_sub(owner.since) / 1000,
        "batches": sent,
        "batches_not_fetched": sent.saturating_sub(fetched),
    })
}

/// `live.engine()`: this session's V8 as JSON text; times in microseconds, sizes in bytes.
fn engine(call: &mut Call) -> Result<pg_sys::Datum> {
    let stats = js::stats();
    let us = u64::try_from(stats.first_start.as_micros()).unwrap_or(u64::MAX);
    let state = json!({
        "started": stats.started,
        "start_us": us,
        "heap_used_bytes": stats.heap_used,
        "heap_total_bytes": stats.heap_total,
        "array_buffer_bytes": stats.array_buffers,
        "contexts_made": stats.contexts_made,
        "isolates_made": stats.isolates_made,
        "cached_modules": stats.cached_modules,
        "image_modules": stats.image_modules,
        "modules_left_out": stats.modules_left_out,
    });
    Ok(call.value(state.to_string()))
}

/// `live.counters()`: name and value, since the server's start or `live.stop()`.
fn counters(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let slot = shmem::own_slot();
    let rows = Counter::ALL.map(|(counter, name)| {
        let value = slot.map_or(0, |slot| slot.counter(counter));
        vec![name.into_datum(), value.cast_signed().into_datum()]
    });
    Ok(call.rows(rows.to_vec()))
}

/// `live.stop()`: ends the worker and waits until it is gone, so that the database can be dropped or
/// copied. The next `live.attach` starts it again.
fn stop(call: &mut Call) -> Result<pg_sys::Datum> {
    let memory = shmem::memory()?;
    if let Some(slot) = shmem::own_slot() {
        let (worker, scribe) = (slot.worker_pid(), slot.scribe_pid());
        invalidator::ask_to_end(memory, slot);
        await_end(|| worker == 0 || !slot.has_stop() || slot.worker_pid() == 0);
        slot.decoder().wake();
        await_end(|| slot.scribe_pid() != scribe || scribe == 0);
        await_end(|| slot.decoder().pid() == 0);
    }
    Ok(call.null())
}

/// Waits for the end of a process, but not for ever: it may be at the end of something slow.
fn await_end(ended: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ended() && begun.elapsed() < STOP {
        latch::wait(Duration::from_millis(5));
        latch::check_for_interrupts();
    }
}
