//! The routes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path as UrlPath, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::services::{ServeDir, ServeFile};

use super::body::{Body, MAX_BODY};
use super::http_error::ApiError;
use super::{Relay, admin, functions, request_id, ws};

/// What each WebSocket reads into; larger messages grow it. The library's own default is 128 KiB, for each client.
const READ_BUFFER: usize = 2 << 10;
/// How long browsers may remember the answer to a preflight.
const CORS_AGE: Duration = Duration::from_secs(86_400);

/// All routes of the relay.
pub(crate) fn router(relay: Arc<Relay>) -> Router {
    let api = Router::new()
        .route("/sync", get(sync))
        .route("/{version}/sync", get(sync_of_version))
        .route(
            "/query",
            post(functions::post_query).get(functions::get_query),
        )
        .route("/mutation", post(functions::post_mutation))
        .route("/action", post(functions::post_action))
        .route("/function", post(functions::post_function))
        .route("/query_batch", post(functions::post_query_batch))
        .route("/query_ts", post(functions::post_query_ts))
        .route("/query_at_ts", post(functions::post_query_at_ts))
        .route("/run/{*function}", post(functions::post_run))
        .route("/check_admin_key", get(check_admin_key))
        .route("/debug_event", post(|| async { StatusCode::OK }))
        .merge(admin::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(request_id::number))
        .layer(cors());
    let version = env!("CARGO_PKG_VERSION");
    let router = Router::new()
        .nest("/api", api)
        .route("/version", get(move || async move { version }))
        .route("/instance_version", get(move || async move { version }))
        .route("/instance_name", get(|| async { "pg-live" }))
        .route(
            "/echo",
            post(|Body(body): Body| async { body }).layer(cors()),
        )
        .route("/healthz", get(health))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics));
    let router = match &relay.config.static_dir {
        Some(dir) => router.fallback_service(static_files(dir)),
        None => router.route(
            "/",
            get(|| async { "pg-live: this deployment is running." }),
        ),
    };
    router
        .layer(middleware::from_fn_with_state(
            Arc::clone(&relay),
            count_and_part,
        ))
        .with_state(relay)
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
    open_socket(relay, upgrade, false)
}

/// The npm client says its version in the path; others do not.
async fn sync_of_version(
    State(relay): State<Arc<Relay>>,
    UrlPath(version): UrlPath<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    open_socket(relay, upgrade, knows_chunks(&version))
}

/// npm clients from 1.28 on put transitions together that come in parts.
fn knows_chunks(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (1, 28),
        _ => false,
    }
}

fn open_socket(relay: Arc<Relay>, upgrade: WebSocketUpgrade, chunks: bool) -> Response {
    upgrade
        .max_message_size(MAX_BODY)
        .max_frame_size(MAX_BODY)
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(move |socket| {
            let tasks = relay.tasks.clone();
            tasks.track_future(ws::serve(relay, socket, chunks))
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

/// 200 while the relay wants clients: attached, and not about to stop.
async fn ready(State(relay): State<Arc<Relay>>) -> Response {
    if relay.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    health(State(relay)).await
}

/// Counts requests. While the relay is about to stop, connections end with the request that they are in, so that clients and
/// proxies make new ones elsewhere.
async fn count_and_part(State(relay): State<Arc<Relay>>, request: Request, next: Next) -> Response {
    relay.metrics.http_requests.add(1);
    let mut response = next.run(request).await;
    if response.status().is_server_error() {
        relay.metrics.http_errors.add(1);
    }
    if relay.stopping.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn metrics(State(relay): State<Arc<Relay>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    let held = relay.snapshots.count() as u64;
    relay.metrics.snapshots_held.set(held);
    let waiting = relay.executions.waiting() as u64;
    relay.metrics.runs_waiting.set(waiting);
    (content_type, relay.metrics.render()).into_response()
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::method_not_allowed(format!("{} does not take {method}", uri.path()))
}

async fn unknown_route(OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::not_found(format!("There is nothing at {}", uri.path()))
}

#[cfg(test)]
mod tests {
    use super::knows_chunks;

    #[test]
    fn versions_that_know_chunks() {
        let knowing = ["1.28.0", "1.48.0", "2.0.0-alpha.1"];
        let others = ["1.27.9", "0.10.4", "1", "", "x.y", "1.x", "99999999999.1"];
        assert!(knowing.into_iter().all(knows_chunks));
        assert!(!others.into_iter().any(knows_chunks));
    }
}
