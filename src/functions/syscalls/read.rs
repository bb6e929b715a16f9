//! Reading documents: `get`, queries row by row, `count`, `normalizeId`.

use std::rc::Rc;

use pg_live_values::query::QuerySpec;
use pg_live_values::{DocumentId, TableLookup, Value, system_tables};
use serde_json::{Value as Json, json};

use super::{Answer, document_or_null, from_error, refuse, text};
use crate::documents::catalog::Table;
use crate::documents::read;
use crate::functions::execution::Execution;
use crate::functions::open_query::OpenQuery;
use crate::js::HostError;

/// The id in the arguments, as text and as what it says.
fn parse_id(method: &str, args: &Json) -> std::result::Result<(String, DocumentId), HostError> {
    let id = text(method, args, "id")?;
    let parsed = DocumentId::parse(id)
        .map_err(|error| refuse(format!("Invalid argument `id` for `{method}`: {error}")))?;
    Ok((id.to_owned(), parsed))
}

/// Refuses an id of another table than the one that the function names, if it names one.
fn check_table(
    execution: &Execution,
    method: &str,
    args: &Json,
    id: &DocumentId,
) -> std::result::Result<(), HostError> {
    let Some(expected) = args["table"].as_str() else {
        return Ok(());
    };
    let found = execution.catalog.table_name(id.table);
    if found.as_deref() == Some(expected) {
        return Ok(());
    }
    Err(refuse(format!(
        "Invalid argument `id` for `{method}`: expected to be an Id<\"{expected}\">, got \
         Id<\"{}\"> instead.",
        found.as_deref().unwrap_or("unknown")
    )))
}

/// The table of an id to write to. `None` if the id's table does not exist (any more).
pub(super) fn table_of(
    execution: &Execution,
    method: &str,
    args: &Json,
) -> std::result::Result<(String, Option<Rc<Table>>), HostError> {
    let (id, parsed) = parse_id(method, args)?;
    check_table(execution, method, args, &parsed)?;
    let table = execution.catalog.table_by_number(parsed.table).cloned();
    Ok((id, table))
}

/// Reads a document by id and records that, found or not.
pub(super) fn load(
    execution: &mut Execution,
    table: &Rc<Table>,
    id: &str,
) -> std::result::Result<Option<Value>, HostError> {
    execution.count_query().map_err(refuse)?;
    execution.reads.key(table.oid, id.as_bytes().to_vec());
    let document = read::get(table, id, execution.access).map_err(from_error)?;
    if let Some(document) = &document {
        execution.count_read(document).map_err(refuse)?;
    }
    Ok(document)
}

/// `1.0/get {id, table?, isSystem}`
pub(super) fn get(execution: &mut Execution, args: &Json) -> Answer {
    let by_system = args["isSystem"].as_bool() == Some(true);
    let method = if by_system { "db.system.get" } else { "db.get" };
    let (id, parsed) = parse_id(method, args)?;
    let of_system = system_tables::name(parsed.table).is_some();
    let table = execution.catalog.table_by_number(parsed.table).cloned();
    if of_system && !by_system {
        return Err(refuse("System tables can only be accessed with db.system."));
    }
    if by_system && table.is_some() {
        return Err(refuse("User tables cannot be accessed with db.system."));
    }
    check_table(execution, method, args, &parsed)?;
    let Some(table) = table else {
        // The tables of the system are empty; tables that do not exist have no documents.
        return Ok("null".to_owned());
    };
    let document = load(execution, &table, &id)?;
    Ok(document_or_null(document.as_ref()))
}

/// `1.0/queryStream {query} -> {queryId}`
pub(super) fn query_stream(execution: &mut Execution, args: &Json) -> Answer {
    execution.count_query().map_err(refuse)?;
    let spec = QuerySpec::parse(&args["query"]).map_err(|error| refuse(error.to_string()))?;
    let query = OpenQuery::new(&execution.catalog, spec).map_err(refuse)?;
    let number = execution.open_query(query);
    Ok(json!({"queryId": number}).to_string())
}

fn query_number(args: &Json) -> std::result::Result<u64, HostError> {
    // JavaScript numbers arrive as floats or integers.
    args["queryId"]
        .as_f64()
        .filter(|number| *number >= 0.0)
        .map(|number| number as u64)
        .ok_or_else(|| refuse("Invalid argument `queryId`: expected a number"))
}

/// `1.0/queryCleanup {queryId} -> boolean`
pub(super) fn query_cleanup(execution: &mut Execution, args: &Json) -> Answer {
    let number = query_number(args)?;
    Ok(execution.close_query(number).to_string())
}

/// `1.0/queryStreamNext {queryId} -> {value, done}`
pub(super) fn query_stream_next(execution: &mut Execution, args: &Json) -> Answer {
    let number = query_number(args)?;
    let Some(mut query) = execution.open.remove(&number) else {
        return Err(refuse(format!("query {number} is not open")));
    };
    let next = query.next(execution);
    execution.open.insert(number, query);
    match next? {
        Some(document) => {
            let mut answer = String::from("{\"value\":");
            document.write_encoded(&mut answer);
            answer.push_str(",\"done\":false}");
            Ok(answer)
        }
        None => {
            execution.close_query(number);
            Ok("{\"value\":null,\"done\":true}".to_owned())
        }
    }
}

/// `1.0/count {table} -> number`
pub(super) fn count(execution: &mut Execution, args: &Json) -> Answer {
    let name = text("db.count", args, "table")?;
    let Some(table) = execution.table(name) else {
        return Ok("0".to_owned());
    };
    execution.count_query().map_err(refuse)?;
    execution.reads.table(table.oid);
    let count = read::count(&table, execution.access).map_err(from_error)?;
    Ok(count.to_string())
}

/// `1.0/db/normalizeId {table, idString} -> {id}`
pub(super) fn normalize_id(execution: &Execution, args: &Json) -> Answer {
    let name = text("db.normalizeId", args, "table")?;
    let id = text("db.normalizeId", args, "idString")?;
    let number = execution.catalog.table_number(name);
    let matches = DocumentId::parse(id).is_ok_and(|parsed| Some(parsed.table) == number);
    Ok(json!({"id": matches.then_some(id)}).to_string())
}
