//! Where clients find the deployment: `GET /api/v1/get_canonical_urls`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde_json::{Value as JsonValue, json};

use super::admit;
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

/// The URL that was set, else the one by which the administrator came.
pub(super) async fn canonical(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
) -> Result<Json<JsonValue>, ApiError> {
    admit(&relay, &headers, None).await?;
    let url = match &relay.config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => by_host(&headers),
    };
    Ok(Json(
        json!({ "convexCloudUrl": url, "convexSiteUrl": format!("{url}/http") }),
    ))
}

fn by_host(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("x-forwarded-host")
        .or_else(|| text(header::HOST.as_str()))
        .unwrap_or("127.0.0.1:3210");
    let scheme = text("x-forwarded-proto").unwrap_or("http");
    format!("{scheme}://{host}")
}
