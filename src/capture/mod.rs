//! Capture: what the running transaction writes, and its publication before it can be seen (R1).

mod ahead;
mod coverage;
mod interest;
mod redefinition;
mod rehearsal;
mod roles;
mod told;
mod trigger;
mod wal;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{Ordering, fence};

use pg_live_invalidation::{LogEntry, Xid};
use pg_live_readset::{RelId, RowImage, WriteLimits, WriteSet, WriteSetBuilder};

use crate::invalidator::log::Place;
use crate::invalidator::settings;
use crate::pg::executor;
use crate::pg::relation;
use crate::pg::shmem::{self, Slot};
use crate::pg::snapshot;
use crate::pg::wal::end_of_own_records;
use crate::pg::xact::{self, Stage};

pub(crate) use coverage::{Coverage, capture_relation, ensure_captured, may_register, status};
pub(crate) use interest::{Interest, ROWS, Told};
pub(crate) use redefinition::{
    Postgres, ddl_conflict, ddl_conflict_of_standby, learn_definitions, note_redefinition,
};
pub(crate) use rehearsal::rehearse;
pub(crate) use roles::note_roles_changed;
pub(crate) use trigger::capture;
pub(crate) use wal::capture_wal;

/// The write-set of the running transaction. A subtransaction that aborts only leaves it wider.
#[derive(Default)]
struct Writes {
    set: Option<WriteSetBuilder>,
    /// Relations whose changed rows are in the WAL.
    in_wal: BTreeSet<RelId>,
    /// That was published of some.
    decodes: bool,
    /// Relations with changes that older snapshots see too (R17).
    redefined: BTreeSet<RelId>,
    /// The pre-commit callback has run: what comes now is published at once. Another extension's
    /// callback may run after it and write.
    closing: bool,
    /// Something was published that a live query looks at.
    watched: bool,
    /// What was published besides.
    published: Vec<RelId>,
    /// `live.active` was written.
    catalog: bool,
    /// And that was counted in shared memory.
    catalog_begun: bool,
    /// Roles were changed: that concerns all databases.
    roles: bool,
    /// And that was published.
    roles_published: bool,
}

thread_local! {
    static WRITES: RefCell<Writes> = RefCell::default();
    static LAST_COMMIT: Cell<Option<Place>> = const { Cell::new(None) };
}

/// Has this process and its children publish what they capture. To be called once, at preload.
pub(crate) fn start() {
    executor::before_writes(ahead::note_ahead);
    xact::at_transaction_end(|stage| {
        // R3: what could not be published is a gap.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| at_stage(stage))) {
            if let Some(slot) = shmem::own_slot() {
                slot.set_overflow(true);
                slot.wake_worker();
            }
            WRITES.take();
            resume_unwind(panic);
        }
    });
}

/// The place of the last transaction of this backend that wrote something, if it was its last one:
/// boot and the completion count read after it had become visible (R13).
pub(crate) fn last_commit() -> Option<Place> {
    LAST_COMMIT.get()
}

/// The transaction changed a row: `image` is how it looked before or looks after.
fn add_row(rel: RelId, image: RowImage) {
    WRITES.with_borrow_mut(|writes| writes.builder().row(rel, image));
}

/// The transaction changed something in the relation.
fn add_table(rel: RelId) {
    WRITES.with_borrow_mut(|writes| writes.builder().table(rel));
}

/// The transaction changed rows of the relation, and the WAL has them.
fn add_in_wal(rel: RelId) {
    WRITES.with_borrow_mut(|writes| writes.in_wal.insert(rel));
}

/// Whether nothing that is noted for a write to the relation says anything new: it counts as changed as a whole, and
/// so does everything that shows its rows. A write to a partition says so of the partitioned table, but not of the
/// other partitions.
fn is_said(rel: RelId) -> bool {
    WRITES.with_borrow(|writes| {
        writes.set.as_ref().is_some_and(|set| {
            relation::readers_see(rel)
                .iter()
                .all(|rel| set.is_whole(*rel))
        })
    })
}

/// The transaction wrote `live.active`.
fn note_catalog_change() {
    WRITES.with_borrow_mut(|writes| writes.catalog = true);
}

/// Whether the running transaction has written `live.active`.
pub(crate) fn changes_catalog() -> bool {
    WRITES.with_borrow(|writes| writes.catalog)
}

/// The transaction redefined or truncated the relation (F7).
fn add_redefinition(rel: RelId) {
    WRITES.with_borrow_mut(|writes| {
        writes.builder().table(rel);
        writes.redefined.insert(rel);
    });
}

/// Has the running transaction count as one that changed the relation, though it writes nothing.
pub(crate) fn tick(rel: RelId) {
    xact::need_xid();
    add_table(rel);
    publish_if_late();
}

/// Whether the pre-commit callback has run.
fn is_late() -> bool {
    WRITES.with_borrow(|writes| writes.closing)
}

/// R1: what is captured after the pre-commit callback is published at once.
fn publish_if_late() {
    if is_late() && !rehearsal::is_rehearsing() {
        publish();
    }
}

impl Writes {
    fn builder(&mut self) -> &mut WriteSetBuilder {
        self.set.get_or_insert_with(Writes::empty_set)
    }

    fn empty_set() -> WriteSetBuilder {
        WriteSetBuilder::new(WriteLimits {
            rows_per_relation: settings::max_write_keys(),
            bytes: settings::ring_bytes() / 8,
        })
    }
}

fn at_stage(stage: Stage) {
    match stage {
        Stage::Before => {
            WRITES.with_borrow_mut(|writes| writes.closing = true);
            publish();
        }
        Stage::Committed | Stage::Prepared | Stage::Aborted => {
            let Writes {
                watched,
                published,
                decodes,
                catalog_begun,
                roles_published,
                ..
            } = WRITES.take();
            if roles_published {
                roles::wake_all_workers();
            }
            // A prepared transaction ends elsewhere. It stays begun, and catalogs are looked up from then on.
            if catalog_begun
                && stage != Stage::Prepared
                && let Ok(memory) = shmem::memory()
            {
                memory.end_catalog_change();
            }
            if let Some(slot) = shmem::own_slot() {
                if decodes && stage == Stage::Committed {
                    slot.decoder().wake();
                }
                wake_worker(slot, watched, &published);
            }
            // Only relays ask for it, after live.prepare_connection(); other writers save the locks.
            if stage == Stage::Committed && snapshot::is_prepared() {
                LAST_COMMIT.set(xact::current_xid().map(|_| now()));
            }
        }
    }
}

/// R13: boot (0 if there has been none) and completion count, as of now.
pub(crate) fn now() -> Place {
    let completed = snapshot::completion_count();
    let (boot, position) = match shmem::own_slot() {
        Some(slot) => slot.board().moment_of_completion(completed),
        None => (0, completed),
    };
    Place { boot, position }
}

/// R1: publishes what was captured since the last publication, if anything was.
fn publish() {
    count_catalog_change();
    let Some(xid) = xact::current_xid() else {
        // Without an id no row was written (F1).
        return;
    };
    let (set, redefined, in_wal) = WRITES.with_borrow_mut(|writes| {
        let set = writes.set.take();
        let in_wal = std::mem::take(&mut writes.in_wal);
        writes.decodes |= !in_wal.is_empty();
        (set, std::mem::take(&mut writes.redefined), in_wal)
    });
    publish_redefinitions(xid, &redefined);
    roles::publish(xid);
    let Some(slot) = shmem::own_slot() else {
        // R0: no boot is running; the next one lists this transaction, or it is over by then.
        return;
    };
    if let Some(set) = set.map(WriteSetBuilder::build) {
        note_published(slot, &set);
        let entry = LogEntry::Write { xid, set };
        slot.publish(entry.encode(), || widened(&entry).encode());
    }
    if !in_wal.is_empty() {
        WRITES.with_borrow_mut(|writes| writes.watched = true);
        let rels = in_wal.into_iter().collect();
        let lsn = end_of_own_records();
        let entry = LogEntry::InWal { xid, rels, lsn };
        slot.publish(entry.encode(), || widened(&entry).encode());
    }
}

/// Remembers whom the write-set may concern.
fn note_published(slot: &Slot, set: &WriteSet) {
    WRITES.with_borrow_mut(|writes| {
        for entry in &set.entries {
            match entry.rel() {
                Some(rel) if !slot.watched().contains(rel) => writes.published.push(rel),
                Some(_) | None => writes.watched = true,
            }
        }
    });
}

/// R5: the transaction has left the ProcArray, or its entry waits in the log. The worker need not know at once
/// if no live query looks at what was written: whoever registers one says so before its entry is put into the
/// log, and when that is processed, this transaction is resolved with it.
fn wake_worker(slot: &Slot, watched: bool, published: &[RelId]) {
    if !watched {
        if published.is_empty() {
            return;
        }
        // The look comes after this transaction has left.
        fence(Ordering::SeqCst);
    }
    if watched || published.iter().any(|rel| slot.watched().contains(*rel)) {
        slot.wake_worker();
    }
}

/// Counts a change of the catalog in shared memory, before it can be seen.
fn count_catalog_change() {
    let begins = WRITES.with_borrow_mut(|writes| {
        let begins = writes.catalog && !writes.catalog_begun;
        writes.catalog_begun |= begins;
        begins
    });
    if begins && let Ok(memory) = shmem::memory() {
        memory.begin_catalog_change();
    }
}

fn widened(entry: &LogEntry) -> LogEntry {
    match entry {
        LogEntry::Write { xid, set } => LogEntry::Write {
            xid: *xid,
            set: set.widened(),
        },
        LogEntry::Register(_)
        | LogEntry::Preview { .. }
        | LogEntry::Unregister { .. }
        | LogEntry::OwnerGone { .. }
        | LogEntry::InWal { .. }
        | LogEntry::Decoded { .. }
        | LogEntry::DecodedTo { .. }
        | LogEntry::DecoderReady { .. } => entry.clone(),
    }
}

/// R17: must precede visibility, with or without a worker.
fn publish_redefinitions(xid: Xid, rels: &BTreeSet<RelId>) {
    if rels.is_empty() {
        return;
    }
    let slot = shmem::memory().and_then(|memory| memory.claim(shmem::own_database(), false));
    // Without a slot nobody can run live queries here.
    let Ok(slot) = slot else { return };
    let mut log = slot.log_mut();
    for rel in rels {
        log.redefinitions.add(xid, *rel, &Postgres);
    }
}
