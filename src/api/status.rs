//! What an operator sees: `live.status()`, the counters behind `live.stats`, `live.stop()`.

use std::time::{Duration, Instant};

use pgrx::{IntoDatum, pg_sys};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::js;
use crate::pg::function::{Call, sql_functions};
use crate::pg::shmem::{self, Counter, Slot};
use crate::pg::{latch, snapshot};

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
    let state = shmem::own_slot().map_or_else(|| json!({ "attached": false }), describe);
    Ok(call.value(state.to_string()))
}

fn describe(slot: &Slot) -> Value {
    // One lock at a time: the two parts may be a moment apart.
    let (boot, used, end) = {
        let log = slot.log();
        (log.boot, log.span.used(), log.span.tail)
    };
    let board = slot.board();
    let owners: Map<String, Value> = board
        .emitted()
        .map(|(owner, n)| (owner.to_string(), json!(n)))
        .collect();
    json!({
        "attached": true,
        "worker_pid": slot.worker_pid(),
        "boot": boot,
        "overflow": slot.has_overflow(),
        "completion_count": snapshot::completion_count(),
        "c0": board.c0,
        "log": {
            "position": end,
            "processed": board.w,
            "lag_bytes": end.saturating_sub(board.w),
            "used_bytes": used,
            "size_bytes": slot.ring_capacity(),
        },
        "unresolved": board.unresolved,
        "unresolved_ids": board.unresolved_ids().iter().take(100).collect::<Vec<_>>(),
        "live_queries": board.subs,
        "read_set_bytes": board.read_bytes,
        "batches_by_owner": owners,
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
        let scribe = slot.scribe_pid();
        if slot.worker_pid() == 0 {
            memory.release(slot);
        } else {
            slot.set_stop(true);
            slot.wake_worker();
            await_end(|| !slot.has_stop() || slot.worker_pid() == 0);
        }
        slot.wake_scribe();
        await_end(|| slot.scribe_pid() != scribe || scribe == 0);
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
