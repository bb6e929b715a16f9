//! `live.explain`: the read-set of a query as rows.

use std::ffi::CString;
use std::time::Duration;

use pg_live_readset::{Attributes, Condition, ReadEntry, RelId};
use pgrx::IntoDatum;
use pgrx::pg_sys::{self, Datum};

use super::condition_text::{self, Column, hex};
use crate::documents::catalog::{Catalog, FunctionKind};
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Request};
use crate::pg::executed::KEYS_MAX;
use crate::pg::function::Call;
use crate::pg::plan::{self, Why};
use crate::pg::spi::{self, Access, Param};
use crate::reads::{self, DEFINITIONS, INTERVALS, Reasons, Widened};

/// `live.explain(path text, args json) -> TABLE (kind, "table", index, lower, upper, columns, condition, reason)`
pub(super) fn explain(call: &mut Call) -> Result<Datum> {
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    reads::take_reasons();
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
    let reasons = reads::take_reasons();
    let catalog = Catalog::current(Access::Read)?;
    let entries = response.reads.entries.iter();
    let reads: Result<Vec<_>> = one_for_all_keys(entries.collect(), &reasons)
        .into_iter()
        .map(|entries| row(&catalog, &reasons, &entries))
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

/// Entries of keys that were looked up by the same scan become one line; every other has its own.
fn one_for_all_keys<'a>(entries: Vec<&'a ReadEntry>, reasons: &Reasons) -> Vec<Vec<&'a ReadEntry>> {
    let scan = |entry: &ReadEntry| match entry {
        ReadEntry::Rows {
            rel,
            columns,
            condition: Some(on),
        } => {
            let is_looked_up = condition_text::is_equality(on)
                && reasons.looked_up.contains_key(&(*rel, on.attribute));
            is_looked_up.then_some((*rel, *columns, on.attribute))
        }
        ReadEntry::Rows {
            condition: None, ..
        }
        | ReadEntry::Key { .. }
        | ReadEntry::Range { .. }
        | ReadEntry::Table { .. } => None,
    };
    let mut lines: Vec<Vec<&ReadEntry>> = Vec::new();
    for entry in entries {
        let own = scan(entry);
        match lines.last_mut() {
            Some(line) if own.is_some() && scan(line[0]) == own => line.push(entry),
            Some(_) | None => lines.push(vec![entry]),
        }
    }
    lines
}

/// The line of an entry, or of several that differ in their keys only.
fn row(catalog: &Catalog, reasons: &Reasons, entries: &[&ReadEntry]) -> Result<Line> {
    let Some(entry) = entries.first() else {
        return Ok(Line::of(""));
    };
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
            reason: reasons
                .widened
                .get(&rel)
                .map(|why| explained(*why).to_owned()),
            ..line
        },
        ReadEntry::Rows {
            columns, condition, ..
        } => {
            let of_table = condition_text::columns(rel)?;
            let conditions = entries.iter().filter_map(|entry| match entry {
                ReadEntry::Rows { condition, .. } => condition.as_ref(),
                ReadEntry::Key { .. } | ReadEntry::Range { .. } | ReadEntry::Table { .. } => None,
            });
            let conditions: Vec<&Condition> = conditions.collect();
            Line {
                kind: "rows",
                columns: Some(condition_text::names(&of_table, *columns)),
                condition: match conditions[..] {
                    [] => None,
                    [one] => Some(condition_text::describe(&of_table, one)),
                    _ => Some(condition_text::one_of(&of_table, &conditions)),
                },
                reason: looked_up(reasons, &of_table, rel, condition.as_ref()),
                ..line
            }
        }
    })
}

/// What is to be said of keys that were looked up.
fn looked_up(
    reasons: &Reasons,
    columns: &[Column],
    rel: RelId,
    condition: Option<&Condition>,
) -> Option<String> {
    let is_told = |on: &Condition| reasons.looked_up.contains_key(&(rel, on.attribute));
    if condition.is_some_and(is_told) {
        return Some("looked up while the query ran".to_owned());
    }
    let mut given_up = reasons.looked_up.iter();
    let (of, _) = given_up.find(|((table, _), all)| *table == rel && !**all)?;
    let name = condition_text::names(columns, Attributes::of(of.1));
    Some(format!(
        "what is looked up in {name} is more than {KEYS_MAX} values, or not known"
    ))
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

/// `live.plan_walk(query text, repetitions int) -> (planning, walk, again)`: microseconds of each.
pub(super) fn plan_walk(call: &mut Call) -> Result<Datum> {
    let query: String = call.required(0, "query")?;
    let repetitions: i32 = call.required(1, "repetitions")?;
    let text = CString::new(query).map_err(|error| Error::InvalidParameter(error.to_string()))?;
    let repetitions = u32::try_from(repetitions).unwrap_or(0);
    let times = plan::measure(&text, repetitions).ok_or_else(|| {
        Error::InvalidParameter("only one SELECT can be planned, without parameters".to_owned())
    })?;
    let each = |of: Duration| (of.as_secs_f64() * 1e6 / f64::from(repetitions.max(1))).into_datum();
    let row = vec![each(times.planning), each(times.walk), each(times.again)];
    Ok(call.rows(vec![row]))
}
