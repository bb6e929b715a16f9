//! The invalidator against a model that keeps everything and judges from scratch each time.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_invalidation::{
    Batch, Generation, Invalidator, Limits, LogEntry, Owner, Registration, Snapshot, Sub, World,
    Xid,
};
use pg_live_readset::{WriteSet, overlaps};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Db, reads, writes};

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Write(Index, Vec<u8>),
    End(Index, bool),
    TakeSnapshot,
    Register(Owner, Sub, Index, Vec<u8>),
    Unregister(Owner, Sub),
    OwnerGone(Owner),
    Resolve,
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || vec(0u8..6, 0..3);
    let (owner, sub) = (|| 1i64..3, || 1i64..5);
    prop_oneof![
        4 => Just(Step::Begin),
        6 => (any::<Index>(), keys()).prop_map(|(at, keys)| Step::Write(at, keys)),
        4 => (any::<Index>(), prop::bool::weighted(0.8)).prop_map(|(at, how)| Step::End(at, how)),
        4 => Just(Step::TakeSnapshot),
        8 => (owner(), sub(), any::<Index>(), keys())
            .prop_map(|(owner, sub, at, keys)| Step::Register(owner, sub, at, keys)),
        1 => (owner(), sub()).prop_map(|(owner, sub)| Step::Unregister(owner, sub)),
        1 => owner().prop_map(Step::OwnerGone),
        6 => Just(Step::Resolve),
        3 => Just(Step::Take),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Unknown,
    Committed(u64),
    Aborted,
}

/// All writes and the live registrations.
#[derive(Default)]
struct Model {
    writes: Vec<(Xid, WriteSet, Outcome)>,
    live: BTreeMap<(Owner, Sub), Registration>,
    /// Who must be told, with the least c that they may be told.
    due: BTreeMap<(Owner, Sub), (Generation, u64)>,
}

impl Model {
    fn resolve(&mut self, db: &mut Db) {
        for (xid, _, outcome) in &mut self.writes {
            if *outcome == Outcome::Unknown && !db.running.contains(xid) {
                *outcome = match db.committed.contains(xid) {
                    true => Outcome::Committed(db.completed),
                    false => Outcome::Aborted,
                };
            }
        }
        self.judge();
    }

    /// A live result is due if any committed write that it does not see touches it.
    fn judge(&mut self) {
        let (all, due) = (&self.writes, &mut self.due);
        self.live.retain(|key, registration| {
            let missed = all.iter().filter_map(|(xid, set, outcome)| match outcome {
                Outcome::Committed(c)
                    if !registration.snapshot.contains(*xid)
                        && overlaps(&registration.read_set, set) =>
                {
                    Some(*c)
                }
                Outcome::Committed(_) | Outcome::Aborted | Outcome::Unknown => None,
            });
            let missed = missed.max();
            if let Some(c) = missed {
                due.insert(*key, (registration.generation, c));
            }
            missed.is_none()
        });
    }
}

struct Run {
    db: Db,
    invalidator: Invalidator,
    model: Model,
    position: u64,
    generation: Generation,
    c0: u64,
    limits: Limits,
    numbers: BTreeMap<Owner, u64>,
    /// Told earlier than the model would: only for want of memory.
    early: BTreeMap<(Owner, Sub), Generation>,
}

impl Run {
    fn new(mut db: Db, limits: Limits) -> Self {
        let running: Vec<Xid> = db.running.iter().copied().collect();
        let c0 = db.completion_count();
        let unknown = running
            .iter()
            .map(|xid| (*xid, WriteSet::everything(), Outcome::Unknown));
        let model = Model {
            writes: unknown.collect(),
            ..Model::default()
        };
        Run {
            invalidator: Invalidator::new(1, c0, running, limits),
            model,
            db,
            position: 0,
            generation: 0,
            c0,
            limits,
            numbers: BTreeMap::new(),
            early: BTreeMap::new(),
        }
    }

    fn log(&mut self, entry: LogEntry) {
        self.position += 1;
        self.invalidator.process(self.position, entry);
    }

    fn write(&mut self, xid: Xid, keys: &[u8]) {
        let set = writes(keys);
        let write = (xid, set.clone(), Outcome::Unknown);
        self.model.writes.push(write);
        self.log(LogEntry::Write { xid, set });
    }

    fn register(&mut self, registration: &Registration) {
        let key = (registration.owner, registration.sub);
        let before = self.invalidator.stats();
        self.log(LogEntry::Register(registration.clone()));
        let after = self.invalidator.stats();
        self.early.remove(&key);
        self.model.due.remove(&key);
        self.model.live.insert(key, registration.clone());
        self.model.judge();
        let at_once = after.invalidated_at_once > before.invalidated_at_once;
        if registration.snapshot.completed < self.c0 {
            assert!(at_once, "R0");
        } else if self.model.due.contains_key(&key) {
            assert!(at_once, "R6");
        }
        if at_once && self.model.live.remove(&key).is_some() {
            let c = registration.snapshot.completed;
            assert!(c < self.c0 || c < after.dropped, "told without a reason");
            self.early.insert(key, registration.generation);
        }
    }

    /// Only the newest generation of a sub counts for its owner.
    fn take(&mut self) {
        let held = self.invalidator.record();
        let mut told = BTreeMap::new();
        for Batch {
            owner, n, items, ..
        } in self.invalidator.take_batches()
        {
            let number = self.numbers.entry(owner).or_insert(0);
            *number += 1;
            assert_eq!(n, *number);
            assert!(!items.is_empty());
            for (sub, generation, c) in items {
                assert!(c <= self.db.completed);
                told.insert((owner, sub), (generation, c));
            }
        }
        let record = self.invalidator.record();
        assert_eq!(record.w, self.position);
        assert!(held.w <= record.w);
        assert_eq!(record.emitted, self.numbers);
        for (key, (generation, c)) in std::mem::take(&mut self.model.due) {
            let (told_generation, told_c) = told.remove(&key).expect("who is due is told");
            assert_eq!(told_generation, generation);
            assert!(
                told_c >= c,
                "a snapshot of {told_c} may miss the write of {c}"
            );
        }
        for (key, generation) in std::mem::take(&mut self.early) {
            assert_eq!(told.remove(&key).map(|(told, _)| told), Some(generation));
        }
        let newer = |(key, (generation, _)): (&(Owner, Sub), &(Generation, u64))| {
            let live = self.model.live.get(key).map(|live| live.generation);
            live.is_none_or(|live| live > *generation)
        };
        assert!(told.iter().all(newer), "told without a reason: {told:?}");
    }

    fn step(&mut self, step: Step, snapshots: &mut Vec<Snapshot>) {
        let running: Vec<Xid> = self.db.running.iter().copied().collect();
        match step {
            Step::Begin => {
                self.db.begin();
            }
            Step::Write(at, keys) if !running.is_empty() => self.write(*at.get(&running), &keys),
            Step::End(at, true) if !running.is_empty() => self.db.commit(*at.get(&running)),
            Step::End(at, false) if !running.is_empty() => self.db.abort(*at.get(&running)),
            Step::Write(..) | Step::End(..) => {}
            Step::TakeSnapshot => snapshots.push(self.db.snapshot()),
            Step::Register(owner, sub, at, keys) => {
                self.generation += 1;
                self.register(&Registration {
                    owner,
                    sub,
                    generation: self.generation,
                    boot: 1,
                    snapshot: at.get(snapshots).clone(),
                    read_set: reads(&keys),
                });
            }
            Step::Unregister(owner, sub) => {
                self.model.live.remove(&(owner, sub));
                let generation = Generation::MAX;
                self.log(LogEntry::Unregister {
                    owner,
                    sub,
                    generation,
                });
            }
            Step::OwnerGone(owner) => {
                self.model.live.retain(|key, _| key.0 != owner);
                self.model.due.retain(|key, _| key.0 != owner);
                self.early.retain(|key, _| key.0 != owner);
                self.numbers.remove(&owner);
                self.log(LogEntry::OwnerGone { owner });
            }
            Step::Resolve => {
                self.invalidator.resolve(&mut self.db);
                self.model.resolve(&mut self.db);
            }
            Step::Take => self.take(),
        }
        self.invalidator.assert_consistent();
        let stats = self.invalidator.stats();
        assert!(stats.log_entries <= self.limits.log_entries);
        let live: BTreeSet<_> = self.model.live.keys().collect();
        assert_eq!(stats.subs, live.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn tells_what_the_model_tells(
        before in vec(any::<bool>(), 0..6),
        steps in vec(step(), 0..150),
        log_entries in prop_oneof![Just(1000usize), 0usize..4],
    ) {
        let mut db = Db::default();
        let mut snapshots = vec![db.snapshot()];
        for stays in before {
            let xid = db.begin();
            if !stays {
                db.commit(xid);
            }
        }
        let limits = Limits { log_entries, ..Limits::default() };
        let mut run = Run::new(db, limits);
        snapshots.push(run.db.snapshot());
        for step in steps {
            run.step(step, &mut snapshots);
        }
        for xid in run.db.running.clone() {
            run.db.commit(xid);
        }
        run.step(Step::Resolve, &mut snapshots);
        run.step(Step::Take, &mut snapshots);
        prop_assert!(!run.invalidator.has_unresolved());
    }
}
