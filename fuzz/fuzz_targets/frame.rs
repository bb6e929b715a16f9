//! What clients send: text frames, tokens, `Authorization` headers, timestamps.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| pg_live_relay::serve::parse_anything(text));
