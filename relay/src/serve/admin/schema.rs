//! Two schemas compared: which indexes a push adds, drops, enables and stages.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

/// The indexes of a schema's export by name, `table.index`, as the command line reads them.
pub(super) fn indexes(schema: &Json) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::new();
    for table in schema["tables"].as_array().into_iter().flatten() {
        let table_name = table["tableName"].as_str().unwrap_or_default();
        for (list, kind, staged) in [
            ("indexes", "database", false),
            ("stagedDbIndexes", "database", true),
            ("searchIndexes", "search", false),
            ("stagedSearchIndexes", "search", true),
            ("vectorIndexes", "vector", false),
            ("stagedVectorIndexes", "vector", true),
        ] {
            for index in table[list].as_array().into_iter().flatten() {
                let descriptor = index["indexDescriptor"].as_str().unwrap_or_default();
                let name = format!("{table_name}.{descriptor}");
                all.insert(name.clone(), described(&name, kind, staged, index));
            }
        }
    }
    all
}

fn described(name: &str, kind: &str, staged: bool, index: &Json) -> Json {
    let mut described = json!({ "name": name, "type": kind, "staged": staged });
    let fields = match kind {
        "database" => &["fields"][..],
        "search" => &["searchField", "filterFields"],
        _ => &["vectorField", "dimensions", "filterFields"],
    };
    for field in fields {
        described[*field] = index[*field].clone();
    }
    described
}

/// What changes from one schema to another.
pub(super) fn index_diff(old: &Json, new: &Json) -> Json {
    let (old, new) = (indexes(old), indexes(new));
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    let (mut enabled, mut disabled) = (Vec::new(), Vec::new());
    for (name, index) in &new {
        match old.get(name) {
            Some(before) if before == index => {}
            Some(before) if same_but_staged(before, index) => {
                if index["staged"] == true {
                    disabled.push(index);
                } else {
                    enabled.push(index);
                }
            }
            Some(before) => {
                removed.push(before);
                added.push(index);
            }
            None => added.push(index),
        }
    }
    removed.extend(
        old.iter()
            .filter(|(name, _)| !new.contains_key(*name))
            .map(|(_, index)| index),
    );
    json!({
        "added_indexes": added,
        "removed_indexes": removed,
        "enabled_indexes": enabled,
        "disabled_indexes": disabled,
    })
}

fn same_but_staged(a: &Json, b: &Json) -> bool {
    let without = |index: &Json| {
        let mut index = index.clone();
        index["staged"] = Json::Null;
        index
    };
    without(a) == without(b)
}

/// A table as it is: documents and bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    /// As Postgres estimates it.
    pub(super) documents: i64,
    pub(super) bytes: i64,
}

/// What a push of a schema would do, for the command line's questions before it.
pub(super) fn evaluation(old: &Json, new: &Json, sizes: &BTreeMap<String, Size>) -> Json {
    let validates = new["schemaValidation"] == true;
    let size = |table: &str| sizes.get(table).copied().unwrap_or_default();
    let by_name = |schema: &Json, name: &str| {
        schema["tables"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|table| table["tableName"] == name)
            .cloned()
    };
    let tables: Vec<Json> = new["tables"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|table| {
            let name = table["tableName"].as_str().unwrap_or_default();
            let before = by_name(old, name).filter(|_| old["schemaValidation"] == true);
            let outcome = match before {
                _ if !validates || table["documentType"]["type"] == "any" => "notValidated",
                Some(before) if before["documentType"] == table["documentType"] => {
                    "supersetOfEnforced"
                }
                Some(_) | None => "mustWalk",
            };
            let Size { documents, bytes } = size(name);
            json!({ "name": name, "outcome": outcome, "numDocs": documents, "sizeBytes": bytes })
        })
        .collect();
    let diff = index_diff(old, new);
    let mut all = Vec::new();
    for (list, change) in [
        ("added_indexes", "added"),
        ("removed_indexes", "dropped"),
        ("enabled_indexes", "enabled"),
        ("disabled_indexes", "disabled"),
    ] {
        for index in diff[list].as_array().into_iter().flatten() {
            let name = index["name"].as_str().unwrap_or_default();
            let table = name.split('.').next().unwrap_or_default();
            let mut index = index.clone();
            index["change"] = json!(change);
            index["needsBackfill"] = json!(change == "added");
            index["numDocs"] = json!(size(table).documents);
            all.push(index);
        }
    }
    json!({
        "definitionPath": "",
        "schemaValidation": validates,
        "tables": tables,
        "indexes": all,
        "discardedStagedValidators": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(indexes: &Json, staged: &Json) -> Json {
        json!({ "schemaValidation": true, "tables": [{
            "tableName": "t", "indexes": indexes, "stagedDbIndexes": staged,
            "documentType": {"type": "object", "value": {}},
        }]})
    }

    fn names(diff: &Json, list: &str) -> Vec<String> {
        let list = diff[list].as_array().unwrap();
        list.iter()
            .map(|index| index["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn indexes_are_added_removed_exchanged_and_staged() {
        let a = json!({"indexDescriptor": "a", "fields": ["a"]});
        let other_a = json!({"indexDescriptor": "a", "fields": ["b"]});
        let none = json!([]);
        let diff = index_diff(&Json::Null, &schema(&json!([a]), &none));
        assert_eq!(names(&diff, "added_indexes"), ["t.a"]);
        let diff = index_diff(&schema(&json!([a]), &none), &schema(&json!([a]), &none));
        assert_eq!(names(&diff, "added_indexes"), [""; 0]);
        let diff = index_diff(
            &schema(&json!([a]), &none),
            &schema(&json!([other_a]), &none),
        );
        assert_eq!(names(&diff, "added_indexes"), ["t.a"]);
        assert_eq!(names(&diff, "removed_indexes"), ["t.a"]);
        let diff = index_diff(&schema(&none, &json!([a])), &schema(&json!([a]), &none));
        assert_eq!(names(&diff, "enabled_indexes"), ["t.a"]);
        let diff = index_diff(&schema(&json!([a]), &none), &schema(&none, &none));
        assert_eq!(names(&diff, "removed_indexes"), ["t.a"]);
    }

    #[test]
    fn an_evaluation_says_which_tables_are_read() {
        let none = json!([]);
        let old = schema(&none, &none);
        let mut new = old.clone();
        let outcome = |new: &Json| {
            let evaluation = evaluation(&old, new, &BTreeMap::new());
            evaluation["tables"][0]["outcome"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(outcome(&new), "supersetOfEnforced");
        new["tables"][0]["documentType"]["value"] = json!({"x": 1});
        assert_eq!(outcome(&new), "mustWalk");
        new["schemaValidation"] = json!(false);
        assert_eq!(outcome(&new), "notValidated");
    }
}
