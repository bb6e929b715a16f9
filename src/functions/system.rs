//! The functions `_system/...` that the package's command line asks for, answered here: they are queries as any
//! other, so they can be live. For administrators and from SQL only; to clients they do not exist.

use std::time::{SystemTime, UNIX_EPOCH};

use pg_live_values::{FunctionPath, Value, system_tables};
use serde_json::{Value as Json, json};

use super::execution::Execution;
use super::{run, syscalls};
use crate::documents::catalog::Catalog;
use crate::documents::create;
use crate::error::{Error, Result};
use crate::js::{Failure, HostError, JsError};
use crate::pg::session::UserGuard;
use crate::pg::spi::{self, Access, Param};

/// How their modules begin.
const PREFIX: &str = "_system/";
/// Most rows that one page of a table has.
const PAGE_ROWS: u64 = 1_000;
/// What the deployment itself knows of its addresses; the command line does not show them as variables.
const OWN_VARIABLES: [&str; 2] = ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"];

/// What such a function returned, JSON text, or the message for its caller.
type Answer = std::result::Result<String, JsError>;

/// Whether a path is one of ours.
pub(super) fn is_system(path: &FunctionPath) -> bool {
    path.module().starts_with(PREFIX)
}

/// Runs one.
pub(super) fn run(execution: &mut Execution, path: &FunctionPath, args: &Json) -> Result<Answer> {
    let name = path.stripped();
    let value = match name.strip_prefix(PREFIX).unwrap_or(&name) {
        "cli/tables:default" => tables(&execution.catalog),
        "cli/tableData:default" => return table_data(execution, args),
        "cli/tableSize:default" => return table_size(execution, args),
        "cli/queryTable:default" => return table_watch(execution, args),
        "cli/queryEnvironmentVariables:default" => variables(&execution.catalog),
        "cli/queryEnvironmentVariables:get" => variable(&execution.catalog, args),
        "cli/modules:apiSpec" => functions(&execution.catalog, execution.access)?,
        "cli/convexUrl:cloudUrl" => json!(execution.catalog.environment.get("CONVEX_CLOUD_URL")),
        "cli/convexUrl:siteUrl" => json!(execution.catalog.environment.get("CONVEX_SITE_URL")),
        "cli/exports:getLatest" => latest_export(execution),
        "cli/queryImport:default" => return import(execution, args),
        "cli/queryImport:list" => imports(execution)?,
        "frontend/components:list" => json!([]),
        "frontend/getSchemas:default" => schemas(&execution.catalog, execution.access)?,
        _ => {
            return Ok(Err(JsError::plain(format!(
                "Could not find function for '{name}': pg_live has no such system function"
            ))));
        }
    };
    Ok(Ok(value.to_string()))
}

fn text<'a>(args: &'a Json, name: &str) -> std::result::Result<&'a str, JsError> {
    args[name].as_str().ok_or_else(|| {
        JsError::plain(format!(
            "ArgumentValidationError: argument `{name}` must be a string"
        ))
    })
}

/// The tables of the app.
fn tables(catalog: &Catalog) -> Json {
    let mut tables: Vec<(&str, u32)> = catalog
        .tables()
        .map(|table| (table.name.as_str(), table.number))
        .filter(|(name, _)| !system_tables::is_system_name(name))
        .collect();
    tables.sort_unstable();
    let page: Vec<Json> = tables
        .iter()
        .map(|(name, number)| json!({"name": name, "number": number}))
        .collect();
    json!({"page": page, "isDone": true, "continueCursor": "end"})
}

/// Has a syscall of functions do it, as the deployment's owner.
fn by_syscall(execution: &mut Execution, op: &str, args: &Json) -> Result<Answer> {
    let owner = create::owner_oid(&execution.catalog)?;
    let answer = {
        let _user = UserGuard::become_user(owner);
        syscalls::asynchronous(execution, op, &args.to_string())
    };
    match answer {
        Ok(text) => Ok(Ok(text)),
        Err(HostError::Js { message, data }) => Ok(Err(JsError { message, data })),
        Err(HostError::Fatal(payload)) => Err(run::failure(Failure::Host(payload))),
    }
}

/// A page of a table, by creation time.
fn table_data(execution: &mut Execution, args: &Json) -> Result<Answer> {
    let table = match text(args, "table") {
        Ok(table) => table,
        Err(error) => return Ok(Err(error)),
    };
    let options = &args["paginationOpts"];
    let rows = options["numItems"].as_f64().unwrap_or(PAGE_ROWS as f64);
    let source = json!({
        "type": "FullTableScan",
        "tableName": table,
        "order": if args["order"] == "asc" { "asc" } else { "desc" },
    });
    by_syscall(
        execution,
        "1.0/queryPage",
        &json!({
            "query": {"source": source, "operators": []},
            "cursor": options["cursor"],
            "pageSize": (rows as u64).clamp(1, PAGE_ROWS),
        }),
    )
}

/// How many documents a table has.
fn table_size(execution: &mut Execution, args: &Json) -> Result<Answer> {
    match text(args, "tableName") {
        Ok(table) => by_syscall(execution, "1.0/count", &json!({"table": table})),
        Err(error) => Ok(Err(error)),
    }
}

/// Another value whenever the table has changed: the command line waits for that.
fn table_watch(execution: &mut Execution, args: &Json) -> Result<Answer> {
    let name = match text(args, "tableName") {
        Ok(name) => name,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(table) = execution.table(name) {
        execution.reads.table(table.oid);
    }
    execution.observed.time = true;
    Ok(Ok(integer(now_ns()).to_string()))
}

/// The variables that were set.
fn variables(catalog: &Catalog) -> Json {
    let mut all: Vec<(&String, &String)> = catalog
        .environment
        .iter()
        .filter(|(name, _)| !OWN_VARIABLES.contains(&name.as_str()))
        .collect();
    all.sort_unstable();
    all.iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn variable(catalog: &Catalog, args: &Json) -> Json {
    let name = args["name"].as_str().unwrap_or_default();
    catalog
        .environment
        .get(name)
        .map_or(Json::Null, |value| json!({"name": name, "value": value}))
}

/// All functions of the deployment with their validators.
fn functions(catalog: &Catalog, access: Access) -> Result<Json> {
    let Some(deployment) = catalog.deployment else {
        return Ok(json!([]));
    };
    let validator = |text: Option<String>| -> Json {
        text.and_then(|text| serde_json::from_str(&text).ok())
            .filter(|json: &Json| !json.is_null())
            .unwrap_or_else(|| json!({"type": "any"}))
    };
    let rows = spi::query(
        "SELECT module, name, kind, visibility, args::text, returns::text FROM live.functions \
         WHERE deployment = $1 AND component = '' ORDER BY module, name",
        &[Param::Int8(deployment)],
        access,
        |row| {
            let identifier = format!("{}:{}", row.need::<String>(0)?, row.need::<String>(1)?);
            Ok(json!({
                "identifier": identifier,
                "functionType": row.need::<String>(2)?,
                "visibility": {"kind": row.get::<String>(3).unwrap_or_else(|| "internal".into())},
                "args": validator(row.get(4)),
                "returns": validator(row.get(5)),
            }))
        },
    )?;
    Ok(Json::Array(rows))
}

/// What schema.ts exports.
fn schemas(catalog: &Catalog, access: Access) -> Result<Json> {
    let schema = match catalog.deployment {
        Some(deployment) => spi::query_one(
            "SELECT schema::text FROM live.deployments WHERE id = $1",
            &[Param::Int8(deployment)],
            access,
            |row| Ok(row.get::<String>(0)),
        )?
        .flatten(),
        None => None,
    };
    Ok(json!({"active": schema}))
}

/// An export is made while it is downloaded, so there is always one to be had.
fn latest_export(execution: &mut Execution) -> Json {
    execution.observed.time = true;
    let now = integer(now_ns());
    json!({
        "state": "completed",
        "start_ts": now,
        "complete_ts": now,
        "expiration_ts": now,
        "zip_object_key": "",
    })
}

/// An import that the command line has uploaded.
fn import(execution: &mut Execution, args: &Json) -> Result<Answer> {
    let id = match text(args, "importId") {
        Ok(id) => id,
        Err(error) => return Ok(Err(error)),
    };
    watch_imports(execution)?;
    let state = spi::query_one(
        "SELECT state::text FROM live.imports WHERE id = $1",
        &[Param::Text(id)],
        execution.access,
        |row| row.need::<String>(0),
    )?;
    Ok(match state {
        Some(state) => Ok(format!("{{\"state\":{state}}}")),
        None => Err(JsError::plain(format!("There is no import {id}."))),
    })
}

fn imports(execution: &mut Execution) -> Result<Json> {
    watch_imports(execution)?;
    let rows = spi::query(
        "SELECT id, state::text FROM live.imports ORDER BY created_at DESC LIMIT 20",
        &[],
        execution.access,
        |row| {
            let state: Json = serde_json::from_str(&row.need::<String>(1)?)
                .map_err(|error| Error::Catalog(format!("live.imports: {error}")))?;
            Ok(json!({"_id": row.need::<String>(0)?, "state": state}))
        },
    )?;
    Ok(Json::Array(rows))
}

fn watch_imports(execution: &mut Execution) -> Result<()> {
    let oid = spi::query_one(
        "SELECT 'live.imports'::pg_catalog.regclass::pg_catalog.oid",
        &[],
        execution.access,
        |row| row.need::<pgrx::pg_sys::Oid>(0),
    )?;
    if let Some(oid) = oid {
        execution.reads.table(oid.to_u32());
    }
    Ok(())
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// An int64 in the encoding of the protocol.
fn integer(number: i64) -> Json {
    serde_json::from_str(&Value::Int64(number).to_encoded()).unwrap_or(Json::Null)
}
