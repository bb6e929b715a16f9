//! Calls that share a context: when they may, and what happens to one that must not.
//!
//! A deploy finds out whether a module keeps anything that a call could change ([`js::prove`]). Queries and mutations of
//! one that does not run in a context that serves many calls; all that the module made while it was imported is frozen
//! there. A call that fails because of that is undone and runs again in a context of its own, and so do all later ones
//! of its module.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::functions::execution::Execution;
use crate::journal;
use crate::js::{self, Call, Failure, JsError, Kind, Limits, Outcome, Sharing};
use crate::pg::session::{self, Subtransaction};

/// So many calls of a module are always compared.
const FIRST_CALLS: u64 = 3;

static SHARE_CONTEXTS: GucSetting<bool> = GucSetting::<bool>::new(true);
static RECHECK_CALLS: GucSetting<i32> = GucSetting::<i32>::new(0);

thread_local! {
    /// How many calls of each module of a deployment have shared a context.
    static SHARED: RefCell<(i64, HashMap<String, u64>)> = RefCell::default();
}

/// Makes the settings known. To be called once, when the library is loaded.
pub(crate) fn register() {
    GucRegistry::define_bool_guc(
        c"pg_live.share_contexts",
        c"Whether calls share a context if their module was found to keep nothing between calls.",
        c"live.functions says for each function which way it runs, and why.",
        &SHARE_CONTEXTS,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_live.recheck_calls",
        c"One of so many queries that shared a context is run again in one of its own and compared.",
        c"0: none. A difference is told in live.logs, and the module's queries share no context from then on.",
        &RECHECK_CALLS,
        0,
        1_000_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
}

/// How a function's calls share a context under the settings in force.
pub(crate) fn of(found: Sharing) -> Sharing {
    match found {
        Sharing::Proven if !SHARE_CONTEXTS.get() => Sharing::Fresh,
        found => found,
    }
}

/// Runs a call; again in a context of its own if the shared one did not do.
pub(crate) fn invoke(
    call: &Call<'_>,
    execution: &mut Execution,
    limits: &Limits,
) -> Result<Outcome, Failure> {
    if call.sharing != Sharing::Proven {
        return js::invoke(call, execution, limits);
    }
    let point = execution.point();
    let shared = match call.kind {
        Kind::Query => js::invoke(call, execution, limits)?,
        Kind::Mutation => undone_if_suspect(call, execution, limits)?,
    };
    if !is_suspect(&shared) && !is_to_be_compared(call, &shared) {
        return Ok(shared);
    }
    execution.go_back(point);
    let alone = Call {
        sharing: Sharing::Fresh,
        ..call.clone()
    };
    let mut fresh = js::invoke(&alone, execution, limits)?;
    if let Some(reason) = difference(&shared, &fresh) {
        js::distrust(call.deployment, call.module);
        if let Some(deployment) = execution.catalog.deployment {
            journal::leave_fresh_module(session::now_us(), deployment, call.module, &reason);
        }
    }
    fresh.user_time += shared.user_time;
    Ok(fresh)
}

/// Runs a mutation, whose writes are undone if it has to run again.
fn undone_if_suspect(
    call: &Call<'_>,
    execution: &mut Execution,
    limits: &Limits,
) -> Result<Outcome, Failure> {
    let ran = session::subtransaction(
        || js::invoke(call, execution, limits),
        |ran| matches!(ran, Ok(outcome) if !is_suspect(outcome)),
    );
    let (Subtransaction::Released(outcome) | Subtransaction::RolledBack(outcome)) = ran;
    outcome
}

/// Whether a call has failed in a shared context, perhaps because of that.
fn is_suspect(outcome: &Outcome) -> bool {
    outcome.guarded && matches!(&outcome.result, Err(error) if may_be_frozen(error))
}

/// Whether an error can come from something that is frozen in a shared context or was taken out of it.
fn may_be_frozen(error: &JsError) -> bool {
    const SIGNS: [&str; 7] = [
        "TypeError",
        "ReferenceError",
        "read only",
        "not extensible",
        "Cannot delete",
        "Cannot define",
        "Cannot redefine",
    ];
    SIGNS.iter().any(|sign| error.message.contains(sign))
}

/// Only queries are: of a mutation ids and times would differ.
fn is_to_be_compared(call: &Call<'_>, outcome: &Outcome) -> bool {
    if !outcome.guarded || call.kind == Kind::Mutation {
        return false;
    }
    let rate = match u64::try_from(RECHECK_CALLS.get()) {
        Ok(0) | Err(_) => return false,
        Ok(rate) => rate,
    };
    SHARED.with_borrow_mut(|(deployment, calls)| {
        if *deployment != call.deployment {
            *deployment = call.deployment;
            calls.clear();
        }
        let count = calls.entry(call.module.to_owned()).or_default();
        *count += 1;
        *count <= FIRST_CALLS || (*count).is_multiple_of(rate)
    })
}

/// What differs between a call in a shared context and the same in one of its own.
fn difference(shared: &Outcome, fresh: &Outcome) -> Option<String> {
    let first_line = |error: &JsError| error.message.lines().next().unwrap_or_default().to_owned();
    match (&shared.result, &fresh.result) {
        (Err(shared), Err(fresh)) if shared.message == fresh.message => None,
        (Err(error), _) => Some(format!(
            "a call failed that succeeds, or fails otherwise, in a context of its own: {}",
            first_line(error)
        )),
        (Ok(value), Ok(expected)) if value == expected && shared.log_lines == fresh.log_lines => {
            None
        }
        (Ok(_), _) => {
            Some("a call gave something else than the same call in a context of its own".to_owned())
        }
    }
}
