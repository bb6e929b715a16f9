//! Files that administrators import: CSV, JSON, zips.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pg_live_relay::serve::parse_any_import(bytes));
