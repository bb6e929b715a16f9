//! The columns of a table of documents: which are added, which go.
//!
//! A column of ours that the catalog does not name is *unused*: constraint `live_unused` says that
//! it holds no value. So a column can wait, for the deploy that brings its field or for the next one
//! to drop it, and nothing that anyone writes is lost.

use std::collections::BTreeSet;

use pg_live_values::ColumnType;
use pg_live_values::column::{MAX_COLUMNS, document_fields};

use crate::deploy::tables::Definition;
use crate::documents::catalog::{Column, Table, quoted};
use crate::documents::create;
use crate::error::Result;
use crate::pg::spi::{self, Access, Param};

/// A table gets no further columns once it has used this many of Postgres' 1,600 numbers for them;
/// one that is dropped keeps its number.
const NUMBERS_MAX: usize = 1_400;

/// The columns that a relation really has, besides those of the catalog.
#[derive(Default)]
pub(super) struct Physical {
    /// Ours, without values.
    pub(super) unused: Vec<Column>,
    /// Somebody else's.
    foreign: BTreeSet<String>,
    /// Numbers used so far, those of dropped columns too.
    numbers: usize,
}

impl Physical {
    /// Looks at the relation of a table.
    pub(super) fn load(table: &Table) -> Result<Physical> {
        let mut physical = Physical::default();
        spi::query(
            "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, NULL), \
                    coalesce(a.attnum = ANY (c.conkey), false), r.relnatts::pg_catalog.int4 \
             FROM pg_catalog.pg_class r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid \
             LEFT JOIN pg_catalog.pg_constraint c ON c.conrelid = r.oid AND c.conname = 'live_unused' \
             WHERE r.oid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY a.attnum",
            &[Param::Text(&table.relation)],
            Access::Write,
            |row| {
                let field: String = row.need(0)?;
                physical.numbers = row.need::<i32>(3)?.unsigned_abs() as usize;
                match column_type(&row.need::<String>(1)?) {
                    Some(of) if row.need::<bool>(2)? => physical.unused.push(Column { field, of }),
                    Some(_) | None => {
                        if !table.columns.iter().any(|column| column.field == field) {
                            physical.foreign.insert(field);
                        }
                    }
                }
                Ok(())
            },
        )?;
        Ok(physical)
    }

    fn is_unused(&self, column: &Column) -> bool {
        self.unused.contains(column)
    }

    /// The columns that the table lacks for the schema and can have: no more than fit, and none in
    /// the place of a column that is not ours or of another type.
    pub(super) fn missing(&self, table: &Table, definition: &Definition) -> Vec<Column> {
        let named = |columns: &[Column], field: &str| columns.iter().any(|c| c.field == field);
        let mut numbers = NUMBERS_MAX.saturating_sub(self.numbers);
        definition
            .columns()
            .into_iter()
            .filter(|wanted| !named(&table.columns, &wanted.field))
            .filter(|wanted| !self.foreign.contains(&wanted.field))
            .filter(|wanted| self.is_unused(wanted) || !named(&self.unused, &wanted.field))
            .filter(|wanted| {
                let has_number = self.is_unused(wanted) || numbers > 0;
                numbers = numbers.saturating_sub(usize::from(!self.is_unused(wanted)));
                has_number
            })
            .take(MAX_COLUMNS.saturating_sub(table.columns.len()))
            .collect()
    }

    /// The unused columns that may go: the schema does not want them, nothing of others needs them.
    pub(super) fn droppable(&self, table: &Table, wanted: &[Column]) -> Result<Vec<Column>> {
        let mut droppable = Vec::new();
        for column in &self.unused {
            if !wanted.contains(column) && !is_needed(table, column)? {
                droppable.push(column.clone());
            }
        }
        Ok(droppable)
    }
}

fn column_type(name: &str) -> Option<ColumnType> {
    match name {
        "text" => Some(ColumnType::Text),
        "double precision" => Some(ColumnType::Float8),
        "bigint" => Some(ColumnType::Int8),
        "boolean" => Some(ColumnType::Bool),
        "bytea" => Some(ColumnType::Bytea),
        "jsonb" => Some(ColumnType::Jsonb),
        _ => None,
    }
}

/// Whether something that is not ours uses a column: a view, an index, a default, a grant, ...
fn is_needed(table: &Table, column: &Column) -> Result<bool> {
    let needed = spi::query_one(
        "SELECT a.attacl IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_depend d \
             LEFT JOIN pg_catalog.pg_constraint c ON d.classid = 'pg_catalog.pg_constraint'::regclass \
                 AND c.oid = d.objid AND c.conname IN ('live_unused', 'live_valid') \
             LEFT JOIN pg_catalog.pg_class i ON d.classid = 'pg_catalog.pg_class'::regclass \
                 AND i.oid = d.objid AND i.relname IN (SELECT relation FROM live.index_builds \
                     UNION ALL SELECT relation FROM live.indexes) \
             WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid \
               AND d.refobjsubid = a.attnum AND c.oid IS NULL AND i.oid IS NULL) \
         FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attname = $2::pg_catalog.name",
        &[Param::Text(&table.relation), Param::Text(&column.field)],
        Access::Write,
        |row| row.need::<bool>(0),
    )?;
    Ok(needed.unwrap_or(true))
}

/// The columns of the catalog whose fields no document can have any more, once all match the type:
/// those that it does not mention and no index reads. `None` for a type that allows any field.
pub(super) fn without_fields(table: &Table, definition: &Definition) -> Vec<Column> {
    let Some(fields) = document_fields(&definition.table.document_type) else {
        return Vec::new();
    };
    let is_read = |field: &str| {
        let mut paths = definition.indexes().iter().flat_map(|index| &index.fields);
        paths.any(|path| path.top() == field)
    };
    let gone =
        |column: &&Column| !fields.contains(column.field.as_str()) && !is_read(&column.field);
    table.columns.iter().filter(gone).cloned().collect()
}

/// What `ALTER TABLE` is told so that exactly these columns are unused.
pub(super) fn say_unused(physical: &Physical, unused: &[Column]) -> Vec<String> {
    let mut parts = Vec::new();
    if physical.unused == unused {
        return parts;
    }
    if !physical.unused.is_empty() {
        parts.push("DROP CONSTRAINT live_unused".to_owned());
    }
    if !unused.is_empty() {
        let empty: Vec<String> = unused
            .iter()
            .map(|column| format!("{} IS NULL", quoted(&column.field)))
            .collect();
        // NOT VALID spares the scan: the columns are new, or all rows were found to have no value.
        parts.push(format!(
            "ADD CONSTRAINT live_unused CHECK ({}) NOT VALID",
            empty.join(" AND ")
        ));
    }
    parts
}

/// What `ALTER TABLE` is told to add columns that may be there, unused.
pub(super) fn add(columns: &[Column]) -> impl Iterator<Item = String> {
    columns.iter().map(|column| {
        format!(
            "ADD COLUMN IF NOT EXISTS {}",
            create::column_definition(column)
        )
    })
}

/// What `ALTER TABLE` is told to drop columns.
pub(super) fn drop(columns: &[Column]) -> impl Iterator<Item = String> {
    columns
        .iter()
        .map(|column| format!("DROP COLUMN {}", quoted(&column.field)))
}
