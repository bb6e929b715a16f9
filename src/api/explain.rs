//! `live.explain`: the read-set of a query as rows.

use std::collections::BTreeMap;

use pg_live_readset::{ReadEntry, RelId};
use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum};

use super::condition_text::{self, hex};
use crate::documents::catalog::{Catalog, FunctionKind};
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Request};
use crate::pg::function::Call;
use crate::pg::plan::{self, Why};
use crate::pg::spi::{self, Access, Param};
use crate::reads::{self, DEFINITIONS, INTERVALS, Widened};

/// `live.explain(path text, args json) -> TABLE (kind, "table", index, lower, upper, columns, condition, reason)`
pub(super) fn explain(call: &mut Call) -> Result<Datum> {
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    reads::take_widened();
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
    let widened = reads::take_widened();
    let catalog = Catalog::current(Access::Read)?;
    let reads: Result<Vec<_>> = response
        .reads
        .entries
        .iter()
        .map(|entry| row(&catalog, &widened, entry))
        .collect();
    let observed = response.observed;
    let outside = [
        (observed.time, "clock"),
        (observed.randomness, "randomness"),
        (observed.identity, "identity"),
    ];
    let outside = outside.into_iter().filter(|(looked_at, _)| *looked_at);
    let outside = outside.map(|(_, what)| Line::of(what));
    let why = response.not_live.into_iter();
    let why = why.map(|reason| Line {
        lower: Some(reason.clone()),
        reason: Some(reason),
        ..Line::of("not live")
    });
    let lines = reads?.into_iter().chain(outside).chain(why);
    Ok(call.rows(lines.map(Line::datums).collect()))
}

/// A row of the result.
struct Line {
    kind: &'static str,
    table: Option<String>,
    index: Option<String>,
    lower: Option<String>,
    upper: Option<String>,
    columns: Option<String>,
    condition: Option<String>,
    reason: Option<String>,
}

impl Line {
    fn of(kind: &'static str) -> Line {
        Line {
            kind,
            table: None,
            index: None,
            lower: None,
            upper: None,
            columns: None,
            condition: None,
            reason: None,
        }
    }

    fn datums(self) -> Vec<Option<Datum>> {
        vec![
            self.kind.into_datum(),
            self.table.into_datum(),
            self.index.into_datum(),
            self.lower.into_datum(),
            self.upper.into_datum(),
            self.columns.into_datum(),
            self.condition.into_datum(),
            self.reason.into_datum(),
        ]
    }
}

fn row(catalog: &Catalog, widened: &BTreeMap<RelId, Widened>, entry: &ReadEntry) -> Result<Line> {
    let rel = entry.rel();
    let table = catalog.table_by_oid(rel);
    let name = match table {
        Some(table) => table.name.clone(),
        None if rel == catalog.active_oid => "live.active".to_owned(),
        None if rel == DEFINITIONS => "(definitions)".to_owned(),
        None if INTERVALS.contains(&rel) => interval_name(rel)?,
        None => relation_name(rel)?,
    };
    let line = Line {
        table: Some(name),
        ..Line::of("")
    };
    Ok(match entry {
        ReadEntry::Key { pk, .. } => Line {
            kind: "key",
            lower: Some(String::from_utf8_lossy(pk).into_owned()),
            ..line
        },
        ReadEntry::Range {
            index,
            lower,
            upper,
            ..
        } => Line {
            kind: "range",
            index: table
                .and_then(|table| table.index_by_number(*index))
                .map(|index| index.name.clone()),
            lower: Some(hex(lower)),
            upper: upper.as_deref().map(hex),
            ..line
        },
        ReadEntry::Table { .. } => Line {
            kind: "table",
            reason: widened.get(&rel).map(|why| explained(*why).to_owned()),
            ..line
        },
        ReadEntry::Rows {
            columns, condition, ..
        } => {
            let of_table = condition_text::columns(rel)?;
            Line {
                kind: "rows",
                columns: Some(condition_text::names(&of_table, *columns)),
                condition: condition
                    .as_ref()
                    .map(|condition| condition_text::describe(&of_table, condition)),
                ..line
            }
        }
    })
}

/// Why a table is there as a whole.
fn explained(why: Widened) -> &'static str {
    match why {
        Widened::Plan(Why::EveryColumn) => {
            "it is scanned without a condition on a column that is understood, and all columns are read"
        }
        Widened::Plan(Why::NotScanned) => "the plan does not scan it as it is written",
        Widened::Plan(Why::NotFollowed) => {
            "the statement writes or locks rows, or its plan does what is not followed"
        }
        Widened::Declared => "live.depends() says so",
    }
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

/// `live.narrows(operator oid) -> boolean`
pub(super) fn narrows(call: &mut Call) -> Result<Datum> {
    let operator: pg_sys::Oid = call.required(0, "operator")?;
    Ok(Datum::from(plan::is_narrowed(operator)))
}
