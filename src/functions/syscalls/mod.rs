//! The syscalls of `convex/server`, one file per family. Names and forms are those of the npm package.

mod meta;
mod page;
mod read;
mod sql;
mod write;

use pg_live_values::json::halves_as_nul;
use pg_live_values::{JsonError, Value};
use serde_json::Value as Json;

use crate::error::Error;
use crate::functions::execution::{Execution, fatal};
use crate::functions::nested;
use crate::js::HostError;

/// What a syscall gives: JSON text, an error for the function, or the end of it.
type Answer = std::result::Result<String, HostError>;

/// An error that the function may catch.
fn refuse(message: impl Into<String>) -> HostError {
    HostError::js(message)
}

/// Our own errors end the function, except what its own arguments caused.
fn from_error(error: Error) -> HostError {
    match error {
        Error::Untranslatable(_) | Error::InvalidParameter(_) | Error::DocumentRefused(_) => {
            refuse(error.to_string())
        }
        Error::NotPreloaded
        | Error::NoDatabaseSlot
        | Error::TooManyOwners
        | Error::NothingDeployed
        | Error::DeployRefused(_)
        | Error::DeployOvertaken(_)
        | Error::Gap { .. }
        | Error::SnapshotUnknown
        | Error::WrongTransaction(_)
        | Error::Function { .. }
        | Error::TimedOut(_)
        | Error::OutOfMemory
        | Error::StackDepth
        | Error::Busy(_)
        | Error::Redefined
        | Error::TicketExpired
        | Error::Catalog(_)
        | Error::Defect(_)
        | Error::Engine(_)
        | Error::Postgres(_)
        | Error::Script(_)
        | Error::DatatypeMismatch(_)
        | Error::InvalidDefinition(_)
        | Error::FeatureNotSupported(_)
        | Error::ArraySubscript
        | Error::NotOneStatement(_)
        | Error::IndeterminateDatatype(_)
        | Error::NotAllowed(_)
        | Error::NoWorker
        | Error::OutlivesTransaction(_) => fatal(error),
    }
}

fn parse(op: &str, args: &str) -> std::result::Result<Json, HostError> {
    serde_json::from_str(args).or_else(|error| {
        let error = error.to_string();
        // JSON.stringify writes half of a UTF-16 pair as an escape, which is no Unicode text.
        if error.contains("surrogate") || error.contains("hex escape") {
            return without_halves(op, args);
        }
        if error.contains("recursion limit") {
            return Err(refuse(JsonError::TooNested.to_string()));
        }
        Err(refuse(format!("Invalid arguments for `{op}`: {error}")))
    })
}

/// Arguments with halves of surrogate pairs. Writes refuse NUL, and say in which field it is.
fn without_halves(op: &str, args: &str) -> std::result::Result<Json, HostError> {
    let is_write = matches!(op, "1.0/insert" | "1.0/shallowMerge" | "1.0/replace");
    match serde_json::from_str(&halves_as_nul(args)) {
        Ok(json) if is_write => Ok(json),
        Ok(_) | Err(_) => Err(refuse(format!(
            "Invalid arguments for `{op}`: a string holds half of a surrogate pair, which PostgreSQL \
             cannot store. Remove it, or store the data as bytes (`v.bytes()`)."
        ))),
    }
}

fn text<'a>(op: &str, args: &'a Json, name: &str) -> std::result::Result<&'a str, HostError> {
    args[name].as_str().ok_or_else(|| {
        refuse(format!(
            "Invalid argument `{name}` for `{op}`: expected a string"
        ))
    })
}

/// A document as JSON text, or `null`.
fn document_or_null(document: Option<&Value>) -> String {
    document.map_or_else(|| "null".to_owned(), Value::to_encoded)
}

/// `Convex.syscall`
pub(super) fn sync(execution: &mut Execution, op: &str, args: &str) -> Answer {
    let args = parse(op, args)?;
    match op {
        "1.0/queryStream" => read::query_stream(execution, &args),
        "1.0/queryCleanup" => read::query_cleanup(execution, &args),
        "1.0/db/normalizeId" => read::normalize_id(execution, &args),
        "1.0/componentArgument" => Ok("{}".to_owned()),
        "1.0/getSnapshotTs" => Err(refuse(
            "ctx.meta.getSnapshotTs() is not available in pg_live: PostgreSQL does not give commits \
             timestamps that are in the order of commits (see LIMITATIONS.md).",
        )),
        other => Err(refuse(format!("Unknown operation {other}"))),
    }
}

/// `Convex.asyncSyscall`
pub(super) fn asynchronous(execution: &mut Execution, op: &str, args: &str) -> Answer {
    let args = parse(op, args)?;
    match op {
        "1.0/get" => read::get(execution, &args),
        "1.0/queryStreamNext" => read::query_stream_next(execution, &args),
        "1.0/count" => read::count(execution, &args),
        "1.0/insert" => write::insert(execution, &args),
        "1.0/shallowMerge" => write::patch(execution, &args),
        "1.0/replace" => write::replace(execution, &args),
        "1.0/remove" => write::remove(execution, &args),
        "1.0/getUserIdentity" => meta::user_identity(execution),
        "1.0/getFunctionMetadata" => meta::function_metadata(execution),
        "1.0/getDeploymentMetadata" => Ok(meta::deployment_metadata()),
        "1.0/getRequestMetadata" => Ok(meta::request_metadata()),
        "1.0/auditLog" => Ok("null".to_owned()),
        "1.0/getTransactionMetrics" => Ok(execution.usage.metrics().to_string()),
        "1.0/queryPage" => page::query_page(execution, &args),
        "pg_live/sql" => sql::run(execution, &args),
        "1.0/runUdf" => nested::run_udf(execution, &args),
        "1.0/createFunctionHandle" => meta::create_function_handle(execution, &args),
        "1.0/schedule" | "1.0/cancel_job" => Err(not_yet("the scheduler")),
        "1.0/storageGetUrl"
        | "1.0/storageGetMetadata"
        | "1.0/storageGenerateUploadUrl"
        | "1.0/storageDelete"
        | "1.0/storageStore"
        | "1.0/storageGet" => Err(not_yet("file storage")),
        other => Err(refuse(format!("Unknown async operation {other}"))),
    }
}

fn not_yet(what: &str) -> HostError {
    refuse(format!(
        "{what} is not available in pg_live yet (see LIMITATIONS.md)"
    ))
}
