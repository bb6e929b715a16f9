//! What the package's command line (`npx convex`) asks of a deployment, for administrators only.
//!
//! Code, environment and imported documents go to the database on connections of the role that owns the
//! deployment (`Config::deploy_url`); the relay's own role has no rights to any of it. Answers never have status
//! 404: the command line would ask again for a minute.

mod analysis;
mod environment;
mod export;
mod import;
mod import_files;
mod import_write;
mod inline;
mod logs;
mod owner;
mod prepare;
mod push;
mod schema;
mod urls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tower_http::decompression::RequestDecompressionLayer;

use super::Relay;
use super::http_error::ApiError;

pub(crate) use prepare::Preparations;

/// Largest body: a push with all sources and their maps, a part of an upload.
const MAX_BODY: usize = 256 << 20;

/// All routes, below `/api`.
pub(super) fn routes() -> Router<Arc<Relay>> {
    Router::new()
        .route("/get_config_hashes", post(push::hashes))
        .route("/deploy2/evaluate_schema", post(push::evaluate_schema))
        .route("/deploy2/evaluate_push", post(push::evaluate_push))
        .route("/deploy2/start_push", post(push::start))
        .route("/deploy2/wait_for_schema", post(push::wait))
        .route("/deploy2/finish_push", post(push::finish))
        .route("/deploy2/report_push_completed", post(push::completed))
        .route("/update_environment_variables", post(environment::update))
        .route("/stream_function_logs", get(logs::stream))
        .route("/stream_udf_execution", get(logs::stream))
        .route("/run_test_function", post(inline::run))
        .route("/v1/get_canonical_urls", get(urls::canonical))
        .route("/import/start_upload", post(import::start))
        .route("/import/upload_part", post(import::part))
        .route("/import/finish_upload", post(import::finish))
        .route("/perform_import", post(import::perform))
        .route("/export/request/zip", post(export::request))
        .route("/export/zip/{started}", get(export::download))
        .layer(RequestDecompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Lets administrators in: the key is in the header, or in the body.
async fn admit(relay: &Relay, headers: &HeaderMap, key: Option<&str>) -> Result<(), ApiError> {
    let header = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default().to_owned())
        .or_else(|| key.map(|key| format!("Convex {key}")));
    let caller = relay
        .gate
        .check_header(header.as_deref(), &relay.database)
        .await?;
    if caller.is_admin {
        Ok(())
    } else {
        Err(ApiError::needs_admin())
    }
}

/// Any bytes as a file to be imported.
pub(super) fn parse_any_import(bytes: &[u8]) {
    import_files::parse_anything(bytes);
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("The body is not what this version of the relay expects: {error}");
        ApiError::bad_request("BadJsonBody", message)
    })
}
