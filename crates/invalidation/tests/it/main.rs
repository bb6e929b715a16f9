//! Tests of the invalidator through its public interface.

mod against_model;
mod codec;
mod rules;
mod support;
