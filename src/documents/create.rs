//! Making tables of documents, their columns and their indexes.

use std::rc::Rc;

use pg_live_values::FieldPath;
use pg_live_values::column::relation_name;

use crate::api::Rule;
use crate::documents::catalog::{
    BY_CREATION_TIME, BY_ID, Catalog, Column, column_type_name, literal, quoted,
};
use crate::documents::key;
use crate::error::{Error, Result};
use crate::pg::session::{self, UserGuard};
use crate::pg::spi::{self, Access, Param};

/// Runs definition statements as the deployment's owner.
pub(crate) fn as_owner(catalog: &Catalog, statements: &[String]) -> Result<()> {
    let _user = UserGuard::become_user(owner_oid(catalog)?);
    statements.iter().try_for_each(|sql| spi::define(sql))
}

/// The oid of the role that owns the deployment.
pub(crate) fn owner_oid(catalog: &Catalog) -> Result<pgrx::pg_sys::Oid> {
    match &catalog.owner {
        Some(owner) => session::role(owner),
        None => Err(Error::DeployRefused(
            "deployments have no owner in this database yet: as a superuser, \
             SELECT live.setup('<role>')"
                .to_owned(),
        )),
    }
}

/// Makes sure that there is a table without columns of its own, and returns the catalog with it.
///
/// Whoever makes a table or deploys holds the row of `live.active` first. If another transaction did
/// so meanwhile, this one waits for it: then READ COMMITTED sees its table, and REPEATABLE READ and
/// SERIALIZABLE end with 40001, since their snapshot can not see it; repeated they do.
pub(crate) fn on_first_insert(name: &str) -> Result<Rc<Catalog>> {
    lock_active()?;
    let catalog = Catalog::current(Access::Write)?;
    if catalog.table(name).is_some() {
        return Ok(catalog);
    }
    table(&catalog, name, &[])?;
    new_version(None)?;
    Catalog::current(Access::Write)
}

/// The deployment in force; holds off every other change of the catalog until the end of the
/// transaction.
pub(crate) fn lock_active() -> Result<Option<i64>> {
    let active = spi::query_one(
        "SELECT deployment FROM live.active WHERE component = '' FOR UPDATE",
        &[],
        Access::Write,
        |row| Ok(row.get::<i64>(0)),
    )?;
    Ok(active.flatten())
}

/// Creates a table of documents with its two built-in indexes and its capture triggers, and enters
/// it into the catalog. The caller holds the catalog's lock and draws a new version afterwards.
pub(crate) fn table(catalog: &Catalog, name: &str, columns: &[Column]) -> Result<u32> {
    let kept_name = relation_name(name);
    let relation = format!("{}.{}", quoted(&catalog.schema), quoted(&kept_name));
    let taken = spi::query_one(
        "SELECT pg_catalog.to_regclass($1) IS NOT NULL",
        &[Param::Text(&relation)],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    if taken == Some(true) {
        return Err(Error::DeployRefused(format!(
            "table \"{name}\" cannot be created: relation {relation} exists and is not a table of \
             documents; rename one of them"
        )));
    }
    let number = spi::query_one(
        "SELECT pg_catalog.nextval('live.table_number_seq')::pg_catalog.int4",
        &[],
        Access::Write,
        |row| row.need::<i32>(0),
    )?
    .unwrap_or_default();
    let mut definition = format!(
        "CREATE TABLE {relation} (_id text COLLATE \"C\" DEFAULT live.new_id({number}), \
         \"_creationTime\" float8 NOT NULL DEFAULT live.creation_time()"
    );
    for column in columns {
        definition.push_str(&format!(", {}", column_definition(column)));
    }
    let primary_key = relation_name(&format!("{name}_pkey"));
    definition.push_str(&format!(
        ", _extra jsonb, CONSTRAINT {} PRIMARY KEY (_id), \
         CONSTRAINT live_document CHECK (live.valid({}::text, _id, _extra)))",
        quoted(&primary_key),
        literal(&Rule::of_table(name, number as u32)),
    ));
    let by_creation_time = index_name(name, "by_creation_time", BY_CREATION_TIME);
    let key = key::expression(&[], columns);
    as_owner(
        catalog,
        &[
            definition,
            format!(
                "CREATE INDEX {} ON {relation} ({key})",
                quoted(&by_creation_time)
            ),
        ],
    )?;
    spi::execute(
        "INSERT INTO live.tables (component, name, number, schema, relation) \
             VALUES ('', $1, $2::pg_catalog.int4, $3::pg_catalog.name, $4::pg_catalog.name)",
        &[
            Param::Text(name),
            Param::Int8(i64::from(number)),
            Param::Text(&catalog.schema),
            Param::Text(&kept_name),
        ],
    )?;
    enter_columns(name, columns)?;
    enter_index(
        name,
        "by_creation_time",
        BY_CREATION_TIME,
        &[],
        &key,
        &by_creation_time,
        false,
    )?;
    enter_index(name, "by_id", BY_ID, &[], "_id", &primary_key, false)?;
    spi::define(&format!(
        "SELECT live.capture_table({}::regclass)",
        literal(&relation)
    ))?;
    Ok(number as u32)
}

/// `field type` of a column, as CREATE TABLE and ADD COLUMN want it.
pub(crate) fn column_definition(column: &Column) -> String {
    format!("{} {}", quoted(&column.field), column.of.sql_name())
}

/// Enters columns into the catalog, behind those that are there.
pub(crate) fn enter_columns(table: &str, columns: &[Column]) -> Result<()> {
    for column in columns {
        spi::execute(
            "INSERT INTO live.columns SELECT '', $1, $2, $3, coalesce(max(position) + 1, 0) \
             FROM live.columns WHERE component = '' AND \"table\" = $1",
            &[
                Param::Text(table),
                Param::Text(&column.field),
                Param::Text(column_type_name(column.of)),
            ],
        )?;
    }
    Ok(())
}

/// Takes columns out of the catalog; the relation keeps them for now.
pub(crate) fn forget_columns(table: &str, columns: &[Column]) -> Result<()> {
    for column in columns {
        spi::execute(
            "DELETE FROM live.columns WHERE component = '' AND \"table\" = $1 AND field = $2",
            &[Param::Text(table), Param::Text(&column.field)],
        )?;
    }
    Ok(())
}

/// Enters an index into the catalog.
pub(crate) fn enter_index(
    table: &str,
    name: &str,
    number: u32,
    fields: &[FieldPath],
    key: &str,
    relation: &str,
    staged: bool,
) -> Result<()> {
    let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
    let fields = serde_json::to_string(&fields)
        .map_err(|error| Error::Catalog(format!("index fields: {error}")))?;
    spi::execute(
        "INSERT INTO live.indexes VALUES ('', $1, $2, $3::pg_catalog.int4, \
             ARRAY(SELECT pg_catalog.jsonb_array_elements_text($4::pg_catalog.jsonb)), $5, $6::name, $7)",
        &[
            Param::Text(table),
            Param::Text(name),
            Param::Int8(i64::from(number)),
            Param::Text(&fields),
            Param::Text(key),
            Param::Text(relation),
            Param::Bool(staged),
        ],
    )
}

/// The name of the Postgres index: table, index and number.
pub(crate) fn index_name(table: &str, index: &str, number: u32) -> String {
    relation_name(&format!("{table}_{index}_{number}"))
}

/// A number for a new index of the schema.
pub(crate) fn new_index_number() -> Result<u32> {
    let number = spi::query_one(
        "SELECT pg_catalog.nextval('live.index_number_seq')::pg_catalog.int4",
        &[],
        Access::Write,
        |row| row.need::<i32>(0),
    )?;
    Ok(number.unwrap_or_default() as u32)
}

/// Draws a new version of the catalog: everyone loads it anew, every live query runs again.
pub(crate) fn new_version(deployment: Option<i64>) -> Result<()> {
    spi::execute(
        "UPDATE live.active SET version = pg_catalog.nextval('live.version_seq'), \
             deployment = coalesce($1, deployment), \
             code = CASE WHEN $1 IS NULL THEN code ELSE pg_catalog.nextval('live.version_seq') END \
         WHERE component = ''",
        &[deployment.map_or(Param::Null(spi::Type::Int8), Param::Int8)],
    )
}
