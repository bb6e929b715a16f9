//! What a schema asks of tables that exist: rows that match, columns, indexes.

use std::rc::Rc;

use pg_live_values::column::document_columns;
use pg_live_values::schema::{IndexSchema, TableSchema};
use pg_live_values::{TableLookup, Validator};
use serde_json::Value as Json;

use crate::api::Rule;
use crate::documents::catalog::{Catalog, Column, Index, Table, literal, quoted};
use crate::documents::{create, key};
use crate::error::Result;
use crate::pg::spi::{self, Access, Param};

/// A table of the schema.
pub(super) struct Definition {
    /// As parsed.
    pub(super) table: Rc<TableSchema>,
    /// The validator of its documents as exported; `None` if documents are not validated.
    pub(super) document_type: Option<Json>,
}

impl Definition {
    /// The columns that the schema asks for.
    pub(super) fn columns(&self) -> Vec<Column> {
        document_columns(&self.table.document_type)
            .into_iter()
            .map(|(field, of)| Column { field, of })
            .collect()
    }

    /// The indexes that can be queried or are to be built.
    pub(super) fn indexes(&self) -> &[IndexSchema] {
        &self.table.indexes
    }

    /// The check's rule, or `None` if anything goes.
    pub(super) fn rule(&self, lookup: &dyn TableLookup) -> Option<String> {
        match (&self.document_type, &self.table.document_type) {
            (None, _) | (_, Validator::Any) => None,
            (Some(json), _) => Some(Rule::text(&self.table.name, json, lookup)),
        }
    }
}

/// The columns that an existing table lacks. A field that an existing index already reads from
/// `_extra` gets none: that index would no longer see it.
pub(super) fn missing_columns(table: &Table, definition: &Definition) -> Vec<Column> {
    let read_from_extra = |field: &str| {
        table
            .indexes
            .iter()
            .flat_map(|index| &index.fields)
            .any(|path| path.top() == field)
    };
    definition
        .columns()
        .into_iter()
        .filter(|wanted| {
            table
                .columns
                .iter()
                .all(|column| column.field != wanted.field)
        })
        .filter(|wanted| !read_from_extra(&wanted.field))
        .collect()
}

/// All columns of the table once the missing ones are there.
pub(super) fn columns_after(table: &Table, definition: &Definition) -> Vec<Column> {
    let mut columns = table.columns.clone();
    columns.extend(missing_columns(table, definition));
    columns
}

/// The index of the table that is what the schema asks for.
pub(super) fn existing_index<'t>(table: &'t Table, wanted: &IndexSchema) -> Option<&'t Index> {
    table
        .index(&wanted.name)
        .filter(|index| index.fields == wanted.fields)
}

/// The SQL of `live.valid(...)` over a table's columns.
pub(super) fn check_expression(rule: &str, columns: &[Column]) -> String {
    let mut sql = format!("live.valid({}::text, _id, _extra", literal(rule));
    for column in columns {
        sql.push_str(&format!(
            ", {}::text, {}",
            literal(&column.field),
            quoted(&column.field)
        ));
    }
    sql + ")"
}

/// Checks the rows of tables whose rule changes, without blocking writers; an error names the first
/// document that does not match.
pub(super) fn check_rows(catalog: &Catalog, definitions: &[Definition]) -> Result<()> {
    for definition in definitions {
        let Some(table) = catalog.table(&definition.table.name) else {
            continue;
        };
        let Some(rule) = definition.rule(catalog) else {
            continue;
        };
        if stored_rule(&table.name)?.as_deref() == Some(rule.as_str()) {
            continue;
        }
        let check = check_expression(&rule, &table.columns);
        spi::define(&format!(
            "SELECT pg_catalog.count(*) FROM {} WHERE NOT {check}",
            table.relation
        ))?;
    }
    Ok(())
}

/// The rule of the table's check in force.
pub(super) fn stored_rule(table: &str) -> Result<Option<String>> {
    let rule = spi::query_one(
        "SELECT rule FROM live.tables WHERE component = '' AND name = $1",
        &[Param::Text(table)],
        Access::Write,
        |row| Ok(row.get::<String>(0)),
    )?;
    Ok(rule.flatten())
}

fn has_rows(table: &Table) -> Result<bool> {
    let found = spi::query_one(
        &format!("SELECT true FROM {} LIMIT 1", table.relation),
        &[],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    Ok(found.is_some())
}

/// Enters the indexes that must be built beside running writers and returns their statements.
/// Columns that such an index reads are added here: they are empty and nobody writes them yet.
pub(super) fn pending_indexes(
    catalog: &Catalog,
    push: i64,
    definitions: &[Definition],
) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    for definition in definitions {
        let Some(table) = catalog.table(&definition.table.name) else {
            continue;
        };
        let new: Vec<&IndexSchema> = definition
            .indexes()
            .iter()
            .filter(|wanted| existing_index(table, wanted).is_none())
            .collect();
        if new.is_empty() || !has_rows(table)? {
            continue;
        }
        let columns = columns_after(table, definition);
        add_columns(catalog, table, &missing_columns(table, definition))?;
        for wanted in new {
            statements.push(enter_pending(push, table, &columns, wanted)?);
        }
    }
    Ok(statements)
}

fn enter_pending(
    push: i64,
    table: &Table,
    columns: &[Column],
    wanted: &IndexSchema,
) -> Result<String> {
    let number = create::new_index_number()?;
    let relation = create::index_name(&table.name, &wanted.name, number);
    let key = key::expression(&wanted.fields, columns);
    let statement = format!(
        "CREATE INDEX CONCURRENTLY {} ON {} ({key})",
        quoted(&relation),
        table.relation
    );
    spi::execute(
        "INSERT INTO live.pending_indexes \
         VALUES ($1, '', $2, $3, $4::pg_catalog.int4, $5, $6::pg_catalog.name, $7)",
        &[
            Param::Int8(push),
            Param::Text(&table.name),
            Param::Text(&wanted.name),
            Param::Int8(i64::from(number)),
            Param::Text(&key),
            Param::Text(&relation),
            Param::Text(&statement),
        ],
    )?;
    Ok(statement)
}

/// Adds columns to the relation; the catalog learns of them at the switch.
pub(super) fn add_columns(catalog: &Catalog, table: &Table, columns: &[Column]) -> Result<()> {
    let statements: Vec<String> = columns
        .iter()
        .map(|column| {
            format!(
                "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}",
                table.relation,
                create::column_definition(column)
            )
        })
        .collect();
    create::as_owner(catalog, &statements)
}
