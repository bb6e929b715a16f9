//! One statement of SQL on behalf of a function or a client: plans are kept, an ERROR comes back as a value.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pg_live_values::Value;

use super::settings::kept_statements;
use super::sources::{self, Sources};
use super::values::to_data;
use crate::error::{Error, Result};
use crate::js::{Data, Rows};
use crate::pg::language::statement::{Allowed, Prepared};
use crate::pg::session::{self, ReadOnly, Subtransaction};

/// Statements by text.
type Statements = RefCell<HashMap<String, Vec<Rc<Prepared>>>>;

thread_local! {
    // Never dropped: at the end of the process Postgres' memory has gone.
    static KEPT: ManuallyDrop<Statements> = ManuallyDrop::default();
}

/// An ERROR that the statement's author caused; the subtransaction of the statement was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The primary message.
    pub(crate) message: String,
    /// SQLSTATE.
    pub(crate) code: String,
}

/// Runs one statement with parameters for its placeholders, and tells what it has read. A read-only one may not
/// write, nor may any function that it calls.
///
/// # Errors
/// Ours alone, and cancels and lost races as panics; what the statement's author caused is a [`Failed`].
pub(crate) fn run(
    sql: &str,
    params: &[Value],
    read_only: bool,
) -> Result<(std::result::Result<Rows, Failed>, Sources)> {
    let _read_only = read_only.then(ReadOnly::new);
    sources::record(|| {
        let outcome = session::subtransaction(
            || attempt(sql, params, read_only).map_err(|error| failed(&error)),
            |result| result.is_ok(),
        );
        match outcome {
            Subtransaction::Released(result) | Subtransaction::RolledBack(result) => result,
        }
    })
}

/// What a statement's author caused; what must end the whole call goes on as the ERROR that it is.
fn failed(error: &Error) -> Failed {
    let message = error.to_string();
    let state = error.sqlstate();
    let code = String::from_utf8_lossy(&state).into_owned();
    match code.as_str() {
        // Cancels, shutdown, lost races, locks that could not be had.
        "57014" | "57P01" | "57P02" | "40001" | "40P01" | "55P03" => {
            session::raise(state, &message)
        }
        _ => Failed { message, code },
    }
}

fn attempt(sql: &str, params: &[Value], read_only: bool) -> Result<Rows> {
    let prepared = prepared(sql)?;
    if prepared.shapes.len() != params.len() {
        return Err(Error::InvalidParameter(format!(
            "the statement has {} parameters, {} values were given",
            prepared.shapes.len(),
            params.len()
        )));
    }
    let shapes = prepared.shapes.iter();
    let params: Vec<Data> = params
        .iter()
        .zip(shapes)
        .map(|(value, shape)| to_data(value, shape))
        .collect();
    prepared.run(&params, read_only)
}

fn prepared(sql: &str) -> Result<Rc<Prepared>> {
    let known = KEPT.with(|kept| {
        let kept = kept.borrow();
        let fitting = kept.get(sql)?.iter().find(|prepared| prepared.fits_now());
        fitting.cloned()
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let made = Rc::new(Prepared::new(sql, Allowed::QueriesAndWrites)?);
    KEPT.with(|kept| {
        let mut kept = kept.borrow_mut();
        // A text has a plan for each role and search_path that it was run with.
        if kept.values().map(Vec::len).sum::<usize>() >= kept_statements() {
            kept.clear();
        }
        kept.entry(sql.to_owned())
            .or_default()
            .push(Rc::clone(&made));
    });
    Ok(made)
}
