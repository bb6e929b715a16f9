//! `1.0/runUdf`: a function called by a function, in the same transaction.
//!
//! The called function has a context of JavaScript and open queries of its own, and shares with its
//! caller the snapshot, the read-set, the clock, the identity and the limits. A mutation runs in a
//! subtransaction: if it fails, its writes are undone, what it read stays read, and the caller may
//! catch its error.

use std::collections::HashMap;

use pg_live_readset::ReadSetBuilder;
use serde_json::Value as Json;

use crate::documents::catalog::FunctionKind;
use crate::functions::execution::{Execution, fatal};
use crate::functions::open_query::OpenQuery;
use crate::functions::run::{self, Caller, Target};
use crate::functions::{address, usage};
use crate::gucs;
use crate::js::{self, Failure, HostError, JsError, Outcome};
use crate::pg::session::{self, Subtransaction};
use crate::pg::spi::Access;

/// How a function calls another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Query,
    /// A query at the snapshot at which the outermost function began: it sees none of the writes
    /// since, and what it reads is not recorded.
    SnapshotQuery,
    Mutation,
}

impl Mode {
    fn parse(text: Option<&str>) -> Result<Mode, HostError> {
        match text {
            Some("query") => Ok(Mode::Query),
            Some("snapshotQuery") => Ok(Mode::SnapshotQuery),
            Some("mutation") => Ok(Mode::Mutation),
            other => Err(HostError::js(format!(
                "Invalid argument `udfType` for `runUdf`: {}",
                other.unwrap_or("expected a string")
            ))),
        }
    }

    fn kind(self) -> FunctionKind {
        match self {
            Mode::Query | Mode::SnapshotQuery => FunctionKind::Query,
            Mode::Mutation => FunctionKind::Mutation,
        }
    }
}

/// What belongs to the calling function alone, kept while the called one runs.
struct Outer {
    path: String,
    kind: FunctionKind,
    access: Access,
    open: HashMap<u64, OpenQuery>,
    page_read: bool,
    /// The read-set, if the called function does not add to it.
    reads: Option<ReadSetBuilder>,
    limits: usage::Before,
}

/// How a call ended that did not end its caller, too.
type Ended = Result<String, JsError>;

/// `1.0/runUdf {udfType, args, name | reference | functionHandle, transactionLimits?}`
pub(crate) fn run_udf(execution: &mut Execution, args: &Json) -> Result<String, HostError> {
    let mode = Mode::parse(args["udfType"].as_str())?;
    if mode != Mode::Query && execution.kind == FunctionKind::Query {
        return Err(HostError::js(
            "A query can only call queries. Call mutations from a mutation.",
        ));
    }
    if execution.depth >= gucs::max_call_depth() {
        return Err(HostError::js(
            "Cross component call depth limit exceeded. Do you have an infinite loop in your app?",
        ));
    }
    let path = address::resolve(&execution.catalog, args).map_err(HostError::js)?;
    let target = Target::find(
        &execution.catalog,
        path,
        mode.kind(),
        Caller::Function,
        args["args"].clone(),
    )
    .map_err(HostError::js)?;
    let limits = execution
        .usage
        .narrow(&args["transactionLimits"])
        .map_err(HostError::js)?;
    let outer = enter(execution, mode, &target, limits);
    let ended = match mode {
        Mode::Query | Mode::SnapshotQuery => query(execution, &target),
        Mode::Mutation => mutation(execution, &target),
    };
    leave(execution, outer);
    ended?.map_err(|error| HostError::Js {
        message: error.message,
        data: error.data,
    })
}

fn enter(execution: &mut Execution, mode: Mode, target: &Target, limits: usage::Before) -> Outer {
    let access = match mode {
        Mode::Query | Mode::Mutation => execution.access,
        Mode::SnapshotQuery => Access::Read,
    };
    let reads = (mode == Mode::SnapshotQuery).then(|| std::mem::take(&mut execution.reads));
    execution.depth += 1;
    Outer {
        path: std::mem::replace(&mut execution.path, target.path.stripped()),
        kind: std::mem::replace(&mut execution.kind, mode.kind()),
        access: std::mem::replace(&mut execution.access, access),
        open: std::mem::take(&mut execution.open),
        page_read: std::mem::take(&mut execution.pages.one_read),
        reads,
        limits,
    }
}

/// Ends the called function, however it ended: what its open queries have read is recorded.
fn leave(execution: &mut Execution, outer: Outer) {
    execution.close_queries();
    if let Some(reads) = outer.reads {
        execution.reads = reads;
    }
    execution.path = outer.path;
    execution.kind = outer.kind;
    execution.access = outer.access;
    execution.open = outer.open;
    execution.pages.one_read = outer.page_read;
    execution.usage.widen(&outer.limits);
    execution.depth -= 1;
}

fn query(execution: &mut Execution, target: &Target) -> Result<Ended, HostError> {
    let seed = execution.nested_seed();
    match run::call(execution, target, seed) {
        Ok(outcome) => Ok(finish(outcome)),
        Err(failure) => Err(end_caller(failure)),
    }
}

fn mutation(execution: &mut Execution, target: &Target) -> Result<Ended, HostError> {
    let seed = execution.nested_seed();
    let written = execution.usage.written();
    let catalog = execution.catalog.clone();
    let outcome = session::subtransaction(
        || run::call(execution, target, seed),
        |outcome| matches!(outcome, Ok(outcome) if outcome.result.is_ok()),
    );
    match outcome {
        Subtransaction::Released(Ok(outcome)) => Ok(finish(outcome)),
        Subtransaction::RolledBack(Ok(outcome)) => {
            // A table that it made is gone again.
            execution.catalog = catalog;
            execution.usage.unwrite(written);
            Ok(finish(outcome))
        }
        Subtransaction::Released(Err(failure)) | Subtransaction::RolledBack(Err(failure)) => {
            let error = database_error(&failure)
                .ok_or(failure)
                .map_err(end_caller)?;
            execution.catalog = catalog;
            execution.usage.unwrite(written);
            Ok(Err(error))
        }
    }
}

fn finish(outcome: Outcome) -> Ended {
    js::append_log_lines(outcome.log_lines);
    outcome.result
}

/// An ERROR of Postgres that is as good as one that the mutation threw: its subtransaction has been
/// rolled back. Cancels and lost races are not: the whole transaction must end.
fn database_error(failure: &Failure) -> Option<JsError> {
    let Failure::Host(payload) = failure else {
        return None;
    };
    if payload.is::<crate::error::Error>() {
        return None;
    }
    let caught = session::describe(payload.as_ref());
    (!caught.must_rethrow).then(|| JsError::plain(format!("Uncaught Error: {}", caught.message)))
}

/// The failure goes on through the caller, which cannot catch it.
fn end_caller(failure: Failure) -> HostError {
    match failure {
        Failure::Host(payload) => HostError::Fatal(payload),
        other => fatal(run::failure(other)),
    }
}
