//! Environment variables: `POST /api/update_environment_variables`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{admit, owner, parse};
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

#[derive(Deserialize)]
struct Update {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    name: String,
    /// `None`: it is removed.
    value: Option<String>,
}

/// Sets and removes variables, all or none.
pub(super) async fn update(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    admit(&relay, &headers, None).await?;
    let Update { changes } = parse(&body)?;
    for Change { name, .. } in &changes {
        if matches!(name.as_str(), "CONVEX_CLOUD_URL" | "CONVEX_SITE_URL") {
            return Err(ApiError::bad_request(
                "EnvVarNameForbidden",
                format!("Environment variable {name} is set by the deployment itself"),
            ));
        }
    }
    let mut client = owner::connect(&relay).await?;
    let transaction = client.transaction().await.map_err(owner::refusal)?;
    for Change { name, value } in &changes {
        transaction
            .execute("SELECT live.set_environment($1, $2)", &[name, value])
            .await
            .map_err(owner::refusal)?;
    }
    transaction.commit().await.map_err(owner::refusal)?;
    Ok(StatusCode::OK)
}
