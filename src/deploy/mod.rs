//! Deploying: the one way in which code and schema come into force.
//!
//! `start` stages code and says which indexes to build; `finish` switches, all or nothing. What a
//! deploy may do to tables: add nullable columns and indexes, exchange the check. It never moves data.

mod source;
mod stage;
mod switch;
mod tables;

use pgrx::pg_sys::Datum;
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::pg::function::Call;
use source::Source;
use stage::Staged;

fn read_source(call: &Call) -> Result<Source> {
    let source: String = call.required(0, "source")?;
    Source::parse(&source)
}

fn respond(call: &mut Call, json: &Json) -> Datum {
    call.value(json.to_string())
}

/// `live.deploy_start(source json) -> json`
pub(crate) fn start(call: &mut Call) -> Result<Datum> {
    let source = read_source(call)?;
    let answer = match stage::stage(&source)? {
        Staged::Unchanged(deployment) => {
            json!({"push": deployment, "unchanged": true, "statements": []})
        }
        Staged::New { push, statements } => {
            json!({"push": push, "unchanged": false, "statements": statements})
        }
    };
    Ok(respond(call, &answer))
}

/// `live.deploy_finish(push bigint) -> json`
pub(crate) fn finish(call: &mut Call) -> Result<Datum> {
    let push: i64 = call.required(0, "push")?;
    let answer = switch::switch(push, switch::MissingIndexes::Refuse)?;
    Ok(respond(call, &answer))
}

/// `live.deploy(source json) -> json`
pub(crate) fn deploy(call: &mut Call) -> Result<Datum> {
    let source = read_source(call)?;
    let push = match stage::stage(&source)? {
        Staged::Unchanged(deployment) => deployment,
        Staged::New { push, .. } => push,
    };
    let answer = switch::switch(push, switch::MissingIndexes::Build)?;
    Ok(respond(call, &answer))
}

/// A refusal with its reason.
fn refused(reason: impl Into<String>) -> Error {
    Error::DeployRefused(reason.into())
}
