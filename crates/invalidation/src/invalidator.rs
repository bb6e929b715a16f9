//! Matches writes with registered results and says when to tell whom: rules R0 and R4 to R7.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_readset::{Attribute, EntryKinds, ReadEntry, RelId, WriteSet};

use crate::entry::{Generation, LogEntry, Lsn, Owner, Position, Registration};
use crate::history::History;
use crate::in_wal::InWal;
use crate::outbox::{Batch, Outbox};
use crate::probe::Probe;
use crate::snapshot::{Snapshot, Xid};
use crate::subscriptions::{Live, SubKey, Subscriptions};
use crate::unresolved::Unresolved;

/// What the invalidator asks of the database.
pub trait World {
    /// Whether the transaction is still in the ProcArray, that is, invisible to new snapshots.
    /// A prepared one is.
    fn in_progress(&mut self, xid: Xid) -> bool;
    /// Whether a transaction that is no longer in progress committed.
    fn committed(&mut self, xid: Xid) -> bool;
    /// How many transactions have left the ProcArray by now.
    fn completion_count(&mut self) -> u64;
    /// The end of the WAL: every record that is written by now lies before it.
    fn wal_end(&mut self) -> Lsn;
}

/// How much the invalidator may remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of committed writes that are kept for registrations with older snapshots.
    pub log_entries: usize,
    /// The bytes that they may take.
    pub log_bytes: usize,
    /// The bytes of unresolved write-sets beyond which new ones are widened to their relations.
    pub unresolved_bytes: usize,
    /// The bytes of live results beyond which new read-sets are widened to their relations.
    pub read_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            log_entries: 10_000,
            log_bytes: 16 * 1024 * 1024,
            unresolved_bytes: 16 * 1024 * 1024,
            read_bytes: 192 * 1024 * 1024,
        }
    }
}

/// What has been worked off: a result that no emitted batch names is valid for every transaction
/// that was published before `w` and is not in `u`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The boot that all of it belongs to.
    pub boot: u64,
    /// W: the position up to which the log was processed.
    pub w: Position,
    /// U: the writers before `w` whose invalidations were not emitted, ascending.
    pub u: Vec<Xid>,
    /// N: the number of the last batch of each owner that had one.
    pub emitted: BTreeMap<Owner, u64>,
}

impl Record {
    /// R10: whether every commit that the snapshot sees has been matched and told of, as far as it was
    /// published before `position`, which was read after the snapshot was taken (R2).
    pub fn clears(&self, position: Position, snapshot: &Snapshot) -> bool {
        clears((self.w, &self.u), position, snapshot)
    }
}

/// [`Record::clears`] for a record that is kept elsewhere, given as W and U.
pub fn clears((w, u): (Position, &[Xid]), position: Position, snapshot: &Snapshot) -> bool {
    w >= position && !u.iter().any(|xid| snapshot.contains(*xid))
}

/// Counters and sizes. Bytes are estimates of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Log entries processed since the boot.
    pub processed: u64,
    /// Registrations among them.
    pub registered: u64,
    /// Invalidations since the boot, emitted or not.
    pub invalidated: u64,
    /// Those that were due at the registration itself (R0, R6).
    pub invalidated_at_once: u64,
    /// Invalidations that wait for `take_batches`.
    pub pending: usize,
    /// Live subs.
    pub subs: usize,
    /// Entries of their read-sets.
    pub read_entries: EntryKinds,
    /// Bytes of live results and their read-sets.
    pub read_bytes: usize,
    /// Registrations whose read-sets were widened for lack of room.
    pub reads_widened: u64,
    /// Committed writes that are kept.
    pub log_entries: usize,
    /// Bytes of those.
    pub log_bytes: usize,
    /// D: the greatest completion count dropped from the log; 0 if none was.
    pub dropped: u64,
    /// Writers in `U`.
    pub unresolved: usize,
    /// Bytes of their write-sets.
    pub unresolved_bytes: usize,
    /// Writers in `U` whose rows the decoder has yet to hand over.
    pub undecoded: usize,
}

/// The state machine. One boot, one log; a gap in the log (R3) ends its life.
#[derive(Debug)]
pub struct Invalidator {
    boot: u64,
    c0: u64,
    /// The greatest completion count read so far.
    c: u64,
    w: Position,
    subs: Subscriptions,
    unresolved: Unresolved,
    in_wal: InWal,
    history: History,
    outbox: Outbox,
    max_read_bytes: usize,
    /// The record as of the last moment at which nothing was pending.
    record: Record,
    stats: Stats,
}

impl Invalidator {
    /// R0: begins a boot. The log starts empty before the list of `running` transactions (prepared
    /// ones too) is made, and `c0` is the completion count read after it.
    pub fn new(boot: u64, c0: u64, running: Vec<Xid>, limits: Limits) -> Self {
        let mut unresolved = Unresolved::new(limits.unresolved_bytes);
        for xid in running {
            unresolved.add(xid, WriteSet::everything(), Vec::new());
        }
        let record = Record {
            boot,
            w: 0,
            u: unresolved.xids().collect(),
            emitted: BTreeMap::new(),
        };
        Invalidator {
            boot,
            c0,
            c: c0,
            w: 0,
            subs: Subscriptions::default(),
            unresolved,
            in_wal: InWal::default(),
            history: History::new(limits.log_entries, limits.log_bytes),
            outbox: Outbox::default(),
            max_read_bytes: limits.read_bytes,
            record,
            stats: Stats::default(),
        }
    }

    /// R4: processes the next entry of the log. `position` is the position behind it.
    ///
    /// # Panics
    /// If the position is not beyond the last one.
    pub fn process(&mut self, position: Position, entry: LogEntry) {
        assert!(
            position > self.w || self.stats.processed == 0,
            "log entries come in the order of their positions"
        );
        self.stats.processed += 1;
        match entry {
            LogEntry::Write { xid, set } => self.write(xid, set),
            LogEntry::Register(registration) => self.register(&registration),
            LogEntry::Preview { owner, set } => self.preview(owner, &set),
            LogEntry::Unregister {
                owner,
                sub,
                generation,
            } => self.unregister((owner, sub), generation),
            LogEntry::OwnerGone { owner } => self.drop_owner(owner),
            LogEntry::InWal { xid, rels, lsn } => self.write_in_wal(xid, &rels, lsn),
            LogEntry::Decoded { xid, lsn, set } => {
                if let Some(set) = self.in_wal.decoded(xid, lsn, set) {
                    self.write(xid, set);
                }
            }
            LogEntry::DecodedTo { lsn } => self.in_wal.decoded_to(lsn),
            LogEntry::DecoderReady { run, lsn } => {
                let owed = self.in_wal.ready(run, lsn);
                self.write_all(owed);
            }
        }
        self.w = position;
    }

    /// R5: resolves every writer that has left the ProcArray, and whose rows were handed over if they
    /// are in the WAL; invalidates what it touched if it committed.
    pub fn resolve(&mut self, world: &mut impl World) {
        let mut left: Vec<Xid> = self
            .unresolved
            .xids()
            .filter(|xid| self.in_wal.has_left(*xid) || !world.in_progress(*xid))
            .collect();
        self.await_decoder(&mut left, world);
        if left.is_empty() {
            return;
        }
        // Read after all of them had left: a snapshot with this count sees them (F3).
        self.c = self.c.max(world.completion_count());
        for xid in left {
            let Some(writer) = self.unresolved.remove(xid) else {
                continue;
            };
            self.in_wal.forget(xid);
            for key in &writer.subs {
                self.subs.detach(*key, xid);
            }
            if world.committed(xid) {
                for key in writer.subs {
                    self.invalidate(key, self.c);
                }
                self.history.push(xid, self.c, writer.set);
            }
        }
    }

    /// R5: takes out those that committed and whose rows the decoder may yet hand over.
    fn await_decoder(&mut self, left: &mut Vec<Xid>, world: &mut impl World) {
        if self.in_wal.len() == 0 {
            return;
        }
        // After all of them had left: their commits lie before it.
        let end = world.wal_end();
        left.retain(|xid| {
            if self.in_wal.is_waiting(*xid) && world.committed(*xid) {
                self.in_wal.leave(*xid, end);
                return self.in_wal.is_done(*xid);
            }
            true
        });
    }

    /// The decoder that announced itself last has ended: what writers said to be in the WAL counts as a
    /// change of the whole relations, until there is another one.
    pub fn decoder_gone(&mut self) {
        let owed = self.in_wal.gone();
        self.write_all(owed);
    }

    /// The decoder takes too long, for a large transaction say: of writers that have left the ProcArray and are
    /// among those of an earlier [`wal_wanted`](Self::wal_wanted) the whole relations count as changed.
    pub fn stop_waiting(&mut self, wanted: Lsn) {
        let owed = self.in_wal.stop_waiting(wanted);
        self.write_all(owed);
    }

    /// The decoder that announced itself last, unless it was said to be gone.
    pub fn decoder_run(&self) -> Option<u64> {
        self.in_wal.run()
    }

    /// How far the decoder must come so that no writer that has left the ProcArray waits for it. The WAL
    /// up to there may not be flushed yet (F5).
    pub fn wal_wanted(&self) -> Option<Lsn> {
        self.in_wal.wanted()
    }

    /// Whether anybody reads a relation whose rows writers leave in the WAL: then a decoder is of use.
    pub fn watches_wal(&self) -> bool {
        let index = self.subs.index();
        let now = self.stats.processed;
        self.in_wal.is_watched(now, |rel| index.reads(rel))
    }

    /// R7: what is to be told, one batch for each owner, numbered. Must be stored where the owners
    /// can fetch it before a [`record`](Self::record) made after this call is published.
    pub fn take_batches(&mut self) -> Vec<Batch> {
        self.outbox.take(self.boot)
    }

    /// R7: what has been worked off. While invalidations wait for `take_batches` this is the record
    /// from before they arose.
    pub fn record(&mut self) -> Record {
        if self.outbox.is_empty() {
            self.record = Record {
                boot: self.boot,
                w: self.w,
                u: self.unresolved.xids().collect(),
                emitted: self.outbox.emitted().clone(),
            };
        }
        self.record.clone()
    }

    /// R8: drops what belonged to a vanished owner, as the log's `OwnerGone` does. For the owner of
    /// a batch that is no longer attached: a backend may register for it after `OwnerGone`.
    pub fn drop_owner(&mut self, owner: Owner) {
        for key in self.subs.of_owner(owner) {
            self.remove(key);
        }
        self.outbox.forget(owner);
    }

    /// Whether any writer is unresolved: then commits and aborts must wake the invalidator (R5).
    pub fn has_unresolved(&self) -> bool {
        !self.unresolved.is_empty()
    }

    /// The relations that live queries look at.
    pub fn relations(&self) -> impl Iterator<Item = RelId> {
        self.subs.index().relations()
    }

    /// The columns that live queries have conditions on.
    pub fn columns(&self) -> impl Iterator<Item = (RelId, Attribute)> {
        self.subs.index().columns()
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        Stats {
            pending: self.outbox.pending(),
            subs: self.subs.len(),
            read_entries: self.subs.index().kinds(),
            read_bytes: self.subs.bytes(),
            log_entries: self.history.len(),
            log_bytes: self.history.bytes(),
            dropped: self.history.dropped(),
            unresolved: self.unresolved.len(),
            unresolved_bytes: self.unresolved.bytes(),
            undecoded: self.in_wal.len(),
            ..self.stats
        }
    }

    /// Checks what must hold between any two calls; for tests and simulators.
    ///
    /// # Panics
    /// If a sub and a writer do not agree on whether they are attached to each other, or if a sub
    /// is attached to a writer that it sees.
    pub fn assert_consistent(&self) {
        let mut by_subs = BTreeSet::new();
        for (key, live) in self.subs.iter() {
            for xid in &live.attached {
                assert!(!live.snapshot.contains(*xid), "{key:?} sees {xid}");
                by_subs.insert((*xid, *key));
            }
        }
        let mut by_writers = BTreeSet::new();
        for (xid, writer) in self.unresolved.iter() {
            by_writers.extend(writer.subs.iter().map(|key| (xid, *key)));
        }
        assert_eq!(by_subs, by_writers, "attachments are mutual");
        assert_eq!(self.subs.len(), self.subs.index().len());
    }

    /// R4: matches a write with the live subs and holds it until its outcome is known.
    fn write(&mut self, xid: Xid, set: WriteSet) {
        let matched = self.subs.attach(xid, &set);
        self.unresolved.add(xid, set, matched);
    }

    fn write_all(&mut self, writes: Vec<(Xid, WriteSet)>) {
        for (xid, set) in writes {
            self.write(xid, set);
        }
    }

    /// R4 for rows in the WAL: they are matched when they are handed over, with whoever is registered
    /// then and does not see the writer.
    fn write_in_wal(&mut self, xid: Xid, rels: &[RelId], lsn: Lsn) {
        let index = self.subs.index();
        let now = self.stats.processed;
        let whole = self.in_wal.add(xid, rels, lsn, now, |rel| index.reads(rel));
        self.write(xid, whole);
    }

    /// R6: checks a result against everything that its snapshot could not see, then keeps it.
    fn register(&mut self, registration: &Registration) {
        self.stats.registered += 1;
        let key = (registration.owner, registration.sub);
        if self.subs.generation(key) > Some(registration.generation) {
            return;
        }
        self.remove(key);
        let rels = registration.read_set.entries.iter().map(ReadEntry::rel);
        self.in_wal.note_readers(rels, self.stats.processed);
        let snapshot = &registration.snapshot;
        let mut probe = Probe::new(&registration.read_set);
        // R0: nothing is known of other boots, nor of what completed before this one began.
        let other_boot = registration.boot != self.boot || snapshot.completed < self.c0;
        let due = if other_boot {
            Some(self.c)
        } else {
            self.history.contradicts(snapshot, &mut probe)
        };
        if let Some(c) = due {
            self.stats.invalidated += 1;
            self.stats.invalidated_at_once += 1;
            self.outbox.push(key.0, key.1, registration.generation, c);
            return;
        }
        let live = Live {
            generation: registration.generation,
            snapshot: snapshot.clone(),
            attached: self.unresolved.attach(key, snapshot, &mut probe),
        };
        let reads = &registration.read_set;
        if self.subs.bytes() + reads.bytes_in_index() > self.max_read_bytes {
            self.stats.reads_widened += 1;
            self.subs.insert(key, live, &reads.widened());
        } else {
            self.subs.insert(key, live, reads);
        }
    }

    /// Tells whom a write would touch that is not made. The end is told even if it is nobody.
    fn preview(&mut self, owner: Owner, set: &WriteSet) {
        for (of, sub) in self.subs.touched(set) {
            self.outbox.push(owner, sub, of, self.c);
        }
        self.outbox.push(owner, 0, 0, self.c);
    }

    fn unregister(&mut self, key: SubKey, generation: Generation) {
        if self
            .subs
            .generation(key)
            .is_some_and(|live| live <= generation)
        {
            self.remove(key);
        }
    }

    /// Ends a generation and tells its owner.
    fn invalidate(&mut self, key: SubKey, c: u64) {
        if let Some(live) = self.remove(key) {
            self.stats.invalidated += 1;
            self.outbox.push(key.0, key.1, live.generation, c);
        }
    }

    fn remove(&mut self, key: SubKey) -> Option<Live> {
        let live = self.subs.remove(key)?;
        for xid in &live.attached {
            self.unresolved.detach(*xid, key);
        }
        Some(live)
    }
}
