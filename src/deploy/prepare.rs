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

/// Returns the statements to run before the switch: indexes of tables that are too large for it.
pub(super) fn statements(
    catalog: &Catalog,
    push: i64,
    definitions: &[Definition],
) -> Result<Vec<String>> {
    with_short_locks(builds::begin)?;
    let mut to_build = Vec::new();
    for (table, definition) in existing(catalog, definitions) {
        let mut needed = Vec::new();
        if !tables::is_small(table)? {
            let (indexes, columns) = indexes_to_build(catalog, push, table, definition)?;
            to_build.extend(indexes);
            needed = columns;
            let rule = definition.new_rule(catalog)?;
            if let Some(misfits) = rule.and_then(|rule| tables::mismatches(table, &rule)) {
                to_build.extend(builds::want(push, table, &misfits)?);
            }
        }
        change_unused(catalog, table, &definition.columns(), &needed)?;
    }
    let mut statements = builds::drops()?;
    statements.append(&mut to_build);
    Ok(statements)
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
    existing(catalog, definitions).try_for_each(|(table, definition)| {
        change_unused(catalog, table, &definition.columns(), &[])
    })
}

/// Gives a deploy up: its indexes are to be dropped by the statements returned, its columns go.
pub(super) fn abandon(catalog: &Catalog, push: i64, reason: &str) -> Result<Vec<String>> {
    builds::abandon(push, reason)?;
    for table in catalog.tables() {
        change_unused(catalog, table, &[], &[])?;
    }
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

/// Drops the unused columns that the schema does not want, adds those that are `needed`. Where none is,
/// a table in use keeps its unused columns for now.
fn change_unused(
    catalog: &Catalog,
    table: &Table,
    wanted: &[Column],
    needed: &[Column],
) -> Result<()> {
    let change = || {
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
    };
    if needed.is_empty() {
        if_free(change).map(|_| ())
    } else {
        with_short_locks(change)
    }
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
