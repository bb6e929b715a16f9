//! `pg_live/sql`: the `sql` template of the npm package `pg-live`.

use std::collections::BTreeMap;

use pg_live_values::Value;
use serde_json::Value as Json;

use super::{Answer, from_error, refuse, text};
use crate::documents::catalog::{FunctionKind, quoted};
use crate::functions::execution::Execution;
use crate::pg::session::{Setting, SettingsGuard};
use crate::reads;

/// `{sql, params}`: one statement and the values of its placeholders, as the wire encodes values. Gives
/// `{rows, count}`. Queries only read; what they read joins the read-set.
pub(super) fn run(execution: &mut Execution, args: &Json) -> Answer {
    let statement = text("pg_live/sql", args, "sql")?;
    let params = args["params"].as_array().into_iter().flatten();
    let params: Result<Vec<Value>, _> = params
        .map(|param| Value::from_json(param.clone()))
        .collect();
    let params = params.map_err(|error| refuse(format!("a parameter of sql: {error}")))?;
    execution.count_query().map_err(refuse)?;
    let read_only = execution.kind == FunctionKind::Query;
    // Names are those of the tables of documents, then of `public`, whatever the session's path is.
    let path = format!("{}, public, pg_temp", quoted(&execution.catalog.schema));
    let _settings = SettingsGuard::with(&[Setting {
        name: c"search_path",
        value: &path,
    }]);
    let (outcome, sources) = reads::run(statement, &params, read_only).map_err(from_error)?;
    execution.add_sources(sources);
    let rows = outcome
        .map_err(|failed| refuse(format!("{} (SQLSTATE {})", failed.message, failed.code)))?;
    #[allow(clippy::cast_precision_loss)] // no statement touches 2^53 rows
    let count = Value::Float64(rows.count as f64);
    let rows = reads::rows_to_value(rows).map_err(from_error)?;
    let answer = BTreeMap::from([("rows".to_owned(), rows), ("count".to_owned(), count)]);
    Ok(Value::Object(answer).to_encoded())
}
