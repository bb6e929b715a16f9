//! Reading documents: `get`, queries row by row, `count`, `normalizeId`.

use std::rc::Rc;

use pg_live_values::query::QuerySpec;
use pg_live_values::{DocumentId, Value};
use serde_json::{Value as Json, json};

use super::{Answer, document_or_null, from_error, refuse, text};
use crate::documents::catalog::Table;
use crate::documents::read;
use crate::functions::execution::Execution;
use crate::functions::open_query::OpenQuery;
use crate::js::HostError;

/// The table of an id. `None` if the id's table does not exist (any more).
pub(super) fn table_of(
    execution: &Execution,
    method: &str,
    args: &Json,
) -> std::result::Result<(String, Option<Rc<Table>>), HostError> {
    let id = text(method, args, "id")?;
    let parsed = DocumentId::parse(id)
        .map_err(|error| refuse(format!("Invalid argument `id` for `{method}`: {error}")))?;
    let table = execution.catalog.table_by_number(parsed.table).cloned();
    if let Some(expected) = args["table"].as_str() {
        let found = table.as_ref().map_or("unknown", |table| &table.name);
        if found != expected {
            return Err(refuse(format!(
                "Invalid argument `id` for `{method}`: expected to be an Id<\"{expected}\">, got \
                 Id<\"{found}\"> instead."
            )));
        }
    }
    Ok((id.to_owned(), table))
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
    if args["isSystem"].as_bool() == Some(true) {
        return Err(refuse(
            "db.system is not available in pg_live yet (see LIMITATIONS.md)",
        ));
    }
    let (id, table) = table_of(execution, "db.get", args)?;
    let Some(table) = table else {
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
    execution.reads.table(table.oid);
    let count = read::count(&table, execution.access).map_err(from_error)?;
    Ok(count.to_string())
}

/// `1.0/db/normalizeId {table, idString} -> {id}`
pub(super) fn normalize_id(execution: &Execution, args: &Json) -> Answer {
    let name = text("db.normalizeId", args, "table")?;
    let id = text("db.normalizeId", args, "idString")?;
    let number = execution.catalog.table(name).map(|table| table.number);
    let matches = DocumentId::parse(id).is_ok_and(|parsed| Some(parsed.table) == number);
    Ok(json!({"id": matches.then_some(id)}).to_string())
}
