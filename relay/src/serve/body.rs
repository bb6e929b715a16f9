//! Bodies of requests: all of them, bounded in length and in time.

use std::time::Duration;

use axum::body::{Bytes, HttpBody as _, to_bytes};
use axum::extract::{FromRequest, Request};
use tokio::time::timeout;

use super::http_error::ApiError;

/// Largest body of a request, and largest message of a WebSocket: arguments may have 16 MiB.
pub(crate) const MAX_BODY: usize = 20 << 20;
/// A body must be here within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The whole body of a request.
pub(crate) struct Body(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = request.into_body();
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(ApiError::too_large(MAX_BODY));
        }
        match timeout(PATIENCE, to_bytes(body, MAX_BODY)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(error)) if is_too_long(&error) => Err(ApiError::too_large(MAX_BODY)),
            Ok(Err(error)) => Err(ApiError::bad_request(
                "BadBody",
                format!("The body cannot be read: {error}"),
            )),
            Err(_) => Err(ApiError::too_slow()),
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
