//! Bytes of the log in shared memory, and what relays bring from standbys.
#![no_main]

use pg_live_invalidation::{LogEntry, Snapshot, decode_reads};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = LogEntry::decode(bytes);
    let _ = Snapshot::decode(bytes);
    let _ = decode_reads(bytes);
});
