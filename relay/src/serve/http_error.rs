//! Errors of the HTTP interface: `{"code": ..., "message": ...}` with a status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::auth::Refused;
use super::mutations::{CONFLICT, Failed, INTERNAL};

/// An error that is not one of the function that was called.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "NotFound",
            message: message.into(),
        }
    }

    /// Not while things are as they are.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            code,
            message: message.into(),
        }
    }

    /// Not by this relay.
    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code,
            message: message.into(),
        }
    }

    /// The database cannot do it now; for administrators, who are told why.
    pub(crate) fn database(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "DatabaseUnavailable",
            message: message.into(),
        }
    }

    /// What is wrong, without the code.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether another administrator was faster.
    pub(crate) fn is_race(&self) -> bool {
        self.code == "RaceDetected"
    }

    /// The database is not there, or the relay stops.
    pub(crate) fn unavailable() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self {
            status,
            code: "InternalServerError",
            message: INTERNAL.into(),
        }
    }

    /// It may be asked for again later.
    pub(crate) fn overloaded(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code,
            message: message.into(),
        }
    }

    /// The database refused a call.
    pub(crate) fn refused_by_database(message: String) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "InternalServerError",
            message,
        }
    }

    /// There is such an address, but not for this method.
    pub(crate) fn method_not_allowed(message: String) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "MethodNotAllowed",
            message,
        }
    }

    /// A body that is too long.
    pub(crate) fn too_large(most: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "RequestTooLarge",
            message: format!("The body of the request is longer than {} MiB", most >> 20),
        }
    }

    /// A body that does not come.
    pub(crate) fn too_slow() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            code: "RequestTimeout",
            message: "The body of the request did not come in time".into(),
        }
    }

    /// Only administrators may do this.
    pub(crate) fn needs_admin() -> Self {
        let message = "This needs the admin key: Authorization: Convex <admin key>".into();
        Self {
            status: StatusCode::FORBIDDEN,
            code: "BadAdminKey",
            message,
        }
    }

    /// The database answered with something that it must not answer with.
    pub(crate) fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self {
            status,
            code: "InternalServerError",
            message: INTERNAL.into(),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(Refused { code, message }: Refused) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            code,
            message,
        }
    }
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Conflict => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "OptimisticConcurrencyControlFailure",
                message: CONFLICT.into(),
            },
            Failed::Database(message) => Self::database(message),
            Failed::Unknown | Failed::Stopping => Self::unavailable(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "code": self.code, "message": self.message });
        (self.status, Json(body)).into_response()
    }
}
