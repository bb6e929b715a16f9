//! A push: `get_config_hashes`, `evaluate_schema`, `start_push`, `wait_for_schema`, `finish_push`.
//!
//! `start_push` only stages: code generation asks for nothing else, and nothing is in force afterwards. What belongs to
//! a push is in the database under its number, which travels with `schemaChange`; so any relay goes on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};
use tokio::time::timeout;
use tokio_postgres::types::Json as SqlJson;
use tokio_postgres::{Client, GenericClient};

use super::analysis::Deployment;
use super::prepare::Progress;
use super::schema::{self, Size};
use super::{admit, owner, parse};
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

/// Where the number of a push is in `schemaChange`.
const TOKEN: &str = "pgLive";
/// The module of auth.config among those of the app.
const AUTH_CONFIG: &str = "auth.config.js";
/// Longest wait of a request for a preparation.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

type Answered = Result<Json<JsonValue>, ApiError>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    admin_key: Option<String>,
    #[serde(default)]
    dry_run: bool,
    app_definition: AppDefinition,
    #[serde(default)]
    component_definitions: Vec<JsonValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppDefinition {
    schema: Option<JsonValue>,
    changed_modules: Vec<JsonValue>,
    #[serde(default)]
    unchanged_module_hashes: Vec<Unchanged>,
    #[serde(default)]
    udf_server_version: String,
}

/// A module that the deployment in force has already.
#[derive(Deserialize)]
struct Unchanged {
    path: String,
    environment: String,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wait {
    admin_key: Option<String>,
    schema_change: JsonValue,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finish {
    admin_key: Option<String>,
    start_push: JsonValue,
    #[serde(default)]
    dry_run: bool,
    message: Option<String>,
}

/// What a push is known by between its requests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    push: i64,
    base: Option<i64>,
    /// Nothing of it was stored.
    dry_run: bool,
    /// Of a dry run: why the documents would refuse it.
    failed: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyOnly {
    admin_key: Option<String>,
}

/// `POST /api/get_config_hashes`: which modules need not be sent again.
pub(super) async fn hashes(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let KeyOnly { admin_key } = parse(&body)?;
    admit(&relay, &headers, admin_key.as_deref()).await?;
    let client = owner::connect(&relay).await?;
    let rows = client
        .query(
            "SELECT m.path, m.hash, m.environment FROM live.active AS a \
             JOIN live.modules AS m ON m.deployment = a.deployment AND m.component = a.component \
             WHERE a.component = '' ORDER BY m.path",
            &[],
        )
        .await
        .map_err(owner::refusal)?;
    let mut modules = Vec::with_capacity(rows.len());
    for row in &rows {
        let text = |column| row.try_get::<_, String>(column).map_err(owner::refusal);
        modules.push(json!({"path": text(0)?, "hash": text(1)?, "environment": text(2)?}));
    }
    Ok(Json(json!({
        "config": {"functions": "convex/"},
        "moduleHashes": modules,
        "nodeDependencies": [],
    })))
}

/// `POST /api/deploy2/evaluate_schema`: what the schema of a push would do.
pub(super) async fn evaluate_schema(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let (old, new, sizes) = evaluate(&relay, &headers, &body).await?;
    Ok(Json(json!({
        "componentSchemaEvaluations": {"": schema::evaluation(&old, &new, &sizes)},
        "newComponentDefinitions": [],
    })))
}

/// `POST /api/deploy2/evaluate_push`: the same for older versions of the command line.
pub(super) async fn evaluate_push(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let (old, new, _) = evaluate(&relay, &headers, &body).await?;
    Ok(Json(json!({ "schemaChange": {
        "allocatedComponentIds": {},
        "schemaIds": {},
        "indexDiffs": {"": schema::index_diff(&old, &new)},
    }})))
}

/// The schema in force, that of the push, and the sizes of tables. Nothing of it stays.
async fn evaluate(
    relay: &Relay,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(JsonValue, JsonValue, BTreeMap<String, Size>), ApiError> {
    let start: Start = parse(body)?;
    admit(relay, headers, start.admin_key.as_deref()).await?;
    let mut client = owner::connect_to_deploy(relay).await?;
    let transaction = client.transaction().await.map_err(owner::refusal)?;
    let base = active(&transaction).await?;
    let old = Deployment::load(&transaction, base).await?.schema;
    let source = json!({ "modules": [], "schema": start.app_definition.schema });
    let staged = stage(&transaction, &source).await?;
    let new = Deployment::load(&transaction, Some(staged)).await?.schema;
    let sizes = sizes(&transaction).await?;
    transaction.rollback().await.map_err(owner::refusal)?;
    Ok((old, new, sizes))
}

async fn sizes(client: &impl GenericClient) -> Result<BTreeMap<String, Size>, ApiError> {
    let rows = client
        .query(
            "SELECT t.name, greatest(c.reltuples, 0)::int8, pg_catalog.pg_table_size(c.oid) \
             FROM live.tables AS t JOIN pg_catalog.pg_class AS c \
               ON c.oid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schema, t.relation)) \
             WHERE t.component = ''",
            &[],
        )
        .await
        .map_err(owner::refusal)?;
    rows.iter()
        .map(|row| {
            let size = Size {
                documents: row.try_get(1)?,
                bytes: row.try_get(2)?,
            };
            Ok((row.try_get(0)?, size))
        })
        .collect::<Result<_, _>>()
        .map_err(owner::refusal)
}

/// `POST /api/deploy2/start_push`
pub(super) async fn start(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let start: Start = parse(&body)?;
    admit(&relay, &headers, start.admin_key.as_deref()).await?;
    if !start.component_definitions.is_empty() {
        return Err(ApiError::bad_request(
            "ComponentsNotAvailable",
            "Components are not available in pg_live yet (see LIMITATIONS.md): remove app.use(...) from \
             convex.config.ts",
        ));
    }
    let mut client = owner::connect_to_deploy(&relay).await?;
    let source = source(&client, &start.app_definition).await?;
    let transaction = client.transaction().await.map_err(owner::refusal)?;
    let base = active(&transaction).await?;
    let push = stage(&transaction, &source).await?;
    let old = Deployment::load(&transaction, base).await?;
    let new = Deployment::load(&transaction, Some(push)).await?;
    let environment = environment(&transaction).await?;
    let mut failed = None;
    if start.dry_run {
        // What documents would say; nothing of it stays.
        let checked = owner::call(&transaction, "SELECT live.deploy_prepare($1)", &[&push]).await;
        failed = checked.err().map(|error| error.message().to_owned());
        transaction.rollback().await.map_err(owner::refusal)?;
    } else {
        transaction.commit().await.map_err(owner::refusal)?;
    }
    Ok(Json(json!({
        "environmentVariables": environment,
        "externalDepsId": null,
        "componentDefinitionPackages": {},
        "appAuth": new.providers(),
        "analysis": new.analysis(&start.app_definition.udf_server_version),
        "app": {
            "definitionPath": "",
            "componentPath": "",
            "args": {},
            "childComponents": {},
            "httpRoutes": {"httpModuleRoutes": null, "mounts": []},
            "exports": {},
        },
        "schemaChange": {
            "allocatedComponentIds": {},
            "schemaIds": {},
            "indexDiffs": {"": schema::index_diff(&old.schema, &new.schema)},
            TOKEN: {"push": push, "base": base, "dryRun": start.dry_run, "failed": failed},
        },
    })))
}

/// All that is pushed: what was sent, and what is there already.
async fn source(client: &Client, app: &AppDefinition) -> Result<JsonValue, ApiError> {
    let mut modules = unchanged(client, &app.unchanged_module_hashes).await?;
    modules.extend(app.changed_modules.iter().cloned());
    let auth = modules
        .iter()
        .position(|module| module["path"] == AUTH_CONFIG)
        .map(|position| modules.remove(position));
    Ok(json!({
        "modules": modules,
        "schema": app.schema,
        "authConfig": auth,
    }))
}

async fn unchanged(client: &Client, wanted: &[Unchanged]) -> Result<Vec<JsonValue>, ApiError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let hashes: Vec<&str> = wanted.iter().map(|module| module.sha256.as_str()).collect();
    let rows = client
        .query(
            "SELECT hash, source, source_map FROM live.sources WHERE hash = ANY($1)",
            &[&hashes],
        )
        .await
        .map_err(owner::refusal)?;
    let mut stored = BTreeMap::new();
    for row in &rows {
        let hash: &str = row.try_get(0).map_err(owner::refusal)?;
        let source: &str = row.try_get(1).map_err(owner::refusal)?;
        let map: Option<&str> = row.try_get(2).map_err(owner::refusal)?;
        stored.insert(hash, (source, map));
    }
    wanted
        .iter()
        .map(|module| match stored.get(module.sha256.as_str()) {
            Some((source, map)) => Ok(json!({
                "path": module.path,
                "source": source,
                "sourceMap": map,
                "environment": module.environment,
            })),
            None => Err(ApiError::conflict(
                "RaceDetected",
                format!(
                    "The source of {} is not stored any more; push again",
                    module.path
                ),
            )),
        })
        .collect()
}

/// The number of the deployment in force.
async fn active(client: &impl GenericClient) -> Result<Option<i64>, ApiError> {
    let sql = "SELECT deployment FROM live.active WHERE component = ''";
    let row = client.query_opt(sql, &[]).await.map_err(owner::refusal)?;
    match row {
        Some(row) => row.try_get(0).map_err(owner::refusal),
        None => Ok(None),
    }
}

async fn environment(client: &impl GenericClient) -> Result<BTreeMap<String, String>, ApiError> {
    let sql = "SELECT name, value FROM live.environment WHERE component = '' ORDER BY name";
    let rows = client.query(sql, &[]).await.map_err(owner::refusal)?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, _>>()
        .map_err(owner::refusal)
}

async fn stage(client: &impl GenericClient, source: &JsonValue) -> Result<i64, ApiError> {
    let sql = "SELECT live.deploy_stage($1::json)";
    let staged = owner::call(client, sql, &[&SqlJson(source)]).await?;
    staged["push"].as_i64().ok_or_else(ApiError::internal)
}

fn token(schema_change: &JsonValue) -> Result<Token, ApiError> {
    Token::deserialize(&schema_change[TOKEN]).map_err(|error| {
        let message = format!("schemaChange is not that of a push to this deployment: {error}");
        ApiError::bad_request("BadSchemaChange", message)
    })
}

/// `POST /api/deploy2/wait_for_schema`: begins what has to be done before the switch, and waits for it.
pub(super) async fn wait(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let Wait {
        admin_key,
        schema_change,
        timeout_ms,
    } = parse(&body)?;
    admit(&relay, &headers, admin_key.as_deref()).await?;
    let token = token(&schema_change)?;
    match &token.failed {
        Some(reason) => return Ok(Json(failed(reason))),
        None if token.dry_run => return Ok(Json(json!({"type": "complete"}))),
        None => {}
    }
    let patience = Duration::from_millis(timeout_ms.unwrap_or(10_000)).min(LONGEST_WAIT);
    let mut progress = relay.preparations.follow(&relay, token.push);
    let end = async { drop(progress.wait_for(Progress::is_final).await) };
    // That it takes longer is an answer, too.
    let _ = timeout(patience, end).await;
    let now = progress.borrow().clone();
    Ok(Json(match now {
        Progress::Checking => in_progress(false, 0, 0),
        Progress::Building { built, of } => in_progress(true, built, of),
        Progress::Complete => json!({"type": "complete"}),
        Progress::Overtaken => json!({"type": "raceDetected"}),
        Progress::Failed(reason) => failed(&reason),
    }))
}

fn in_progress(checked: bool, built: usize, of: usize) -> JsonValue {
    json!({ "type": "inProgress", "components": {"": {
        "schemaValidationComplete": checked,
        "indexesComplete": built,
        "indexesTotal": of,
    }}})
}

fn failed(reason: &str) -> JsonValue {
    json!({
        "type": "failed",
        "error": reason,
        "componentPath": "",
        "tableName": table_named(reason),
    })
}

/// The table that an error about a document names.
fn table_named(reason: &str) -> Option<&str> {
    let (_, rest) = reason.split_once("table \"")?;
    rest.split_once('"').map(|(name, _)| name)
}

/// `POST /api/deploy2/finish_push`: the switch, all or nothing.
pub(super) async fn finish(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let Finish {
        admin_key,
        start_push,
        dry_run,
        message,
    } = parse(&body)?;
    admit(&relay, &headers, admin_key.as_deref()).await?;
    let token = token(&start_push["schemaChange"])?;
    let mut client = owner::connect_to_deploy(&relay).await?;
    let old = Deployment::load(&client, token.base).await?;
    if dry_run || token.dry_run {
        return Ok(Json(diff(&old, &start_push)));
    }
    let transaction = client.transaction().await.map_err(owner::refusal)?;
    transaction
        .execute("SELECT live.deploy_note($1, $2)", &[&token.push, &message])
        .await
        .map_err(owner::refusal)?;
    let sql = "SELECT live.deploy_finish($1)";
    let finished = owner::call(&transaction, sql, &[&token.push]).await?;
    // The switch holds the row that a change of the environment would take.
    if json!(environment(&transaction).await?) != start_push["environmentVariables"] {
        return Err(ApiError::conflict(
            "RaceDetected",
            "Environment variables were changed during the push",
        ));
    }
    transaction.commit().await.map_err(owner::refusal)?;
    relay.preparations.forget(token.push);
    let statements = owner::statements(&finished);
    relay.tasks.spawn(async move {
        owner::run_later(&client, &statements).await;
    });
    Ok(Json(diff(&old, &start_push)))
}

/// What the push changed.
fn diff(old: &Deployment, start_push: &JsonValue) -> JsonValue {
    let new = &start_push["analysis"][""];
    let texts = |list: &[JsonValue]| -> BTreeSet<String> {
        list.iter().map(JsonValue::to_string).collect()
    };
    let before = texts(&old.providers());
    let after = start_push["appAuth"].as_array().map(|list| texts(list));
    let after = after.unwrap_or_default();
    let none = serde_json::Map::new();
    let modules = new["functions"].as_object().unwrap_or(&none);
    let schema = |schema: &JsonValue| (!schema.is_null()).then(|| schema.to_string());
    let schema_diff = if without_default(&old.schema) == without_default(&new["schema"]) {
        JsonValue::Null
    } else {
        json!({"previous_schema": schema(&old.schema), "next_schema": schema(&new["schema"])})
    };
    json!({
        "authDiff": {
            "added": after.difference(&before).collect::<Vec<_>>(),
            "removed": before.difference(&after).collect::<Vec<_>>(),
        },
        "definitionDiffs": {},
        "componentDiffs": {"": {
            "diffType": {"type": "modify"},
            "moduleDiff": {
                "added": modules.keys().filter(|path| !old.functions.contains_key(*path)).collect::<Vec<_>>(),
                "removed": old.functions.keys().filter(|path| !modules.contains_key(*path)).collect::<Vec<_>>(),
            },
            "udfConfigDiff": null,
            "cronDiff": {"added": [], "updated": [], "deleted": []},
            "indexDiff": start_push["schemaChange"]["indexDiffs"][""],
            "schemaDiff": schema_diff,
        }},
    })
}

/// A schema that says nothing of validation does not validate.
fn without_default(schema: &JsonValue) -> JsonValue {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut()
        && fields.get("schemaValidation") == Some(&json!(false))
    {
        fields.remove("schemaValidation");
    }
    schema
}

/// `POST /api/deploy2/report_push_completed`: how long the command line took is not kept.
pub(super) async fn completed(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let KeyOnly { admin_key } = parse(&body)?;
    admit(&relay, &headers, admin_key.as_deref()).await?;
    Ok(Json(json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_an_error_is_found() {
        let text = "Document with ID \"k1\" in table \"messages\" does not match the schema: x";
        assert_eq!(table_named(text), Some("messages"));
        assert_eq!(table_named("something else"), None);
    }
}
