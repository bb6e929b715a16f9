//! Function calls over HTTP: `/api/query`, `/api/query_batch`, `/api/query_ts`, `/api/query_at_ts`,
//! `/api/mutation`, `/api/action`, `/api/function`, `/api/run/...`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, header};
use convex_sync_types::UdfPath;
use pg_live_session::Failure;
use pg_live_values::Value;
use pg_live_values::json::Format;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::auth::Caller;
use super::body::Body;
use super::database::FunctionResult;
use super::http_error::ApiError;
use super::nodes::Seat;
use super::snapshots::{self, SnapshotName};
use super::transaction::Executed;
use super::{Relay, mutations, runs, wire};

/// How long a caller waits for a database that is not there, the call itself included.
const PATIENCE: Duration = Duration::from_secs(70);
/// Most queries of a batch.
const MAX_BATCH: usize = 1_000;
/// Attempts of a query that lost against a change of the schema.
const QUERY_ATTEMPTS: u32 = 5;

/// Body of a call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallBody {
    path: String,
    #[serde(default)]
    args: JsonValue,
    format: Option<String>,
    component_path: Option<String>,
}

/// Body of `POST /api/query_batch`.
#[derive(Deserialize)]
pub(crate) struct BatchBody {
    queries: Vec<CallBody>,
}

/// Answer to it.
#[derive(Serialize)]
pub(crate) struct BatchAnswer {
    /// In the order of the queries.
    results: Vec<Answer>,
}

/// Body of `POST /api/query_at_ts`.
#[derive(Deserialize)]
struct AtBody {
    ts: String,
    #[serde(flatten)]
    call: CallBody,
}

/// Body of `POST /api/run/...`.
#[derive(Deserialize)]
struct RunBody {
    #[serde(default)]
    args: JsonValue,
    format: Option<String>,
}

/// Parameters of `GET /api/query`.
#[derive(Deserialize)]
pub(crate) struct CallParameters {
    path: String,
    args: Option<String>,
    format: Option<String>,
}

/// What is called.
#[derive(Clone)]
struct Call {
    path: String,
    /// JSON array with one object.
    args: String,
    format: Format,
    caller: Caller,
}

/// A function's outcome; errors of the function are no errors of HTTP.
#[derive(Serialize)]
#[serde(
    tag = "status",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub(crate) enum Answer {
    Success {
        value: Box<RawValue>,
        log_lines: Vec<String>,
    },
    Error {
        error_message: String,
        /// Absent for all but a `ConvexError`.
        #[serde(skip_serializing_if = "Option::is_none")]
        error_data: Option<Box<RawValue>>,
        log_lines: Vec<String>,
    },
}

type Answered = Result<Json<Answer>, ApiError>;

/// `POST /api/query`
pub(crate) async fn post_query(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answered {
    let call = read_body(&relay, &headers, &body).await?;
    answer(run_query(&relay, &call).await?, call.format)
}

/// `GET /api/query?path=&args=&format=`
pub(crate) async fn get_query(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    parameters: Result<Query<CallParameters>, QueryRejection>,
) -> Answered {
    let Query(parameters) = parameters
        .map_err(|rejected| ApiError::bad_request("BadQueryParameters", rejected.body_text()))?;
    let CallParameters { path, args, format } = parameters;
    let args = args.map_or(Ok(JsonValue::Null), |args| serde_json::from_str(&args));
    let args = args.map_err(|error| bad_args(&error.to_string()))?;
    let body = CallBody {
        path,
        args,
        format,
        component_path: None,
    };
    let call = read_call(&relay, &headers, body).await?;
    answer(run_query(&relay, &call).await?, call.format)
}

/// `POST /api/mutation`
pub(crate) async fn post_mutation(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answered {
    let call = read_body(&relay, &headers, &body).await?;
    answer(run_mutation(&relay, &call).await?, call.format)
}

/// `POST /api/action`
pub(crate) async fn post_action(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answered {
    let call = read_body(&relay, &headers, &body).await?;
    let message = format!(
        "Cannot run {}: actions are not available yet; use a query or a mutation",
        call.path
    );
    let failure = Failure {
        message,
        data: None,
    };
    answer(
        FunctionResult {
            outcome: Err(failure),
            log_lines: Vec::new(),
        },
        call.format,
    )
}

/// `POST /api/function`: a function of any kind, for administrators.
pub(crate) async fn post_function(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answered {
    let call = read_body(&relay, &headers, &body).await?;
    if !call.caller.is_admin {
        return Err(ApiError::needs_admin());
    }
    answer(run_any(&relay, &call).await?, call.format)
}

/// `POST /api/run/dir/module/function`: a public function of any kind.
pub(crate) async fn post_run(
    State(relay): State<Arc<Relay>>,
    UrlPath(function): UrlPath<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answered {
    let RunBody { args, format } = parse_body(&body, r#"{"args": {...}}"#)?;
    let path = match function.rsplit_once('/') {
        Some((module, name)) => format!("{module}:{name}"),
        None => function,
    };
    let body = CallBody {
        path,
        args,
        format,
        component_path: None,
    };
    let call = read_call(&relay, &headers, body).await?;
    answer(run_any(&relay, &call).await?, call.format)
}

/// `POST /api/query_batch`: queries at one snapshot.
pub(crate) async fn post_query_batch(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<BatchAnswer>, ApiError> {
    let expected = r#"{"queries": [{"path": "module:function", "args": {...}}]}"#;
    let BatchBody { queries } = parse_body(&body, expected)?;
    if queries.len() > MAX_BATCH {
        let message = format!(
            "{} queries are more than {MAX_BATCH}; send several batches",
            queries.len()
        );
        return Err(ApiError::bad_request("TooManyQueries", message));
    }
    let caller = judge(&relay, &headers).await?;
    let calls: Vec<Call> = queries
        .into_iter()
        .map(|query| call_of(query, caller.clone()))
        .collect::<Result<_, _>>()?;
    if calls.is_empty() {
        let results = Vec::new();
        return Ok(Json(BatchAnswer { results }));
    }
    let results = run_queries(&relay, &calls).await?;
    let results = calls.iter().zip(results);
    let results = results.map(|(call, result)| Ok(answer(result, call.format)?.0));
    Ok(Json(BatchAnswer {
        results: results.collect::<Result<_, ApiError>>()?,
    }))
}

/// `POST /api/query_ts`: a timestamp at which queries can be run for the next 30 s.
pub(crate) async fn post_query_ts(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
) -> Result<Json<JsonValue>, ApiError> {
    judge(&relay, &headers).await?;
    let taken = timeout(PATIENCE, snapshots::take(&relay)).await;
    let name = taken.map_err(|_| ApiError::unavailable())??;
    Ok(Json(
        serde_json::json!({ "ts": wire::encode_ts(name.ts()) }),
    ))
}

/// `POST /api/query_at_ts`: a query at such a timestamp.
pub(crate) async fn post_query_at_ts(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answered {
    let expected = r#"{"path": "module:function", "args": {...}, "ts": "..."}"#;
    let AtBody { ts, call } = parse_body(&body, expected)?;
    let name = wire::decode_ts(&ts)
        .and_then(SnapshotName::from_ts)
        .ok_or_else(|| {
            let message = format!("ts {ts:?} is not a timestamp: pass one that /api/query_ts gave");
            ApiError::bad_request("InvalidTimestamp", message)
        })?;
    let call = read_call(&relay, &headers, call).await?;
    let format = call.format;
    let run = to_run(call);
    let result = timeout(PATIENCE, snapshots::execute_at(&relay, name, &run)).await;
    answer(result.map_err(|_| ApiError::unavailable())??, format)
}

/// Runs a function of which it is not known whether it is a query or a mutation.
async fn run_any(relay: &Relay, call: &Call) -> Result<FunctionResult, ApiError> {
    let result = run_query(relay, call).await?;
    match &result.outcome {
        Err(failure) if is_of_a_mutation(&failure.message) => run_mutation(relay, call).await,
        Ok(_) | Err(_) => Ok(result),
    }
}

/// The extension's answer to a mutation that is called as a query.
fn is_of_a_mutation(message: &str) -> bool {
    message.contains("as Query, but it is defined as Mutation")
}

async fn run_query(relay: &Relay, call: &Call) -> Result<FunctionResult, ApiError> {
    let results = run_queries(relay, std::slice::from_ref(call)).await?;
    results.into_iter().next().ok_or_else(ApiError::internal)
}

/// Runs queries at one snapshot; the results are in their order.
async fn run_queries(relay: &Relay, calls: &[Call]) -> Result<Vec<FunctionResult>, ApiError> {
    admit(relay)?;
    let calls: Vec<runs::Call> = calls.iter().cloned().map(to_run).collect();
    let seat = Seat::default();
    let run = async {
        for _ in 0..QUERY_ATTEMPTS {
            let executed = runs::execute(relay, &seat, &calls, &relay.shutdown).await;
            if let Some(Executed { results, .. }) = executed.ok()? {
                return Some(results);
            }
        }
        None
    };
    let results = timeout(PATIENCE, run)
        .await
        .ok()
        .flatten()
        .ok_or_else(ApiError::unavailable)?;
    Ok(results
        .into_iter()
        .map(|(result, _)| FunctionResult {
            outcome: result.outcome,
            log_lines: result.log_lines,
        })
        .collect())
}

fn to_run(call: Call) -> runs::Call {
    let Call {
        path, args, caller, ..
    } = call;
    runs::Call {
        path: path.into(),
        args: args.into(),
        identity: caller.identity.map(Arc::from),
        journal: None,
        registration: None,
    }
}

/// Whether there is room for another call.
fn admit(relay: &Relay) -> Result<(), ApiError> {
    if relay.metrics.waiting.get() < relay.config.max_waiting_calls as u64 {
        return Ok(());
    }
    Err(ApiError::overloaded(
        "TooManyConcurrentRequests",
        "Too many calls wait for the database. Try again in some seconds.",
    ))
}

async fn run_mutation(relay: &Relay, call: &Call) -> Result<FunctionResult, ApiError> {
    admit(relay)?;
    let Call {
        path, args, caller, ..
    } = call.clone();
    let call = mutations::Call {
        path,
        args,
        identity: caller.identity,
        key: None,
    };
    let run = mutations::execute(relay, &call);
    let (result, _) = timeout(PATIENCE, run)
        .await
        .map_err(|_| ApiError::unavailable())??;
    Ok(result)
}

async fn read_body(relay: &Relay, headers: &HeaderMap, body: &[u8]) -> Result<Call, ApiError> {
    let body = parse_body(body, r#"{"path": "module:function", "args": {...}}"#)?;
    read_call(relay, headers, body).await
}

fn parse_body<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The body is not a function call: {error}; expected {expected}");
        ApiError::bad_request("BadJsonBody", message)
    })
}

async fn read_call(relay: &Relay, headers: &HeaderMap, body: CallBody) -> Result<Call, ApiError> {
    let caller = judge(relay, headers).await?;
    call_of(body, caller)
}

/// Who sends the request.
async fn judge(relay: &Relay, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str());
    let authorization = authorization.transpose().unwrap_or(Some(""));
    let judging = relay.gate.check_header(authorization, &relay.database);
    Ok(timeout(PATIENCE, judging)
        .await
        .map_err(|_| ApiError::unavailable())??)
}

fn call_of(body: CallBody, caller: Caller) -> Result<Call, ApiError> {
    let CallBody {
        path,
        args,
        format,
        component_path,
    } = body;
    if component_path.is_some_and(|path| !path.is_empty()) {
        return Err(ApiError::bad_request(
            "ComponentsNotAvailable",
            "componentPath: components are not available yet",
        ));
    }
    let parsed: UdfPath = path.parse().map_err(|error| {
        let message = format!("{path:?} is not the path of a function: {error:#}");
        ApiError::bad_request("BadConvexFunctionIdentifier", message)
    })?;
    let format = format_named(format.as_deref())?;
    Ok(Call {
        path: String::from(parsed),
        args: args_array(args)?,
        format,
        caller,
    })
}

/// The arguments as functions take them: an array with one object.
fn args_array(args: JsonValue) -> Result<String, ApiError> {
    match args {
        JsonValue::Null => Ok("[{}]".to_owned()),
        JsonValue::Object(_) => Ok(JsonValue::Array(vec![args]).to_string()),
        JsonValue::Array(items) if items.is_empty() => Ok("[{}]".to_owned()),
        JsonValue::Array(items) if items.len() == 1 && items.iter().all(JsonValue::is_object) => {
            Ok(JsonValue::Array(items).to_string())
        }
        JsonValue::Array(_) | JsonValue::Bool(_) | JsonValue::Number(_) | JsonValue::String(_) => {
            Err(bad_args("expected an object, or an array with one object"))
        }
    }
}

fn bad_args(reason: &str) -> ApiError {
    ApiError::bad_request("InvalidArguments", format!("args: {reason}"))
}

/// The format that a request asks for; the clean one if it asks for none.
fn format_named(name: Option<&str>) -> Result<Format, ApiError> {
    let Some(name) = name else {
        return Ok(Format::Clean);
    };
    Format::parse(name).ok_or_else(|| {
        ApiError::bad_request(
            "BadFormat",
            format!(
                "format {name:?} is unknown; use \"json\", \"convex_encoded_json\" or \"export_json\""
            ),
        )
    })
}

/// A value, given in the exact encoding, in the format that was asked for.
fn written(format: Format, encoded: String) -> Result<Box<RawValue>, ApiError> {
    let text = match format {
        Format::Encoded => encoded,
        Format::Clean | Format::Export => match Value::parse_encoded(&encoded) {
            Ok(value) => format.write(&value),
            Err(_) => return Err(ApiError::internal()),
        },
    };
    RawValue::from_string(text).map_err(|_| ApiError::internal())
}

fn answer(result: FunctionResult, format: Format) -> Answered {
    let FunctionResult { outcome, log_lines } = result;
    Ok(Json(match outcome {
        Ok(value) => Answer::Success {
            value: written(format, value)?,
            log_lines,
        },
        Err(Failure { message, data }) => Answer::Error {
            error_message: wire::error_text(&message),
            error_data: data.map(|data| written(format, data)).transpose()?,
            log_lines,
        },
    }))
}

/// See [`super::any_input`].
pub(crate) fn parse_anything(text: &str) {
    let bodies = [
        parse_body::<CallBody>(text.as_bytes(), ""),
        parse_body::<AtBody>(text.as_bytes(), "").map(|body| body.call),
    ];
    for body in bodies.into_iter().flatten() {
        if let Ok(call) = call_of(body, Caller::default()) {
            assert!(call.args.starts_with("[{"), "{}", call.args);
        }
    }
    let _ = parse_body::<BatchBody>(text.as_bytes(), "");
    let _ = parse_body::<RunBody>(text.as_bytes(), "");
}
