//! What clients send one after the other: a frame in each line.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| pg_live_relay::serve::parse_any_conversation(text));
