//! Function calls over HTTP: `/api/query`, `/api/mutation`, `/api/action`, `/api/function`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use convex_sync_types::UdfPath;
use pg_live_session::Failure;
use pg_live_values::Value;
use pg_live_values::json::Format;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::auth::{Caller, Gate};
use super::database::FunctionResult;
use super::http_error::ApiError;
use super::nodes::Seat;
use super::transaction::Executed;
use super::{Relay, mutations, runs, wire};

/// How long a caller waits for a database that is not there, the call itself included.
const PATIENCE: Duration = Duration::from_secs(70);
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
    body: Bytes,
) -> Answered {
    let call = read_body(&relay, &headers, &body)?;
    answer(run_query(&relay, &call).await?, call.format)
}

/// `GET /api/query?path=&args=&format=`
pub(crate) async fn get_query(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    Query(parameters): Query<CallParameters>,
) -> Answered {
    let CallParameters { path, args, format } = parameters;
    let args = args.map_or(Ok(JsonValue::Null), |args| serde_json::from_str(&args));
    let args = args.map_err(|error| bad_args(&error.to_string()))?;
    let body = CallBody {
        path,
        args,
        format,
        component_path: None,
    };
    let call = read_call(&relay, &headers, body)?;
    answer(run_query(&relay, &call).await?, call.format)
}

/// `POST /api/mutation`
pub(crate) async fn post_mutation(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let call = read_body(&relay, &headers, &body)?;
    answer(run_mutation(&relay, &call).await?, call.format)
}

/// `POST /api/action`
pub(crate) async fn post_action(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let call = read_body(&relay, &headers, &body)?;
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
    body: Bytes,
) -> Answered {
    let call = read_body(&relay, &headers, &body)?;
    if !call.caller.is_admin {
        return Err(ApiError::needs_admin());
    }
    let result = run_query(&relay, &call).await?;
    let is_mutation = matches!(&result.outcome, Err(failure) if is_of_a_mutation(&failure.message));
    let result = if is_mutation {
        run_mutation(&relay, &call).await?
    } else {
        result
    };
    answer(result, call.format)
}

/// The extension's answer to a mutation that is called as a query.
fn is_of_a_mutation(message: &str) -> bool {
    message.contains("as Query, but it is defined as Mutation")
}

async fn run_query(relay: &Relay, call: &Call) -> Result<FunctionResult, ApiError> {
    let Call {
        path, args, caller, ..
    } = call.clone();
    let calls = [runs::Call {
        path,
        args,
        identity: caller.identity,
        journal: None,
        registration: None,
    }];
    let seat = Seat::default();
    let run = async {
        for _ in 0..QUERY_ATTEMPTS {
            let executed = runs::execute(relay, &seat, &calls, false, &relay.shutdown).await;
            if let Some(Executed { results, .. }) = executed.ok()? {
                return results.into_iter().next();
            }
        }
        None
    };
    let result = timeout(PATIENCE, run)
        .await
        .ok()
        .flatten()
        .ok_or_else(ApiError::unavailable)?;
    Ok(FunctionResult {
        outcome: result.outcome,
        log_lines: result.log_lines,
    })
}

async fn run_mutation(relay: &Relay, call: &Call) -> Result<FunctionResult, ApiError> {
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

fn read_body(relay: &Relay, headers: &HeaderMap, body: &[u8]) -> Result<Call, ApiError> {
    let body = serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "The body is not a function call: {error}; expected \
             {{\"path\": \"module:function\", \"args\": {{...}}}}"
        );
        ApiError::bad_request("BadJsonBody", message)
    })?;
    read_call(relay, headers, body)
}

fn read_call(relay: &Relay, headers: &HeaderMap, body: CallBody) -> Result<Call, ApiError> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str());
    let authorization = authorization.transpose().unwrap_or(Some(""));
    let caller = Gate::new(relay.config.admin_key.as_deref()).check_header(authorization)?;
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
