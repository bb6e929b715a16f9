//! Writing documents.

use std::collections::BTreeMap;
use std::rc::Rc;

use pg_live_values::json::parse_patch;
use pg_live_values::{DocumentId, LimitError, Value};
use pg_live_values::{limits, schema, system_tables};
use serde_json::{Value as Json, json};

use super::read::{load, table_of};
use super::{Answer, document_or_null, from_error, refuse, text};
use crate::documents::catalog::{FunctionKind, Table};
use crate::documents::row::{CREATION_TIME, ID};
use crate::documents::{create, key, write};
use crate::error::Error;
use crate::functions::execution::{Execution, fatal};
use crate::functions::usage::Resource;
use crate::js::HostError;

fn writable(execution: &Execution) -> std::result::Result<(), HostError> {
    match execution.kind {
        FunctionKind::Query => Err(refuse("Writes are not allowed in queries. Use a mutation.")),
        FunctionKind::Mutation | FunctionKind::Action => Ok(()),
    }
}

fn object(method: &str, json: &Json) -> std::result::Result<BTreeMap<String, Value>, HostError> {
    let value = Value::from_json(json.clone())
        .map_err(|error| refuse(format!("Invalid argument `value` for `{method}`: {error}")))?;
    key::fields_of(value).ok_or_else(|| {
        refuse(format!(
            "Invalid argument `value` for `{method}`: expected an object"
        ))
    })
}

/// Checks a document against limits and the schema in force. What PostgreSQL cannot hold ends the
/// function, like any other error of a write.
fn validate(
    execution: &Execution,
    table: &Table,
    id: Option<&str>,
    document: &Value,
) -> std::result::Result<(), HostError> {
    limits::check_document(document).map_err(|error| match error {
        LimitError::Nul(field) => {
            let document = id.map_or("a new document".to_owned(), |id| format!("document \"{id}\""));
            fatal(Error::Untranslatable(format!(
                "field `{field}` of {document} in table \"{}\" holds a string with a NUL character \
                 (U+0000) or half of a surrogate pair, which PostgreSQL cannot store. Remove it, or \
                 store the data as bytes (`v.bytes()`).",
                table.name
            )))
        }
        other => refuse(other.to_string()),
    })?;
    let Some(validator) = &table.document_type else {
        return Ok(());
    };
    validator.check_document(document, execution.catalog.as_ref()).map_err(|error| {
        refuse(format!(
            "Failed to insert or update a document in table \"{}\" because it does not match the \
             schema: {error}",
            table.name
        ))
    })
}

/// The table to insert into; made on first use where the schema does not name it.
fn table_for_insert(
    execution: &mut Execution,
    name: &str,
) -> std::result::Result<Rc<Table>, HostError> {
    if name.starts_with('_') {
        return Err(refuse(format!(
            "Invalid table name {name} starts with metadata prefix '_'"
        )));
    }
    if let Some(table) = execution.table(name) {
        return Ok(table);
    }
    schema::check_table_name(name).map_err(|error| refuse(error.to_string()))?;
    execution.catalog = execution
        .as_definer(|| create::on_first_insert(name))
        .map_err(from_error)?;
    execution
        .table(name)
        .ok_or_else(|| refuse(format!("table {name} could not be created")))
}

/// `1.0/insert {table, value} -> {_id}`
pub(super) fn insert(execution: &mut Execution, args: &Json) -> Answer {
    writable(execution)?;
    let name = text("db.insert", args, "table")?;
    let fields = object("db.insert", &args["value"])?;
    if let Some(system) = [ID, CREATION_TIME]
        .iter()
        .find(|field| fields.contains_key(**field))
    {
        return Err(refuse(format!(
            "Invalid argument `value` for `db.insert`: the field {system} is set by the system"
        )));
    }
    let table = table_for_insert(execution, name)?;
    let document = Value::Object(fields);
    validate(execution, &table, None, &document)?;
    execution.usage.add_write(&document).map_err(refuse)?;
    let fields = key::fields_of(document).unwrap_or_default();
    let (id, _) = write::insert(&table, &fields).map_err(from_error)?;
    Ok(json!({"_id": id}).to_string())
}

/// The document to change and its table.
fn existing(
    execution: &mut Execution,
    method: &str,
    verb: &str,
    args: &Json,
) -> std::result::Result<(String, Rc<Table>, Value), HostError> {
    writable(execution)?;
    let system = DocumentId::parse(text(method, args, "id")?)
        .ok()
        .and_then(|id| system_tables::name(id.table));
    if let Some(system) = system {
        return Err(refuse(format!("{system} is a read-only table")));
    }
    let (id, table) = table_of(execution, method, args)?;
    let missing = || refuse(format!("{verb} on nonexistent document ID {id}"));
    let table = table.ok_or_else(missing)?;
    let document = load(execution, &table, &id)?.ok_or_else(missing)?;
    Ok((id, table, document))
}

/// Writes the new state of a document, unless it is the old one.
fn store(
    execution: &mut Execution,
    table: &Table,
    id: &str,
    old: &Value,
    new: BTreeMap<String, Value>,
) -> Answer {
    let document = Value::Object(new);
    validate(execution, table, Some(id), &document)?;
    let answer = document_or_null(Some(&document));
    if document != *old {
        execution.usage.add_write(&document).map_err(refuse)?;
        let fields = key::fields_of(document).unwrap_or_default();
        write::update(table, id, &fields).map_err(from_error)?;
    }
    Ok(answer)
}

/// `1.0/shallowMerge {id, value, table?}` (`db.patch`): absent values remove their field.
pub(super) fn patch(execution: &mut Execution, args: &Json) -> Answer {
    let (id, table, old) = existing(execution, "db.patch", "Update", args)?;
    let changes = parse_patch(args["value"].clone())
        .map_err(|error| refuse(format!("Invalid argument `value` for `db.patch`: {error}")))?;
    let mut fields = key::fields_of(old.clone()).unwrap_or_default();
    for (field, value) in changes {
        if [ID, CREATION_TIME].contains(&field.as_str()) && fields.get(&field) != value.as_ref() {
            return Err(refuse(format!(
                "Invalid argument `value` for `db.patch`: the field {field} cannot be changed"
            )));
        }
        match value {
            Some(value) => fields.insert(field, value),
            None => fields.remove(&field),
        };
    }
    store(execution, &table, &id, &old, fields)
}

/// `1.0/replace {id, value, table?}`
pub(super) fn replace(execution: &mut Execution, args: &Json) -> Answer {
    let (id, table, old) = existing(execution, "db.replace", "Replace", args)?;
    let mut fields = object("db.replace", &args["value"])?;
    let mut system = key::fields_of(old.clone()).unwrap_or_default();
    for field in [ID, CREATION_TIME] {
        let kept = system.remove(field);
        if let Some(given) = fields.get(field)
            && Some(given) != kept.as_ref()
        {
            return Err(refuse(format!(
                "Invalid argument `value` for `db.replace`: the field {field} cannot be changed"
            )));
        }
        if let Some(kept) = kept {
            fields.insert(field.to_owned(), kept);
        }
    }
    store(execution, &table, &id, &old, fields)
}

/// `1.0/remove {id, table?}` (`db.delete`): the old document.
pub(super) fn remove(execution: &mut Execution, args: &Json) -> Answer {
    let (id, table, old) = existing(execution, "db.delete", "Delete", args)?;
    let counted = execution.usage.add(Resource::DocumentsWritten, 1);
    counted.map_err(refuse)?;
    write::delete(&table, &id).map_err(from_error)?;
    Ok(document_or_null(Some(&old)))
}
