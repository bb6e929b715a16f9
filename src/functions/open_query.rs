//! A query whose rows a function is reading: a scan and the operators over it.

use std::ops::Bound;

use pg_live_readset::ReadSetBuilder;
use pg_live_values::query::{Operator, Order, Source};
use pg_live_values::{Expr, FieldPath, QuerySpec, ResolvedRange, Value};

use crate::documents::catalog::Catalog;
use crate::documents::read::{Direction, Scan};
use crate::error::Error;
use crate::functions::execution::{Execution, fatal};
use crate::js::HostError;

/// One step over the rows of a scan.
enum Step {
    Filter(Expr),
    /// How many more rows may pass.
    Limit(u64),
}

/// An open query.
pub(crate) struct OpenQuery {
    /// `None` over a table that does not exist: no rows, and nothing to read.
    scan: Option<Scan>,
    steps: Vec<Step>,
    done: bool,
}

impl OpenQuery {
    /// Opens a query. The error is the message for the function.
    pub(crate) fn new(catalog: &Catalog, spec: QuerySpec) -> Result<OpenQuery, String> {
        let at_most = limit_before_filters(&spec.operators);
        let scan = open_scan(catalog, spec.source, at_most)?;
        let steps = spec
            .operators
            .into_iter()
            .map(|operator| match operator {
                Operator::Filter(expression) => Step::Filter(expression),
                Operator::Limit(rows) => Step::Limit(rows),
            })
            .collect();
        Ok(OpenQuery {
            scan,
            steps,
            done: false,
        })
    }

    /// The next document, or `None` at the end.
    pub(crate) fn next(&mut self, execution: &mut Execution) -> Result<Option<Value>, HostError> {
        loop {
            if self.done || self.steps.iter().any(|step| matches!(step, Step::Limit(0))) {
                self.done = true;
                return Ok(None);
            }
            let Some(scan) = &mut self.scan else {
                return Ok(None);
            };
            let Some(document) = scan.next(execution.access).map_err(read_error)? else {
                self.done = true;
                return Ok(None);
            };
            execution.count_read(&document).map_err(js_error)?;
            if self.passes(&document)? {
                return Ok(Some(document));
            }
        }
    }

    fn passes(&mut self, document: &Value) -> Result<bool, HostError> {
        for step in &mut self.steps {
            match step {
                Step::Filter(expression) => {
                    let kept = expression
                        .is_true(document)
                        .map_err(|e| js_error(e.to_string()))?;
                    if !kept {
                        return Ok(false);
                    }
                }
                Step::Limit(rows) => *rows -= 1,
            }
        }
        Ok(true)
    }

    /// Adds what was read to the read-set.
    pub(crate) fn record(&self, reads: &mut ReadSetBuilder) {
        if let Some(scan) = &self.scan {
            scan.record(reads);
        }
    }
}

fn js_error(message: String) -> HostError {
    HostError::js(message)
}

fn read_error(error: Error) -> HostError {
    fatal(error)
}

/// The first limit, if no filter stands before it: how many rows will be read at most.
fn limit_before_filters(operators: &[Operator]) -> Option<usize> {
    match operators.first() {
        Some(Operator::Limit(rows)) => usize::try_from(*rows).ok(),
        Some(Operator::Filter(_)) | None => None,
    }
}

fn direction(order: Order) -> Direction {
    match order {
        Order::Asc => Direction::Ascending,
        Order::Desc => Direction::Descending,
    }
}

fn open_scan(
    catalog: &Catalog,
    source: Source,
    at_most: Option<usize>,
) -> Result<Option<Scan>, String> {
    let (table, index, range, order) = match source {
        Source::FullTableScan { table, order } => {
            (table, "by_creation_time".to_owned(), None, order)
        }
        Source::IndexRange { range, order } => (
            range.index.table.clone(),
            range.index.index.clone(),
            Some(range),
            order,
        ),
        Source::Search { index, .. } => {
            return Err(format!(
                "text search is not available in pg_live yet: index {}.{} (see LIMITATIONS.md)",
                index.table, index.index
            ));
        }
    };
    if table.starts_with('_') {
        return Err(format!(
            "system tables are not available in pg_live yet: {table} (see LIMITATIONS.md)"
        ));
    }
    let Some(found) = catalog.table(&table) else {
        if range.is_some() && index != "by_creation_time" && index != "by_id" {
            return Err(format!("Index {table}.{index} not found."));
        }
        return Ok(None);
    };
    let index = found.queryable_index(&index)?;
    let fields = match index.name.as_str() {
        "by_id" => vec![FieldPath::id()],
        _ => index
            .fields
            .iter()
            .cloned()
            .chain([FieldPath::creation_time()])
            .collect(),
    };
    let range = match range {
        Some(range) => range.resolve(&fields).map_err(|error| error.to_string())?,
        None => ResolvedRange {
            prefix: Vec::new(),
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        },
    };
    Ok(Some(Scan::new(
        found,
        index,
        range,
        direction(order),
        at_most,
    )))
}
