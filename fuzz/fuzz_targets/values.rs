//! Values: what was read is written and read again as the same.
#![no_main]

use pg_live_values::json::{Format, parse_optional, parse_patch};
use pg_live_values::{DocumentId, FieldPath, FunctionPath, IndexName, Value, cursor::Cursor};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(value) = Value::parse_encoded(text) {
        let mut written = String::new();
        value.write_encoded(&mut written);
        assert_eq!(Value::parse_encoded(&written).ok(), Some(value.clone()));
        for format in [Format::Clean, Format::Export] {
            assert!(serde_json::from_str::<serde_json::Value>(&format.write(&value)).is_ok());
        }
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let _ = parse_optional(json.clone());
        let _ = parse_patch(json);
    }
    if let Ok(path) = FunctionPath::parse(text) {
        assert_eq!(FunctionPath::parse(&path.to_string()).ok(), Some(path));
    }
    if let Ok(cursor) = Cursor::parse(text) {
        assert_eq!(cursor.encode(), text);
    }
    if let Ok(id) = DocumentId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    let _ = FieldPath::parse(text);
    let _ = IndexName::parse(text);
});
