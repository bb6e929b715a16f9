//! `1.0/queryPage`: one page of a query.

use pg_live_values::cursor::{Cursor, CursorError, Position};
use pg_live_values::fingerprint::Fingerprint;
use pg_live_values::limits::MAX_DOCUMENT_BYTES;
use pg_live_values::page::{Bounds, PageEnd, PageError, PagePlan, PageRequest};
use serde_json::{Value as Json, json};

use super::{Answer, refuse};
use crate::documents::read::Scan;
use crate::functions::execution::Execution;
use crate::functions::open_query::OpenQuery;
use crate::functions::source::Found;
use crate::js::HostError;

/// What the client's library looks for in the data of an error of a cursor.
const INVALID_CURSOR: &str = r#"{"isConvexSystemError":true,"paginationError":"InvalidCursor"}"#;

/// Refuses a page; a bad cursor as a `ConvexError`, so that clients start over.
fn refuse_page(error: &PageError) -> HostError {
    let data = matches!(error, PageError::Cursor(_)).then(|| INVALID_CURSOR.to_owned());
    HostError::Js {
        message: error.to_string(),
        data,
    }
}

fn refuse_cursor(error: CursorError) -> HostError {
    refuse_page(&PageError::Cursor(error))
}

/// `1.0/queryPage {query, cursor, endCursor, pageSize, maximumRowsRead, maximumBytesRead} ->
/// {page, isDone, continueCursor, splitCursor, pageStatus}`
pub(super) fn query_page(execution: &mut Execution, args: &Json) -> Answer {
    execution.count_query().map_err(refuse)?;
    let request = PageRequest::parse(args).map_err(|error| refuse_page(&error))?;
    if std::mem::replace(&mut execution.pages.one_read, true) {
        return Err(refuse_page(&PageError::Multiple));
    }
    let source = Found::new(&execution.catalog, request.query.source.clone()).map_err(refuse)?;
    let query = Fingerprint::of(&request.query, &source.fields);
    let position = |text: &String| Cursor::position_in(text, query).map_err(refuse_cursor);
    let start = request.cursor.as_ref().map(position).transpose()?;
    let end = match &request.end_cursor {
        Some(end) => Some(position(end)?),
        None => remembered_end(execution, query, &source, start.as_ref()),
    };
    let rows_wanted = rows_wanted(&request, end.is_some());
    let scan = match &start {
        // Behind the end there is nothing, and never will be.
        Some(Position::End) => None,
        Some(Position::After(_)) | None => source.scan(rows_wanted),
    };
    let scan = within(scan, start.as_ref(), end.as_ref())?;
    let plan = PagePlan::new(request.size, end, request.maximum, budget(execution));
    let mut rows = OpenQuery::over(scan, request.query.operators);
    let read = read(execution, &mut rows, plan);
    // What was read counts, even if a filter failed in the middle of it.
    rows.record(&mut execution.reads);
    let (page, end) = read?;
    Ok(answer(execution, query, &page, end))
}

/// Where the page ended when the query was run before. What cannot be used is left aside: the page
/// then ends where it is full.
fn remembered_end(
    execution: &Execution,
    query: Fingerprint,
    source: &Found,
    start: Option<&Position>,
) -> Option<Position> {
    let end = Cursor::position_in(execution.pages.known_end()?, query).ok()?;
    let in_order = match (start, &end) {
        (Some(Position::End), Position::After(_)) => false,
        (Some(Position::After(start)), Position::After(end)) => {
            source.direction().is_in_order(start, end)
        }
        (None, _) | (_, Position::End) => true,
    };
    in_order.then_some(end)
}

/// How many rows will be read, if that can be told.
fn rows_wanted(request: &PageRequest, has_end: bool) -> Option<usize> {
    let rows = if has_end {
        // Mostly as many as there were at first; one more shows that there are no more.
        request.size + 1
    } else if request.query.operators.is_empty() {
        request.size
    } else {
        return None;
    };
    Some(rows.min(request.maximum.rows))
}

/// Narrows a scan to what lies between two cursors.
fn within(
    scan: Option<Scan>,
    start: Option<&Position>,
    end: Option<&Position>,
) -> Result<Option<Scan>, HostError> {
    let Some(mut scan) = scan else {
        return Ok(None);
    };
    if let Some(Position::After(key)) = start {
        scan.start_after(key)
            .ok_or_else(|| refuse_cursor(CursorError::Undecodable))?;
    }
    if let Some(Position::After(key)) = end {
        scan.end_with(key)
            .ok_or_else(|| refuse_cursor(CursorError::Undecodable))?;
    }
    Ok(Some(scan))
}

/// What the function may still read: a page ends before it would fail for that. It always has room
/// for one more row, which may fail.
fn budget(execution: &Execution) -> Bounds {
    let (rows, bytes) = execution.reads_left();
    Bounds {
        rows: rows.max(1),
        bytes: bytes.saturating_sub(MAX_DOCUMENT_BYTES).max(1),
    }
}

/// Reads the page: its documents as JSON, and where it ended.
fn read(
    execution: &mut Execution,
    rows: &mut OpenQuery,
    mut plan: PagePlan,
) -> Result<(String, PageEnd), HostError> {
    let mut page = String::from("[");
    let mut exhausted = false;
    while plan.wants_more() {
        let Some((key, document)) = rows.next_row(execution)? else {
            exhausted = true;
            break;
        };
        plan.row_read(key, document.size());
        if rows.passes(&document)? {
            plan.row_taken();
            if page.len() > 1 {
                page.push(',');
            }
            document.write_encoded(&mut page);
        }
    }
    page.push(']');
    Ok((page, plan.finish(exhausted)))
}

fn answer(execution: &mut Execution, query: Fingerprint, page: &str, end: PageEnd) -> String {
    let cursor = |position| Cursor { query, position }.encode();
    let is_done = end.position == Position::End;
    let continue_cursor = cursor(end.position);
    let rest = json!({
        "isDone": is_done,
        "continueCursor": continue_cursor,
        "splitCursor": end.split.map(cursor),
        "pageStatus": end.status.map(|status| status.name()),
    });
    execution.pages.ended(continue_cursor);
    // The page goes in as it is: it may be large.
    let rest = rest.to_string();
    format!("{{\"page\":{page},{}", &rest[1..])
}
