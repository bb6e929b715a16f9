//! Tests of the invalidator through its public interface.

mod against_model;
mod codec;
mod in_wal;
mod rules;
mod snapshots;
mod support;
