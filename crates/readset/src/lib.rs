//! The algebra of read-sets and write-sets, and the index that matches them.
//!
//! A [`ReadSet`] says what a query's result depends on, a [`WriteSet`] what a transaction changed.
//! Each entry is sound on its own: it may match too much, never too little. [`overlaps`] is the
//! definition of a match; [`ReadIndex`] finds the same matches among many subscriptions at once.
//!
//! Keys are bytes whose order is the order of the values that they encode; nothing here looks
//! inside them.
#![forbid(unsafe_code)]

mod entry;
mod index;
mod interval;
mod read_builder;
mod write_builder;

pub use entry::{IndexId, ReadEntry, ReadSet, RelId, WriteEntry, WriteSet, overlaps};
pub use index::{EntryKinds, ReadIndex};
pub use read_builder::{ReadLimits, ReadSetBuilder};
pub use write_builder::{WriteLimits, WriteSetBuilder};
