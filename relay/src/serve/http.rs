//! The routes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, State, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::services::{ServeDir, ServeFile};

use super::http_error::ApiError;
use super::{Relay, admin, functions, ws};

/// Largest body of a request, and largest message of a WebSocket: arguments may have 16 MiB.
const MAX_BODY: usize = 20 << 20;
/// How long browsers may remember the answer to a preflight.
const CORS_AGE: Duration = Duration::from_secs(86_400);

/// All routes of the relay.
pub(crate) fn router(relay: Arc<Relay>) -> Router {
    let api = Router::new()
        .route("/sync", get(sync))
        .route("/{version}/sync", get(sync))
        .route(
            "/query",
            post(functions::post_query).get(functions::get_query),
        )
        .route("/mutation", post(functions::post_mutation))
        .route("/action", post(functions::post_action))
        .route("/function", post(functions::post_function))
        .route("/query_batch", post(functions::post_query_batch))
        .route("/run/{*function}", post(functions::post_run))
        .route("/check_admin_key", get(check_admin_key))
        .route("/debug_event", post(|| async { StatusCode::OK }))
        .merge(admin::routes())
        .fallback(unknown_route)
        .layer(cors())
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let version = env!("CARGO_PKG_VERSION");
    let router = Router::new()
        .nest("/api", api)
        .route("/version", get(move || async move { version }))
        .route("/instance_version", get(move || async move { version }))
        .route("/instance_name", get(|| async { "pg-live" }))
        .route("/echo", post(|body: Bytes| async { body }).layer(cors()))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics));
    let router = match &relay.config.static_dir {
        Some(dir) => router.fallback_service(static_files(dir)),
        None => router.route(
            "/",
            get(|| async { "pg-live: this deployment is running." }),
        ),
    };
    router.with_state(relay)
}

/// The built page of an app; unknown paths get its start page, which has routes of its own.
fn static_files(dir: &Path) -> ServeDir<ServeFile> {
    ServeDir::new(dir).fallback(ServeFile::new(dir.join("index.html")))
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::OPTIONS,
            Method::PATCH,
            Method::DELETE,
            Method::PUT,
        ])
        .max_age(CORS_AGE)
}

async fn sync(State(relay): State<Arc<Relay>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_BODY)
        .max_frame_size(MAX_BODY)
        .on_upgrade(move |socket| {
            let tasks = relay.tasks.clone();
            tasks.track_future(ws::serve(relay, socket))
        })
}

async fn check_admin_key(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, ApiError> {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let caller = relay
        .gate
        .check_header(authorization, &relay.database)
        .await?;
    if !caller.is_admin {
        return Err(ApiError::needs_admin());
    }
    Ok(Json(
        serde_json::json!({ "success": true, "allowedOps": [], "isReadOnly": false }),
    ))
}

/// 200 while invalidations come from the database, 503 otherwise.
async fn health(State(relay): State<Arc<Relay>>) -> Response {
    match relay.control.owner() {
        Some(_) => "ok\n".into_response(),
        None => {
            let text = "not attached to the database\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(relay): State<Arc<Relay>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (content_type, relay.metrics.render()).into_response()
}

async fn unknown_route(OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::not_found(format!("There is nothing at {}", uri.path()))
}
