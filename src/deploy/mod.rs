//! Deploying: the one way in which code and schema come into force.
//!
//! `start` stages code and says which indexes to build; `finish` switches, all or nothing. What a
//! deploy may do to tables: add nullable columns and indexes, exchange the check. It never moves data.

mod builds;
mod columns;
mod faces;
mod locks;
mod plain;
mod prepare;
mod rollback;
mod source;
mod stage;
mod switch;
mod tables;

pub(crate) use plain::library;

use pgrx::pg_sys::Datum;
use serde_json::{Value as Json, json};

use crate::documents::catalog::Catalog;
use crate::error::{Error, Result};
use crate::pg::function::Call;
use crate::pg::session;
use crate::pg::spi::Access;
use prepare::Statements;
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
    /// All in one transaction if no large table has to be read or indexed; else what those need is left pending.
    Small,
}

impl Mode {
    fn of(at_once: bool) -> Mode {
        if at_once { Mode::AtOnce } else { Mode::Small }
    }
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
            json!({"push": push, "unchanged": false, "statements": statements.all()})
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
        Standing::InForce => Statements::default(),
        Standing::Staged => stage::prepare_for(push, Mode::Beside)?,
    };
    Ok(respond(call, &json!({"statements": statements.all()})))
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

/// `live.deploy(source json, message text, at_once boolean) -> json`
pub(crate) fn deploy(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.deploy")?;
    let mut source = read_source(call)?;
    source.message = call.optional::<String>(1).or(source.message);
    let mode = Mode::of(call.required(2, "at_once")?);
    let staged = stage::stage(&source, mode)?;
    let answer = settle(&staged, mode)?;
    Ok(respond(call, &answer))
}

/// `live.rollback(deployment bigint, at_once boolean) -> json`
pub(crate) fn rollback(call: &mut Call) -> Result<Datum> {
    needs_read_committed("live.rollback")?;
    let deployment: i64 = call.required(0, "deployment")?;
    let mode = Mode::of(call.required(1, "at_once")?);
    let staged = rollback::stage(deployment, mode)?;
    let answer = settle(&staged, mode)?;
    Ok(respond(call, &answer))
}

/// Switches to what was staged, unless indexes have to be built first.
fn settle(staged: &Staged, mode: Mode) -> Result<Json> {
    match staged {
        Staged::Unchanged(deployment) => switch::switch(*deployment, mode),
        Staged::New { push, statements } if statements.builds.is_empty() => {
            switch::switch(*push, mode)
        }
        Staged::New { push, statements } => Ok(json!({
            "deployment": push,
            "pending": true,
            "statements": statements.all(),
            "hint": format!(
                "Nothing has changed yet: large tables are to be read and indexed first, beside those who use them. Run \
                 each of the statements by itself (in psql: SELECT statement FROM live.pending_indexes WHERE statement IS \
                 NOT NULL \\gexec), then SELECT live.deploy_finish({push})"
            ),
        })),
    }
}

/// A refusal with its reason.
fn refused(reason: impl Into<String>) -> Error {
    Error::DeployRefused(reason.into())
}
