//! Settings of the relay: files of TOML, URLs of databases.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| pg_live_relay::serve::parse_any_settings(text));
