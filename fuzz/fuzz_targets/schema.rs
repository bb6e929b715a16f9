//! What deploys say: schema, validators, providers of tokens; and in the second line a document that is to fit.
#![no_main]

use pg_live_values::layout::{gather, lay_out};
use pg_live_values::schema::TableSchema;
use pg_live_values::{Schema, TableLookup, Validator, Value, auth_config, limits};

struct Tables;

impl TableLookup for Tables {
    fn table_number(&self, name: &str) -> Option<u32> {
        (name == "t").then_some(10_001)
    }

    fn table_name(&self, number: u32) -> Option<String> {
        (number == 10_001).then(|| "t".to_owned())
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (schema, document) = text.split_once('\n').unwrap_or((text, "{}"));
    let document = Value::parse_encoded(document).unwrap_or(Value::Null);
    let _ = auth_config::parse(schema);
    if let Ok(schema) = Schema::parse(schema) {
        for table in &schema.tables {
            check(table, &document);
        }
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(schema)
        && let Ok(validator) = Validator::from_json(&json)
    {
        let _ = validator.to_string();
        if let Err(error) = validator.check(&document, &Tables) {
            let _ = error.to_string();
        }
    }
});

/// A document that is in its columns and the rest is the same when it is read.
fn check(table: &TableSchema, document: &Value) {
    for index in &table.indexes {
        let _ = index.range_fields();
    }
    let fits = table.check_document(document, &Tables).is_ok();
    let Value::Object(fields) = document else {
        return;
    };
    let columns = table.columns();
    let columns = || columns.iter().map(|(name, of)| (name.as_str(), *of));
    let laid = lay_out(fields, columns());
    let held = columns().zip(&laid.columns);
    let held = held.map(|((name, _), value)| (name, value.cloned()));
    let rest = laid
        .rest
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).clone()));
    assert_eq!(&gather(rest.collect(), held), fields);
    if fits {
        let _ = limits::check_document(document);
    }
}
