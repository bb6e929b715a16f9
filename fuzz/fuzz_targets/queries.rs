//! What functions ask the database for: a query, and in the second line a document.
#![no_main]

use pg_live_values::cursor::{Cursor, journal_entry};
use pg_live_values::fingerprint::Fingerprint;
use pg_live_values::page::PageRequest;
use pg_live_values::query::{Operator, Source};
use pg_live_values::{Expr, FieldPath, QuerySpec, Value};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (query, document) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(json) = serde_json::from_str::<serde_json::Value>(query) else {
        return;
    };
    let document = Value::parse_encoded(document).unwrap_or(Value::Null);
    if let Ok(filter) = Expr::parse(&json) {
        let _ = filter.is_true(&document);
    }
    if let Ok(page) = PageRequest::parse(&json) {
        let fingerprint = Fingerprint::of(&page.query, &[]);
        for cursor in [page.cursor, page.end_cursor].iter().flatten() {
            let _ = Cursor::position_in(cursor, fingerprint);
            let _ = journal_entry(cursor, 1);
        }
    }
    if let Ok(query) = QuerySpec::parse(&json) {
        check(&query, &document);
    }
});

fn check(query: &QuerySpec, document: &Value) {
    for operator in &query.operators {
        if let Operator::Filter(filter) = operator {
            let _ = filter.eval(document);
        }
    }
    let fields = ["a", "b.c", "_creationTime"].map(|path| FieldPath::parse(path).expect("a path"));
    let _ = Fingerprint::of(query, &fields);
    if let Source::IndexRange { range, .. } = &query.source
        && let Ok(resolved) = range.resolve(&fields)
    {
        // A document of the range has a key of the range.
        let values: Vec<_> = fields
            .iter()
            .map(|path| path.get(document).cloned())
            .collect();
        let key = pg_live_values::key::encode_key(values.iter().map(Option::as_ref));
        let keys = resolved.key_range();
        let in_keys = keys.lower <= key && keys.upper.as_ref().is_none_or(|upper| key < *upper);
        if keys.exact {
            assert_eq!(resolved.contains(&values), in_keys);
        } else {
            assert!(in_keys || !resolved.contains(&values));
        }
    }
}
