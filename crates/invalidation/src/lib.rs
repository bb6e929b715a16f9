//! The invalidator's state machine: log, registrations, unresolved writers, emission.
//!
//! Writers publish what they wrote before anyone can see it; results are registered with their
//! snapshot and their read-set. [`Invalidator`] takes both in the order of one log and says which
//! results a new snapshot may contradict, never before such a snapshot can be had. It holds no
//! clock, no thread and no connection: what it must know of the database it asks a [`World`].
#![forbid(unsafe_code)]

mod carried;
mod entry;
mod history;
mod in_wal;
mod invalidator;
mod outbox;
mod probe;
mod snapshot;
mod subscriptions;
mod unresolved;

pub use carried::{decode_reads, encode_reads};
pub use entry::{CodecError, Generation, LogEntry, Lsn, Owner, Position, Registration, Sub};
pub use invalidator::{Invalidator, Limits, Record, Stats, World, clears};
pub use outbox::Batch;
pub use snapshot::{Snapshot, Xid};
