//! `live.preview`: what a mutation would write and whose results it would touch, rolled back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_live_invalidation::{LogEntry, Owner, Sub};
use pg_live_readset::{WriteEntry, WriteSet};
use pgrx::{IntoDatum, pg_sys};

use super::functions::report_log_lines;
use super::subscribe::own_subscription;
use super::subscription::{attach_session, detach_session};
use crate::capture;
use crate::documents::catalog::{Catalog, FunctionKind};
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Request, Response};
use crate::pg::function::{Call, sql_functions};
use crate::pg::latch;
use crate::pg::session::{self, Subtransaction};
use crate::pg::shmem;
use crate::pg::spi::{self, Access, Param};

/// How long the worker may take to match.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// Keys and live queries that are shown one by one.
const SHOWN: usize = 100;

sql_functions! {
    pg_live_preview = preview;
}

type Row = Vec<Option<pg_sys::Datum>>;

/// What a table's counters say of the running transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    inserted: i64,
    updated: i64,
    deleted: i64,
}

/// A table that was written.
struct Written {
    rel: u32,
    name: String,
    counts: Counts,
    /// Of documents: whether each is there after the mutation.
    documents: BTreeMap<String, bool>,
}

/// `live.preview(path text, args json) -> (what, name, kind, count, keys)`
fn preview(call: &mut Call) -> Result<pg_sys::Datum> {
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    shmem::memory()?;
    let request = Request {
        path: &path,
        args: &args,
        identity: None,
        kind: FunctionKind::Mutation,
        caller: Caller::Sql,
        journal: None,
    };
    let before = counts()?;
    let outcome = session::subtransaction(
        || {
            let (response, set) = capture::rehearse(|| run::rehearse(&request));
            let written = written(&before, &set)?;
            Ok::<_, Error>((response?, set, written))
        },
        |_| false,
    );
    let (Subtransaction::Released(result) | Subtransaction::RolledBack(result)) = outcome;
    let (response, set, written) = result?;
    report_log_lines(&response.log_lines);
    let mut rows = vec![result_row(&response)];
    if response.result.is_ok() {
        for table in &written {
            rows.extend(write_rows(table)?);
        }
        rows.extend(woken(set)?);
    }
    Ok(call.rows(rows))
}

fn result_row(response: &Response) -> Row {
    let (kind, text) = match &response.result {
        Ok(value) => ("value", value.clone()),
        Err(error) => ("error", error.message.clone()),
    };
    row("result", None, kind, None, vec![text])
}

fn row(what: &str, name: Option<String>, kind: &str, count: Option<i64>, keys: Vec<String>) -> Row {
    vec![
        what.into_datum(),
        name.and_then(IntoDatum::into_datum),
        kind.into_datum(),
        count.and_then(IntoDatum::into_datum),
        keys.into_datum(),
    ]
}

/// Rows written by this transaction, by table: those of triggers and cascades, too.
fn counts() -> Result<BTreeMap<u32, (String, Counts)>> {
    let mut all = BTreeMap::new();
    session::as_superuser(|| {
        spi::query(
            "SELECT c.oid, c.oid::pg_catalog.regclass::pg_catalog.text, pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid), \
                 pg_catalog.pg_stat_get_xact_tuples_updated(c.oid), pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) \
             FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'm') AND c.relnamespace NOT IN \
                 ('live'::pg_catalog.regnamespace, 'pg_catalog'::pg_catalog.regnamespace)",
            &[],
            Access::Write,
            |row| {
                let counts = Counts {
                    inserted: row.need(2)?,
                    updated: row.need(3)?,
                    deleted: row.need(4)?,
                };
                let name: String = row.need(1)?;
                all.insert(row.need::<pg_sys::Oid>(0)?.to_u32(), (name, counts));
                Ok(())
            },
        )
    })?;
    Ok(all)
}

/// What was written, before it is rolled back.
fn written(before: &BTreeMap<u32, (String, Counts)>, set: &WriteSet) -> Result<Vec<Written>> {
    let catalog = Catalog::current(Access::Write)?;
    let mut tables = Vec::new();
    for (rel, (name, after)) in counts()? {
        let before = before.get(&rel).map_or(Counts::default(), |known| known.1);
        let counts = Counts {
            inserted: after.inserted - before.inserted,
            updated: after.updated - before.updated,
            deleted: after.deleted - before.deleted,
        };
        if counts == Counts::default() {
            continue;
        }
        let mut documents = BTreeMap::new();
        if catalog.table_by_oid(rel).is_some() {
            for entry in &set.entries {
                if let WriteEntry::Row { rel: of, image } = entry
                    && *of == rel
                    && let Some(pk) = &image.pk
                {
                    documents.insert(String::from_utf8_lossy(pk).into_owned(), false);
                }
            }
            mark_present(&name, &mut documents)?;
        }
        tables.push(Written {
            rel,
            name,
            counts,
            documents,
        });
    }
    Ok(tables)
}

/// Notes which of these documents are there now.
fn mark_present(table: &str, ids: &mut BTreeMap<String, bool>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let list: Vec<&String> = ids.keys().collect();
    let list = serde_json::to_string(&list).map_err(|error| Error::Defect(error.to_string()))?;
    let sql = format!(
        "SELECT t._id FROM {table} AS t \
         WHERE t._id IN (SELECT pg_catalog.json_array_elements_text($1::pg_catalog.json))"
    );
    let mut present: Vec<String> = Vec::new();
    session::as_superuser(|| {
        spi::query(&sql, &[Param::Text(&list)], Access::Write, |row| {
            present.push(row.need(0)?);
            Ok(())
        })
    })?;
    for id in present {
        ids.insert(id, true);
    }
    Ok(())
}

/// A row for each kind of write to a table, after the rollback: what is there now was there before.
fn write_rows(table: &Written) -> Result<Vec<Row>> {
    let mut before: BTreeMap<String, bool> = table.documents.clone();
    before.values_mut().for_each(|present| *present = false);
    if session::as_superuser(|| relation_exists(table.rel))? {
        mark_present(&table.name, &mut before)?;
    }
    let counts = table.counts;
    let kinds = [
        ("insert", counts.inserted, (false, true)),
        ("update", counts.updated, (true, true)),
        ("delete", counts.deleted, (true, false)),
    ];
    let kinds = kinds.into_iter().filter(|(_, count, _)| *count != 0);
    let rows = kinds.map(|(kind, count, there)| {
        let of_kind = table.documents.iter().filter(|(id, after)| {
            let before = before.get(*id).copied().unwrap_or(false);
            (before, **after) == there
        });
        let shown = of_kind.map(|(id, _)| id.clone()).take(SHOWN).collect();
        row("write", Some(table.name.clone()), kind, Some(count), shown)
    });
    Ok(rows.collect())
}

fn relation_exists(rel: u32) -> Result<bool> {
    let found = spi::query_one(
        "SELECT true FROM pg_catalog.pg_class AS c WHERE c.oid = $1::pg_catalog.oid",
        &[Param::Int8(rel.into())],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    Ok(found == Some(true))
}

/// The live queries that the writes touch, as the worker knows them.
fn woken(set: WriteSet) -> Result<Vec<Row>> {
    if set.entries.is_empty() {
        return Ok(Vec::new());
    }
    let (owner, boot) = attach_session()?;
    let touched = ask(owner, boot, set);
    detach_session(owner);
    let mut others: BTreeMap<Owner, Vec<Sub>> = BTreeMap::new();
    let mut rows = Vec::new();
    for (of, sub) in touched? {
        match own_subscription(of, sub) {
            Some(name) => rows.push(row(
                "wake",
                Some(name),
                "live query of this session",
                Some(1),
                vec![sub.to_string()],
            )),
            None => others.entry(of).or_default().push(sub),
        }
    }
    for (of, subs) in others {
        let count = i64::try_from(subs.len()).unwrap_or(i64::MAX);
        let shown = subs.iter().take(SHOWN).map(Sub::to_string).collect();
        let name = format!("owner {of}");
        rows.push(row(
            "wake",
            Some(name),
            "live queries of another session or relay",
            Some(count),
            shown,
        ));
    }
    Ok(rows)
}

/// Asks the worker by the log, and waits for its answer on the board.
fn ask(owner: Owner, boot: u64, set: WriteSet) -> Result<Vec<(Owner, Sub)>> {
    let slot = shmem::own_slot().ok_or(Error::NoWorker)?;
    let bytes = LogEntry::Preview { owner, set }.encode();
    let bytes = bytes.map_err(|error| Error::Defect(error.to_string()))?;
    slot.push_reader(boot, owner, &bytes)
        .map_err(|_| Error::NoWorker)?;
    slot.wake_worker();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let found = slot.board_mut().fetch(owner, boot, 0);
        let items = found.map_err(|_| Error::NoWorker)?;
        if items.iter().any(|item| item.sub == 0) {
            let told = items.iter().filter(|item| item.sub != 0);
            return Ok(told.map(|item| (item.generation, item.sub)).collect());
        }
        latch::check_for_interrupts();
        latch::wait(PAUSE);
    }
    Err(Error::NoWorker)
}
