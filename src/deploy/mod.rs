//! Deploying: the one way in which code and schema come into force.
//!
//! `start` stages code and says which indexes to build; `finish` switches, all or nothing. What a
//! deploy may do to tables: add nullable columns and indexes, exchange the check. It never moves data.

mod builds;
mod columns;
mod faces;
mod locks;
mod prepare;
mod source;
mod stage;
mod switch;
mod tables;

use pgrx::pg_sys::Datum;
use serde_json::{Value as Json, json};

use crate::documents::catalog::Catalog;
use crate::error::{Error, Result};
use crate::pg::function::Call;
use crate::pg::session;
use crate::pg::spi::Access;
use source::Source;
use stage::{Staged, Stored};
use switch::Standing;

/// How a deploy treats those who use the tables meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Large tables are read and indexed beside them, by statements of the caller.
    Beside,
    /// All in one transaction, while they wait.
    AtOnce,
}

fn read_source(call: &Call) -> Result<Source> {
    let source: String = call.required(0, "source")?;
    Source::parse(&source)
}

fn respond(call: &mut Call, json: &Json) -> Datum {
    call.value(json.to_string())
}

/// A deploy decides by what is committed, so by a new snapshot for each statement.
fn needs_read_committed(function: &str) -> Result<()> {
    if session::has_transaction_snapshot() {
        return Err(Error::WrongTransaction(format!(
            "{function} needs a READ COMMITTED transaction"
        )));
    }
    Ok(())
}

/// `live.deploy_start(source json) -> json`
pub(crate) fn start(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy_start")?;
    let source = read_source(call)?;
    let answer = match stage::stage(&source, Mode::Beside)? {
        Staged::Unchanged(deployment) => {
            json!({"push": deployment, "unchanged": true, "statements": []})
        }
        Staged::New { push, statements } => {
            json!({"push": push, "unchanged": false, "statements": statements})
        }
    };
    Ok(respond(call, &answer))
}

/// `live.deploy_stage(source json) -> json`
pub(crate) fn stage(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy_stage")?;
    let source = read_source(call)?;
    let (push, unchanged) = match stage::store(&source)? {
        Stored::Unchanged(deployment) => (deployment, true),
        Stored::New(push) => (push, false),
    };
    Ok(respond(
        call,
        &json!({"push": push, "unchanged": unchanged}),
    ))
}

/// `live.deploy_prepare(push bigint) -> json`
pub(crate) fn prepare(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy_prepare")?;
    let push: i64 = call.required(0, "push")?;
    let statements = match switch::standing(push)? {
        Standing::InForce => Vec::new(),
        Standing::Staged => stage::prepare_for(push, Mode::Beside)?,
    };
    Ok(respond(call, &json!({"statements": statements})))
}

/// `live.deploy_finish(push bigint) -> json`
pub(crate) fn finish(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy_finish")?;
    let push: i64 = call.required(0, "push")?;
    let mut answer = switch::switch(push, Mode::Beside)?;
    let catalog = Catalog::current(Access::Write)?;
    answer["statements"] = json!(prepare::statements_after(&catalog)?);
    Ok(respond(call, &answer))
}

/// `live.deploy_abandon(push bigint, reason text) -> json`
pub(crate) fn abandon(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy_abandon")?;
    let push: i64 = call.required(0, "push")?;
    let reason: String = call.required(1, "reason")?;
    let catalog = Catalog::current(Access::Write)?;
    let statements = prepare::abandon(&catalog, push, &reason)?;
    Ok(respond(call, &json!({"statements": statements})))
}

/// `live.deploy(source json) -> json`
pub(crate) fn deploy(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy")?;
    let source = read_source(call)?;
    let push = match stage::stage(&source, Mode::AtOnce)? {
        Staged::Unchanged(deployment) => deployment,
        Staged::New { push, .. } => push,
    };
    let answer = switch::switch(push, Mode::AtOnce)?;
    Ok(respond(call, &answer))
}

/// A refusal with its reason.
fn refused(reason: impl Into<String>) -> Error {
    Error::DeployRefused(reason.into())
}
