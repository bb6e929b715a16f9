//! The database server as the relay sees it: backends, log, worker, and what the worker has to say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pg_live_invalidation::{
    Batch, Invalidator, Limits, LogEntry, Owner, Position, Record, Registration, Sub, World, Xid,
};
use pg_live_readset::{ReadEntry, ReadSet, RelId, WriteSet, overlaps};
use pg_live_session::Moment;
use pg_live_shared::{Redefinitions, widen};

use crate::bug::Bug;
use crate::columns::Watched;
use crate::coverage::{Coverage, State};
use crate::database::{Database, Done, Stage};
use crate::decoder::Decoder;
use crate::faults::Faults;
use crate::history::Change;
use crate::query::{Images, write_set};
use crate::ring::Ring;
use crate::standby::Standby;

/// Where the worker is in its life.
#[derive(Debug)]
enum Worker {
    Down,
    /// R0: the log has begun anew; then the list of the running, then c0.
    Starting(Option<Vec<Xid>>),
    Up(Box<Invalidator>),
}

/// The attachment is over, or batches are no longer held (R8).
#[derive(Debug)]
pub(crate) struct Gone;

/// An invalidation as the relay fetches it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) n: u64,
    pub(crate) sub: Sub,
    pub(crate) moment: Moment,
}

/// The table of the product, but smaller.
const REDEFINITIONS: usize = 8;

/// Says that the relay may have something to fetch, and up to which batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hint {
    pub(crate) owner: Owner,
    pub(crate) n: u64,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) db: Database,
    pub(crate) standby: Standby,
    pub(crate) redefinitions: Redefinitions<REDEFINITIONS>,
    /// R18: a query has read a table that is not captured.
    pub(crate) capture_wanted: bool,
    pub(crate) coverage: Coverage,
    pub(crate) ring: Ring,
    worker: Worker,
    decoder: Option<Decoder>,
    /// How many decoders there were.
    decoders: u64,
    /// Survives crashes.
    durable_boot: u64,
    /// The boot that moments carry, and the completion count when it was announced.
    announced: Moment,
    attached: BTreeSet<Owner>,
    batches: BTreeMap<Owner, VecDeque<Batch>>,
    /// How many batches of an owner are held.
    keep: usize,
    limits: Limits,
    /// Notifications on their way.
    pub(crate) hints: Vec<Hint>,
    /// Control connections that have ended, unsaid in the log so far.
    departed: Vec<Owner>,
    bug: Option<Bug>,
    /// For `Bug::UnwatchedSkipped`.
    watched: Vec<ReadSet>,
    /// The columns that writers are to tell the keys of.
    pub(crate) watched_columns: Watched,
    /// Boot and c(S) of what was registered in this boot.
    claims: BTreeMap<(Owner, Sub, i64), (u64, u64)>,
    /// R7: what the worker published last.
    pub(crate) record: Option<Record>,
    /// What the worker did wrong.
    wrong: Option<String>,
}

impl Server {
    pub(crate) fn new(faults: &Faults, bug: Option<Bug>) -> Self {
        Server {
            db: Database::new(faults.first_xid, bug),
            standby: Standby::default(),
            redefinitions: Redefinitions::default(),
            capture_wanted: false,
            coverage: Coverage::default(),
            ring: Ring::new(faults.ring),
            worker: Worker::Down,
            decoder: None,
            decoders: 0,
            durable_boot: 0,
            announced: Moment::default(),
            attached: BTreeSet::new(),
            batches: BTreeMap::new(),
            keep: faults.keep,
            limits: faults.limits,
            hints: Vec::new(),
            departed: Vec::new(),
            bug,
            watched: Vec::new(),
            watched_columns: Watched::new(),
            claims: BTreeMap::new(),
            record: None,
            wrong: None,
        }
    }

    /// Whether the worker has kept to its rules so far.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    /// R1: a backend publishes what a transaction has done and is not in the log yet.
    pub(crate) fn publish(&mut self, xid: Xid, images: Images) {
        let Some(tx) = self.db.live.get_mut(&xid) else {
            return;
        };
        let done = tx.done[tx.published..].to_vec();
        tx.published = tx.done.len();
        if tx.stage == Stage::Published {
            self.coverage.reach(State::LateCapture);
        }
        tx.stage = Stage::Published;
        let id = match (self.bug, tx.aborted_sub) {
            (Some(Bug::SubAbortForgets), Some(_)) => return,
            (Some(Bug::SubXidPublished), Some(sub)) => sub,
            _ => xid,
        };
        let in_wal = tx.in_wal;
        if self.bug != Some(Bug::R17Late) {
            self.publish_redefinitions(xid, &done);
        }
        let is_row = |done: &&Done| matches!(done.change, Change::Row { .. }) && done.captured;
        let (left, told): (Vec<&Done>, _) = done.iter().partition(|d| in_wal && is_row(d));
        let told: Vec<Done> = told.into_iter().copied().collect();
        let set = write_set(&told, images, &self.watched_columns, self.bug);
        self.push_writes(id, set);
        let mut rels: Vec<RelId> = left.iter().map(|done| done.change.rel()).collect();
        rels.sort_unstable();
        rels.dedup();
        if !rels.is_empty() {
            // Its commit record will not begin before the present end.
            let lsn = self.db.wal.len() as u64;
            let xid = self.logged(id);
            self.push_writer(&LogEntry::InWal { xid, rels, lsn });
        }
    }

    /// R17: what older snapshots see too is made known before it is visible.
    pub(crate) fn publish_redefinitions(&mut self, xid: Xid, done: &[Done]) {
        for done in done.iter().filter(|d| d.change.is_redefinition()) {
            self.redefinitions.add(xid, done.change.rel(), &self.db);
        }
    }

    /// R3: what cannot be published is a gap.
    pub(crate) fn push_writes(&mut self, xid: Xid, set: WriteSet) {
        if set.entries.is_empty() {
            return;
        }
        let xid = self.logged(xid);
        let unwatched = !self.watched.iter().any(|reads| overlaps(reads, &set));
        if self.watched.iter().any(|reads| is_spared(reads, &set)) {
            self.coverage.reach(State::Spared);
        }
        if self.bug == Some(Bug::UnwatchedSkipped) && unwatched {
            return;
        }
        self.push_writer(&LogEntry::Write { xid, set });
    }

    /// The id by which the log names a transaction.
    fn logged(&self, xid: Xid) -> Xid {
        match self.bug {
            Some(Bug::ShortIds) => self.db.widened(xid),
            _ => xid,
        }
    }

    fn push_writer(&mut self, entry: &LogEntry) {
        let bytes = entry.encode();
        let published = bytes.is_ok_and(|bytes| self.ring.push(bytes));
        if published {
            self.ring.written = self.ring.tail;
        }
        if !published {
            self.coverage.reach(State::Overflow);
        }
        if !published && self.bug != Some(Bug::OverflowIgnored) {
            self.ring.overflowed = true;
        }
    }

    /// A step of the decoder; one is started if there is none. Whether there was one to take.
    pub(crate) fn decode(&mut self) -> bool {
        if !matches!(self.worker, Worker::Up(_)) {
            return false;
        }
        let Some(mut decoder) = self.decoder.take() else {
            self.decoders += 1;
            self.decoder = Some(Decoder::start(self.decoders, &self.db));
            return true;
        };
        let entry = decoder.entry(&self.db, &self.watched_columns);
        let told = entry.is_some_and(|entry| self.push(&entry));
        if told {
            decoder.advance(&self.db);
        }
        self.decoder = Some(decoder);
        told
    }

    /// The decoder dies; the worker notices it later.
    pub(crate) fn stop_decoder(&mut self) {
        if let Worker::Up(invalidator) = &self.worker
            && invalidator.stats().undecoded > 0
        {
            self.coverage.reach(State::DecoderDied);
        }
        self.decoder = None;
    }

    /// A backend says something that may be refused for want of room. Whether it was not.
    pub(crate) fn push(&mut self, entry: &LogEntry) -> bool {
        let bytes = entry.encode();
        bytes.is_ok_and(|bytes| self.ring.push_optional(bytes))
    }

    /// A backend registers a result: the position behind that, if there was room.
    pub(crate) fn register(&mut self, registration: Registration) -> Option<Position> {
        let entries = registration.read_set.entries.iter();
        let columns = entries.filter_map(|entry| Some((entry.rel(), entry.attribute()?)));
        self.watched_columns.extend(columns);
        let pushed = self.push(&LogEntry::Register(registration));
        pushed.then_some(self.ring.tail)
    }

    /// The moment of a snapshot, read some time after it was taken. The order of moments must be
    /// that of the snapshots, so the count decides which boot it carries, and not the boot that is
    /// in force. Boot 0: it is older than this boot, and is of no use any more.
    pub(crate) fn moment_of_snapshot(&self, c: u64) -> Moment {
        if self.bug == Some(Bug::BootOfNow) {
            let boot = self.ring.boot_of_snapshot();
            return Moment { boot, c };
        }
        if c < self.announced.c && self.bug != Some(Bug::NoC0Check) {
            return Moment::default();
        }
        Moment {
            boot: self.announced.boot,
            c,
        }
    }

    /// A moment at which something that completed at `c` is seen by every snapshot, read some time
    /// after it completed. Boot 0: not to be told yet.
    pub(crate) fn moment_of_completion(&self, c: u64) -> Moment {
        if self.bug == Some(Bug::BootOfNow) {
            let boot = self.ring.boot;
            return Moment { boot, c };
        }
        Moment {
            boot: self.announced.boot,
            c: c.max(self.announced.c),
        }
    }

    /// A relay's control connection makes itself known. Boot 0: the worker is not up.
    pub(crate) fn attach(&mut self, owner: Owner) -> u64 {
        match self.worker {
            Worker::Up(_) => {
                self.attached.insert(owner);
                self.ring.boot
            }
            Worker::Down | Worker::Starting(_) => 0,
        }
    }

    /// A control connection ends.
    pub(crate) fn detach(&mut self, owner: Owner) {
        if self.bug != Some(Bug::OwnerReused) {
            self.attached.remove(&owner);
        }
        self.departed.push(owner);
    }

    /// The end of the oldest vanished owner is written to the log.
    pub(crate) fn announce_departure(&mut self) {
        if let Some(owner) = self.departed.first().copied()
            && self.push(&LogEntry::OwnerGone { owner })
        {
            self.departed.remove(0);
        }
    }

    /// R7, R8: what the owner was not told yet.
    pub(crate) fn next(&mut self, owner: Owner, boot: u64, after: u64) -> Result<Vec<Item>, Gone> {
        let current = boot == self.ring.boot && self.attached.contains(&owner);
        if !current {
            self.coverage.reach(State::Gap);
        }
        if !current && self.bug != Some(Bug::BootIgnored) {
            return Err(Gone);
        }
        let Some(held) = self.batches.get_mut(&owner) else {
            return Ok(Vec::new());
        };
        held.retain(|batch| batch.n > after);
        let gap = held.front().is_some_and(|batch| batch.n > after + 1);
        if gap {
            self.coverage.reach(State::Gap);
        }
        if gap && self.bug != Some(Bug::GapIgnored) {
            return Err(Gone);
        }
        let items = held.iter().flat_map(|batch| {
            batch.items.iter().map(|(sub, _, c)| Item {
                n: batch.n,
                sub: *sub,
                moment: Moment {
                    boot: batch.boot,
                    c: *c,
                },
            })
        });
        Ok(items.collect())
    }

    /// R0: what has an id and has not left.
    fn running(&mut self) -> Vec<Xid> {
        let is_prepared = |stage| stage == Stage::Prepared;
        if self.db.live.values().any(|tx| is_prepared(tx.stage)) {
            self.coverage.reach(State::PreparedAtBoot);
        }
        let live = self.db.live.iter();
        let listed = live.filter(|(_, tx)| match self.bug {
            Some(Bug::RunningNotListed) => false,
            Some(Bug::PreparedNotListed) => !is_prepared(tx.stage),
            _ => true,
        });
        let mut xids: Vec<Xid> = listed.map(|(xid, _)| self.db.widened(*xid)).collect();
        xids.sort_unstable();
        xids
    }

    /// R0, one step at a time; the database goes on in between.
    pub(crate) fn start_worker(&mut self) {
        match &mut self.worker {
            Worker::Down => {
                self.durable_boot += 1;
                self.decoder = None;
                self.ring.restart(self.durable_boot);
                self.batches.clear();
                self.attached.clear();
                self.watched.clear();
                self.claims.clear();
                self.record = None;
                self.worker = Worker::Starting(None);
            }
            Worker::Starting(None) => {
                let running = self.running();
                if self.bug != Some(Bug::R17Recovery) {
                    self.redefinitions.begin(&running, &self.db);
                }
                self.worker = Worker::Starting(Some(running));
            }
            Worker::Starting(Some(running)) => {
                let running = std::mem::take(running);
                let c = self.db.completion_count();
                let c0 = match self.bug {
                    Some(Bug::NoC0Check) => 0,
                    _ => c,
                };
                let boot = self.ring.boot;
                self.announced = Moment { boot, c };
                self.coverage.reach(State::Boot);
                let invalidator = Invalidator::new(boot, c0, running, self.limits);
                self.worker = Worker::Up(Box::new(invalidator));
            }
            Worker::Up(_) => {}
        }
    }

    /// R3: the worker notices the overflow and ends; it will begin a new boot.
    pub(crate) fn notice_overflow(&mut self) {
        if self.ring.overflowed {
            self.stop_worker();
        }
    }

    /// The worker dies. The log stays as it is until the next boot.
    pub(crate) fn stop_worker(&mut self) {
        let undecided = |stage| [Stage::Published, Stage::InClog].contains(&stage);
        if matches!(self.worker, Worker::Up(_))
            && self.db.live.values().any(|tx| undecided(tx.stage))
        {
            self.coverage.reach(State::WorkerDiedBeforeVisible);
        }
        self.worker = Worker::Down;
    }

    /// Everything but the disk is lost.
    pub(crate) fn crash(&mut self) {
        self.stop_worker();
        self.decoder = None;
        self.db.crash();
        self.redefinitions = Redefinitions::default();
        self.capture_wanted = false;
        self.coverage.reach(State::Crash);
        self.ring.restart(0);
        self.announced = Moment::default();
        self.attached.clear();
        self.batches.clear();
        self.hints.clear();
        self.departed.clear();
    }

    /// R4, R6: the worker processes one entry of the log. Whether there was one.
    pub(crate) fn process(&mut self) -> bool {
        let Worker::Up(invalidator) = &mut self.worker else {
            return false;
        };
        let Some((position, bytes)) = self.ring.pop() else {
            return false;
        };
        match LogEntry::decode(&bytes) {
            Ok(mut entry) => {
                let dropped = invalidator.stats().dropped;
                if let LogEntry::Register(registration) = &mut entry {
                    self.watched.push(registration.read_set.clone());
                    let (c, boot) = (registration.snapshot.completed, registration.boot);
                    let Registration {
                        owner,
                        sub,
                        generation,
                        ..
                    } = *registration;
                    // An attempt that failed may have registered the same before.
                    let claim = self.claims.entry((owner, sub, generation));
                    let claim = claim.or_insert((boot, c));
                    *claim = match claim.0 == boot {
                        true => (boot, claim.1.min(c)),
                        false => (boot, c),
                    };
                    if dropped > c {
                        self.coverage.reach(State::HistoryDropped);
                    }
                    if c < self.db.completion_count() {
                        self.coverage.reach(State::LateRegistration);
                    }
                    if self.db.live.values().any(|tx| tx.stage == Stage::InClog) {
                        self.coverage.reach(State::RegisteredWhileInClog);
                    }
                    spoil(registration, self.bug, &self.db, dropped);
                }
                if matches!(entry, LogEntry::Decoded { .. }) {
                    self.coverage.reach(State::Decoded);
                }
                invalidator.process(position, entry);
                invalidator.assert_consistent();
            }
            Err(_) => self.ring.overflowed = true,
        }
        true
    }

    /// R5: the worker asks what has become of the writers.
    pub(crate) fn resolve(&mut self) {
        if let Worker::Up(invalidator) = &mut self.worker {
            let run = self.decoder.as_ref().map(|decoder| decoder.run);
            if invalidator.decoder_run().is_some_and(|of| Some(of) != run) {
                invalidator.decoder_gone();
            }
            let unresolved = invalidator.record().u;
            let dropped = match self.bug {
                Some(Bug::DropUnresolved) if unresolved.len() > 2 => unresolved.first().copied(),
                _ => None,
            };
            let mut world = Observed {
                db: &self.db,
                bug: self.bug,
                dropped,
            };
            invalidator.resolve(&mut world);
            if invalidator.wal_wanted().is_some() {
                self.coverage.reach(State::AwaitsDecoder);
            }
            invalidator.assert_consistent();
        }
    }

    /// R7: the worker stores what is to be told, and gives a hint to each owner.
    pub(crate) fn emit(&mut self) {
        let Worker::Up(invalidator) = &mut self.worker else {
            return;
        };
        for batch in invalidator.take_batches() {
            if !self.attached.contains(&batch.owner) {
                invalidator.drop_owner(batch.owner);
                continue;
            }
            self.hints.push(Hint {
                owner: batch.owner,
                n: batch.n,
            });
            // R5: only a snapshot from before c can have missed something.
            for (sub, generation, c) in &batch.items {
                let claim = self.claims.get(&(batch.owner, *sub, *generation));
                if claim.is_none_or(|(boot, of)| *boot == batch.boot && of >= c) {
                    let owner = batch.owner;
                    self.wrong = Some(format!(
                        "R5: {owner}/{sub}/{generation} told of {c} for no reason: {claim:?}"
                    ));
                }
            }
            let held = self.batches.entry(batch.owner).or_default();
            held.push_back(batch);
            while held.len() > self.keep {
                held.pop_front();
            }
        }
        let record = invalidator.record();
        assert_eq!(record.boot, self.ring.boot, "a worker serves one boot");
        self.record = Some(record);
    }

    /// Whether the worker has nothing left to do until a transaction leaves.
    pub(crate) fn is_idle(&self) -> bool {
        match &self.worker {
            Worker::Down | Worker::Starting(_) => false,
            Worker::Up(invalidator) => {
                self.ring.is_empty()
                    && !self.ring.overflowed
                    && self.departed.is_empty()
                    && invalidator.stats().pending == 0
            }
        }
    }

    /// How many invalidations this boot has seen.
    pub(crate) fn invalidated(&self) -> u64 {
        match &self.worker {
            Worker::Up(invalidator) => invalidator.stats().invalidated,
            Worker::Down | Worker::Starting(_) => 0,
        }
    }

    /// The standby replays one record, unless a query of it reads what the record redefines.
    pub(crate) fn replay(&mut self, is_read: impl Fn(RelId) -> bool) -> bool {
        self.standby.replay(&self.db, is_read)
    }
}

/// Whether a result depends on some rows or columns of a table that was written, and not on what was written.
fn is_spared(reads: &ReadSet, set: &WriteSet) -> bool {
    let is_written = |entry: &ReadEntry| {
        let rel = Some(entry.rel());
        set.entries.iter().any(|write| write.rel() == rel)
    };
    let mut rows = reads.entries.iter();
    rows.any(|entry| matches!(entry, ReadEntry::Rows { .. }) && is_written(entry))
        && !overlaps(reads, set)
}

/// Plants the mistakes of R6.
fn spoil(registration: &mut Registration, bug: Option<Bug>, db: &Database, dropped: u64) {
    let snapshot = &mut registration.snapshot;
    match bug {
        Some(Bug::NoR6) => *snapshot = db.snapshot().snapshot,
        Some(Bug::IgnoreXip) => {
            snapshot.xip.clear();
            snapshot.xmin = snapshot.xmax;
        }
        Some(Bug::DroppedForgotten) => snapshot.completed = snapshot.completed.max(dropped),
        Some(Bug::XminOnly) => {
            snapshot.xip.clear();
            snapshot.xmax = snapshot.xmin;
        }
        _ => {}
    }
}

/// The database as the worker's process sees it.
struct Observed<'a> {
    db: &'a Database,
    bug: Option<Bug>,
    dropped: Option<Xid>,
}

impl Observed<'_> {
    /// What an id of the log stands for.
    fn full(&self, xid: Xid) -> Xid {
        match self.bug {
            Some(Bug::ShortIds) => {
                widen(u32::try_from(xid).unwrap_or(u32::MAX), self.db.next_xid())
            }
            _ => xid,
        }
    }
}

impl World for Observed<'_> {
    fn in_progress(&mut self, xid: Xid) -> bool {
        let xid = self.full(xid);
        let Some(tx) = self.db.live.get(&xid) else {
            // A subtransaction is in progress as long as its parent is.
            let mut live = self.db.live.values();
            return live.any(|tx| tx.aborted_sub == Some(xid));
        };
        match self.bug {
            Some(Bug::ResolveByClog) => tx.stage != Stage::InClog,
            Some(Bug::ResolveByWal) => tx.stage != Stage::InClog || !tx.in_wal,
            Some(Bug::PreparedNotInProgress) => tx.stage != Stage::Prepared,
            Some(Bug::DropUnresolved) => self.dropped != Some(xid),
            _ => true,
        }
    }

    fn committed(&mut self, xid: Xid) -> bool {
        self.dropped != Some(xid) && self.db.in_clog(self.full(xid))
    }

    fn completion_count(&mut self) -> u64 {
        self.db.completion_count()
    }

    fn wal_end(&mut self) -> u64 {
        match self.bug {
            Some(Bug::WalNotAwaited) => 0,
            _ => self.db.wal.len() as u64,
        }
    }
}
