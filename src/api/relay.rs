//! What the relay calls: queries that register their read-set, mutations that run once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_live_invalidation::{CodecError, Generation, Owner, Snapshot, Sub, encode_reads};
use pg_live_readset::{ReadSet, ReadSetBuilder};
use pgrx::IntoDatum;
use pgrx::pg_sys::Datum;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::capture;
use crate::documents::catalog::{Catalog, FunctionKind};
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Observed, Request, Response};
use crate::invalidator;
use crate::invalidator::log::Place;
use crate::js::JsError;
use crate::pg::function::Call;
use crate::pg::session::{self, Subtransaction};
use crate::pg::snapshot::{self, Origin};
use crate::pg::spi::{self, Access, Param};
use crate::pg::xact::{self, Isolation};
use crate::reads;

fn text(value: Option<String>) -> Option<Datum> {
    value.and_then(IntoDatum::into_datum)
}

/// What the relay says of who asks. The mark is beside the user: what a token says cannot set it.
#[derive(Deserialize)]
struct Identity<'a> {
    /// The caller has the admin key.
    #[serde(default)]
    admin: bool,
    /// What `getUserIdentity()` answers: whose token it is, or as whom the administrator acts.
    #[serde(borrow)]
    user: Option<&'a RawValue>,
}

/// Who asks, and as whom.
fn caller(identity: Option<&str>) -> Result<(Caller, Option<String>)> {
    let Some(identity) = identity else {
        return Ok((Caller::Client, None));
    };
    let identity: Identity<'_> = serde_json::from_str(identity).map_err(|error| {
        Error::InvalidParameter(format!(
            "identity: expected {{\"admin\": boolean, \"user\": object or null}}: {error}"
        ))
    })?;
    let caller = if identity.admin {
        Caller::Admin
    } else {
        Caller::Client
    };
    Ok((caller, identity.user.map(|user| user.get().to_owned())))
}

/// A result that stands for a Postgres ERROR or a limit inside of a query.
///
/// What it read is lost, so it depends on everything that a function can read, and perhaps on more than
/// the database.
fn failed(message: String, access: Access) -> Result<Response> {
    let catalog = Catalog::current(access)?;
    let mut read = ReadSetBuilder::default();
    read.table(catalog.active_oid);
    catalog.tables().for_each(|table| read.table(table.oid));
    reads::lost().into_iter().for_each(|rel| read.table(rel));
    Ok(Response {
        result: Err(JsError {
            message,
            data: None,
        }),
        log_lines: Vec::new(),
        reads: read.build(),
        not_live: None,
        observed: Observed {
            time: true,
            randomness: true,
            identity: true,
        },
        journal: None,
    })
}

/// Runs a query so that a Postgres ERROR in it is a result, not the end of the transaction. Not on a standby: there
/// the relay runs it on the primary instead, which may do what a standby cannot.
pub(super) fn run_contained(request: &Request<'_>, on_standby: bool) -> Result<Response> {
    let outcome = session::subtransaction(
        || catch_unwind(AssertUnwindSafe(|| run::run(request))),
        |result| matches!(result, Ok(Ok(_))),
    );
    let (Subtransaction::Released(result) | Subtransaction::RolledBack(result)) = outcome;
    match result {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error @ (Error::Redefined | Error::NothingDeployed))) => Err(error),
        Ok(Err(error)) => failed(error.to_string(), Access::Read),
        Err(payload) => {
            let caught = session::describe(payload.as_ref());
            if caught.must_rethrow || on_standby {
                std::panic::resume_unwind(payload);
            }
            failed(caught.message, Access::Read)
        }
    }
}

/// `live.run_query(path, args, identity, owner, sub, generation, journal)`, one row.
pub(super) fn run_query(call: &mut Call) -> Result<Datum> {
    if !session::has_transaction_snapshot() || !session::is_read_only() {
        return Err(Error::WrongTransaction(
            "live.run_query needs BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
        ));
    }
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    let identity: Option<String> = call.optional(2);
    let owner: i64 = call.optional(3).unwrap_or(0);
    let sub: i64 = call.optional(4).unwrap_or(0);
    let generation: i64 = call.optional(5).unwrap_or(0);

    let origin = snapshot::origin()?;
    let place = invalidator::position(); // R2: after the snapshot was taken
    let (caller, identity) = caller(identity.as_deref())?;
    let request = Request {
        path: &path,
        args: &args,
        identity,
        kind: FunctionKind::Query,
        caller,
        journal: call.optional(6),
    };
    let on_standby = matches!(origin, Origin::Standby(_));
    reads::forget_lost();
    let Response {
        result,
        log_lines,
        reads,
        journal,
        observed,
        not_live,
    } = run_contained(&request, on_standby)?;
    let result = match not_live {
        // What would go stale without a word is refused. The refusal is live: it goes when the reason goes.
        Some(reason) if sub != 0 => Err(JsError::plain(format!(
            "{path} cannot be a live query: {reason}. Query it once instead, see docs/reactive-sql.md."
        ))),
        Some(_) | None => result,
    };
    let (ok, value, error, data) = split(result);
    let mut row = vec![
        ok.into_datum(),
        text(value),
        text(error),
        text(data),
        log_lines.into_datum(),
        text(journal),
    ];
    row.extend(match origin {
        Origin::Primary(snapshot) => watched((owner, sub, generation), place, snapshot, reads)?,
        Origin::Standby(snapshot) => carried(sub, &snapshot, &reads)?,
    });
    row.push(observed.identity.into_datum());
    row.push((observed.time || observed.randomness).into_datum());
    Ok(call.rows(vec![row]))
}

type Columns = [Option<Datum>; 7];

/// The columns from `c` on of a result on the primary, which is registered.
fn watched(
    (owner, sub, generation): (Owner, Sub, Generation),
    place: Option<Place>,
    snapshot: Snapshot,
    reads: ReadSet,
) -> Result<Columns> {
    if capture::ddl_conflict(&snapshot, &reads) {
        return Err(Error::Redefined); // R17
    }
    let completed = snapshot.completed;
    let boot = invalidator::boot_of(completed);
    // R18: without its triggers a table is not watched; they are put right, and the query runs again.
    let registered = if sub == 0 || !capture::may_register(&reads)? {
        None
    } else {
        // One of another boot than the moment's is as good as none: everything begins anew (R8).
        invalidator::register((owner, sub, generation), place, snapshot, reads)
            .ok()
            .filter(|done| done.boot == boot)
    };
    Ok([
        completed.cast_signed().into_datum(),
        boot.cast_signed().into_datum(),
        registered.and_then(|done| done.position.cast_signed().into_datum()),
        (registered.is_some() || sub == 0).into_datum(),
        None,
        None,
        None,
    ])
}

/// The same columns of a result on a standby: what `live.register` needs on the primary, where R17 is checked too.
fn carried(sub: Sub, snapshot: &Snapshot, reads: &ReadSet) -> Result<Columns> {
    // R18: the relay runs it on the primary, where the triggers are put right.
    if sub != 0 && !capture::may_register(reads)? {
        return Err(Error::WrongTransaction(
            "a table that the query reads has no capture triggers at the standby's snapshot".into(),
        ));
    }
    let defect = |error: CodecError| Error::Defect(error.to_string());
    Ok([
        0_i64.into_datum(),
        0_i64.into_datum(),
        None,
        false.into_datum(),
        None,
        snapshot.encode().map_err(defect)?.into_datum(),
        encode_reads(reads).map_err(defect)?.into_datum(),
    ])
}

pub(super) type Parts = (bool, Option<String>, Option<String>, Option<String>);

pub(super) fn split(result: std::result::Result<String, JsError>) -> Parts {
    match result {
        Ok(value) => (true, Some(value), None, None),
        Err(error) => (false, None, Some(error.message), error.data),
    }
}

/// `live.run_mutation(path, args, identity, session, request)`, one row.
///
/// R14: the outcome is stored with the writes. Whether it was stored before is only looked up when
/// something went wrong (its key is taken, or the function fails because its work is done already):
/// a look-up each time would make all concurrent mutations conflict with each other.
pub(super) fn run_mutation(call: &mut Call) -> Result<Datum> {
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    let identity: Option<String> = call.optional(2);
    let session: Option<String> = call.optional(3);
    let key = session.map(|session| (session, call.optional::<i64>(4).unwrap_or(0)));
    if xact::isolation() != Isolation::Serializable {
        return Err(Error::WrongTransaction(
            "live.run_mutation needs a SERIALIZABLE transaction".to_owned(),
        ));
    }
    let (caller, identity) = caller(identity.as_deref())?;
    let request = Request {
        path: &path,
        args: &args,
        identity,
        kind: FunctionKind::Mutation,
        caller,
        journal: None,
    };
    let outcome = session::subtransaction(
        || catch_unwind(AssertUnwindSafe(|| run_and_store(&request, key.as_ref()))),
        |result| matches!(result, Ok(Ok(response)) if response.result.is_ok()),
    );
    let result = match outcome {
        Subtransaction::Released(result) => result,
        Subtransaction::RolledBack(result) => {
            if let Some((session, number)) = &key
                && may_look_up(&result)
                && let Some(stored) = stored_outcome(session, *number)?
            {
                return Ok(call.rows(vec![stored]));
            }
            result
        }
    };
    if may_be_stale(&result) && redefined_meanwhile()? {
        return Err(Error::Redefined);
    }
    let response = match result {
        Ok(Ok(response)) => response,
        Ok(Err(error @ (Error::Redefined | Error::NothingDeployed))) => return Err(error),
        Ok(Err(error)) => failed(error.to_string(), Access::Write)?,
        Err(payload) => std::panic::resume_unwind(payload),
    };
    let (ok, value, error, data) = split(response.result);
    let row = vec![
        ok.into_datum(),
        text(value),
        text(error),
        text(data),
        response.log_lines.into_datum(),
        false.into_datum(),
    ];
    Ok(call.rows(vec![row]))
}

/// Whether a mutation failed in a way that another run may not.
fn may_be_stale(result: &std::thread::Result<Result<Response>>) -> bool {
    let succeeded = matches!(result, Ok(Ok(response)) if response.result.is_ok());
    !succeeded && may_look_up(result)
}

/// Whether a mutation failed perhaps only because a deploy has changed its tables since its snapshot:
/// its code is that of the deployment before, columns and checks are not. It is to run again.
fn redefined_meanwhile() -> Result<bool> {
    let Ok(snapshot) = snapshot::transaction_snapshot() else {
        return Ok(false);
    };
    let tables = failed(String::new(), Access::Write)?;
    Ok(capture::ddl_conflict(&snapshot, &tables.reads))
}

fn run_and_store(request: &Request<'_>, key: Option<&(String, i64)>) -> Result<Response> {
    let response = run::run_for(request, key)?;
    if let (Some((session, number)), Ok(value)) = (key, &response.result) {
        store_outcome(session, *number, value, &response.log_lines)?;
    }
    Ok(response)
}

/// Whether the transaction is still good for a look-up: not after a cancel or a lost race.
fn may_look_up(result: &std::thread::Result<Result<Response>>) -> bool {
    match result {
        Ok(_) => true,
        Err(payload) => !session::describe(payload.as_ref()).must_rethrow,
    }
}

/// R14: the stored outcome of a mutation that has run before.
fn stored_outcome(session: &str, request: i64) -> Result<Option<Vec<Option<Datum>>>> {
    let outcome = spi::query_one(
        "SELECT outcome::text FROM live.outcomes WHERE session = $1::uuid AND request = $2",
        &[Param::Text(session), Param::Int8(request)],
        Access::Write,
        |row| row.need::<String>(0),
    )?;
    let Some(outcome) = outcome else {
        return Ok(None);
    };
    let outcome: serde_json::Value = serde_json::from_str(&outcome)
        .map_err(|error| Error::Catalog(format!("stored outcome: {error}")))?;
    let lines: Vec<String> =
        serde_json::from_value(outcome["logLines"].clone()).unwrap_or_default();
    let value = outcome["value"].as_str().map(str::to_owned);
    Ok(Some(vec![
        true.into_datum(),
        text(value),
        None,
        None,
        lines.into_datum(),
        true.into_datum(),
    ]))
}

fn store_outcome(session: &str, request: i64, value: &str, lines: &[String]) -> Result<()> {
    let outcome = json!({"value": value, "logLines": lines}).to_string();
    spi::execute(
        "INSERT INTO live.outcomes (session, request, outcome) VALUES ($1::uuid, $2, $3::json)",
        &[
            Param::Text(session),
            Param::Int8(request),
            Param::Text(&outcome),
        ],
    )
}
