//! What a relay calls to follow its live queries: attach, next, unregister, clock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pg_live_invalidation::{Generation, LogEntry, Owner, Sub};
use pg_live_readset::ReadSetBuilder;
use pg_live_shared::Attached;
use pgrx::{IntoDatum, pg_sys};

use crate::capture::{self, Coverage};
use crate::error::{Error, Result};
use crate::invalidator;
use crate::invalidator::log::{Place, Refused};
use crate::pg::function::{Call, sql_functions};
use crate::pg::shmem::{self, Slot};
use crate::pg::{latch, relation, residue, session, snapshot, worker};
use crate::reads;

/// How long `live.attach` waits for the worker to forget what an owner had before.
const FORGET: Duration = Duration::from_secs(5);

/// How long a session waits for the worker to come up.
const START: Duration = Duration::from_secs(30);

thread_local! {
    static OWNERS: RefCell<BTreeSet<Owner>> = const { RefCell::new(BTreeSet::new()) };
    static EXIT_WATCHED: Cell<bool> = const { Cell::new(false) };
}

sql_functions! {
    pg_live_prepare_connection = prepare_connection;
    pg_live_attach = attach;
    pg_live_next = next;
    pg_live_watch = watch;
    pg_live_watch_query = watch_query;
    pg_live_unregister = unregister;
    pg_live_last_commit = last_commit;
    pg_live_clock = clock;
    pg_live_capture = capture::capture;
    pg_live_capture_wal = capture::capture_wal;
    pg_live_note_redefinition = capture::note_redefinition;
}

/// `live.prepare_connection()`.
fn prepare_connection(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    snapshot::prepare()?;
    residue::remember();
    Ok(call.null())
}

/// `live.attach(owner)`: the boot, 0 while there is none. Until this backend ends the owner's
/// registrations are kept.
fn attach(call: &mut Call) -> Result<pg_sys::Datum> {
    let owner: Owner = call.required(0, "owner")?;
    if worker::is_standby() {
        return Err(Error::WrongTransaction(
            "live.attach() needs the primary server, this one is a standby".into(),
        ));
    }
    let slot = invalidator::attach_slot()?;
    let boot = match slot.place() {
        Some(place) if attach_to(slot, place.boot, owner)? => place.boot,
        Some(_) | None => 0,
    };
    Ok(call.value(boot.cast_signed()))
}

/// A new owner of this session's own, attached to the boot that runs, which is started if none does.
///
/// # Errors
/// [`Error::NoWorker`] if that takes too long.
pub(super) fn attach_session() -> Result<(Owner, u64)> {
    if worker::is_standby() {
        return Err(Error::WrongTransaction(
            "live queries need the primary server, this one is a standby".into(),
        ));
    }
    let owner: Owner = (rand::random::<i64>() & i64::MAX).max(1);
    let slot = invalidator::attach_slot()?;
    let begun = Instant::now();
    while begun.elapsed() < START {
        if let Some(place) = slot.place()
            && attach_to(slot, place.boot, owner)?
        {
            return Ok((owner, place.boot));
        }
        latch::check_for_interrupts();
        latch::wait(Duration::from_millis(5));
    }
    detach_session(owner);
    Err(Error::NoWorker)
}

/// Takes an owner of this session's own out, with all that it registered.
pub(super) fn detach_session(owner: Owner) {
    OWNERS.with_borrow_mut(|owners| owners.remove(&owner));
    if let Some(slot) = shmem::own_slot() {
        slot.detach(owner, worker::own_pid());
        slot.wake_worker();
    }
}

/// R8: what belonged to the owner before is dropped, so that its batches count from 1 again.
/// Returns whether the worker has done that.
fn attach_to(slot: &Slot, boot: u64, owner: Owner) -> Result<bool> {
    let new = Attached {
        owner,
        pid: worker::own_pid().into(),
        since: session::now_us(),
    };
    let position = match slot.attach(boot, new) {
        Ok(position) => position,
        Err(Refused::TooManyOwners) => return Err(Error::TooManyOwners),
        Err(Refused::NoBoot | Refused::NoRoom | Refused::NoOwner) => return Ok(false),
    };
    OWNERS.with_borrow_mut(|owners| owners.insert(owner));
    if !EXIT_WATCHED.replace(true) {
        worker::before_exit(on_exit);
    }
    slot.wake_worker();
    let begun = Instant::now();
    while begun.elapsed() < FORGET {
        {
            let board = slot.board();
            if board.boot == boot && board.w >= position {
                return Ok(true);
            }
        }
        if slot.place().is_none_or(|place| place.boot != boot) {
            return Ok(false);
        }
        latch::wait(Duration::from_millis(2));
        latch::check_for_interrupts();
    }
    Ok(false)
}

/// R8: the owners attached by this backend vanish with it.
fn on_exit() {
    let Some(slot) = shmem::own_slot() else {
        return;
    };
    for owner in OWNERS.take() {
        slot.detach(owner, worker::own_pid());
    }
    slot.wake_worker();
}

/// `live.next(owner, boot, after)`: everything in the owner's batches after number `after`.
fn next(call: &mut Call) -> Result<pg_sys::Datum> {
    let owner: Owner = call.required(0, "owner")?;
    let boot: i64 = call.required(1, "boot")?;
    let after: i64 = call.required(2, "after")?;
    shmem::memory()?;
    let slot = shmem::own_slot().ok_or(Error::Gap { boot, after })?;
    let (known_boot, known_after) = (boot.cast_unsigned(), after.cast_unsigned());
    let fetched = slot.board_mut().fetch(owner, known_boot, known_after);
    let items = fetched.map_err(|_| Error::Gap { boot, after })?;
    let rows = items.iter().map(|item| {
        vec![
            boot.into_datum(),
            item.n.cast_signed().into_datum(),
            item.c.cast_signed().into_datum(),
            item.sub.into_datum(),
            item.generation.into_datum(),
        ]
    });
    let rows = rows.collect();
    Ok(call.rows(rows))
}

/// `live.watch(owner, sub, generation, relations)`: a live query whose result depends on whole
/// tables, registered at the transaction's snapshot.
fn watch(call: &mut Call) -> Result<pg_sys::Datum> {
    let owner: Owner = call.required(0, "owner")?;
    let sub: Sub = call.required(1, "sub")?;
    let generation: Generation = call.required(2, "generation")?;
    let relations: Vec<pg_sys::Oid> = call.required(3, "relations")?;
    shmem::memory()?;
    let snapshot = snapshot::transaction_snapshot()?;
    // R2: after the snapshot was taken.
    let place = invalidator::position();
    let relations: Vec<u32> = relations.iter().map(|rel| rel.to_u32()).collect();
    let mut reads = ReadSetBuilder::default();
    for rel in relations.iter().flat_map(|rel| relation::read_with(*rel)) {
        reads.table(rel);
    }
    let reads = reads.build();
    if capture::ddl_conflict(&snapshot, &reads) {
        return Err(Error::Redefined); // R17
    }
    // R18
    let (registered, not_live) = match capture::ensure_captured(&relations)? {
        Coverage::Captured => {
            let name = (owner, sub, generation);
            let registered = invalidator::register(name, place, snapshot, reads);
            (registered.ok(), None)
        }
        Coverage::Wanted(reason) | Coverage::Never(reason) => (None, Some(reason)),
    };
    let place = registered.map(|registered| (registered.boot, registered.position));
    Ok(call.rows(vec![vec![
        registered.is_some().into_datum(),
        place.and_then(|(boot, _)| boot.cast_signed().into_datum()),
        place.and_then(|(_, position)| position.cast_signed().into_datum()),
        not_live.into_datum(),
    ]]))
}

/// `live.watch_query(owner, sub, generation, query)`: any query as a live one, run and registered at the transaction's
/// snapshot.
fn watch_query(call: &mut Call) -> Result<pg_sys::Datum> {
    let owner: Owner = call.required(0, "owner")?;
    let sub: Sub = call.required(1, "sub")?;
    let generation: Generation = call.required(2, "generation")?;
    let query: String = call.required(3, "query")?;
    shmem::memory()?;
    let snapshot = snapshot::transaction_snapshot()?;
    // R2: after the snapshot was taken.
    let place = invalidator::position();
    let (outcome, sources) = reads::run(&query, &[], true)?;
    let (result, error) = match outcome {
        Ok(rows) => (Some(reads::rows_to_value(rows)?.to_encoded()), None),
        Err(failed) => (None, Some(failed.message)),
    };
    let mut set = ReadSetBuilder::default();
    sources.add_to(&mut set);
    let set = set.build();
    if capture::ddl_conflict(&snapshot, &set) {
        return Err(Error::Redefined); // R17
    }
    let mut not_live = sources.not_live;
    let mut registered = None;
    // R18
    if not_live.is_none() && !capture::may_register(&set)? {
        not_live = Some(
            "not all tables were captured yet at this snapshot; that was asked for, try again"
                .to_owned(),
        );
    }
    if not_live.is_none() {
        let name = (owner, sub, generation);
        registered = invalidator::register(name, place, snapshot, set).ok();
    }
    Ok(call.rows(vec![vec![
        result.and_then(IntoDatum::into_datum),
        error.and_then(IntoDatum::into_datum),
        registered.is_some().into_datum(),
        registered.and_then(|done| done.boot.cast_signed().into_datum()),
        registered.and_then(|done| done.position.cast_signed().into_datum()),
        not_live.and_then(IntoDatum::into_datum),
    ]]))
}

/// `live.unregister(owner, subs)`.
fn unregister(call: &mut Call) -> Result<pg_sys::Datum> {
    let owner: Owner = call.required(0, "owner")?;
    let subs: Vec<i64> = call.required(1, "subs")?;
    shmem::memory()?;
    if let Some(slot) = shmem::own_slot()
        && let Some(place) = slot.place()
    {
        for sub in subs {
            let generation = Generation::MAX;
            // Without room for it the sub stays; relays ignore what they no longer know.
            if let Ok(bytes) = (LogEntry::Unregister {
                owner,
                sub,
                generation,
            })
            .encode()
            {
                let _ = slot.push_reader(place.boot, owner, &bytes);
            }
        }
        slot.wake_worker();
    }
    Ok(call.null())
}

/// `live.last_commit()`: boot and c of the last transaction of this backend if it wrote, or now
/// (R13), and whether the session is as its relay prepared it.
fn last_commit(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let place = capture::last_commit().unwrap_or_else(capture::now);
    let columns = [place.boot, place.position].map(|value| value.cast_signed().into_datum());
    let clean = residue::is_clean().into_datum();
    Ok(call.rows(vec![columns.into_iter().chain([clean]).collect()]))
}

/// `live.clock()`: boot and completion count now.
fn clock(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    Ok(row(call, capture::now()))
}

fn row(call: &mut Call, place: Place) -> pg_sys::Datum {
    let columns = [place.boot, place.position];
    call.rows(vec![
        columns
            .map(|value| value.cast_signed().into_datum())
            .to_vec(),
    ])
}
