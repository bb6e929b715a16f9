//! What the definitions of document tables call: defaults, index keys, the check.

use std::collections::{BTreeMap, HashMap};

use pg_live_values::key::encode_key;
use pg_live_values::{DocumentId, FieldPath, TableLookup, Validator, Value};
use pgrx::pg_sys::Datum;

use crate::documents::row::extra_fields;
use crate::documents::write;
use crate::error::{Error, Result};
use crate::pg::datum;
use crate::pg::function::Call;

/// `live.new_id(table_number integer) -> text`
pub(super) fn new_id(call: &mut Call) -> Result<Datum> {
    let number: i32 = call.required(0, "table_number")?;
    let number = u32::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| {
            Error::InvalidParameter(format!("table_number must be greater than 0, not {number}"))
        })?;
    Ok(call.value(write::new_id(number)))
}

/// `live.creation_time() -> float8`
pub(super) fn creation_time(call: &mut Call) -> Result<Datum> {
    Ok(call.value(write::creation_time()))
}

/// `live.id_table(id text) -> integer`
pub(super) fn id_table(call: &mut Call) -> Result<Datum> {
    let id: String = call.required(0, "id")?;
    let number = DocumentId::parse(&id)
        .ok()
        .and_then(|id| i32::try_from(id.table).ok());
    Ok(call.value(number))
}

/// The pairs (name, column) from argument `first` on, up to `end`, put over the fields of `_extra`.
fn fields(call: &Call, extra: usize, first: usize, end: usize) -> Result<BTreeMap<String, Value>> {
    let mut fields = match call.datum(extra) {
        Some(extra) => extra_fields(datum::jsonb(extra)?)?,
        None => BTreeMap::new(),
    };
    for position in (first..end).step_by(2) {
        if let Some(column) = call.datum(position + 1) {
            let path: String = call.required(position, "field")?;
            let top = path.split('.').next().unwrap_or_default().to_owned();
            fields.insert(
                top,
                datum::to_value(call.argument_type(position + 1), column)?,
            );
        }
    }
    Ok(fields)
}

/// The paths of an index, parsed once per expression.
struct Paths(Vec<FieldPath>);

impl Paths {
    fn new(call: &Call, end: usize) -> Result<Paths> {
        let mut paths = Vec::new();
        for position in (1..end).step_by(2) {
            let path: String = call.required(position, "field")?;
            paths.push(
                FieldPath::parse(&path).map_err(|error| {
                    Error::InvalidParameter(format!("field path {path}: {error}"))
                })?,
            );
        }
        Ok(Paths(paths))
    }
}

/// `live.index_key_v1(extra, field, column, ..., "_creationTime", _id) -> bytea`
pub(super) fn index_key(call: &mut Call) -> Result<Datum> {
    let count = call.len();
    if count < 3 || count.is_multiple_of(2) {
        return Err(Error::InvalidParameter(
            "live.index_key_v1 takes _extra, pairs of field and column, \"_creationTime\" and _id"
                .to_owned(),
        ));
    }
    let end = count - 2;
    let document = Value::Object(fields(call, 0, 1, end)?);
    let time = call.optional::<f64>(count - 2).map(Value::Float64);
    let id = call.optional::<String>(count - 1).map(Value::String);
    let paths = call.cached(|| Paths::new(call, end))?;
    let components = paths.0.iter().map(|path| path.get(&document));
    let key = encode_key(components.chain([time.as_ref(), id.as_ref()]));
    Ok(call.value(key))
}

/// What a document of a table must match, with the numbers of the tables it may refer to.
pub(crate) struct Rule {
    table: String,
    validator: Validator,
    numbers: HashMap<String, u32>,
}

impl Rule {
    /// The text of a rule, as the CHECK of a table holds it.
    pub(crate) fn text(
        table: &str,
        validator: &serde_json::Value,
        lookup: &dyn TableLookup,
    ) -> String {
        let mut names = Vec::new();
        referred_tables(validator, &mut names);
        let numbers: BTreeMap<&str, u32> = names
            .iter()
            .filter_map(|name| Some((name.as_str(), lookup.table_number(name)?)))
            .collect();
        serde_json::json!({"table": table, "validator": validator, "tables": numbers}).to_string()
    }

    fn parse(text: &str) -> Result<Rule> {
        let unreadable =
            |why: String| Error::InvalidParameter(format!("the rule of live.valid: {why}"));
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let validator = Validator::from_json(&json["validator"])
            .map_err(|error| unreadable(error.to_string()))?;
        let numbers = serde_json::from_value(json["tables"].clone())
            .map_err(|error| unreadable(error.to_string()))?;
        let table = json["table"].as_str().unwrap_or_default().to_owned();
        Ok(Rule {
            table,
            validator,
            numbers,
        })
    }
}

impl TableLookup for Rule {
    fn table_number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    fn table_name(&self, number: u32) -> Option<String> {
        self.numbers
            .iter()
            .find(|(_, n)| **n == number)
            .map(|(name, _)| name.clone())
    }
}

fn referred_tables(validator: &serde_json::Value, names: &mut Vec<String>) {
    match validator {
        serde_json::Value::Object(fields) => {
            if fields.get("type").is_some_and(|of| of == "id") {
                names.extend(
                    fields
                        .get("tableName")
                        .and_then(|n| n.as_str())
                        .map(str::to_owned),
                );
            }
            fields
                .values()
                .for_each(|field| referred_tables(field, names));
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| referred_tables(item, names));
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

/// `live.valid(rule, _id, _extra, field, column, ...) -> boolean`
pub(super) fn valid(call: &mut Call) -> Result<Datum> {
    let count = call.len();
    let document = Value::Object(fields(call, 2, 3, count)?);
    let id: Option<String> = call.optional(1);
    let rule = call.cached(|| Rule::parse(&call.required::<String>(0, "rule")?))?;
    rule.validator.check(&document, rule).map_err(|error| {
        let id = id.map_or_else(String::new, |id| format!(" with ID \"{id}\""));
        Error::DocumentRefused(format!(
            "Document{id} in table \"{}\" does not match the schema: {error}",
            rule.table
        ))
    })?;
    Ok(call.value(true))
}
