//! `live.explain`: the read-set of a query as rows.

use pg_live_readset::{ReadEntry, RelId};
use pgrx::IntoDatum;
use pgrx::pg_sys::Datum;

use crate::documents::catalog::{Catalog, FunctionKind};
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Request};
use crate::pg::function::Call;
use crate::pg::spi::{self, Access, Param};
use crate::reads::{DEFINITIONS, INTERVALS};

/// `live.explain(path text, args json) -> TABLE (kind, "table", index, lower, upper)`
pub(super) fn explain(call: &mut Call) -> Result<Datum> {
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    let response = run::run(&Request {
        path: &path,
        args: &args,
        identity: None,
        kind: FunctionKind::Query,
        caller: Caller::Sql,
        journal: None,
    })?;
    if let Err(error) = response.result {
        return Err(Error::Function {
            message: error.message,
            data: error.data,
        });
    }
    let catalog = Catalog::current(Access::Read)?;
    let reads: Result<Vec<_>> = response
        .reads
        .entries
        .iter()
        .map(|entry| row(&catalog, entry))
        .collect();
    let observed = response.observed;
    let outside = [
        (observed.time, "clock"),
        (observed.randomness, "randomness"),
        (observed.identity, "identity"),
    ];
    let outside = outside.into_iter().filter(|(looked_at, _)| *looked_at);
    let outside = outside.map(|(_, what)| vec![what.into_datum(), None, None, None, None]);
    let why = response.not_live.into_iter();
    let why = why.map(|reason| {
        vec![
            "not live".into_datum(),
            None,
            None,
            reason.into_datum(),
            None,
        ]
    });
    Ok(call.rows(reads?.into_iter().chain(outside).chain(why).collect()))
}

fn row(catalog: &Catalog, entry: &ReadEntry) -> Result<Vec<Option<Datum>>> {
    let (kind, rel, index, lower, upper) = match entry {
        ReadEntry::Key { rel, pk } => (
            "key",
            *rel,
            None,
            Some(String::from_utf8_lossy(pk).into_owned()),
            None,
        ),
        ReadEntry::Range {
            rel,
            index,
            lower,
            upper,
        } => (
            "range",
            *rel,
            Some(*index),
            Some(hex(lower)),
            upper.as_deref().map(hex),
        ),
        ReadEntry::Table { rel } => ("table", *rel, None, None, None),
        ReadEntry::Rows { rel, condition, .. } => (
            "rows",
            *rel,
            None,
            condition.as_ref().map(|on| hex(&on.lower)),
            condition
                .as_ref()
                .and_then(|on| on.upper.as_deref().map(hex)),
        ),
    };
    let table = catalog.table_by_oid(rel);
    let name = match table {
        Some(table) => table.name.clone(),
        None if rel == catalog.active_oid => "live.active".to_owned(),
        None if rel == DEFINITIONS => "(definitions)".to_owned(),
        None if INTERVALS.contains(&rel) => interval_name(rel)?,
        None => relation_name(rel)?,
    };
    let index = index
        .and_then(|number| table.and_then(|table| table.index_by_number(number)))
        .map(|index| index.name.clone());
    Ok(vec![
        kind.into_datum(),
        name.into_datum(),
        index.into_datum(),
        lower.into_datum(),
        upper.into_datum(),
    ])
}

fn relation_name(rel: RelId) -> Result<String> {
    let name = spi::query_one(
        "SELECT $1::pg_catalog.oid::pg_catalog.regclass::pg_catalog.text",
        &[Param::Int8(rel.into())],
        Access::Read,
        |row| row.need(0),
    )?;
    Ok(name.unwrap_or_else(|| rel.to_string()))
}

/// What is run again at an interval.
fn interval_name(number: RelId) -> Result<String> {
    let name = spi::query_one(
        "SELECT pg_catalog.format('(%s: every %s)', i.object, i.every) FROM live.intervals AS i WHERE i.number = $1",
        &[Param::Int8(number.into())],
        Access::Read,
        |row| row.need(0),
    )?;
    Ok(name.unwrap_or_else(|| number.to_string()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
