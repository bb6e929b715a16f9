//! Connections of the role that owns the deployment.

use serde_json::Value as Json;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};
use tracing::warn;

use crate::deploy;
use crate::serve::Relay;
use crate::serve::http_error::ApiError;
use crate::serve::sql_error::describe;

const NOT_CONFIGURED: &str = "This relay may not deploy: start `pg-live serve` with --deploy-url (or \
    PG_LIVE_DEPLOY_URL), a URL of the database for the role that owns the deployment";

/// A new connection. One for each request: there are few, and none of them waits for another.
pub(super) async fn connect(relay: &Relay) -> Result<Client, ApiError> {
    let Some(url) = &relay.config.deploy_url else {
        return Err(ApiError::forbidden("DeployNotConfigured", NOT_CONFIGURED));
    };
    match deploy::connect(url).await {
        Ok(client) => Ok(client),
        Err(error) => {
            warn!(%error, "the database cannot be reached for an administrator");
            Err(ApiError::database(format!(
                "The deployment's database cannot be used: {error}"
            )))
        }
    }
}

/// Calls a function that answers with JSON.
pub(super) async fn call(
    client: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Json, ApiError> {
    let row = client.query_one(sql, parameters).await.map_err(refusal)?;
    row.try_get(0).map_err(refusal)
}

/// An error of Postgres for an administrator, who is told all of it.
#[allow(
    clippy::needless_pass_by_value,
    reason = "that is how map_err passes it"
)]
pub(super) fn refusal(error: tokio_postgres::Error) -> ApiError {
    let Some(db) = error.as_db_error() else {
        return ApiError::database(describe(&error));
    };
    let mut message = db.message().to_owned();
    for part in [db.detail(), db.hint()].into_iter().flatten() {
        message.push('\n');
        message.push_str(part);
    }
    let state = db.code();
    match state.code() {
        "LV004" => deploy_refusal(message),
        "LV012" => ApiError::conflict("RaceDetected", message),
        "23514" => ApiError::bad_request("SchemaDefinitionDoesNotMatchData", message),
        "55P03" => ApiError::conflict("TablesInUse", message),
        "57014" | "53200" | "54001" => ApiError::bad_request("InvalidModules", message),
        code if code.starts_with("22") || code.starts_with("54") || code.starts_with("LV") => {
            ApiError::bad_request("BadRequest", message)
        }
        _ if is_race(state) => ApiError::conflict("RaceDetected", message),
        _ => ApiError::database(format!("{message} (SQLSTATE {})", state.code())),
    }
}

fn is_race(state: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(state)
}

/// What the extension says of a deploy that it refuses. The command line looks at some codes.
fn deploy_refusal(message: String) -> ApiError {
    const UNSET: &str = "AuthConfigMissingEnvironmentVariable: ";
    if let Some(rest) = message.strip_prefix(UNSET) {
        return ApiError::bad_request("AuthConfigMissingEnvironmentVariable", rest);
    }
    let code = if message.starts_with("schema.ts: ") {
        "InvalidSchema"
    } else if message.starts_with("auth.config") {
        "InvalidAuthConfig"
    } else {
        "InvalidModules"
    };
    ApiError::bad_request(code, message)
}

/// A connection for a deploy: what is committed is seen at once, and if the relay is killed the server does not
/// go on building indexes for it.
pub(super) async fn connect_to_deploy(relay: &Relay) -> Result<Client, ApiError> {
    let client = connect(relay).await?;
    client
        .batch_execute(deploy::SETTINGS)
        .await
        .map_err(refusal)?;
    Ok(client)
}

/// The statements that a function of a deploy says are to be run.
pub(super) fn statements(answer: &Json) -> Vec<String> {
    let statements = answer["statements"].as_array().into_iter().flatten();
    statements
        .filter_map(|statement| statement.as_str().map(str::to_owned))
        .collect()
}

/// Runs statements that nothing depends on: the next deploy repeats those that fail.
pub(super) async fn run_later(client: &Client, statements: &[String]) {
    for statement in statements {
        if let Err(error) = client.batch_execute(statement).await {
            warn!(error = describe(&error), %statement, "left to the next deploy");
        }
    }
}
