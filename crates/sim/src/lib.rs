//! A seeded simulator that drives the invalidator and the sessions against a model database.
#![forbid(unsafe_code)]
