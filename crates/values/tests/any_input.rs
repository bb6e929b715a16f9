//! Every parser of what comes from outside reads any text or refuses it, and what it read it reads again: 100,000
//! texts for each, made of good ones by changes of some bytes.

use pg_live_values::auth_config;
use pg_live_values::cursor::Cursor;
use pg_live_values::json::{Format, parse_optional, parse_patch};
use pg_live_values::page::PageRequest;
use pg_live_values::{
    DocumentId, Expr, FieldPath, FunctionPath, IndexName, QuerySpec, Schema, Validator, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value as Json;

const VALUES: &[&str] = &[
    r#"{"a":[1,-0.5,1e300,{"$integer":"AwAAAAAAAAA="}],"b":{"$bytes":"AAH/"},"c":{"$float":"AAAAAAAA+H8="}}"#,
    r#"[null,true,"é\u0000🦀",{"":{"x":[[[[[[]]]]]]}}]"#,
    r#"{"$undefined":null}"#,
];
const VALIDATORS: &[&str] = &[
    r#"{"type":"object","value":{"a":{"fieldType":{"type":"union","value":[{"type":"id","tableName":"t"},{"type":"null"}]},"optional":true}}}"#,
    r#"{"type":"record","keys":{"type":"string"},"values":{"fieldType":{"type":"array","value":{"type":"literal","value":{"$integer":"AQAAAAAAAAA="}}},"optional":false}}"#,
];
const SCHEMAS: &[&str] = &[
    r#"{"tables":[{"tableName":"t","indexes":[{"indexDescriptor":"by_a","fields":["a.b","_creationTime"]}],"searchIndexes":[],"vectorIndexes":[],"documentType":{"type":"any"}}],"schemaValidation":true}"#,
];
const QUERIES: &[&str] = &[
    r#"{"source":{"type":"IndexRange","indexName":"t.by_a","range":[{"type":"Eq","fieldPath":"a","value":1},{"type":"Lt","fieldPath":"b","value":{"$undefined":null}}],"order":"desc"},"operators":[{"filter":{"$eq":[{"$field":"x"},{"$literal":null}]}},{"limit":3}]}"#,
    r#"{"source":{"type":"FullTableScan","tableName":"t","order":null},"operators":[]}"#,
];
const PAGES: &[&str] = &[
    r#"{"query":{"source":{"type":"FullTableScan","tableName":"t","order":null},"operators":[]},"cursor":null,"endCursor":null,"pageSize":10,"maximumRowsRead":null,"version":"1"}"#,
];
const FILTERS: &[&str] = &[
    r#"{"$and":[{"$or":[{"$not":{"$gte":[{"$field":"a.b"},{"$literal":{"$integer":"AQAAAAAAAAA="}}]}}]},{"$add":[{"$field":"n"},{"$literal":1}]}]}"#,
];
const PROVIDERS: &[&str] = &[
    r#"{"providers":[{"domain":"https://x.example/","applicationID":"a"},{"type":"customJwt","issuer":"i","jwks":"data:application/json,{}","algorithm":"ES256"}]}"#,
];
const NAMES: &[&str] = &[
    "dir/module:function",
    "a.js:default",
    "t.by_creation_time",
    "a.b.c",
    "k170f9r7w7n1d0v8e2b3c4x5y6z7a8b9",
    "AZq3",
];

/// A good text, changed at some places.
fn texts(good: &'static [&'static str]) -> impl Strategy<Value = String> {
    let change = (any::<u16>(), 0..4u8, any::<u8>());
    (0..good.len(), vec(change, 0..6)).prop_map(move |(which, changes)| {
        let mut bytes = good[which].as_bytes().to_vec();
        for (place, kind, byte) in changes {
            let place = usize::from(place) % (bytes.len() + 1);
            match kind {
                0 => bytes.insert(place, byte),
                1 if place < bytes.len() => bytes[place] = byte,
                2 if place < bytes.len() => drop(bytes.remove(place)),
                _ => {
                    // A piece again: nesting, names that come twice.
                    let piece = bytes[place..bytes.len().min(place + 24)].to_vec();
                    bytes.splice(place..place, piece);
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or(Json::Null)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn values(text in texts(VALUES)) {
        if let Ok(value) = Value::parse_encoded(&text) {
            let mut written = String::new();
            value.write_encoded(&mut written);
            prop_assert_eq!(Value::parse_encoded(&written).ok(), Some(value.clone()));
            for format in [Format::Clean, Format::Export] {
                prop_assert!(serde_json::from_str::<Json>(&format.write(&value)).is_ok());
            }
        }
        let _ = parse_optional(json(&text));
        let _ = parse_patch(json(&text));
    }

    #[test]
    fn validators(text in texts(VALIDATORS)) {
        if let Ok(validator) = Validator::from_json(&json(&text)) {
            let _ = validator.to_string();
        }
    }

    #[test]
    fn schemas(text in texts(SCHEMAS)) {
        let _ = Schema::parse(&text);
    }

    #[test]
    fn queries(text in texts(QUERIES)) {
        let _ = QuerySpec::parse(&json(&text));
    }

    #[test]
    fn pages(text in texts(PAGES)) {
        let _ = PageRequest::parse(&json(&text));
    }

    #[test]
    fn filters(text in texts(FILTERS)) {
        let _ = Expr::parse(&json(&text));
    }

    #[test]
    fn providers(text in texts(PROVIDERS)) {
        let _ = auth_config::parse(&text);
    }

    #[test]
    fn names(text in texts(NAMES)) {
        if let Ok(path) = FunctionPath::parse(&text) {
            prop_assert_eq!(FunctionPath::parse(&path.to_string()).ok(), Some(path));
        }
        if let Ok(id) = DocumentId::parse(&text) {
            prop_assert_eq!(id.to_string(), text.clone());
        }
        if let Ok(cursor) = Cursor::parse(&text) {
            prop_assert_eq!(cursor.encode(), text.clone());
        }
        let _ = FieldPath::parse(&text);
        let _ = IndexName::parse(&text);
    }
}
