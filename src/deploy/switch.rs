//! Switching to a staged deployment in one transaction: tables, columns, checks, indexes, code.

use std::collections::BTreeSet;
use std::rc::Rc;

use pg_live_values::schema::IndexSchema;
use serde_json::{Value as Json, json};

use crate::deploy::columns::{self, Physical};
use crate::deploy::locks::with_short_locks;
use crate::deploy::prepare::alter;
use crate::deploy::stage::stored_schema;
use crate::deploy::tables::{self, Definition};
use crate::deploy::{Mode, builds, faces, refused};
use crate::documents::catalog::{BY_ID, Catalog, Column, Index, Table, quoted};
use crate::documents::{create, key};
use crate::error::{Error, Result};
use crate::pg::spi::{self, Access, Param};

/// What a switch changed, for the answer.
#[derive(Default)]
struct Changes {
    unchanged: bool,
    tables: Vec<String>,
    indexes_added: Vec<String>,
    indexes_removed: Vec<String>,
}

/// Switches to a staged deployment.
pub(super) fn switch(push: i64, mode: Mode) -> Result<Json> {
    let changes = with_short_locks(|| attempt(push, mode))?;
    answer(push, &changes)
}

fn attempt(push: i64, mode: Mode) -> Result<Changes> {
    let mut changes = Changes::default();
    let active = create::lock_active()?;
    if active == Some(push) {
        changes.unchanged = true;
        return Ok(changes);
    }
    refuse_stale(push, active)?;
    let definitions = stored_schema(push)?;
    create_tables(&definitions, &mut changes)?;
    let catalog = reload()?;
    for definition in &definitions {
        if let Some(table) = catalog.table(&definition.table.name) {
            let table = change_table(&catalog, push, table, definition, mode)?;
            for wanted in definition.indexes() {
                ensure_index(&catalog, push, &table, wanted, mode, &mut changes)?;
            }
        }
    }
    for table in catalog.tables() {
        remove_indexes(&catalog, table, &definitions, mode, &mut changes)?;
        if !definitions
            .iter()
            .any(|definition| definition.table.name == table.name)
        {
            drop_check(&catalog, table)?;
        }
    }
    builds::end()?;
    spi::execute(
        "UPDATE live.deployments SET finished_at = pg_catalog.now(), \
             diff = live.deployment_diff(base, id) WHERE id = $1",
        &[Param::Int8(push)],
    )?;
    faces::exchange(&catalog, push)?;
    create::new_version(Some(push))?;
    Ok(changes)
}

fn answer(push: i64, changes: &Changes) -> Result<Json> {
    Ok(json!({
        "deployment": push,
        "unchanged": changes.unchanged,
        "tables": {"added": changes.tables},
        "indexes": {"added": changes.indexes_added, "removed": changes.indexes_removed},
        "functions": functions(push)?,
    }))
}

/// Where a deployment stands.
pub(super) enum Standing {
    /// It is in force.
    InForce,
    /// It was staged for the deployment in force.
    Staged,
}

/// Where a deployment stands; an error if it cannot come into force any more.
pub(super) fn standing(push: i64) -> Result<Standing> {
    let active = Catalog::current(Access::Write)?.deployment;
    if active == Some(push) {
        return Ok(Standing::InForce);
    }
    refuse_stale(push, active)?;
    Ok(Standing::Staged)
}

/// What was prepared holds for the deployment that was in force then: its columns, its indexes.
fn refuse_stale(push: i64, active: Option<i64>) -> Result<()> {
    let staged = spi::query_one(
        "SELECT finished_at IS NOT NULL, base FROM live.deployments WHERE id = $1",
        &[Param::Int8(push)],
        Access::Write,
        |row| Ok((row.need::<bool>(0)?, row.get::<i64>(1))),
    )?;
    match staged {
        None => Err(refused(format!(
            "there is no staged deployment {push}; start the deploy anew"
        ))),
        Some((true, _)) => Err(refused(format!("deployment {push} was finished before"))),
        Some((false, base)) if active != base => Err(Error::DeployOvertaken(push)),
        Some((false, _)) => Ok(()),
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

/// Columns and check of a table, in one statement. Returns the table with its columns.
fn change_table(
    catalog: &Catalog,
    push: i64,
    table: &Rc<Table>,
    definition: &Definition,
    mode: Mode,
) -> Result<Rc<Table>> {
    let rule = definition.new_rule(catalog)?;
    let had_check = tables::stored_rule(&table.name)?.is_some();
    let goes = had_check && (rule.is_some() || definition.rule(catalog).is_none());
    let physical = Physical::load(table)?;
    let missing = physical.missing(table, definition);
    if rule.is_none() && missing.is_empty() {
        return if goes {
            drop_check(catalog, table).map(|()| Rc::clone(table))
        } else {
            Ok(Rc::clone(table))
        };
    }
    lock(table)?;
    let proof = match &rule {
        Some(rule) => prove(push, table, rule, mode)?,
        None => Proof::Scan,
    };
    let without = match rule {
        Some(_) => columns::without_fields(table, definition),
        None => Vec::new(),
    };
    let mut after: Vec<Column> = table.columns.clone();
    after.retain(|column| !without.contains(column));
    let kept = after.len();
    after.extend(missing);
    let mut unused = physical.unused.clone();
    unused.retain(|column| !after.contains(column));
    unused.extend_from_slice(&without);

    let mut parts = columns::say_unused(&physical, &unused);
    if goes {
        parts.push("DROP CONSTRAINT IF EXISTS live_valid".to_owned());
    }
    parts.extend(columns::add(&after[kept..]));
    if let Some(rule) = &rule {
        let check = tables::check_expression("valid", rule, &after);
        parts.push(format!(
            "ADD CONSTRAINT live_valid CHECK ({check}){}",
            proof.constraint_ending()
        ));
    }
    alter(catalog, table, &parts)?;
    if rule.is_some() || goes {
        store_rule(table, rule.as_deref())?;
    }
    create::forget_columns(&table.name, &without)?;
    create::enter_columns(&table.name, &after[kept..])?;
    let changed = reload()?;
    changed
        .table(&table.name)
        .cloned()
        .ok_or_else(|| Error::Catalog(format!("table {} vanished during a deploy", table.name)))
}

/// Keeps everyone else from the table until the end of the transaction.
fn lock(table: &Table) -> Result<()> {
    spi::define(&format!(
        "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
        table.relation
    ))
}

/// How it is known that all rows match a new rule.
#[derive(Clone, Copy)]
enum Proof {
    /// They were read, under the lock.
    Scan,
    /// The index of those that do not match is empty, under the lock.
    Index,
}

impl Proof {
    /// Postgres need not read a large table again, under the lock: it does so after the switch.
    fn constraint_ending(self) -> &'static str {
        match self {
            Proof::Scan => "",
            Proof::Index => " NOT VALID",
        }
    }
}

/// Makes sure, under the table's lock, that all rows match a rule. An error names one that does not.
fn prove(push: i64, table: &Table, rule: &str, mode: Mode) -> Result<Proof> {
    if let Some(built) = builds::built(push, table, None)?
        && let Some(predicate) = &built.predicate
    {
        tables::check_mismatches(table, rule, predicate)?;
        return Ok(Proof::Index);
    }
    let has_index = tables::mismatches(table, rule).is_some();
    if mode != Mode::AtOnce && has_index && !tables::is_small(table)? {
        return Err(refused(format!(
            "the rows of table {} are not checked yet: the statements of live.deploy_start were not \
             run, another deploy was started since, or the table has grown. Start the deploy anew",
            table.name
        )));
    }
    tables::check_rows(table, rule)?;
    Ok(Proof::Scan)
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

fn ensure_index(
    catalog: &Catalog,
    push: i64,
    table: &Table,
    wanted: &IndexSchema,
    mode: Mode,
    changes: &mut Changes,
) -> Result<()> {
    if let Some(index) = tables::existing_index(catalog, table, &table.columns, wanted)? {
        if index.staged != wanted.staged {
            set_staged(table, index, wanted.staged)?;
        }
        return Ok(());
    }
    if let Some(index) = table.index(&wanted.name) {
        remove_index(catalog, table, index, mode, changes)?;
    }
    let key = key::expression(&wanted.fields, &table.columns);
    let (number, relation) = match builds::built(push, table, Some(&wanted.name))? {
        Some(built) if built.definition == builds::definition(table, &key) => {
            (built.number, built.relation)
        }
        Some(_) | None => new_index(catalog, table, wanted, &key, mode)?,
    };
    let (name, fields) = (&wanted.name, &wanted.fields);
    create::enter_index(
        &table.name,
        name,
        number,
        fields,
        &key,
        &relation,
        wanted.staged,
    )?;
    changes
        .indexes_added
        .push(format!("{}.{}", table.name, wanted.name));
    Ok(())
}

/// Number and relation of an index that is built here and now; of a staged one, later.
fn new_index(
    catalog: &Catalog,
    table: &Table,
    wanted: &IndexSchema,
    key: &str,
    mode: Mode,
) -> Result<(u32, String)> {
    let number = create::new_index_number()?;
    let relation = create::index_name(&table.name, &wanted.name, number);
    match mode {
        Mode::Beside if wanted.staged => return Ok((number, relation)),
        Mode::Small if wanted.staged && !tables::is_small(table)? => return Ok((number, relation)),
        Mode::Beside | Mode::Small if !tables::is_small(table)? => {
            return Err(refused(format!(
                "index {}.{} is not built: the statements of live.deploy_start were not run, one of \
                 them failed, another deploy was started since, or the table has grown. Start the \
                 deploy anew; live.pending_indexes shows the state",
                table.name, wanted.name
            )));
        }
        Mode::Beside | Mode::Small | Mode::AtOnce => {}
    }
    let definition = builds::definition(table, key);
    let build = builds::create_statement(false, &relation, &definition);
    create::as_owner(catalog, &[build])?;
    Ok((number, relation))
}

fn set_staged(table: &Table, index: &Index, staged: bool) -> Result<()> {
    spi::execute(
        "UPDATE live.indexes SET staged = $3 \
         WHERE component = '' AND \"table\" = $1 AND name = $2",
        &[
            Param::Text(&table.name),
            Param::Text(&index.name),
            Param::Bool(staged),
        ],
    )
}

fn remove_indexes(
    catalog: &Catalog,
    table: &Table,
    definitions: &[Definition],
    mode: Mode,
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
            remove_index(catalog, table, index, mode, changes)?;
        }
    }
    Ok(())
}

fn remove_index(
    catalog: &Catalog,
    table: &Table,
    index: &Index,
    mode: Mode,
    changes: &mut Changes,
) -> Result<()> {
    match mode {
        Mode::Beside => builds::drop_later(table, index)?,
        Mode::Small | Mode::AtOnce => {
            let drop = format!(
                "DROP INDEX IF EXISTS {}.{}",
                quoted(&catalog.schema),
                quoted(&index.relation)
            );
            create::as_owner(catalog, &[drop])?;
        }
    }
    spi::execute(
        "DELETE FROM live.indexes WHERE component = '' AND \"table\" = $1 AND name = $2",
        &[Param::Text(&table.name), Param::Text(&index.name)],
    )?;
    changes
        .indexes_removed
        .push(format!("{}.{}", table.name, index.name));
    Ok(())
}
