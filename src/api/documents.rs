//! What the definitions of document tables call: defaults, index keys, the check.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use pg_live_values::{DocumentId, TableLookup, Validator, Value, limits};
use pgrx::pg_sys::{self, Datum, Oid};

use crate::documents::write;
use crate::error::{Error, Result};
use crate::pg::datum;
use crate::pg::function::Call;
use crate::pg::jsonb::Jsonb;
use crate::pg::session;

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

/// `live.id_number(id text) -> integer`
pub(super) fn id_number(call: &mut Call) -> Result<Datum> {
    let id: String = call.required(0, "id")?;
    let number = DocumentId::parse(&id)
        .ok()
        .and_then(|id| i32::try_from(id.table).ok());
    Ok(call.value(number))
}

/// `live.id_time(id text) -> timestamptz`
pub(super) fn id_time(call: &mut Call) -> Result<Datum> {
    let id: String = call.required(0, "id")?;
    let time_ms = DocumentId::parse(&id).ok().and_then(|id| id.unix_ms());
    Ok(call.value(time_ms.map(session::timestamp)))
}

/// What a document of a table must match, with the numbers of the tables it may refer to.
pub(crate) struct Rule {
    table: String,
    /// The number in the ids of the table's own documents, if the rule is to check it.
    number: Option<u32>,
    validator: Validator,
    numbers: HashMap<String, u32>,
}

impl Rule {
    /// The text of the rule that holds in a table from its creation on, whatever its schema: ids of
    /// the table, and an `_extra` that holds fields.
    pub(crate) fn of_table(table: &str, number: u32) -> String {
        serde_json::json!({"table": table, "number": number, "validator": {"type": "any"}})
            .to_string()
    }

    /// The text of the rule that mirrors the schema, as the CHECK of a table holds it.
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
        let numbers = match &json["tables"] {
            serde_json::Value::Null => HashMap::new(),
            tables => serde_json::from_value(tables.clone())
                .map_err(|error| unreadable(error.to_string()))?,
        };
        let table = json["table"].as_str().unwrap_or_default().to_owned();
        let number = json["number"].as_u64().and_then(|n| u32::try_from(n).ok());
        Ok(Rule {
            table,
            number,
            validator,
            numbers,
        })
    }
}

impl Rule {
    /// Why a document, given its id and its other fields, does not belong into the table.
    fn check(&self, id: Option<&str>, document: &Value) -> std::result::Result<(), String> {
        if let (Some(number), Some(id)) = (self.number, id) {
            match DocumentId::parse(id) {
                Ok(id) if id.table == number => {}
                Ok(id) => {
                    return Err(format!(
                        "has an ID of another table in field `_id`: its table number is {}, that of \
                         \"{}\" is {number}. To make a new one, leave _id out or use \
                         live.new_id({number}).",
                        id.table, self.table
                    ));
                }
                Err(error) => {
                    return Err(format!(
                        "has no document ID in field `_id`: {error} To make a new one, leave _id out \
                         or use live.new_id({number})."
                    ));
                }
            }
        }
        if let Value::Object(fields) = document
            && let Some(name) = fields.keys().find(|name| limits::is_system_field(name))
        {
            return Err(format!(
                "has the field `{name}` in _extra. Put it into its own column."
            ));
        }
        limits::check_document(document).map_err(|error| format!("is not allowed: {error}"))?;
        self.validator
            .check(document, self)
            .map_err(|error| format!("does not match the schema: {error}"))
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

/// A rule as a CHECK passes it, with what follows: pairs of a field and its column. One pair may
/// stand for many: the fields separated by commas, and a row of their columns (Postgres passes at most
/// 100 arguments).
struct Check {
    text: Vec<u8>,
    rule: Rule,
    pairs: Vec<(String, Oid)>,
}

/// Checks kept for the session before all are dropped: those of a few hundred tables.
const CHECKS_MAX: usize = 1000;

thread_local! {
    /// Checks by the text of their rule: each statement has expressions of its own, which would parse it anew.
    static CHECKS: RefCell<HashMap<Vec<u8>, Rc<Check>>> = RefCell::default();
}

impl Check {
    /// The check of a call whose expression has none yet.
    fn of(call: &Call) -> Result<Rc<Check>> {
        let kept = CHECKS.with_borrow(|checks| checks.get(call.text(0)?).cloned());
        if let Some(kept) = kept.filter(|kept| kept.has_types_of(call) && kept.is_that_of(call)) {
            return Ok(kept);
        }
        let check = Rc::new(Check::parse(call)?);
        CHECKS.with_borrow_mut(|checks| {
            if checks.len() >= CHECKS_MAX {
                checks.clear();
            }
            checks.insert(check.text.clone(), Rc::clone(&check));
        });
        Ok(check)
    }

    fn parse(call: &Call) -> Result<Check> {
        let text: String = call.required(0, "rule")?;
        let pairs = (3..call.len()).step_by(2).map(|position| {
            call.expect_type(position, "field", pg_sys::TEXTOID)?;
            let field = call.required(position, "field")?;
            Ok((field, call.argument_type(position + 1)))
        });
        Ok(Check {
            rule: Rule::parse(&text)?,
            pairs: pairs.collect::<Result<_>>()?,
            text: text.into_bytes(),
        })
    }

    fn is_that_of(&self, call: &Call) -> bool {
        let is = |position: usize, text: &[u8]| call.text(position) == Some(text);
        is(0, &self.text)
            && self.pairs.len() == (call.len() - 3) / 2
            && (self.pairs.iter().enumerate()).all(|(n, (f, _))| is(3 + 2 * n, f.as_bytes()))
    }

    /// Whether the call has arguments of the same types. In one expression they always are.
    fn has_types_of(&self, call: &Call) -> bool {
        let mut pairs = self.pairs.iter().enumerate();
        self.pairs.len() == (call.len() - 3) / 2
            && pairs.all(|(n, (_, of))| {
                call.argument_type(3 + 2 * n) == pg_sys::TEXTOID
                    && call.argument_type(4 + 2 * n) == *of
            })
    }

    /// The document in the row: the columns put over the fields of `_extra`.
    fn document(&self, call: &Call) -> Result<Value> {
        let mut fields = match call.datum(2) {
            Some(extra) => Jsonb::new(extra).fields()?,
            None => BTreeMap::new(),
        };
        let mut put = |field: &str, of: Oid, column: Option<Datum>| {
            if let Some(column) = column {
                let value = datum::to_value(of, column).map_err(|error| {
                    Error::InvalidParameter(format!("column \"{field}\": {error}"))
                })?;
                fields.insert(field.to_owned(), value);
            }
            Ok::<(), Error>(())
        };
        for (n, (names, of)) in self.pairs.iter().enumerate() {
            match call.datum(4 + 2 * n) {
                Some(row) if *of == pg_sys::RECORDOID => {
                    for (field, (of, column)) in names.split(',').zip(datum::columns(row)) {
                        put(field, of, column)?;
                    }
                }
                column => put(names, *of, column)?,
            }
        }
        Ok(Value::Object(fields))
    }
}

/// Checks a row, given as the arguments of `live.valid`, against the rule.
fn check(call: &Call) -> Result<()> {
    if call.len() < 3 || call.len().is_multiple_of(2) {
        return Err(Error::InvalidParameter(
            "live.valid takes a rule, _id, _extra, and pairs of field and column".to_owned(),
        ));
    }
    let check = call.cached(|kept: &Rc<Check>| kept.is_that_of(call), || Check::of(call))?;
    let id: Option<String> = call.optional(1);
    let refuse = |why: String| {
        let id = id
            .as_ref()
            .map_or_else(String::new, |id| format!(" with ID \"{id}\""));
        Error::DocumentRefused(format!(
            "Document{id} in table \"{}\" {why}",
            check.rule.table
        ))
    };
    let document = check
        .document(call)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    check.rule.check(id.as_deref(), &document).map_err(refuse)
}

/// `live.valid(rule, _id, _extra, field, column, ...) -> boolean`
pub(super) fn valid(call: &mut Call) -> Result<Datum> {
    check(call)?;
    Ok(call.value(true))
}

/// `live.matches(rule, _id, _extra, field, column, ...) -> boolean`: writers meet it before the rule
/// is in force, so whatever is wrong with a row is `false`.
pub(super) fn matches(call: &mut Call) -> Result<Datum> {
    let matches = check(call).is_ok();
    Ok(call.value(matches))
}
