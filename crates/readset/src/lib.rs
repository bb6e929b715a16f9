//! The algebra of read-sets and write-sets, and the index that matches them.
//!
//! A [`ReadSet`] says what a query's result depends on, a [`WriteSet`] what a transaction changed.
//! Each entry is sound on its own: it may match too much, never too little. [`overlaps`] is the
//! definition of a match; [`ReadIndex`] finds the same matches among many subscriptions at once.
//!
//! Keys are bytes whose order is the order of the values that they encode; what matches them does not look
//! inside. Those of documents come from elsewhere, those of columns are made by [`ColumnKey`].
#![forbid(unsafe_code)]

mod attributes;
mod column_key;
mod condition;
mod entry;
mod holders;
mod index;
mod interval;
mod numeric;
mod points;
mod read_builder;
mod relation;
mod small_key;
mod write_builder;

pub use attributes::{Attribute, Attributes, column_index};
pub use column_key::{ColumnKey, ColumnValue};
pub use condition::Condition;
pub use entry::{IndexId, ReadEntry, ReadSet, RelId, RowImage, WriteEntry, WriteSet, overlaps};
pub use index::{EntryKinds, ReadIndex};
pub use read_builder::{ReadLimits, ReadSetBuilder};
pub use write_builder::{WriteLimits, WriteSetBuilder};
