//! The rules of the invalidator, one by one.

use crate::support::{Db, reads, register, write};
use pg_live_invalidation::{
    Batch, Invalidator, Limits, LogEntry, Registration, Snapshot, World, Xid,
};
use pg_live_readset::{EntryKinds, ReadEntry, ReadSet, WriteSet};

/// An invalidator of boot 1 over an empty database.
struct Bench {
    db: Db,
    invalidator: Invalidator,
    position: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(Db::default(), Limits::default())
    }

    fn with(db: Db, limits: Limits) -> Self {
        let running = db.running.iter().copied().collect();
        let invalidator = Invalidator::new(1, db.completed, running, limits);
        Bench {
            db,
            invalidator,
            position: 0,
        }
    }

    fn log(&mut self, entry: LogEntry) {
        self.position += 10;
        self.invalidator.process(self.position, entry);
        self.invalidator.assert_consistent();
    }

    fn register(&mut self, owner: i64, sub: i64, generation: i64, keys: &[u8]) {
        let snapshot = self.db.snapshot();
        self.log(register(owner, sub, generation, snapshot, keys));
    }

    /// Resolves, and takes what is told: (owner, n, sub, generation, c).
    fn told(&mut self) -> Vec<(i64, u64, i64, i64, u64)> {
        self.invalidator.resolve(&mut self.db);
        self.invalidator.assert_consistent();
        let batches = self.invalidator.take_batches();
        let flat = |batch: Batch| {
            assert_eq!(batch.boot, 1);
            let items = batch.items.into_iter();
            items.map(move |(sub, generation, c)| (batch.owner, batch.n, sub, generation, c))
        };
        batches.into_iter().flat_map(flat).collect()
    }

    /// A transaction that writes these rows and commits.
    fn commit(&mut self, keys: &[u8]) -> Xid {
        let xid = self.db.begin();
        self.log(write(xid, keys));
        self.db.commit(xid);
        xid
    }
}

#[test]
fn r0_what_ran_at_the_boot_may_have_written_anything() {
    let mut db = Db::default();
    let old = db.begin();
    let mut bench = Bench::with(db, Limits::default());
    bench.register(1, 1, 1, &[1]);
    assert_eq!(bench.invalidator.record().u, [old]);
    assert_eq!(bench.told(), []);
    bench.db.commit(old);
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 1, c)]);
    assert!(!bench.invalidator.has_unresolved());
}

#[test]
fn r0_another_boot_is_invalidated_at_once() {
    let mut bench = Bench::new();
    let c0 = bench.db.completed;
    let snapshot = bench.db.snapshot();
    for (sub, boot) in [(1, 0), (2, 2)] {
        bench.log(LogEntry::Register(Registration {
            owner: 1,
            sub,
            generation: 1,
            boot,
            snapshot: snapshot.clone(),
            read_set: reads(&[1]),
        }));
    }
    assert_eq!(bench.told(), [(1, 1, 1, 1, c0), (1, 1, 2, 1, c0)]);
    assert_eq!(bench.invalidator.stats().subs, 0);
    assert_eq!(bench.invalidator.stats().invalidated_at_once, 2);
}

#[test]
fn r0_a_snapshot_from_before_the_boot_is_invalidated_at_once() {
    let mut db = Db::default();
    let early = db.snapshot();
    let xid = db.begin();
    db.commit(xid);
    let c0 = db.completed;
    let mut bench = Bench::with(db, Limits::default());
    bench.log(register(1, 1, 1, early, &[1]));
    bench.register(1, 2, 1, &[1]);
    assert_eq!(bench.told(), [(1, 1, 1, 1, c0)]);
    assert_eq!(bench.invalidator.stats().subs, 1);
}

#[test]
fn r4_a_write_matches_those_that_read_it_and_only_them() {
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1, 2]);
    bench.register(1, 2, 1, &[3]);
    bench.register(2, 1, 1, &[2]);
    bench.commit(&[2]);
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 1, c), (2, 1, 1, 1, c)]);
    bench.commit(&[2]);
    assert_eq!(
        bench.told(),
        [],
        "an invalidated sub is gone until it registers anew"
    );
}

#[test]
#[should_panic(expected = "order of their positions")]
fn r4_positions_only_go_forward() {
    let mut bench = Bench::new();
    bench.log(LogEntry::OwnerGone { owner: 1 });
    bench.position -= 10;
    bench.log(LogEntry::OwnerGone { owner: 1 });
}

#[test]
fn r5_nothing_is_told_while_the_writer_is_in_the_proc_array() {
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1]);
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    // In clog already, but new snapshots do not see it yet (F1).
    bench.db.committed.insert(xid);
    assert_eq!(bench.told(), []);
    assert!(bench.invalidator.has_unresolved());
    bench.db.commit(xid);
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 1, c)]);
}

#[test]
fn r5_an_abort_tells_nobody() {
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1]);
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    bench.db.abort(xid);
    assert_eq!(bench.told(), []);
    let stats = bench.invalidator.stats();
    assert_eq!((stats.subs, stats.unresolved, stats.log_entries), (1, 0, 0));
}

#[test]
fn r5_c_is_read_after_the_writer_has_left() {
    /// Lets another transaction complete between the question and the count.
    struct Late<'a>(&'a mut Db);
    impl World for Late<'_> {
        fn in_progress(&mut self, xid: Xid) -> bool {
            let before = self.0.in_progress(xid);
            if before {
                self.0.commit(xid);
            }
            before
        }
        fn committed(&mut self, xid: Xid) -> bool {
            self.0.committed(xid)
        }
        fn completion_count(&mut self) -> u64 {
            self.0.completed
        }
        fn wal_end(&mut self) -> u64 {
            self.0.wal
        }
    }
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1]);
    let first = bench.commit(&[1]);
    let second = bench.db.begin();
    bench.log(write(second, &[1]));
    assert!(first < second);
    bench.invalidator.resolve(&mut Late(&mut bench.db));
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 1, c)]);
}

#[test]
fn r5_what_a_transaction_captures_late_is_resolved_as_well() {
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1]);
    bench.register(1, 2, 1, &[2]);
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    bench.log(write(xid, &[2]));
    bench.db.commit(xid);
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 1, c), (1, 1, 2, 1, c)]);
    // The second entry may even be read after the first was resolved.
    bench.register(1, 3, 1, &[3]);
    let xid = bench.db.begin();
    bench.log(write(xid, &[9]));
    bench.db.commit(xid);
    assert_eq!(bench.told(), []);
    bench.log(write(xid, &[3]));
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 2, 3, 1, c)]);
}

#[test]
fn r6_a_committed_write_that_the_snapshot_misses_invalidates_at_once() {
    let mut bench = Bench::new();
    let snapshot = bench.db.snapshot();
    bench.commit(&[1]);
    assert_eq!(bench.told(), []);
    let c = bench.db.completed;
    bench.log(register(1, 1, 1, snapshot.clone(), &[1]));
    bench.log(register(1, 2, 1, snapshot, &[2]));
    bench.register(1, 3, 1, &[1]);
    assert_eq!(bench.told(), [(1, 1, 1, 1, c)]);
    assert_eq!(bench.invalidator.stats().subs, 2);
}

#[test]
fn r6_a_running_write_that_the_snapshot_misses_is_attached() {
    let mut bench = Bench::new();
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    bench.register(1, 1, 1, &[1]);
    bench.register(1, 2, 1, &[2]);
    assert_eq!(bench.told(), []);
    bench.db.commit(xid);
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 1, c)]);
}

#[test]
fn r6_a_write_that_the_snapshot_sees_is_not_attached_though_unresolved() {
    let mut bench = Bench::new();
    bench.commit(&[1]);
    bench.register(1, 1, 1, &[1]);
    assert_eq!(bench.told(), []);
}

#[test]
fn r6_xmin_alone_does_not_tell_what_a_snapshot_sees() {
    let mut bench = Bench::new();
    let long = bench.db.begin();
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    bench.db.commit(xid);
    // xmin is `long` < xid, yet the snapshot sees xid.
    bench.register(1, 1, 1, &[1]);
    assert_eq!(bench.told(), []);
    bench.db.abort(long);
}

#[test]
fn r6_the_log_forgets_and_remembers_how_much() {
    let limits = Limits {
        log_entries: 2,
        ..Limits::default()
    };
    let mut bench = Bench::with(Db::default(), limits);
    let first = bench.db.snapshot();
    let mut at = Vec::new();
    for key in 1..=3 {
        bench.commit(&[key]);
        bench.told();
        at.push(bench.db.snapshot());
    }
    let stats = bench.invalidator.stats();
    assert_eq!((stats.log_entries, stats.dropped), (2, at[0].completed));
    // The first write was dropped: a snapshot from before it cannot be judged.
    bench.log(register(1, 1, 1, first, &[9]));
    bench.log(register(1, 2, 1, at[0].clone(), &[9]));
    bench.log(register(1, 3, 1, at[0].clone(), &[1]));
    bench.log(register(1, 4, 1, at[0].clone(), &[2]));
    let told: Vec<_> = bench.told().iter().map(|told| told.2).collect();
    assert_eq!(told, [1, 4]);
}

#[test]
fn r6_unresolved_writes_are_never_dropped() {
    let limits = Limits {
        log_entries: 1,
        log_bytes: 1,
        unresolved_bytes: 1000,
        ..Limits::default()
    };
    let mut bench = Bench::with(Db::default(), limits);
    let long = bench.db.begin();
    bench.log(write(long, &[7]));
    for key in 0..50 {
        bench.commit(&[key]);
        bench.told();
    }
    bench.register(1, 1, 1, &[7]);
    assert_eq!(bench.told(), []);
    bench.db.commit(long);
    assert_eq!(bench.told().len(), 1);
}

#[test]
fn many_unresolved_rows_are_widened_to_their_table() {
    let limits = Limits {
        unresolved_bytes: 2000,
        ..Limits::default()
    };
    let mut bench = Bench::with(Db::default(), limits);
    let xids: Vec<Xid> = (0..100)
        .map(|_| {
            let xid = bench.db.begin();
            bench.log(write(xid, &[1, 2, 3]));
            xid
        })
        .collect();
    let wide = size_of::<pg_live_readset::WriteEntry>() * xids.len();
    assert!(bench.invalidator.stats().unresolved_bytes <= 2000 + wide);
    bench.register(1, 1, 1, &[9]);
    for xid in xids {
        bench.db.commit(xid);
    }
    assert_eq!(bench.told().len(), 1, "widened: matches more, never less");
    assert_eq!(bench.invalidator.stats().unresolved_bytes, 0);
}

#[test]
fn r7_batches_are_numbered_for_each_owner() {
    let mut bench = Bench::new();
    for round in 1..=3 {
        bench.register(1, 1, round, &[1]);
        bench.register(1, 2, round, &[1]);
        if round == 2 {
            bench.register(2, 1, 1, &[1]);
        }
        bench.commit(&[1]);
        let numbers: Vec<_> = bench.told().iter().map(|told| (told.0, told.1)).collect();
        match round {
            2 => assert_eq!(numbers, [(1, 2), (1, 2), (2, 1)]),
            n => assert_eq!(numbers, [(1, n.unsigned_abs()), (1, n.unsigned_abs())]),
        }
    }
    let emitted: Vec<_> = bench.invalidator.record().emitted.into_iter().collect();
    assert_eq!(emitted, [(1, 3), (2, 1)]);
}

#[test]
fn r7_the_record_never_runs_ahead_of_the_batches() {
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1]);
    let before = bench.invalidator.record();
    assert_eq!((before.w, before.u.len()), (10, 0));
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    assert_eq!(bench.invalidator.record().u, [xid]);
    bench.db.commit(xid);
    bench.invalidator.resolve(&mut bench.db);
    let pending = bench.invalidator.record();
    assert_eq!((pending.w, pending.u), (20, vec![xid]));
    // A registration that is refused at once must not be covered by W before it is told.
    let snapshot = Snapshot {
        completed: 0,
        ..bench.db.snapshot()
    };
    bench.log(register(1, 2, 1, snapshot, &[5]));
    assert_eq!(bench.invalidator.record().w, 20);
    assert_eq!(bench.invalidator.take_batches().len(), 1);
    let after = bench.invalidator.record();
    assert_eq!((after.boot, after.w, after.u.len()), (1, 30, 0));
    assert_eq!(after.emitted.get(&1), Some(&1));
}

#[test]
fn a_newer_generation_takes_the_place_of_an_older_one() {
    let mut bench = Bench::new();
    let running = bench.db.begin();
    bench.log(write(running, &[1, 2]));
    bench.register(1, 1, 1, &[1]);
    bench.register(1, 1, 2, &[2]);
    bench.register(1, 1, 1, &[3]);
    bench.commit(&[1, 3]);
    assert_eq!(bench.told(), []);
    bench.db.commit(running);
    let c = bench.db.completed;
    assert_eq!(bench.told(), [(1, 1, 1, 2, c)]);
}

#[test]
fn unregister_ends_this_generation_and_older_ones() {
    let mut bench = Bench::new();
    let unregister = |generation| LogEntry::Unregister {
        owner: 1,
        sub: 1,
        generation,
    };
    bench.register(1, 1, 2, &[1]);
    bench.log(unregister(1));
    assert_eq!(bench.invalidator.stats().subs, 1);
    let running = bench.db.begin();
    bench.log(write(running, &[1]));
    bench.log(unregister(2));
    assert_eq!(bench.invalidator.stats().subs, 0);
    bench.db.commit(running);
    assert_eq!(bench.told(), []);
}

#[test]
fn r8_what_belonged_to_a_vanished_owner_is_dropped() {
    let mut bench = Bench::new();
    for owner in [1, 2] {
        bench.register(owner, 1, 1, &[1]);
        bench.register(owner, i64::MAX, 1, &[2]);
        bench.register(owner, i64::MIN, 1, &[2]);
    }
    bench.commit(&[1]);
    bench.invalidator.resolve(&mut bench.db);
    bench.log(LogEntry::OwnerGone { owner: 1 });
    let stats = bench.invalidator.stats();
    assert_eq!((stats.subs, stats.pending), (2, 1));
    let owners: Vec<_> = bench.told().iter().map(|told| told.0).collect();
    assert_eq!(owners, [2]);
    bench.log(LogEntry::OwnerGone { owner: 2 });
    let stats = bench.invalidator.stats();
    assert_eq!(
        (stats.subs, stats.read_entries, stats.read_bytes),
        (0, EntryKinds::default(), 0)
    );
    assert!(bench.invalidator.record().emitted.is_empty());
}

#[test]
fn a_result_that_read_nothing_is_never_invalidated_by_writes() {
    let mut db = Db::default();
    let old = db.begin();
    let mut bench = Bench::with(db, Limits::default());
    bench.register(1, 1, 1, &[]);
    bench.db.commit(old);
    assert_eq!(bench.told(), []);
}

#[test]
fn a_table_write_invalidates_every_read_of_the_table() {
    let mut bench = Bench::new();
    bench.register(1, 1, 1, &[1]);
    let snapshot = bench.db.snapshot();
    let elsewhere = ReadSet {
        entries: vec![ReadEntry::Table { rel: 2 }],
    };
    bench.log(LogEntry::Register(Registration {
        owner: 1,
        sub: 2,
        generation: 1,
        boot: 1,
        snapshot,
        read_set: elsewhere,
    }));
    let xid = bench.db.begin();
    let set = crate::support::writes(&[5]).widened();
    assert_ne!(set, WriteSet::everything());
    bench.log(LogEntry::Write { xid, set });
    bench.db.commit(xid);
    let subs: Vec<_> = bench.told().iter().map(|told| told.2).collect();
    assert_eq!(subs, [1]);
}

#[test]
fn beyond_the_bound_read_sets_are_widened_and_nothing_is_missed() {
    let limits = Limits {
        read_bytes: 1_000,
        ..Limits::default()
    };
    let mut bench = Bench::with(Db::default(), limits);
    bench.register(1, 1, 1, &[1]);
    bench.register(1, 2, 1, &[2, 3, 4, 5]);
    let stats = bench.invalidator.stats();
    assert_eq!(stats.reads_widened, 1);
    assert_eq!((stats.read_entries.keys, stats.read_entries.tables), (1, 1));
    bench.commit(&[4]);
    assert_eq!(bench.told().len(), 1);
    // There is room again.
    bench.register(1, 2, 2, &[4]);
    assert_eq!(bench.invalidator.stats().reads_widened, 1);
    bench.commit(&[7]);
    assert_eq!(bench.told(), []);
    bench.commit(&[4]);
    assert_eq!(bench.told().len(), 1);
}
