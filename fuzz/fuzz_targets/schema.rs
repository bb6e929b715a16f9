//! What deploys say: schema, validators, providers of tokens.
#![no_main]

use pg_live_values::{Schema, Validator, auth_config};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Schema::parse(text);
    let _ = auth_config::parse(text);
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text)
        && let Ok(validator) = Validator::from_json(&json)
    {
        let _ = validator.to_string();
    }
});
