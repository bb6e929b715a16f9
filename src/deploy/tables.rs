//! What a schema asks of a table: rows that match, columns, indexes.

use std::rc::Rc;

use pg_live_values::column::document_columns;
use pg_live_values::schema::{IndexSchema, TableSchema};
use pg_live_values::{TableLookup, Validator};
use serde_json::Value as Json;

use crate::api::Rule;
use crate::deploy::builds::{self, Wanted};
use crate::documents::catalog::{Catalog, Column, Index, Table, literal, quoted};
use crate::documents::key;
use crate::error::Result;
use crate::gucs;
use crate::pg::spi::{self, Access, Param, PreferIndexes};

/// A condition of an index is kept in one row of `pg_index`, which has 8 kB after compression.
const PREDICATE_BYTES_MAX: usize = 12_000;
/// Columns that a check gets as arguments of their own; the others come in a row.
const PAIRS_MAX: usize = 40;

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

    /// The indexes, staged ones too.
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

    /// The rule, if it is not the one in force.
    pub(super) fn new_rule(&self, lookup: &dyn TableLookup) -> Result<Option<String>> {
        Ok(match self.rule(lookup) {
            Some(rule) if stored_rule(&self.table.name)?.as_ref() != Some(&rule) => Some(rule),
            Some(_) | None => None,
        })
    }
}

/// The index in force that is what the schema asks for, can be used and sees all `columns`.
pub(super) fn existing_index<'t>(
    catalog: &Catalog,
    table: &'t Table,
    columns: &[Column],
    wanted: &IndexSchema,
) -> Result<Option<&'t Index>> {
    let Some(index) = table.index(&wanted.name) else {
        return Ok(None);
    };
    let same =
        index.fields == wanted.fields && index.key == key::expression(&wanted.fields, columns);
    // Whoever builds a staged index finds out that it is not valid.
    let usable = wanted.staged || builds::state(catalog, &index.relation)? == Some(true);
    Ok((same && usable).then_some(index))
}

/// The SQL of a function of a row's contents, `live.valid` or `live.matches`.
pub(super) fn check_expression(function: &str, rule: &str, columns: &[Column]) -> String {
    let mut sql = format!("live.{function}({}::text, _id, _extra", literal(rule));
    let (pairs, row) = columns.split_at(columns.len().min(PAIRS_MAX));
    for column in pairs {
        sql.push_str(&format!(
            ", {}::text, {}",
            literal(&column.field),
            quoted(&column.field)
        ));
    }
    if !row.is_empty() {
        let fields: Vec<&str> = row.iter().map(|column| column.field.as_str()).collect();
        let columns: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        sql.push_str(&format!(
            ", {}::text, ROW({})",
            literal(&fields.join(",")),
            columns.join(", ")
        ));
    }
    sql + ")"
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

/// Whether the switch itself may read the whole table while it holds its lock.
pub(super) fn is_small(table: &Table) -> Result<bool> {
    let bytes = spi::query_one(
        "SELECT pg_catalog.pg_table_size(pg_catalog.to_regclass($1))",
        &[Param::Text(&table.relation)],
        Access::Write,
        |row| Ok(row.get::<i64>(0)),
    )?;
    Ok(bytes.flatten().unwrap_or(0) <= gucs::small_table_bytes())
}

/// Reads all rows; an error names the first document that does not match.
pub(super) fn check_rows(table: &Table, rule: &str) -> Result<()> {
    let check = check_expression("valid", rule, &table.columns);
    spi::define(&format!(
        "SELECT pg_catalog.count(*) FROM {} WHERE NOT {check}",
        table.relation
    ))
}

/// The index of the rows that do not match a rule; `None` if the rule is too long for one.
pub(super) fn mismatches(table: &Table, rule: &str) -> Option<Wanted<'static>> {
    let predicate = format!("NOT {}", check_expression("matches", rule, &table.columns));
    (predicate.len() <= PREDICATE_BYTES_MAX).then(|| Wanted {
        index: None,
        key: "_id".to_owned(),
        predicate: Some(predicate),
    })
}

/// Reads the rows that are in the index of [`mismatches`], none as a rule; an error names the first
/// that does not match.
///
/// `predicate` is that index's condition. Its rule may know fewer tables than the one to be enforced
/// and so accept less, never more.
pub(super) fn check_mismatches(table: &Table, rule: &str, predicate: &str) -> Result<()> {
    let check = check_expression("valid", rule, &table.columns);
    let _index = PreferIndexes::new();
    spi::define(&format!(
        "SELECT pg_catalog.count(*) FROM {} WHERE {predicate} AND NOT {check}",
        table.relation
    ))
}
