//! The relay of pg_live and its command line.
#![forbid(unsafe_code)]
