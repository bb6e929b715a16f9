//! Values: what was read is written and read again as the same; the keys of two have their order.
#![no_main]

use pg_live_values::json::{Format, halves_as_nul, parse_optional, parse_patch};
use pg_live_values::key::encode_key;
use pg_live_values::{
    DocumentId, FieldPath, FunctionPath, IndexName, Value, compare, cursor::Cursor,
};
use pg_live_values::{limits, path};

/// Longer components of keys are cut, and then only the hashes differ.
const WHOLE: usize = 500;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(value) = Value::parse_encoded(first) {
        check_value(first, &value);
        if let Ok(other) = Value::parse_encoded(second) {
            check_order(&value, &other);
        }
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(first) {
        let _ = parse_optional(json.clone());
        let _ = parse_patch(json);
    }
    let _ = serde_json::from_str::<serde_json::Value>(&halves_as_nul(first));
    check_names(first);
});

fn check_value(text: &str, value: &Value) {
    let written = value.to_encoded();
    assert_eq!(Value::parse_encoded(&written).as_ref().ok(), Some(value));
    for format in [Format::Clean, Format::Export] {
        assert!(serde_json::from_str::<serde_json::Value>(&format.write(value)).is_ok());
    }
    if limits::surely_small(&written) {
        assert!(limits::check_result(value).is_ok(), "{text}");
    }
    let _ = limits::check_document(value);
    let _ = limits::check_arguments(value);
}

fn check_order(left: &Value, right: &Value) {
    let keys = [left, right].map(|value| encode_key([Some(value)]));
    if keys.iter().all(|key| key.len() < WHOLE) {
        assert_eq!(keys[0].cmp(&keys[1]), compare(Some(left), Some(right)));
    }
}

fn check_names(text: &str) {
    if let Ok(path) = FunctionPath::parse(text) {
        assert_eq!(FunctionPath::parse(&path.to_string()).ok(), Some(path));
    }
    if let Ok(module) = path::canonical_module(text) {
        assert_eq!(path::canonical_module(&module).ok(), Some(module));
    }
    if let Ok(cursor) = Cursor::parse(text) {
        assert_eq!(cursor.encode(), text);
    }
    if let Ok(id) = DocumentId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    let _ = FieldPath::parse(text);
    let _ = IndexName::parse(text);
}
