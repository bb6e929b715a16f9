//! What functions log: `GET /api/stream_function_logs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value as JsonValue, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use super::{admit, owner};
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

/// How long a request waits for something to tell.
const PATIENCE: Duration = Duration::from_secs(50);
/// Between two looks at the table.
const PAUSE: Duration = Duration::from_millis(400);
/// Most rows of an answer.
const ROWS: i64 = 2_000;

const COLUMNS: &str = "id, pg_catalog.date_part('epoch', at) AS at, function, kind, caller, session, request, \
    level, line, outcome, duration_ms";

/// Parameters of the request.
#[derive(Deserialize)]
pub(super) struct Parameters {
    /// One more than the number of the last row that was told; 0: what is new of what is there.
    #[serde(default)]
    cursor: f64,
}

/// What has been logged since the cursor; waits until there is something.
pub(super) async fn stream(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Query(Parameters { cursor }): Query<Parameters>,
) -> Result<Json<JsonValue>, ApiError> {
    admit(&relay, &headers, None).await?;
    let client = owner::connect(&relay).await?;
    #[allow(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let after = cursor as i64 - 1;
    if after < 0 {
        let sql = format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM live.logs ORDER BY id DESC LIMIT $1) AS l ORDER BY id"
        );
        let rows = client.query(&sql, &[&ROWS]).await.map_err(owner::refusal)?;
        return answer(&rows, 0);
    }
    let sql = format!("SELECT {COLUMNS} FROM live.logs WHERE id > $1 ORDER BY id LIMIT $2");
    let end = Instant::now() + PATIENCE;
    loop {
        let rows = client.query(&sql, &[&after, &ROWS]).await;
        let rows = rows.map_err(owner::refusal)?;
        if !rows.is_empty() || Instant::now() > end || relay.draining.is_cancelled() {
            return answer(&rows, after);
        }
        sleep(PAUSE).await;
    }
}

fn answer(rows: &[Row], after: i64) -> Result<Json<JsonValue>, ApiError> {
    let lines: Vec<Line> = rows
        .iter()
        .map(Line::read)
        .collect::<Result<_, _>>()
        .map_err(owner::refusal)?;
    let last = lines.last().map_or(after, |line| line.id);
    let calls = lines.chunk_by(Line::is_of_one_call_with);
    let entries: Vec<JsonValue> = calls.map(entry).collect();
    Ok(Json(json!({ "entries": entries, "newCursor": last + 1 })))
}

/// A row of `live.logs`.
struct Line {
    id: i64,
    at_s: f64,
    function: String,
    kind: String,
    caller: String,
    session: Option<String>,
    request: Option<i64>,
    level: String,
    text: String,
    failed: bool,
    duration_ms: f64,
}

impl Line {
    fn read(row: &Row) -> Result<Line, tokio_postgres::Error> {
        Ok(Line {
            id: row.try_get("id")?,
            at_s: row.try_get("at")?,
            function: row.try_get("function")?,
            kind: row.try_get("kind")?,
            caller: row.try_get("caller")?,
            session: row.try_get("session")?,
            request: row.try_get("request")?,
            level: row.try_get("level")?,
            text: row.try_get("line")?,
            failed: row.try_get::<_, &str>("outcome")? == "error",
            duration_ms: row.try_get("duration_ms")?,
        })
    }

    /// Calls have no number; two that end in one microsecond and take the same time are unlikely.
    fn is_of_one_call_with(&self, other: &Line) -> bool {
        self.at_s == other.at_s
            && self.function == other.function
            && self.session == other.session
            && self.request == other.request
            && self.duration_ms == other.duration_ms
    }
}

/// A call, as the command line reads it. The last line of one that failed is its error.
fn entry(lines: &[Line]) -> JsonValue {
    let Some((last, before)) = lines.split_last() else {
        return JsonValue::Null;
    };
    let (logged, error) = if last.failed {
        (before, Some(last.text.trim_end()))
    } else {
        (lines, None)
    };
    let log_lines: Vec<JsonValue> = logged
        .iter()
        .map(|line| {
            json!({
                "messages": [line.text],
                "level": line.level,
                "timestamp": line.at_s * 1000.0,
                "isTruncated": false,
            })
        })
        .collect();
    let udf_type = match last.kind.as_str() {
        "mutation" => "Mutation",
        "action" => "Action",
        _ => "Query",
    };
    json!({
        "kind": "Completion",
        "udfType": udf_type,
        "identifier": last.function,
        "timestamp": last.at_s,
        "executionTimestamp": last.at_s,
        "executionTime": last.duration_ms / 1000.0,
        "cachedResult": false,
        "logLines": log_lines,
        "success": if error.is_none() { json!({"status": "success"}) } else { JsonValue::Null },
        "error": error,
        "requestId": format!("{:016x}", last.id),
        "executionId": format!("{:016x}", last.id),
        "caller": last.caller,
        "environment": "isolate",
        "identityType": if last.caller == "admin" { "instance_admin" } else { "unknown" },
        "usageStats": {
            "databaseReadBytes": 0, "databaseWriteBytes": 0, "databaseReadDocuments": 0,
            "storageReadBytes": 0, "storageWriteBytes": 0, "vectorIndexReadBytes": 0,
            "vectorIndexWriteBytes": 0, "memoryUsedMb": 0,
        },
        "willRetry": false,
    })
}
