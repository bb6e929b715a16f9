//! Switching to a staged deployment in one transaction: tables, columns, checks, indexes, code.

use std::collections::BTreeSet;
use std::rc::Rc;

use pg_live_values::schema::IndexSchema;
use serde_json::{Value as Json, json};

use crate::deploy::refused;
use crate::deploy::stage::stored_schema;
use crate::deploy::tables::{self, Definition};
use crate::documents::catalog::{BY_ID, Catalog, Table, quoted};
use crate::documents::{create, key};
use crate::error::Result;
use crate::pg::spi::{self, Access, Param};

/// What to do about an index on a table with rows that nobody has built yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingIndexes {
    /// Refuse, and say how to build it.
    Refuse,
    /// Build it now; writers of the table wait.
    Build,
}

/// What a switch changed, for the answer.
#[derive(Default)]
struct Changes {
    tables: Vec<String>,
    indexes_added: Vec<String>,
    indexes_removed: Vec<String>,
}

/// Switches to a staged deployment.
pub(super) fn switch(push: i64, missing: MissingIndexes) -> Result<Json> {
    let active = create::lock_active()?;
    if active == Some(push) {
        return Ok(answer(push, true, &Changes::default(), &functions(push)?));
    }
    refuse_stale(push, active)?;
    let definitions = stored_schema(push)?;
    let mut changes = Changes::default();
    create_tables(&definitions, &mut changes)?;
    let catalog = reload()?;
    for definition in &definitions {
        if let Some(table) = catalog.table(&definition.table.name) {
            let table = extend_table(&catalog, table, definition)?;
            exchange_check(&catalog, &table, definition)?;
            for wanted in definition.indexes() {
                ensure_index(&catalog, push, &table, wanted, missing, &mut changes)?;
            }
        }
    }
    for table in catalog.tables() {
        remove_indexes(&catalog, table, &definitions, &mut changes)?;
        if !definitions
            .iter()
            .any(|definition| definition.table.name == table.name)
        {
            drop_check(&catalog, table)?;
        }
    }
    spi::execute(
        "DELETE FROM live.pending_indexes WHERE deployment <= $1",
        &[Param::Int8(push)],
    )?;
    spi::execute(
        "UPDATE live.deployments SET finished_at = pg_catalog.now() WHERE id = $1",
        &[Param::Int8(push)],
    )?;
    create::new_version(Some(push))?;
    Ok(answer(push, false, &changes, &functions(push)?))
}

fn answer(push: i64, unchanged: bool, changes: &Changes, functions: &[String]) -> Json {
    json!({
        "deployment": push,
        "unchanged": unchanged,
        "tables": {"added": changes.tables},
        "indexes": {"added": changes.indexes_added, "removed": changes.indexes_removed},
        "functions": functions,
    })
}

fn refuse_stale(push: i64, active: Option<i64>) -> Result<()> {
    let finished = spi::query_one(
        "SELECT finished_at IS NOT NULL FROM live.deployments WHERE id = $1",
        &[Param::Int8(push)],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    match finished {
        None => Err(refused(format!(
            "there is no staged deployment {push}; start the deploy anew"
        ))),
        Some(true) => Err(refused(format!("deployment {push} was finished before"))),
        Some(false) if active.is_some_and(|active| active > push) => Err(refused(format!(
            "another deploy has finished since deployment {push} was staged; start it anew"
        ))),
        Some(false) => Ok(()),
    }
}

fn functions(push: i64) -> Result<Vec<String>> {
    spi::query(
        "SELECT pg_catalog.regexp_replace(module, '\\.js$', '') || ':' || name \
         FROM live.functions WHERE deployment = $1 ORDER BY 1",
        &[Param::Int8(push)],
        Access::Write,
        |row| row.need(0),
    )
}

fn create_tables(definitions: &[Definition], changes: &mut Changes) -> Result<()> {
    let catalog = Catalog::current(Access::Write)?;
    for definition in definitions {
        let name = &definition.table.name;
        if catalog.table(name).is_none() {
            create::table(&catalog, name, &definition.columns())?;
            changes.tables.push(name.clone());
        }
    }
    Ok(())
}

/// The catalog as this transaction has made it.
fn reload() -> Result<Rc<Catalog>> {
    create::new_version(None)?;
    Catalog::current(Access::Write)
}

/// Adds the columns that the table lacks; returns it with them.
fn extend_table(
    catalog: &Catalog,
    table: &Rc<Table>,
    definition: &Definition,
) -> Result<Rc<Table>> {
    let missing = tables::missing_columns(table, definition);
    if missing.is_empty() {
        return Ok(Rc::clone(table));
    }
    tables::add_columns(catalog, table, &missing)?;
    create::enter_columns(&table.name, &missing, table.columns.len())?;
    let extended = reload()?;
    extended.table(&table.name).cloned().ok_or_else(|| {
        crate::error::Error::Catalog(format!("table {} vanished during a deploy", table.name))
    })
}

fn drop_check(catalog: &Catalog, table: &Table) -> Result<()> {
    if tables::stored_rule(&table.name)?.is_none() {
        return Ok(());
    }
    let drop = format!(
        "ALTER TABLE {} DROP CONSTRAINT IF EXISTS live_valid",
        table.relation
    );
    create::as_owner(catalog, &[drop])?;
    store_rule(table, None)
}

fn store_rule(table: &Table, rule: Option<&str>) -> Result<()> {
    spi::execute(
        "UPDATE live.tables SET rule = $2 WHERE component = '' AND name = $1",
        &[
            Param::Text(&table.name),
            rule.map_or(Param::Null(spi::Type::Text), Param::Text),
        ],
    )
}

fn exchange_check(catalog: &Catalog, table: &Table, definition: &Definition) -> Result<()> {
    let Some(rule) = definition.rule(catalog) else {
        return drop_check(catalog, table);
    };
    if tables::stored_rule(&table.name)?.as_deref() == Some(rule.as_str()) {
        return Ok(());
    }
    drop_check(catalog, table)?;
    let check = tables::check_expression(&rule, &table.columns);
    let add = format!(
        "ALTER TABLE {} ADD CONSTRAINT live_valid CHECK ({check})",
        table.relation
    );
    create::as_owner(catalog, &[add])?;
    store_rule(table, Some(&rule))
}

/// An index that was built for this deployment beside running writers.
struct Pending {
    number: u32,
    key: String,
    relation: String,
    statement: String,
    valid: bool,
}

fn pending(push: i64, table: &Table, index: &str) -> Result<Option<Pending>> {
    spi::query_one(
        "SELECT p.number, p.key, p.relation::text, p.statement, coalesce(i.indisvalid, false) \
         FROM live.pending_indexes p \
         JOIN live.tables t ON t.component = p.component AND t.name = p.\"table\" \
         LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = \
              pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schema, p.relation)) \
         WHERE p.deployment = $1 AND p.component = '' AND p.\"table\" = $2 AND p.name = $3",
        &[
            Param::Int8(push),
            Param::Text(&table.name),
            Param::Text(index),
        ],
        Access::Write,
        |row| {
            Ok(Pending {
                number: row.need::<i32>(0)? as u32,
                key: row.need(1)?,
                relation: row.need(2)?,
                statement: row.need(3)?,
                valid: row.need(4)?,
            })
        },
    )
}

fn ensure_index(
    catalog: &Catalog,
    push: i64,
    table: &Table,
    wanted: &IndexSchema,
    missing: MissingIndexes,
    changes: &mut Changes,
) -> Result<()> {
    if tables::existing_index(table, wanted).is_some() {
        return Ok(());
    }
    if table.index(&wanted.name).is_some() {
        remove_index(catalog, table, &wanted.name, changes)?;
    }
    let (number, key, relation) = match pending(push, table, &wanted.name)? {
        Some(built) if built.valid => (built.number, built.key, built.relation),
        Some(unbuilt) if missing == MissingIndexes::Refuse => {
            return Err(refused(format!(
                "index {}.{} is not built yet (or its build failed): run, outside of a \
                 transaction: DROP INDEX IF EXISTS {}.{}; {}",
                table.name,
                wanted.name,
                quoted(&catalog.schema),
                quoted(&unbuilt.relation),
                unbuilt.statement
            )));
        }
        Some(_) | None => build_index(catalog, table, wanted)?,
    };
    create::enter_index(
        &table.name,
        &wanted.name,
        number,
        &wanted.fields,
        &key,
        &relation,
        wanted.staged,
    )?;
    changes
        .indexes_added
        .push(format!("{}.{}", table.name, wanted.name));
    Ok(())
}

/// Builds an index now: the table is empty or the caller accepts that writers wait.
fn build_index(
    catalog: &Catalog,
    table: &Table,
    wanted: &IndexSchema,
) -> Result<(u32, String, String)> {
    let number = create::new_index_number()?;
    let relation = create::index_name(&table.name, &wanted.name, number);
    let key = key::expression(&wanted.fields, &table.columns);
    let build = format!(
        "CREATE INDEX {} ON {} ({key})",
        quoted(&relation),
        table.relation
    );
    create::as_owner(catalog, &[build])?;
    Ok((number, key, relation))
}

fn remove_indexes(
    catalog: &Catalog,
    table: &Table,
    definitions: &[Definition],
    changes: &mut Changes,
) -> Result<()> {
    let wanted: BTreeSet<&str> = definitions
        .iter()
        .filter(|definition| definition.table.name == table.name)
        .flat_map(|definition| definition.indexes())
        .map(|index| index.name.as_str())
        .collect();
    for index in &table.indexes {
        if index.number > BY_ID && !wanted.contains(index.name.as_str()) {
            remove_index(catalog, table, &index.name, changes)?;
        }
    }
    Ok(())
}

fn remove_index(catalog: &Catalog, table: &Table, name: &str, changes: &mut Changes) -> Result<()> {
    let Some(index) = table.index(name) else {
        return Ok(());
    };
    let drop = format!(
        "DROP INDEX IF EXISTS {}.{}",
        quoted(&catalog.schema),
        quoted(&index.relation)
    );
    create::as_owner(catalog, &[drop])?;
    spi::execute(
        "DELETE FROM live.indexes WHERE component = '' AND \"table\" = $1 AND name = $2",
        &[Param::Text(&table.name), Param::Text(name)],
    )?;
    changes
        .indexes_removed
        .push(format!("{}.{name}", table.name));
    Ok(())
}
