//! A query whose rows a function is reading: a scan and the operators over it.

use pg_live_readset::ReadSetBuilder;
use pg_live_values::query::Operator;
use pg_live_values::{Expr, QuerySpec, Value};

use crate::documents::catalog::Catalog;
use crate::documents::read::Scan;
use crate::functions::execution::{Execution, fatal};
use crate::functions::source::Found;
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
        let scan = Found::new(catalog, spec.source)?.scan(at_most);
        Ok(OpenQuery::over(scan, spec.operators))
    }

    /// A query over a scan that has read nothing yet.
    pub(crate) fn over(scan: Option<Scan>, operators: Vec<Operator>) -> OpenQuery {
        let step = |operator| match operator {
            Operator::Filter(expression) => Step::Filter(expression),
            Operator::Limit(rows) => Step::Limit(rows),
        };
        OpenQuery {
            scan,
            steps: operators.into_iter().map(step).collect(),
            done: false,
        }
    }

    /// The next document, or `None` at the end.
    pub(crate) fn next(&mut self, execution: &mut Execution) -> Result<Option<Value>, HostError> {
        loop {
            if self.done || self.steps.iter().any(|step| matches!(step, Step::Limit(0))) {
                self.done = true;
                return Ok(None);
            }
            let Some((_, document)) = self.next_row(execution)? else {
                self.done = true;
                return Ok(None);
            };
            if self.passes(&document)? {
                return Ok(Some(document));
            }
        }
    }

    /// The next row of the scan, before the operators, with its key.
    pub(crate) fn next_row(
        &mut self,
        execution: &mut Execution,
    ) -> Result<Option<(Vec<u8>, Value)>, HostError> {
        let Some(scan) = &mut self.scan else {
            return Ok(None);
        };
        let row = scan.next(execution.access).map_err(fatal)?;
        if let Some((_, document)) = &row {
            execution.count_read(document).map_err(HostError::js)?;
        }
        Ok(row)
    }

    /// Whether the operators let a document pass.
    pub(crate) fn passes(&mut self, document: &Value) -> Result<bool, HostError> {
        for step in &mut self.steps {
            match step {
                Step::Filter(expression) => {
                    let kept = expression
                        .is_true(document)
                        .map_err(|error| HostError::js(error.to_string()))?;
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

/// The first limit, if no filter stands before it: how many rows will be read at most.
fn limit_before_filters(operators: &[Operator]) -> Option<usize> {
    match operators.first() {
        Some(Operator::Limit(rows)) => usize::try_from(*rows).ok(),
        Some(Operator::Filter(_)) | None => None,
    }
}
