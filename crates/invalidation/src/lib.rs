//! The invalidator's state machine: log, registrations, unresolved writers, emission.
#![forbid(unsafe_code)]
