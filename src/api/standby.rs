//! Queries on standbys (tickets, replay, registration on the primary), and `live.wait`.

use std::time::{Duration, Instant};

use pg_live_invalidation::{CodecError, Snapshot, decode_reads};
use pgrx::{IntoDatum, pg_sys};

use crate::capture;
use crate::error::{Error, Result};
use crate::invalidator;
use crate::pg::function::{Call, sql_functions};
use crate::pg::shmem::{self, Slot};
use crate::pg::{latch, snapshot, wal, worker};

/// Between two looks at what another process does without waking us.
const POLL: Duration = Duration::from_millis(1);
/// As above, where nobody is in a hurry.
const SLOW_POLL: Duration = Duration::from_millis(5);

sql_functions! {
    pg_live_replica_ticket = replica_ticket;
    pg_live_wait_for_replay = wait_for_replay;
    pg_live_register = register;
    pg_live_catch_up = catch_up;
    pg_live_wait = wait;
}

/// `live.replica_ticket()`: boot and completion count, then the end of the log, which is flushed up to there. A
/// standby that has replayed it sees all that had completed at that count.
fn replica_ticket(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    refuse_standby("live.replica_ticket()")?;
    let completed = snapshot::completion_count();
    let boot = invalidator::boot_of(completed);
    let lsn = wal::inserted();
    wal::flush(lsn);
    Ok(call.rows(vec![vec![
        boot.cast_signed().into_datum(),
        completed.cast_signed().into_datum(),
        Some(pg_sys::Datum::from(lsn)),
        i64::from(wal::timeline()).into_datum(),
        wal::system().cast_signed().into_datum(),
    ]]))
}

/// `live.wait_for_replay(lsn, timeout_ms)`: waits until this standby has replayed its log up to there, and says how
/// far it has come.
fn wait_for_replay(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let lsn = call.required::<i64>(0, "lsn")?.cast_unsigned();
    let timeout_ms: i64 = call.required(1, "timeout_ms")?;
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    if !worker::is_standby() {
        return Err(Error::WrongTransaction(
            "live.wait_for_replay() needs a standby, this server is a primary".into(),
        ));
    }
    wait_until(timeout, POLL, || wal::replayed().0 >= lsn);
    let (reached, timeline) = wal::replayed();
    Ok(call.rows(vec![vec![
        Some(pg_sys::Datum::from(reached)),
        i64::from(timeline).into_datum(),
        wal::system().cast_signed().into_datum(),
    ]]))
}

/// `live.register(owner, sub, generation, boot, c, snapshot, reads)`: on the primary, a result that a standby has
/// computed for a ticket of (boot, c). The position behind the registration, or NULL if it could not be registered.
fn register(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    refuse_standby("live.register()")?;
    let owner: i64 = call.required(0, "owner")?;
    let sub: i64 = call.required(1, "sub")?;
    let generation: i64 = call.required(2, "generation")?;
    let boot = call.required::<i64>(3, "boot")?.cast_unsigned();
    let completed = call.required::<i64>(4, "c")?.cast_unsigned();
    let bytes: Vec<u8> = call.required(5, "snapshot")?;
    // c(S) := c of the ticket.
    let snapshot = Snapshot {
        completed,
        ..Snapshot::decode(&bytes).map_err(|error| refused("snapshot", &error))?
    };
    let bytes: Vec<u8> = call.required(6, "reads")?;
    let reads = decode_reads(&bytes).map_err(|error| refused("reads", &error))?;
    // R2: the snapshot exists already. The counts of another boot may be those of another life of the server.
    let place = invalidator::position();
    if place.is_none_or(|place| place.boot != boot) {
        return Err(Error::TicketExpired);
    }
    if capture::ddl_conflict_of_standby(&snapshot, &reads) {
        return Err(Error::Redefined); // R17
    }
    let registered = if sub == 0 {
        None
    } else {
        invalidator::register((owner, sub, generation), place, snapshot, reads).ok()
    };
    match registered {
        Some(registered) => Ok(call.value(registered.position.cast_signed())),
        None => Ok(call.null()),
    }
}

/// `live.catch_up(snapshot, timeline, timeout_ms)`: waits until new snapshots of this server see all that a standby's
/// snapshot saw (R12, F6). False if the time is over. After a promotion nothing is waited for: the new primary showed
/// all that it has from the start, and commits that it never got do not come back.
fn catch_up(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    refuse_standby("live.catch_up()")?;
    let bytes: Vec<u8> = call.required(0, "snapshot")?;
    let timeline: i64 = call.required(1, "timeline")?;
    let timeout_ms: i64 = call.required(2, "timeout_ms")?;
    let earlier = Snapshot::decode(&bytes).map_err(|error| refused("snapshot", &error))?;
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let caught_up = timeline != i64::from(wal::timeline())
        || wait_until(timeout, POLL, || snapshot::latest().sees_all_of(&earlier));
    Ok(call.value(caught_up))
}

/// `live.wait(lsn, timeout)`. On a standby: until it has replayed the log up to there. On a primary: until the live
/// queries that saw anything committed by now have been told to their relays.
fn wait(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let lsn: Option<i64> = call.optional(0);
    let timeout: pgrx::datum::Interval = call.required(1, "timeout")?;
    let micros = u64::try_from(timeout.as_micros()).unwrap_or(0);
    let timeout = Duration::from_micros(micros);
    if worker::is_standby() {
        let lsn = lsn.ok_or_else(|| {
            Error::InvalidParameter(
                "live.wait() on a standby needs the place to wait for: what \
                 pg_current_wal_insert_lsn() gave on the primary after the commit"
                    .into(),
            )
        })?;
        let replayed = || wal::replayed().0 >= lsn.cast_unsigned();
        return Ok(call.value(wait_until(timeout, SLOW_POLL, replayed)));
    }
    if lsn.is_some_and(|lsn| lsn.cast_unsigned() > wal::inserted()) {
        return Err(Error::InvalidParameter(
            "the log of this server does not reach that place yet: it is from another server"
                .into(),
        ));
    }
    // Without a worker there are no live queries to be told.
    let Some(slot) = shmem::own_slot() else {
        return Ok(call.value(true));
    };
    let Some(place) = slot.place() else {
        return Ok(call.value(wait_until(timeout, SLOW_POLL, || {
            slot.worker_pid() == 0 || slot.place().is_some()
        })));
    };
    slot.wake_worker();
    let running = snapshot::latest();
    let told = || is_told(slot, place, &running);
    Ok(call.value(wait_until(timeout, SLOW_POLL, told)))
}

/// Whether the log was worked off up to a place, but for writers that were running then, and every relay has fetched
/// what came of it. A new boot tells everybody anyway (R8).
fn is_told(slot: &Slot, place: invalidator::log::Place, before: &Snapshot) -> bool {
    let board = slot.board();
    let unresolved = board.unresolved_ids();
    board.boot != place.boot
        || (board.w >= place.position
            && board.unresolved == unresolved.len() as u64
            && !unresolved.iter().any(|xid| before.contains(*xid)))
}

fn refuse_standby(function: &str) -> Result<()> {
    if worker::is_standby() {
        return Err(Error::WrongTransaction(format!(
            "{function} needs the primary server, this one is a standby"
        )));
    }
    Ok(())
}

fn refused(argument: &str, error: &CodecError) -> Error {
    Error::InvalidParameter(format!("argument {argument}: {error}"))
}

/// Looks again and again until `done` or the time is over; returns whether it is done.
fn wait_until(timeout: Duration, every: Duration, done: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begun.elapsed() >= timeout {
            return false;
        }
        latch::wait(every);
        latch::check_for_interrupts();
    }
}
