//! What functions ask the database for.
#![no_main]

use pg_live_values::page::PageRequest;
use pg_live_values::{Expr, QuerySpec};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let _ = QuerySpec::parse(&json);
        let _ = PageRequest::parse(&json);
        let _ = Expr::parse(&json);
    }
});
