//! What is done before the switch, beside running readers and writers: rows are checked, indexes are
//! named for the caller to build, columns that those read are added.

use crate::deploy::builds::{self, Wanted};
use crate::deploy::columns::{self, Physical};
use crate::deploy::locks::{if_free, with_short_locks};
use crate::deploy::tables::{self, Definition};
use crate::documents::catalog::{Catalog, Column, Table};
use crate::documents::{create, key};
use crate::error::Result;
use crate::pg::spi::{self, Access};

/// Checks the rows of the tables whose rule changes, without blocking anybody; an error names the
/// first document that does not match. Rows written from now on are the business of the switch.
pub(super) fn check_rows(catalog: &Catalog, definitions: &[Definition]) -> Result<()> {
    for (table, definition) in existing(catalog, definitions) {
        if let Some(rule) = definition.new_rule(catalog)? {
            tables::check_rows(table, &rule)?;
        }
    }
    Ok(())
}

/// Whether the indexes in force are all there and valid.
pub(super) fn is_sound(catalog: &Catalog, definitions: &[Definition]) -> Result<bool> {
    for (table, definition) in existing(catalog, definitions) {
        for wanted in definition.indexes() {
            if tables::existing_index(catalog, table, &table.columns, wanted)?.is_none() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Statements to run before a switch, each by itself.
#[derive(Default)]
pub(super) struct Statements {
    /// What earlier deploys left.
    drops: Vec<String>,
    /// Indexes without which the switch cannot be.
    pub(super) builds: Vec<String>,
}

impl Statements {
    /// In the order in which they are to be run.
    pub(super) fn all(&self) -> Vec<&str> {
        let all = self.drops.iter().chain(&self.builds);
        all.map(String::as_str).collect()
    }
}

/// Returns the statements to run before the switch: indexes of tables that are too large for it.
pub(super) fn statements(
    catalog: &Catalog,
    push: i64,
    definitions: &[Definition],
) -> Result<Statements> {
    with_short_locks(builds::begin)?;
    let (mut to_build, mut columns) = (Vec::new(), Vec::new());
    for (table, definition) in existing(catalog, definitions) {
        let mut needed = Vec::new();
        if !tables::is_small(table)? {
            let (indexes, read) = indexes_to_build(catalog, push, table, definition)?;
            to_build.extend(indexes);
            needed = read;
            let rule = definition.new_rule(catalog)?;
            if let Some(misfits) = rule.and_then(|rule| tables::mismatches(table, &rule)) {
                to_build.extend(builds::want(push, table, &misfits)?);
            }
        }
        columns.push((table, definition.columns(), needed));
    }
    change_unused(catalog, columns)?;
    Ok(Statements {
        drops: builds::drops()?,
        builds: to_build,
    })
}

/// Wants the indexes that a large table lacks. Returns the statements that build them and the new
/// columns that they read.
fn indexes_to_build(
    catalog: &Catalog,
    push: i64,
    table: &Table,
    definition: &Definition,
) -> Result<(Vec<String>, Vec<Column>)> {
    let missing = Physical::load(table)?.missing(table, definition);
    let mut after = table.columns.clone();
    after.extend_from_slice(&missing);
    let (mut statements, mut needed) = (Vec::new(), Vec::new());
    for wanted in definition.indexes().iter().filter(|wanted| !wanted.staged) {
        if tables::existing_index(catalog, table, &after, wanted)?.is_some() {
            continue;
        }
        let is_read = |column: &&Column| wanted.fields.iter().any(|f| f.top() == column.field);
        needed.extend(missing.iter().filter(is_read).cloned());
        let index = Wanted {
            index: Some(&wanted.name),
            key: key::expression(&wanted.fields, &after),
            predicate: None,
        };
        statements.extend(builds::want(push, table, &index)?);
    }
    Ok((statements, needed))
}

/// Drops the unused columns that the schema does not want.
pub(super) fn drop_unused(catalog: &Catalog, definitions: &[Definition]) -> Result<()> {
    let columns = existing(catalog, definitions)
        .map(|(table, definition)| (table, definition.columns(), Vec::new()));
    change_unused(catalog, columns.collect())
}

/// Gives a deploy up: its indexes are to be dropped by the statements returned, its columns go.
pub(super) fn abandon(catalog: &Catalog, push: i64, reason: &str) -> Result<Vec<String>> {
    builds::abandon(push, reason)?;
    let tables = catalog.tables();
    change_unused(
        catalog,
        tables
            .map(|table| (&**table, Vec::new(), Vec::new()))
            .collect(),
    )?;
    builds::drops()
}

/// The tables of the schema that exist already.
fn existing<'a>(
    catalog: &'a Catalog,
    definitions: &'a [Definition],
) -> impl Iterator<Item = (&'a Table, &'a Definition)> {
    definitions.iter().filter_map(|definition| {
        let table = catalog.table(&definition.table.name)?;
        Some((&**table, definition))
    })
}

/// Drops the unused columns that are not wanted, adds those that are needed: per table, both.
///
/// A lock is kept until the end of the transaction, so this is its last work, and it waits for one
/// table's lock with all others given back. What is only to be dropped is left where a table is in
/// use, or where other tables need columns.
fn change_unused(
    catalog: &Catalog,
    mut changes: Vec<(&Table, Vec<Column>, Vec<Column>)>,
) -> Result<()> {
    let change = |changes: &[(&Table, Vec<Column>, Vec<Column>)]| {
        let mut each = changes.iter();
        each.try_for_each(|(table, wanted, needed)| change_table(catalog, table, wanted, needed))
    };
    if changes.iter().all(|(.., needed)| needed.is_empty()) {
        return if_free(|| change(&changes)).map(|_| ());
    }
    changes.retain(|(.., needed)| !needed.is_empty());
    with_short_locks(|| change(&changes))
}

fn change_table(
    catalog: &Catalog,
    table: &Table,
    wanted: &[Column],
    needed: &[Column],
) -> Result<()> {
    let physical = Physical::load(table)?;
    let gone = physical.droppable(table, wanted)?;
    let mut unused = physical.unused.clone();
    unused.retain(|column| !gone.contains(column));
    for column in needed {
        if !unused.contains(column) {
            unused.push(column.clone());
        }
    }
    let mut parts = columns::say_unused(&physical, &unused);
    if parts.is_empty() {
        return Ok(());
    }
    parts.extend(columns::drop(&gone));
    parts.extend(columns::add(needed));
    alter(catalog, table, &parts)
}

/// One `ALTER TABLE` as the owner; nothing to do is no statement.
pub(super) fn alter(catalog: &Catalog, table: &Table, parts: &[String]) -> Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let statement = format!("ALTER TABLE {} {}", table.relation, parts.join(", "));
    create::as_owner(catalog, &[statement])
}

/// What is left to do after the switch, beside readers and writers.
pub(super) fn statements_after(catalog: &Catalog) -> Result<Vec<String>> {
    let mut statements = spi::query(
        "SELECT pg_catalog.format('ALTER TABLE %I.%I VALIDATE CONSTRAINT live_valid', schema, relation) \
         FROM live.tables t WHERE EXISTS (SELECT FROM pg_catalog.pg_constraint c \
             WHERE c.conrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schema, t.relation)) \
               AND c.conname = 'live_valid' AND NOT c.convalidated) ORDER BY name",
        &[],
        Access::Write,
        |row| row.need::<String>(0),
    )?;
    statements.append(&mut builds::drops()?);
    statements.append(&mut builds::staged(catalog)?);
    statements.push("SELECT live.prune()".to_owned());
    Ok(statements)
}
