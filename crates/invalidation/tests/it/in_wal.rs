//! R5 for writers whose rows the decoder hands over.

use pg_live_invalidation::{Batch, Invalidator, Limits, LogEntry, Xid};

use crate::support::{Db, register, write, writes};

/// An invalidator with subs 1 and 2 of owner 1 on rows 1 and 2.
struct Bench {
    db: Db,
    invalidator: Invalidator,
    position: u64,
}

impl Bench {
    fn new() -> Self {
        let db = Db::default();
        let invalidator = Invalidator::new(1, db.completed, vec![], Limits::default());
        let mut bench = Bench {
            db,
            invalidator,
            position: 0,
        };
        for sub in [1, 2] {
            bench.register(sub, 1);
        }
        bench
    }

    /// With a decoder that hands over what commits from now on.
    fn decoding() -> Self {
        let mut bench = Bench::new();
        bench.ready(1);
        bench
    }

    fn log(&mut self, entry: LogEntry) {
        self.position += 10;
        self.invalidator.process(self.position, entry);
        self.invalidator.assert_consistent();
    }

    fn ready(&mut self, run: u64) {
        let lsn = self.db.wal;
        self.log(LogEntry::DecoderReady { run, lsn });
    }

    /// Registers a run of a sub on the row of its number.
    fn register(&mut self, sub: i64, generation: i64) {
        let snapshot = self.db.snapshot();
        let row = u8::try_from(sub).unwrap_or(0);
        self.log(register(1, sub, generation, snapshot, &[row]));
    }

    /// A transaction that leaves rows of relation 1 in the WAL and has yet to commit.
    fn begin(&mut self) -> Xid {
        let xid = self.db.begin();
        self.db.wal += 10;
        let lsn = self.db.wal;
        let rels = vec![1];
        self.log(LogEntry::InWal { xid, rels, lsn });
        xid
    }

    fn decoded(&mut self, xid: Xid, keys: &[u8]) {
        let (lsn, set) = (self.db.wal, writes(keys));
        self.log(LogEntry::Decoded { xid, lsn, set });
    }

    /// The subs that are told.
    fn told(&mut self) -> Vec<i64> {
        self.invalidator.resolve(&mut self.db);
        self.invalidator.assert_consistent();
        let subs = |batch: Batch| batch.items.into_iter().map(|(sub, _, _)| sub);
        let batches = self.invalidator.take_batches();
        let mut subs: Vec<i64> = batches.into_iter().flat_map(subs).collect();
        subs.sort_unstable();
        subs
    }
}

#[test]
fn rows_are_matched_when_they_are_handed_over() {
    let mut bench = Bench::decoding();
    let xid = bench.begin();
    bench.db.commit(xid);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.invalidator.record().u, [xid]);
    assert_eq!(bench.invalidator.wal_wanted(), Some(bench.db.wal));
    bench.decoded(xid, &[2]);
    assert_eq!(bench.told(), [2]);
    assert_eq!(bench.invalidator.record().u, []);
    assert_eq!(bench.invalidator.wal_wanted(), None);
}

#[test]
fn decoded_is_not_visible() {
    let mut bench = Bench::decoding();
    let xid = bench.begin();
    bench.decoded(xid, &[2]);
    assert_eq!(bench.told(), []);
    bench.db.commit(xid);
    assert_eq!(bench.told(), [2]);
}

#[test]
fn who_registers_before_the_rows_come_is_told() {
    let mut bench = Bench::decoding();
    let xid = bench.begin();
    bench.register(2, 2);
    bench.db.commit(xid);
    bench.register(1, 2);
    bench.decoded(xid, &[1, 2]);
    // Sub 1 sees the writer, sub 2 does not.
    assert_eq!(bench.told(), [2]);
}

#[test]
fn a_later_registration_finds_the_rows_in_the_history() {
    let mut bench = Bench::decoding();
    let old = bench.db.snapshot();
    let xid = bench.begin();
    bench.db.commit(xid);
    bench.decoded(xid, &[2]);
    assert_eq!(bench.told(), [2]);
    bench.log(register(1, 7, 1, old.clone(), &[2]));
    bench.log(register(1, 8, 1, old, &[3]));
    assert_eq!(bench.told(), [7]);
}

#[test]
fn progress_beyond_a_commit_says_that_it_had_no_rows() {
    let mut bench = Bench::decoding();
    let xid = bench.begin();
    bench.db.commit(xid);
    let lsn = bench.db.wal;
    bench.log(LogEntry::DecodedTo { lsn: lsn - 1 });
    assert_eq!(bench.told(), []);
    bench.log(LogEntry::DecodedTo { lsn });
    assert_eq!(bench.told(), []);
    assert_eq!(bench.invalidator.record().u, []);
}

#[test]
fn a_rollback_waits_for_nobody() {
    let mut bench = Bench::decoding();
    let xid = bench.begin();
    bench.db.abort(xid);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.invalidator.record().u, []);
}

#[test]
fn without_a_decoder_the_relation_counts() {
    let mut bench = Bench::new();
    let xid = bench.begin();
    bench.db.commit(xid);
    assert_eq!(bench.told(), [1, 2]);
    assert!(bench.invalidator.watches_wal());
}

#[test]
fn what_may_commit_before_the_decoder_is_ready_counts_as_a_whole() {
    let mut bench = Bench::new();
    let xid = bench.db.begin();
    let lsn = bench.db.wal - 1;
    bench.ready(1);
    let rels = vec![1];
    bench.log(LogEntry::InWal { xid, rels, lsn });
    bench.db.commit(xid);
    assert_eq!(bench.told(), [1, 2]);
}

#[test]
fn when_the_decoder_goes_the_relation_counts() {
    for replaced in [false, true] {
        let mut bench = Bench::decoding();
        let xid = bench.begin();
        bench.db.commit(xid);
        assert_eq!(bench.told(), []);
        if replaced {
            bench.ready(2);
        } else {
            bench.invalidator.decoder_gone();
        }
        assert_eq!(bench.told(), [1, 2], "replaced: {replaced}");
        // What the old one left in the log does no harm.
        bench.decoded(xid, &[1]);
        assert_eq!(bench.told(), []);
    }
}

#[test]
fn relations_that_nobody_reads_are_not_waited_for() {
    let mut bench = Bench::decoding();
    let xid = bench.db.begin();
    let (rels, lsn) = (vec![9], bench.db.wal);
    bench.log(LogEntry::InWal { xid, rels, lsn });
    bench.db.commit(xid);
    bench.told();
    assert_eq!(bench.invalidator.record().u, []);
    assert!(!bench.invalidator.watches_wal());
}

#[test]
fn a_query_that_is_being_run_again_still_counts_as_a_reader() {
    let mut bench = Bench::decoding();
    let first = bench.begin();
    bench.db.commit(first);
    bench.decoded(first, &[1, 2]);
    assert_eq!(bench.told(), [1, 2]);
    let old = bench.db.snapshot();
    let second = bench.begin();
    bench.db.commit(second);
    assert_eq!(bench.told(), []);
    bench.log(register(1, 1, 2, old, &[1]));
    bench.decoded(second, &[2]);
    assert_eq!(bench.told(), []);
}

#[test]
fn rows_of_relations_that_triggers_capture_are_left_out() {
    let mut bench = Bench::decoding();
    let xid = bench.db.begin();
    bench.log(write(xid, &[1]));
    bench.decoded(xid, &[2]);
    bench.db.commit(xid);
    assert_eq!(bench.told(), [1]);
}

#[test]
fn who_takes_too_long_counts_as_a_whole() {
    let mut bench = Bench::decoding();
    let late = bench.begin();
    bench.db.commit(late);
    assert_eq!(bench.told(), []);
    let wanted = bench.invalidator.wal_wanted();
    let running = bench.begin();
    bench.invalidator.stop_waiting(wanted.unwrap_or(0));
    assert_eq!(bench.told(), [1, 2]);
    bench.register(1, 2);
    bench.decoded(late, &[1]);
    bench.db.commit(running);
    bench.decoded(running, &[3]);
    assert_eq!(bench.told(), []);
}
