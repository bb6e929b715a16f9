//! Pages: what `paginate()` asks for, and when a page ends.

use serde_json::Value as Json;

use crate::cursor::{CursorError, Position};
use crate::query::{Operator, QueryError, QuerySpec};

/// The most documents that a page may be asked for.
pub const MAX_PAGE_SIZE: usize = 32_000;
/// The most elements of an array, so of a result that is a page.
const MAX_ARRAY_ELEMENTS: usize = 8192;

/// The arguments of `1.0/queryPage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// What is read.
    pub query: QuerySpec,
    /// Where the page begins, as text; `None`: at the start.
    pub cursor: Option<String>,
    /// Where it ends, as text; `None`: when it is full.
    pub end_cursor: Option<String>,
    /// How many documents make a page full, at least 1.
    pub size: usize,
    /// The caller's own bound on what is read for it.
    pub maximum: Bounds,
}

/// Bounds on what is read for a page, before filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Rows, at least 1.
    pub rows: usize,
    /// Bytes of documents, at least 1. The row that reaches them is the last one.
    pub bytes: usize,
}

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Not a query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Not a cursor of the query.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// An argument of another type.
    #[error("Invalid argument `{0}` for `paginate`: expected {1}.")]
    Argument(&'static str, &'static str),
    /// A page of no documents.
    #[error("Must request at least 1 document while paginating")]
    ZeroPageSize,
    /// More than [`MAX_PAGE_SIZE`].
    #[error(
        "PageSizeTooLarge: a page of {0} documents was requested, and it can have \
         {MAX_PAGE_SIZE} at most. Ask for less, and for more pages."
    )]
    PageSizeTooLarge(usize),
    /// A bound of nothing.
    #[error("InvalidPaginationLimit: `{0}` must be at least 1.")]
    ZeroBound(&'static str),
    /// `limit()` before `paginate()`.
    #[error(
        "A query with `limit` or `take` cannot be paginated: its pages would each have a limit of \
         their own. Use `numItems`."
    )]
    Limited,
    /// A second page in the same function.
    #[error(
        "This query or mutation function ran multiple paginated queries. Convex only supports a \
         single paginated query in each function."
    )]
    Multiple,
}

/// Whether a page should be read as two instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// It has grown large.
    SplitRecommended,
    /// A bound ended it before it was full, or before its end.
    SplitRequired,
}

impl PageStatus {
    /// The name that clients know.
    pub fn name(self) -> &'static str {
        match self {
            PageStatus::SplitRecommended => "SplitRecommended",
            PageStatus::SplitRequired => "SplitRequired",
        }
    }
}

impl PageRequest {
    /// Reads the arguments of `1.0/queryPage`.
    ///
    /// # Errors
    /// For what is not a query, and page sizes and bounds that cannot be.
    pub fn parse(args: &Json) -> Result<PageRequest, PageError> {
        let query = QuerySpec::parse(args.get("query").unwrap_or(&Json::Null))?;
        let limited = |operator: &Operator| matches!(operator, Operator::Limit(_));
        if query.operators.iter().any(limited) {
            return Err(PageError::Limited);
        }
        let size = number(args, "pageSize")?
            .ok_or(PageError::Argument("pageSize", "a number of documents"))?;
        if size == 0 {
            return Err(PageError::ZeroPageSize);
        }
        if size > MAX_PAGE_SIZE {
            return Err(PageError::PageSizeTooLarge(size));
        }
        let bound = |name: &'static str| match number(args, name)? {
            Some(0) => Err(PageError::ZeroBound(name)),
            bound => Ok(bound.unwrap_or(usize::MAX)),
        };
        Ok(PageRequest {
            query,
            cursor: text(args, "cursor")?,
            end_cursor: text(args, "endCursor")?,
            size,
            maximum: Bounds {
                rows: bound("maximumRowsRead")?,
                bytes: bound("maximumBytesRead")?,
            },
        })
    }
}

fn text(args: &Json, name: &'static str) -> Result<Option<String>, PageError> {
    match args.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(PageError::Argument(name, "a string or null")),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked; the cast saturates"
)]
fn number(args: &Json, name: &'static str) -> Result<Option<usize>, PageError> {
    match args.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(json) => match json.as_f64() {
            Some(number) if number >= 0.0 && number.fract() == 0.0 => Ok(Some(number as usize)),
            _ => Err(PageError::Argument(name, "a whole number, 0 or more")),
        },
    }
}

/// A page while its rows are read, in the order of the query: whether to read another one, and
/// where it ends.
#[derive(Clone, Debug)]
pub struct PagePlan {
    size: usize,
    /// The end that was decided before; then the size does not count.
    end: Option<Position>,
    maximum: Bounds,
    /// What the function as a whole may still read.
    budget: Bounds,
    keys: Vec<Vec<u8>>,
    bytes: usize,
    taken: usize,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEnd {
    /// Where the next page begins.
    pub position: Position,
    /// A place near its middle.
    pub split: Option<Position>,
    /// Whether to split it there.
    pub status: Option<PageStatus>,
}

impl PagePlan {
    /// A page of which nothing has been read.
    pub fn new(size: usize, end: Option<Position>, maximum: Bounds, budget: Bounds) -> PagePlan {
        PagePlan {
            size,
            end,
            maximum,
            budget,
            keys: Vec::new(),
            bytes: 0,
            taken: 0,
        }
    }

    /// Whether another row is to be read, if there is one.
    pub fn wants_more(&self) -> bool {
        !self.is_full() && !self.at_bound()
    }

    /// A row was read. It counts whether or not the filters let it pass.
    pub fn row_read(&mut self, key: Vec<u8>, bytes: usize) {
        self.keys.push(key);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The row read last passed the filters: it is in the page.
    pub fn row_taken(&mut self) {
        self.taken += 1;
    }

    /// The page is over: because no more was wanted, or because there are no more rows before its
    /// end (`exhausted`).
    pub fn finish(self, exhausted: bool) -> PageEnd {
        let cut_off = !exhausted && !self.is_full();
        let grown = self.taken > MAX_ARRAY_ELEMENTS / 4 * 3
            || self.keys.len() > self.budget.rows / 4 * 3
            || self.bytes > self.budget.bytes / 4 * 3;
        let status = match (cut_off, grown) {
            (true, _) => Some(PageStatus::SplitRequired),
            (false, true) => Some(PageStatus::SplitRecommended),
            (false, false) => None,
        };
        let split = match self.keys.len() {
            // What is behind the only row has not been read.
            1 if cut_off && self.end.is_some() => self.keys.first(),
            0 | 1 => None,
            rows => self.keys.get((rows - 1) / 2),
        };
        let split = split.cloned().map(Position::After);
        let last = self.keys.last().cloned().map(Position::After);
        let position = match (self.end, last) {
            (Some(end), _) => end,
            (None, Some(last)) if !exhausted => last,
            (None, _) => Position::End,
        };
        PageEnd {
            position,
            split,
            status,
        }
    }

    fn is_full(&self) -> bool {
        self.end.is_none() && self.taken >= self.size
    }

    fn at_bound(&self) -> bool {
        self.keys.len() >= self.maximum.rows.min(self.budget.rows)
            || self.bytes >= self.maximum.bytes.min(self.budget.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    const NO_BOUNDS: Bounds = Bounds {
        rows: usize::MAX,
        bytes: usize::MAX,
    };

    fn args(more: &Json) -> Json {
        let mut args = json!({"query": {"operators": [],
            "source": {"type": "FullTableScan", "tableName": "t"}},
            "cursor": null, "endCursor": null, "pageSize": 2, "maximumRowsRead": null});
        for (key, value) in more.as_object().unwrap() {
            args[key] = value.clone();
        }
        args
    }

    fn error(more: &Json) -> String {
        PageRequest::parse(&args(more)).unwrap_err().to_string()
    }

    /// One byte of key per row, so that positions are easy to read.
    fn at(key: u8) -> Position {
        Position::After(vec![key])
    }

    /// Reads rows of 10 bytes until the plan wants no more; `passes` says which rows are taken.
    fn read(mut plan: PagePlan, rows: &[(u8, bool)]) -> (Vec<u8>, PageEnd) {
        let mut page = Vec::new();
        for (key, passes) in rows {
            if !plan.wants_more() {
                return (page, plan.finish(false));
            }
            plan.row_read(vec![*key], 10);
            if *passes {
                plan.row_taken();
                page.push(*key);
            }
        }
        let exhausted = plan.wants_more();
        (page, plan.finish(exhausted))
    }

    fn all(keys: std::ops::RangeInclusive<u8>) -> Vec<(u8, bool)> {
        keys.map(|key| (key, true)).collect()
    }

    #[test]
    fn requests() {
        let request = PageRequest::parse(&args(&json!({}))).unwrap();
        assert_eq!(
            (request.size, request.cursor, request.maximum),
            (2, None, NO_BOUNDS)
        );
        let request = PageRequest::parse(&args(&json!({"cursor": "c", "endCursor": "e",
            "pageSize": 3.0, "maximumRowsRead": 4, "maximumBytesRead": 5})));
        let request = request.unwrap();
        assert_eq!(request.cursor.as_deref(), Some("c"));
        assert_eq!(request.end_cursor.as_deref(), Some("e"));
        assert_eq!(
            (request.size, request.maximum),
            (3, Bounds { rows: 4, bytes: 5 })
        );
        assert_eq!(
            error(&json!({"pageSize": 0})),
            "Must request at least 1 document while paginating"
        );
        assert!(error(&json!({"pageSize": 32_001})).starts_with("PageSizeTooLarge"));
        for bound in ["maximumRowsRead", "maximumBytesRead"] {
            assert!(error(&json!({bound: 0})).starts_with("InvalidPaginationLimit"));
        }
        for wrong in [json!(null), json!(1.5), json!(-1), json!("1")] {
            assert!(error(&json!({"pageSize": wrong})).contains("`pageSize`"));
        }
        assert!(error(&json!({"cursor": 1})).contains("`cursor`"));
        assert!(error(&json!({"query": 1})).contains("Invalid query"));
        let limited = json!({"source": {"type": "FullTableScan", "tableName": "t"},
            "operators": [{"limit": 3}]});
        assert!(error(&json!({"query": limited})).contains("`limit`"));
    }

    #[test]
    fn a_page_ends_when_it_is_full() {
        let plan = PagePlan::new(2, None, NO_BOUNDS, NO_BOUNDS);
        let (page, end) = read(plan.clone(), &all(1..=5));
        assert_eq!(page, [1, 2]);
        assert_eq!(
            end,
            PageEnd {
                position: at(2),
                split: Some(at(1)),
                status: None
            }
        );
        let sparse = [(1, false), (2, true), (3, false), (4, true), (5, true)];
        let (page, end) = read(plan.clone(), &sparse);
        assert_eq!((page.as_slice(), end.position), ([2, 4].as_slice(), at(4)));
        let (page, end) = read(plan.clone(), &all(1..=1));
        assert_eq!(page, [1]);
        assert_eq!(
            end,
            PageEnd {
                position: Position::End,
                split: None,
                status: None
            }
        );
        // Exactly full: whether there are more is for the next page to find out.
        assert_eq!(read(plan, &all(1..=2)).1.position, at(2));
    }

    #[test]
    fn a_page_with_an_end_reads_to_it_whatever_its_size() {
        let plan = PagePlan::new(2, Some(at(9)), NO_BOUNDS, NO_BOUNDS);
        let (page, end) = read(plan, &all(1..=5));
        assert_eq!(page, [1, 2, 3, 4, 5]);
        assert_eq!(
            end,
            PageEnd {
                position: at(9),
                split: Some(at(3)),
                status: None
            }
        );
        let plan = PagePlan::new(2, Some(Position::End), NO_BOUNDS, NO_BOUNDS);
        assert_eq!(read(plan, &[]).1.position, Position::End);
    }

    #[test]
    fn a_bound_ends_a_page() {
        let rows = Bounds {
            rows: 3,
            ..NO_BOUNDS
        };
        let none_pass = [(1, false), (2, false), (3, false), (4, true)];
        let (page, end) = read(PagePlan::new(2, None, rows, NO_BOUNDS), &none_pass);
        assert!(page.is_empty());
        let required = Some(PageStatus::SplitRequired);
        let stopped = PageEnd {
            position: at(3),
            split: Some(at(2)),
            status: required,
        };
        assert_eq!(end, stopped);
        let bytes = Bounds {
            bytes: 25,
            ..NO_BOUNDS
        };
        assert_eq!(
            read(PagePlan::new(9, None, bytes, NO_BOUNDS), &none_pass).1,
            stopped
        );
        // With an end the next page begins there all the same: what is missing comes by splitting.
        let (_, end) = read(PagePlan::new(2, Some(at(9)), rows, NO_BOUNDS), &all(1..=5));
        assert_eq!(
            end,
            PageEnd {
                position: at(9),
                ..stopped
            }
        );
        let one = Bounds {
            rows: 1,
            ..NO_BOUNDS
        };
        let (_, end) = read(PagePlan::new(2, Some(at(9)), one, NO_BOUNDS), &all(1..=5));
        assert_eq!((end.split, end.status), (Some(at(1)), required));
        // Full and at the bound at once: full.
        let two = Bounds {
            rows: 2,
            ..NO_BOUNDS
        };
        assert_eq!(
            read(PagePlan::new(2, None, two, NO_BOUNDS), &all(1..=5))
                .1
                .status,
            None
        );
    }

    #[test]
    fn a_large_page_is_better_split() {
        let budget = Bounds {
            rows: 8,
            ..NO_BOUNDS
        };
        let recommended = |rows: u8| {
            read(PagePlan::new(99, None, NO_BOUNDS, budget), &all(1..=rows))
                .1
                .status
        };
        assert_eq!(recommended(6), None);
        assert_eq!(recommended(7), Some(PageStatus::SplitRecommended));
        assert_eq!(recommended(9), Some(PageStatus::SplitRequired));
        let budget = Bounds {
            bytes: 80,
            ..NO_BOUNDS
        };
        let end = read(PagePlan::new(99, None, NO_BOUNDS, budget), &all(1..=7)).1;
        assert_eq!(end.status, Some(PageStatus::SplitRecommended));
        let mut plan = PagePlan::new(9000, None, NO_BOUNDS, NO_BOUNDS);
        for _ in 0..6145 {
            plan.row_read(vec![0], 1);
            plan.row_taken();
        }
        assert_eq!(plan.finish(true).status, Some(PageStatus::SplitRecommended));
    }

    proptest! {
        /// Pages one after another give each row that passes exactly once; so do their halves.
        #[test]
        fn pages_and_halves_cover_all_rows_once(
            passing in vec(any::<bool>(), 0..40), size in 1usize..6, rows in 1usize..8,
        ) {
            let rows_of = |after: u8, upto: u8| -> Vec<(u8, bool)> {
                (0u8..).zip(&passing).map(|(n, passes)| (n + 1, *passes))
                    .filter(|(key, _)| *key > after && *key <= upto).collect()
            };
            let bounds = Bounds { rows, ..NO_BOUNDS };
            let key = |position: &Position| match position {
                Position::After(key) => key[0],
                Position::End => u8::MAX,
            };
            let (mut whole, mut halves, mut after) = (Vec::new(), Vec::new(), 0);
            loop {
                let plan = PagePlan::new(size, None, bounds, NO_BOUNDS);
                let (page, end) = read(plan, &rows_of(after, u8::MAX));
                prop_assert!(page.len() <= size);
                whole.extend(page);
                let upto = key(&end.position);
                let middle = end.split.as_ref().map_or(after, key);
                prop_assert!(middle < upto, "a split is inside");
                for (from, to) in [(after, middle), (middle, upto)] {
                    let plan = PagePlan::new(size, Some(at(to)), NO_BOUNDS, NO_BOUNDS);
                    halves.extend(read(plan, &rows_of(from, to)).0);
                }
                if end.position == Position::End {
                    break;
                }
                prop_assert!(upto > after, "each page goes on");
                after = upto;
            }
            let all: Vec<u8> = rows_of(0, u8::MAX).iter().filter(|row| row.1).map(|row| row.0).collect();
            prop_assert_eq!(&whole, &all);
            prop_assert_eq!(&halves, &all);
        }
    }
}
