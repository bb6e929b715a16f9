//! Keys of providers of tokens, and a token that says it was signed by one of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| pg_live_relay::serve::parse_any_keys(text));
