//! What a function may ask about its caller and itself.

use serde_json::json;

use super::Answer;
use crate::functions::execution::Execution;

/// `1.0/getUserIdentity`: the caller's identity as JSON, or `null`.
pub(super) fn user_identity(execution: &mut Execution) -> Answer {
    execution.identity_observed = true;
    Ok(execution
        .identity
        .clone()
        .unwrap_or_else(|| "null".to_owned()))
}

/// `1.0/getFunctionMetadata`
pub(super) fn function_metadata(execution: &Execution) -> Answer {
    Ok(json!({"name": execution.path, "componentPath": ""}).to_string())
}
