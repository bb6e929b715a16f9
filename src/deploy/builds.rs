//! Indexes that are built or dropped beside running writers, by statements that the caller of the
//! deploy runs on a connection of its own: `live.index_builds` remembers them until they are done.
//!
//! A row with a deployment is wanted by it; a row without one is to be dropped. Nothing is forgotten
//! when a deploy is killed: the next one takes over what is valid and drops the rest.

use crate::documents::catalog::{Catalog, Index, Table, quoted};
use crate::documents::create;
use crate::error::Result;
use crate::pg::spi::{self, Access, Param, Type};

/// An index to build.
pub(super) struct Wanted<'a> {
    /// The index of the schema that it becomes; `None` for the index of rows that do not match.
    pub(super) index: Option<&'a str>,
    /// What it is built on.
    pub(super) key: String,
    /// The condition of a partial index.
    pub(super) predicate: Option<String>,
}

/// An index that was built for a deployment.
pub(super) struct Built {
    /// Its number.
    pub(super) number: u32,
    /// The name of the Postgres index.
    pub(super) relation: String,
    /// What it is made of, behind `CREATE INDEX name ON`.
    pub(super) definition: String,
    /// Its condition.
    pub(super) predicate: Option<String>,
}

impl Wanted<'_> {
    fn definition(&self, table: &Table) -> String {
        let all = definition(table, &self.key);
        match &self.predicate {
            Some(predicate) => format!("{all} WHERE {predicate}"),
            None => all,
        }
    }
}

/// What an index of all rows is made of, behind `CREATE INDEX name ON`.
pub(super) fn definition(table: &Table, key: &str) -> String {
    format!("{} ({key})", table.relation)
}

/// `CREATE INDEX` for a definition.
pub(super) fn create_statement(concurrently: bool, relation: &str, definition: &str) -> String {
    let concurrently = if concurrently { "CONCURRENTLY " } else { "" };
    format!(
        "CREATE INDEX {concurrently}{} ON {definition}",
        quoted(relation)
    )
}

/// The Postgres index of a row `b` of `live.index_builds`; NULL if it does not exist.
const INDEX: &str = "pg_catalog.to_regclass(pg_catalog.format('%I.%I', b.schema, b.relation))";

/// Begins a deploy: what earlier ones left is to be dropped, unless [`want`] takes it over.
pub(super) fn begin() -> Result<()> {
    spi::execute("UPDATE live.index_builds SET deployment = NULL", &[])?;
    // Not at once: whoever was told to build one may only be about to.
    spi::execute(
        &format!(
            "DELETE FROM live.index_builds b \
             WHERE b.created_at < pg_catalog.now() - interval '1 day' AND {INDEX} IS NULL"
        ),
        &[],
    )
}

/// Wants an index for a deployment. Returns the statement that builds it, unless it is there.
pub(super) fn want(push: i64, table: &Table, wanted: &Wanted<'_>) -> Result<Option<String>> {
    let definition = wanted.definition(table);
    let name = wanted.index.map_or(Param::Null(Type::Text), Param::Text);
    let taken_over = spi::query_one(
        &format!(
            "UPDATE live.index_builds SET deployment = $1, name = $2, error = NULL \
             WHERE relation = (SELECT b.relation FROM live.index_builds b \
                 JOIN pg_catalog.pg_index i ON i.indexrelid = {INDEX} AND i.indisvalid \
                 WHERE b.component = '' AND b.\"table\" = $3 AND b.definition = $4 \
                   AND b.deployment IS NULL LIMIT 1) RETURNING true"
        ),
        &[
            Param::Int8(push),
            name,
            Param::Text(&table.name),
            Param::Text(&definition),
        ],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    if taken_over.is_some() {
        return Ok(None);
    }
    let number = create::new_index_number()?;
    let relation = create::index_name(&table.name, wanted.index.unwrap_or("check"), number);
    spi::execute(
        "INSERT INTO live.index_builds \
             (relation, component, schema, \"table\", deployment, name, number, definition, predicate) \
         SELECT $1::pg_catalog.name, component, schema, name, $3, $4, $5::pg_catalog.int4, $6, $7 \
         FROM live.tables WHERE component = '' AND name = $2",
        &[
            Param::Text(&relation),
            Param::Text(&table.name),
            Param::Int8(push),
            name,
            Param::Int8(i64::from(number)),
            Param::Text(&definition),
            wanted
                .predicate
                .as_deref()
                .map_or(Param::Null(Type::Text), Param::Text),
        ],
    )?;
    Ok(Some(create_statement(true, &relation, &definition)))
}

/// The valid index that was built for the deployment: by name, or the one of rows that do not match.
pub(super) fn built(push: i64, table: &Table, index: Option<&str>) -> Result<Option<Built>> {
    spi::query_one(
        &format!(
            "SELECT b.number, b.relation::text, b.definition, b.predicate FROM live.index_builds b \
             JOIN pg_catalog.pg_index i ON i.indexrelid = {INDEX} AND i.indisvalid \
             WHERE b.deployment = $1 AND b.component = '' AND b.\"table\" = $2 \
               AND b.name IS NOT DISTINCT FROM $3"
        ),
        &[
            Param::Int8(push),
            Param::Text(&table.name),
            index.map_or(Param::Null(Type::Text), Param::Text),
        ],
        Access::Write,
        |row| {
            Ok(Built {
                number: row.need::<i32>(0)? as u32,
                relation: row.need(1)?,
                definition: row.need(2)?,
                predicate: row.get(3),
            })
        },
    )
}

/// Ends a deploy: what it built and put into force is the catalog's, the rest is to be dropped.
pub(super) fn end() -> Result<()> {
    spi::execute(
        "DELETE FROM live.index_builds b USING live.indexes i \
         WHERE i.component = b.component AND i.\"table\" = b.\"table\" AND i.relation = b.relation",
        &[],
    )?;
    spi::execute("UPDATE live.index_builds SET deployment = NULL", &[])
}

/// Gives up what was built for a deployment.
pub(super) fn abandon(push: i64, reason: &str) -> Result<()> {
    spi::execute(
        "UPDATE live.index_builds SET deployment = NULL, error = $2 WHERE deployment = $1",
        &[Param::Int8(push), Param::Text(reason)],
    )
}

/// An index that is no longer in force is to be dropped beside its readers.
pub(super) fn drop_later(table: &Table, index: &Index) -> Result<()> {
    spi::execute(
        "INSERT INTO live.index_builds \
             (relation, component, schema, \"table\", name, number, definition) \
         SELECT $1::pg_catalog.name, component, schema, name, $3, $4::pg_catalog.int4, $5 \
         FROM live.tables WHERE component = '' AND name = $2 \
         ON CONFLICT (relation) DO UPDATE SET deployment = NULL",
        &[
            Param::Text(&index.relation),
            Param::Text(&table.name),
            Param::Text(&index.name),
            Param::Int8(i64::from(index.number)),
            Param::Text(&definition(table, &index.key)),
        ],
    )
}

/// The statements that drop what is to be dropped.
pub(super) fn drops() -> Result<Vec<String>> {
    spi::query(
        &format!(
            "SELECT pg_catalog.format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', n.nspname, c.relname) \
             FROM live.index_builds b JOIN pg_catalog.pg_class c ON c.oid = {INDEX} \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE b.deployment IS NULL ORDER BY b.number"
        ),
        &[],
        Access::Write,
        |row| row.need(0),
    )
}

/// The statements that build the staged indexes in force that are not there, or not valid.
pub(super) fn staged(catalog: &Catalog) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    for table in catalog.tables() {
        for index in table.indexes.iter().filter(|index| index.staged) {
            let state = state(catalog, &index.relation)?;
            if state == Some(true) {
                continue;
            }
            if state.is_some() {
                statements.push(format!(
                    "DROP INDEX CONCURRENTLY IF EXISTS {}.{}",
                    quoted(&catalog.schema),
                    quoted(&index.relation)
                ));
            }
            let definition = definition(table, &index.key);
            statements.push(create_statement(true, &index.relation, &definition));
        }
    }
    Ok(statements)
}

/// Whether a Postgres index is valid; `None` if it does not exist.
pub(super) fn state(catalog: &Catalog, relation: &str) -> Result<Option<bool>> {
    spi::query_one(
        "SELECT indisvalid FROM pg_catalog.pg_index \
         WHERE indexrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1, $2))",
        &[Param::Text(&catalog.schema), Param::Text(relation)],
        Access::Write,
        |row| row.need::<bool>(0),
    )
}
