//! Numbers of requests: the log has them, answers have them, and so do errors that clients are shown.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tokio::task_local;
use tracing::{Instrument as _, debug, info, info_span};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

task_local! {
    static CURRENT: String;
}

/// 16 hexadecimal digits.
pub(crate) fn new() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// That of the HTTP request that is being answered; else a new one.
pub(crate) fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_else(|_| new())
}

/// Gives each request a number.
pub(crate) async fn number(request: Request, next: Next) -> Response {
    let id = new();
    let span = info_span!("request", id, method = %request.method(), path = request.uri().path());
    let answering = async {
        let mut response = next.run(request).await;
        let status = response.status();
        if status.is_server_error() {
            info!(status = status.as_u16(), "a request failed");
        } else {
            debug!(status = status.as_u16(), "answered");
        }
        if let Ok(value) = HeaderValue::from_str(&current()) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    };
    CURRENT.scope(id, answering.instrument(span)).await
}
