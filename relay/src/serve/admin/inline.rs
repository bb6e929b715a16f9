//! Queries that are not deployed, as administrators write them: `POST /api/run_test_function`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as JsonValue, json};
use tokio_postgres::types::Json as SqlJson;

use super::{admit, owner, parse};
use crate::serve::Relay;
use crate::serve::http_error::ApiError;
use crate::serve::wire;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inline {
    admin_key: Option<String>,
    #[serde(default)]
    args: JsonValue,
    bundle: Bundle,
    component_id: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    source: String,
}

/// Runs the query that the module exports by default; the value is in the exact encoding.
pub(super) async fn run(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<JsonValue>, ApiError> {
    let Inline {
        admin_key,
        args,
        bundle,
        component_id,
    } = parse(&body)?;
    admit(&relay, &headers, admin_key.as_deref()).await?;
    if component_id.is_some() {
        return Err(ApiError::bad_request(
            "ComponentsNotAvailable",
            "Components are not available in pg_live yet (see LIMITATIONS.md)",
        ));
    }
    let client = owner::connect(&relay).await?;
    let args = if args.is_null() { json!({}) } else { args };
    let row = client
        .query_one(
            "SELECT ok, value, error, error_data, log_lines FROM live.query_source($1, $2)",
            &[&bundle.source, &SqlJson(&args)],
        )
        .await
        .map_err(owner::refusal)?;
    let text = |column| {
        row.try_get::<_, Option<String>>(column)
            .map_err(owner::refusal)
    };
    let log_lines: Vec<String> = row.try_get(4).map_err(owner::refusal)?;
    let raw = |text: Option<String>| match text {
        Some(text) => RawValue::from_string(text)
            .map(Some)
            .map_err(|_| ApiError::internal()),
        None => Ok(None),
    };
    if row.try_get(0).map_err(owner::refusal)? {
        let value = raw(text(1)?)?;
        return Ok(Json(
            json!({"status": "success", "value": value, "logLines": log_lines}),
        ));
    }
    let message = wire::error_text(&text(2)?.unwrap_or_default());
    let mut answer = json!({"status": "error", "errorMessage": message, "logLines": log_lines});
    if let Some(data) = raw(text(3)?)? {
        answer["errorData"] = json!(data);
    }
    Ok(Json(answer))
}
