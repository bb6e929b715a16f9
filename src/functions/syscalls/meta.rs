//! What a function may ask about its caller and itself.

use serde_json::{Value as Json, json};

use super::{Answer, refuse};
use crate::functions::address;
use crate::functions::execution::Execution;
use crate::functions::run::{self, Caller};
use crate::pg::session;

/// `1.0/getUserIdentity`: the caller's identity as JSON, or `null`.
pub(super) fn user_identity(execution: &mut Execution) -> Answer {
    execution.observed.identity = true;
    Ok(execution
        .identity
        .clone()
        .unwrap_or_else(|| "null".to_owned()))
}

/// `1.0/getFunctionMetadata`
pub(super) fn function_metadata(execution: &Execution) -> Answer {
    Ok(json!({"name": execution.path, "componentPath": ""}).to_string())
}

/// `1.0/getDeploymentMetadata`: a deployment is a database, its name that one's.
pub(super) fn deployment_metadata() -> String {
    let name = session::database_name();
    json!({"name": name, "region": null, "class": "s16"}).to_string()
}

/// `1.0/getRequestMetadata`: nobody tells the database about the request of HTTP behind a call.
pub(super) fn request_metadata() -> String {
    let nothing = json!({
        "ip": null, "userAgent": null, "requestId": null, "scheduledFunctionId": null, "authToken": null,
    });
    nothing.to_string()
}

/// `1.0/createFunctionHandle {name | reference | functionHandle} -> "function://..."`
pub(super) fn create_function_handle(execution: &Execution, args: &Json) -> Answer {
    let catalog = &execution.catalog;
    let path = address::resolve(catalog, args).map_err(refuse)?;
    if catalog.function(path.module(), path.function()).is_none() {
        return Err(refuse(run::not_found(&path, Caller::Function)));
    }
    let handle = address::handle(catalog, &path).map_err(refuse)?;
    Ok(Json::String(handle).to_string())
}
