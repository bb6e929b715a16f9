//! Imports: `POST /api/import/start_upload`, `upload_part`, `finish_upload`, `POST /api/perform_import`.
//!
//! What is uploaded lies in the database until it is imported, so any relay goes on with it. The command line follows
//! `live.imports` by a live query.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use rand::RngCore;
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};
use tokio_postgres::types::Json as SqlJson;
use tokio_postgres::{Client, GenericClient};
use tracing::warn;

use super::import_files::{Batch, Format, read};
use super::import_write::{self, Mode};
use super::{admit, owner, parse};
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

/// Parts that no import has taken are removed after a day.
const SWEEP: &str =
    "DELETE FROM live.import_parts WHERE created_at < pg_catalog.now() - interval '1 day'";

/// What is to be imported, as the command line says it; kept with the import.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) table_name: Option<String>,
    component_path: Option<String>,
    pub(super) mode: Mode,
    pub(super) format: Format,
}

/// `POST /api/import/start_upload`
pub(super) async fn start(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
) -> Result<Json<JsonValue>, ApiError> {
    admit(&relay, &headers, None).await?;
    let client = owner::connect(&relay).await?;
    client.batch_execute(SWEEP).await.map_err(owner::refusal)?;
    let mut token = [0_u8; 16];
    rand::rng().fill_bytes(&mut token);
    Ok(Json(json!({ "uploadToken": hex::encode(token) })))
}

/// Parameters of a part.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartOf {
    upload_token: String,
    part_number: i32,
}

/// `POST /api/import/upload_part?uploadToken=&partNumber=`
pub(super) async fn part(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Query(of): Query<PartOf>,
    body: Bytes,
) -> Result<Json<JsonValue>, ApiError> {
    admit(&relay, &headers, None).await?;
    let client = owner::connect(&relay).await?;
    client
        .execute(
            "INSERT INTO live.import_parts (import, part, bytes) VALUES ($1, $2, $3) \
             ON CONFLICT (import, part) DO UPDATE SET bytes = excluded.bytes",
            &[&of.upload_token, &of.part_number, &body.as_ref()],
        )
        .await
        .map_err(owner::refusal)?;
    Ok(Json(json!(of.part_number.to_string())))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upload {
    import: JsonValue,
    upload_token: String,
    part_tokens: Vec<String>,
}

/// `POST /api/import/finish_upload`: the upload becomes an import, which is looked at in the background.
pub(super) async fn finish(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<JsonValue>, ApiError> {
    admit(&relay, &headers, None).await?;
    let Upload {
        import,
        upload_token: id,
        part_tokens,
    } = parse(&body)?;
    let request = request_of(&import)?;
    let client = owner::connect(&relay).await?;
    let parts: i64 = client
        .query_one(
            "SELECT pg_catalog.count(*) FROM live.import_parts WHERE import = $1",
            &[&id],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(owner::refusal)?;
    if usize::try_from(parts) != Ok(part_tokens.len()) {
        let message = format!("{parts} parts of {} were uploaded", part_tokens.len());
        return Err(ApiError::bad_request("UploadIncomplete", message));
    }
    client
        .execute(
            "INSERT INTO live.imports (id, request, state) VALUES ($1, $2, $3)",
            &[
                &id,
                &SqlJson(&import),
                &SqlJson(json!({"state": "uploaded"})),
            ],
        )
        .await
        .map_err(owner::refusal)?;
    let answer = json!({ "importId": id });
    relay.tasks.spawn(async move {
        let state = match look(&client, &id, request).await {
            Ok((message, confirm)) => json!({
                "state": "waiting_for_confirmation",
                "message_to_confirm": message,
                "require_manual_confirmation": confirm,
            }),
            Err(reason) => json!({"state": "failed", "error_message": reason}),
        };
        tell(&client, &id, &state).await;
    });
    Ok(Json(answer))
}

fn request_of(import: &JsonValue) -> Result<Request, ApiError> {
    let bad = |message: String| ApiError::bad_request("ImportNotUnderstood", message);
    let request = Request::deserialize(import).map_err(|error| bad(error.to_string()))?;
    if request
        .component_path
        .as_deref()
        .is_some_and(|path| !path.is_empty())
    {
        return Err(bad(
            "Components are not available in pg_live yet (see LIMITATIONS.md)".to_owned(),
        ));
    }
    match (&request.format, &request.table_name) {
        (Format::Zip, Some(_)) => Err(bad("A zip names its tables itself".to_owned())),
        (Format::Csv | Format::JsonLines | Format::JsonArray, None) => {
            Err(bad("The table is not named".to_owned()))
        }
        (Format::Zip, None) | (Format::Csv | Format::JsonLines | Format::JsonArray, Some(_)) => {
            Ok(request)
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Perform {
    import_id: String,
}

/// `POST /api/perform_import`: it was confirmed.
pub(super) async fn perform(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    admit(&relay, &headers, None).await?;
    let Perform { import_id: id } = parse(&body)?;
    let client = owner::connect(&relay).await?;
    let begun = client
        .query_opt(
            "UPDATE live.imports SET state = $2 WHERE id = $1 \
             AND state->>'state' = 'waiting_for_confirmation' RETURNING request",
            &[&id, &SqlJson(import_write::in_progress("Importing"))],
        )
        .await
        .map_err(owner::refusal)?;
    let Some(row) = begun else {
        let message = format!("There is no import {id} that waits for this");
        return Err(ApiError::bad_request("ImportNotWaiting", message));
    };
    let request = request_of(&row.try_get(0).map_err(owner::refusal)?)?;
    // What is told while documents are written must not wait for their commit.
    let mut writer = owner::connect(&relay).await?;
    relay.tasks.spawn(async move {
        let file = file_of(&client, &id).await;
        let done = match file {
            Ok(file) => import_write::write(&mut writer, &client, &id, file, &request).await,
            Err(reason) => Err(reason),
        };
        let state = match done {
            Ok(count) => json!({"state": "completed", "num_rows_written": count}),
            Err(reason) => json!({"state": "failed", "error_message": reason}),
        };
        tell(&client, &id, &state).await;
    });
    Ok(StatusCode::OK)
}

/// Writes down how far an import is.
pub(super) async fn tell(client: &Client, id: &str, state: &JsonValue) {
    let ended = matches!(state["state"].as_str(), Some("completed" | "failed"));
    let told = async {
        let sql = "UPDATE live.imports SET state = $2 WHERE id = $1";
        client.execute(sql, &[&id, &SqlJson(state)]).await?;
        if ended {
            let sql = "DELETE FROM live.import_parts WHERE import = $1";
            client.execute(sql, &[&id]).await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    };
    if let Err(error) = told.await {
        warn!(%error, "how far an import is could not be written down");
    }
}

/// What was uploaded, as a file without a name.
async fn file_of(client: &Client, id: &str) -> Result<File, String> {
    let numbers = client
        .query(
            "SELECT part FROM live.import_parts WHERE import = $1 ORDER BY part",
            &[&id],
        )
        .await
        .map_err(|error| error.to_string())?;
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    for number in numbers {
        let number: i32 = number.try_get(0).map_err(|error| error.to_string())?;
        let row = client
            .query_one(
                "SELECT bytes FROM live.import_parts WHERE import = $1 AND part = $2",
                &[&id, &number],
            )
            .await
            .map_err(|error| error.to_string())?;
        let bytes: &[u8] = row.try_get(0).map_err(|error| error.to_string())?;
        file.write_all(bytes).map_err(|error| error.to_string())?;
    }
    Ok(file)
}

/// Counts what is in an upload. Returns what is to be confirmed, and whether a person must.
async fn look(client: &Client, id: &str, request: Request) -> Result<(String, bool), String> {
    let file = file_of(client, id).await?;
    let (format, table) = (request.format, request.table_name.clone());
    let counted = tokio::task::spawn_blocking(move || {
        let mut tables: Vec<(String, usize)> = Vec::new();
        read(file, format, table.as_deref(), &mut |batch| {
            match batch {
                Batch::Table { name, .. } => tables.push((name, 0)),
                Batch::Documents(documents) => {
                    if let Some((_, count)) = tables.last_mut() {
                        *count += documents.len();
                    }
                }
            }
            true
        })?;
        Ok::<_, String>(tables)
    });
    let tables = counted.await.map_err(|error| error.to_string())??;
    if tables.is_empty() {
        return Err("There are no documents in the file".to_owned());
    }
    summary(client, &request.mode, &tables).await
}

async fn summary(
    client: &impl GenericClient,
    mode: &Mode,
    tables: &[(String, usize)],
) -> Result<(String, bool), String> {
    let present = import_write::counts(client).await?;
    let mut text =
        "Import change summary:\ntable | create | delete |\n--------------------------\n"
            .to_owned();
    let mut deletes = false;
    for (name, create) in tables {
        let here = present.get(name).copied().unwrap_or(0);
        let delete = match mode {
            Mode::RequireEmpty if here > 0 => {
                return Err(format!(
                    "Table \"{name}\" has documents already. Choose either --replace or --append"
                ));
            }
            Mode::RequireEmpty | Mode::Append => 0,
            Mode::Replace | Mode::ReplaceAll => here,
        };
        deletes |= delete > 0;
        text.push_str(&format!("{name} | {create} | {delete} of {here} |\n"));
    }
    if matches!(mode, Mode::ReplaceAll) {
        let others = present
            .iter()
            .filter(|(name, here)| **here > 0 && tables.iter().all(|(table, _)| table != *name));
        for (name, here) in others {
            deletes = true;
            text.push_str(&format!("{name} | 0 | {here} of {here} |\n"));
        }
    }
    Ok((text, deletes))
}
