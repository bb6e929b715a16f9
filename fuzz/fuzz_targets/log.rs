//! Bytes of the log in shared memory, and what relays bring from standbys. What is read is taken in by the
//! invalidator. In the input each entry has its length before it, in two bytes.
#![no_main]

use pg_live_invalidation::{Invalidator, Limits, LogEntry, Lsn, Snapshot, World, Xid};
use pg_live_invalidation::{decode_reads, encode_reads};

const LIMITS: Limits = Limits {
    log_entries: 8,
    log_bytes: 4096,
    unresolved_bytes: 4096,
    read_bytes: 16384,
};

/// What transactions do follows from their numbers and from how often was asked.
struct Any(u64);

impl World for Any {
    fn in_progress(&mut self, xid: Xid) -> bool {
        self.0 = self.0.wrapping_add(1);
        xid.wrapping_add(self.0).is_multiple_of(3)
    }

    fn committed(&mut self, xid: Xid) -> bool {
        !xid.is_multiple_of(5)
    }

    fn completion_count(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }

    fn wal_end(&mut self) -> Lsn {
        self.0
    }
}

fn entries(mut bytes: &[u8]) -> Vec<LogEntry> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (entry, rest) = rest.split_at(length);
        entries.extend(LogEntry::decode(entry));
        bytes = rest;
    }
    entries
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(snapshot) = Snapshot::decode(bytes) {
        let encoded = snapshot.encode().expect("can be written");
        assert_eq!(Snapshot::decode(&encoded).ok(), Some(snapshot));
    }
    if let Ok(reads) = decode_reads(bytes) {
        let encoded = encode_reads(&reads).expect("can be written");
        assert_eq!(decode_reads(&encoded).ok(), Some(reads));
    }
    let mut invalidator = Invalidator::new(1, 0, vec![7], LIMITS);
    let mut world = Any(0);
    for (entry, position) in entries(bytes).into_iter().zip(1..) {
        let encoded = entry.encode().expect("can be written");
        assert_eq!(LogEntry::decode(&encoded).as_ref().ok(), Some(&entry));
        invalidator.process(position, entry);
        invalidator.resolve(&mut world);
        invalidator.take_batches();
        invalidator.record();
        if let Some(lsn) = invalidator.wal_wanted().filter(|lsn| lsn % 2 == 0) {
            invalidator.stop_waiting(lsn);
        }
        invalidator.assert_consistent();
    }
});
