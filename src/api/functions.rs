//! `live.query` and `live.mutation`: functions called from SQL.

use pgrx::pg_sys::Datum;

use crate::documents::catalog::FunctionKind;
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Request, Response};
use crate::pg::function::Call;
use crate::pg::session::{self, Subtransaction};

fn request<'a>(path: &'a str, args: &'a str, kind: FunctionKind) -> Request<'a> {
    Request {
        path,
        args,
        identity: None,
        kind,
        caller: Caller::Sql,
        journal: None,
    }
}

fn arguments(call: &Call) -> Result<(String, String)> {
    let path = call.required(0, "path")?;
    let args = call.required(1, "args")?;
    Ok((path, args))
}

fn value(call: &mut Call, response: Response) -> Result<Datum> {
    report_log_lines(&response.log_lines);
    match response.result {
        Ok(text) => Ok(call.value(text)),
        Err(error) => Err(Error::Function {
            message: error.message,
            data: error.data,
        }),
    }
}

/// What a function logged goes to the client of an SQL call as NOTICEs.
pub(super) fn report_log_lines(lines: &[String]) {
    for line in lines {
        pgrx::notice!("{line}");
    }
}

/// `live.query(path text, args json) -> json`
pub(super) fn query(call: &mut Call) -> Result<Datum> {
    let (path, args) = arguments(call)?;
    let response = run::run(&request(&path, &args, FunctionKind::Query))?;
    value(call, response)
}

/// `live.mutation(path text, args json) -> json`: a subtransaction of the caller's transaction.
pub(super) fn mutation(call: &mut Call) -> Result<Datum> {
    let (path, args) = arguments(call)?;
    let outcome = session::subtransaction(
        || run::run(&request(&path, &args, FunctionKind::Mutation)),
        |result| {
            result
                .as_ref()
                .is_ok_and(|response| response.result.is_ok())
        },
    );
    match outcome {
        Subtransaction::Released(result) | Subtransaction::RolledBack(result) => {
            value(call, result?)
        }
    }
}
