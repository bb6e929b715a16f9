//! `live.query_source`: a query that is not deployed.

use pgrx::IntoDatum;
use pgrx::pg_sys::Datum;

use super::relay::split;
use crate::error::Result;
use crate::functions::undeployed;
use crate::pg::function::Call;

/// `live.query_source(source text, args json)`, one row.
pub(super) fn query_source(call: &mut Call) -> Result<Datum> {
    let source: String = call.required(0, "source")?;
    let args: String = call.required(1, "args")?;
    let response = undeployed::run(&source, &args)?;
    let (ok, value, error, data) = split(response.result);
    let row = vec![
        ok.into_datum(),
        value.and_then(IntoDatum::into_datum),
        error.and_then(IntoDatum::into_datum),
        data.and_then(IntoDatum::into_datum),
        response.log_lines.into_datum(),
    ];
    Ok(call.rows(vec![row]))
}
