//! Reads of documents: by id, and scans of an index that remember how far they came.

use std::collections::VecDeque;
use std::ops::Bound;
use std::rc::Rc;

use pg_live_readset::{IndexId, ReadSetBuilder};
use pg_live_values::key::{KeyRange, encode_key};
use pg_live_values::{FieldPath, ResolvedRange, Value, compare};

use crate::documents::catalog::{BY_ID, Index, Table};
use crate::documents::row;
use crate::error::{Error, Result};
use crate::pg::spi::{self, Access, Param, PreferIndexes};

/// Rows fetched at first when nothing limits the scan; doubles up to [`CHUNK_MAX`].
const CHUNK_FIRST: usize = 64;
const CHUNK_MAX: usize = 1024;
/// Greater than every key.
const KEY_END: &[u8] = b"\xff";
/// Greater than every id, which is base32.
const ID_END: &str = "~";
/// Less than every character of an id.
const ID_FILL: char = '!';

/// The document with this id, which must be of this table.
pub(crate) fn get(table: &Table, id: &str, access: Access) -> Result<Option<Value>> {
    let sql = format!(
        "SELECT {} FROM {} WHERE _id = $1",
        row::select_list(table),
        table.relation
    );
    let _planner = PreferIndexes::new();
    spi::query_one(&sql, &[Param::Text(id)], access, |found| {
        row::from_row(table, found)
    })
}

/// How many documents the table has.
pub(crate) fn count(table: &Table, access: Access) -> Result<i64> {
    let sql = format!("SELECT pg_catalog.count(*) FROM {}", table.relation);
    Ok(spi::query_one(&sql, &[], access, |found| found.need(0))?.unwrap_or(0))
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Smallest key first.
    Ascending,
    /// Greatest key first.
    Descending,
}

/// What a scan reads of its index.
enum Bounds {
    /// Keys of an expression index.
    Keys(KeyRange),
    /// Ids, as text from (and with) the first to (and without) the second.
    Ids(String, String),
}

/// A scan of one index range in one direction. Rows are fetched ahead in chunks; what counts as
/// read ends where the caller stopped.
pub(crate) struct Scan {
    table: Rc<Table>,
    index: IndexId,
    sql: String,
    /// What was asked for, compared once more where keys are cut.
    range: ResolvedRange,
    bounds: Bounds,
    direction: Direction,
    buffer: VecDeque<(Vec<u8>, Value)>,
    chunk: usize,
    last_fetched: Option<Vec<u8>>,
    last_fetched_id: Option<String>,
    fetched_all: bool,
    last_returned: Option<Vec<u8>>,
    started: bool,
    finished: bool,
}

impl Scan {
    /// A scan that has read nothing yet. `at_most` is a hint of how many rows will be wanted.
    pub(crate) fn new(
        table: &Rc<Table>,
        index: &Index,
        range: ResolvedRange,
        direction: Direction,
        at_most: Option<usize>,
    ) -> Scan {
        let bounds = if index.number == BY_ID {
            let (lower, upper) = id_bounds(&range);
            Bounds::Ids(lower, upper)
        } else {
            Bounds::Keys(range.key_range())
        };
        Scan {
            sql: scan_sql(table, index, direction),
            table: Rc::clone(table),
            index: index.number,
            range,
            bounds,
            direction,
            buffer: VecDeque::new(),
            chunk: at_most.map_or(CHUNK_FIRST, |rows| rows.clamp(1, CHUNK_MAX)),
            last_fetched: None,
            last_fetched_id: None,
            fetched_all: false,
            last_returned: None,
            started: false,
            finished: false,
        }
    }

    /// The next document, or `None` at the end of the range.
    pub(crate) fn next(&mut self, access: Access) -> Result<Option<Value>> {
        self.started = true;
        loop {
            if let Some((key, document)) = self.buffer.pop_front() {
                self.last_returned = Some(key);
                if self.wanted(&document)? {
                    return Ok(Some(document));
                }
                continue;
            }
            if self.fetched_all {
                self.finished = true;
                return Ok(None);
            }
            self.fetch(access)?;
        }
    }

    /// Adds what was read: from the start of the range to where reading stopped.
    pub(crate) fn record(&self, reads: &mut ReadSetBuilder) {
        if !self.started {
            return;
        }
        let (lower, upper) = self.key_bounds();
        let stopped = if self.finished {
            None
        } else {
            self.last_returned.clone()
        };
        let (lower, upper) = match (stopped, self.direction) {
            // Finished, or an error ended it before anything came back: the whole range.
            (None, _) => (lower, upper),
            (Some(last), Direction::Ascending) => (lower, Some(successor(last))),
            (Some(last), Direction::Descending) => (last, upper),
        };
        reads.range(self.table.oid, self.index, lower, upper);
    }

    fn key_bounds(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match &self.bounds {
            Bounds::Keys(range) => (range.lower.clone(), range.upper.clone()),
            Bounds::Ids(lower, upper) => (id_key(lower), Some(id_key(upper))),
        }
    }

    /// Where keys are cut a range may hold rows that do not match; compares the values themselves.
    fn wanted(&self, document: &Value) -> Result<bool> {
        match &self.bounds {
            Bounds::Ids(..) => Ok(true),
            Bounds::Keys(range) if range.exact => Ok(true),
            Bounds::Keys(_) => {
                let index = self
                    .table
                    .index_by_number(self.index)
                    .ok_or_else(|| Error::Catalog("index vanished during a scan".to_owned()))?;
                let fields: Vec<Option<Value>> = index
                    .fields
                    .iter()
                    .chain([&FieldPath::creation_time()])
                    .map(|path| path.get(document).cloned())
                    .collect();
                Ok(self.range.contains(&fields))
            }
        }
    }

    fn fetch(&mut self, access: Access) -> Result<()> {
        let limit = Param::Int8(self.chunk.try_into().unwrap_or(i64::MAX));
        let table = Rc::clone(&self.table);
        let id_column = 0;
        let key_column = 3 + table.columns.len();
        let by_id = matches!(self.bounds, Bounds::Ids(..));
        let read = |found: &spi::Row| -> Result<(Vec<u8>, Value, String)> {
            let id: String = found.need(id_column)?;
            let key = if by_id {
                id_key(&id)
            } else {
                found.need(key_column)?
            };
            Ok((key, row::from_row(&table, found)?, id))
        };
        let _planner = PreferIndexes::new();
        let rows = match &self.bounds {
            Bounds::Keys(range) => {
                let mut lower = range.lower.clone();
                let mut upper = range.upper.clone().unwrap_or_else(|| KEY_END.to_vec());
                match (self.last_fetched.take(), self.direction) {
                    (None, _) => {}
                    (Some(last), Direction::Ascending) => lower = successor(last),
                    (Some(last), Direction::Descending) => upper = last,
                }
                let params = [Param::Bytes(&lower), Param::Bytes(&upper), limit];
                spi::query(&self.sql, &params, access, read)?
            }
            Bounds::Ids(lower, upper) => {
                let mut lower = lower.clone();
                let mut upper = upper.clone();
                match (self.last_fetched_id.take(), self.direction) {
                    (None, _) => {}
                    (Some(last), Direction::Ascending) => lower = after_id(&last),
                    (Some(last), Direction::Descending) => upper = last,
                }
                let params = [Param::Text(&lower), Param::Text(&upper), limit];
                spi::query(&self.sql, &params, access, read)?
            }
        };
        self.fetched_all = rows.len() < self.chunk;
        self.chunk = (self.chunk * 2).min(CHUNK_MAX);
        if let Some((key, _, id)) = rows.last() {
            self.last_fetched = Some(key.clone());
            self.last_fetched_id = Some(id.clone());
        }
        self.buffer
            .extend(rows.into_iter().map(|(key, document, _)| (key, document)));
        Ok(())
    }
}

fn scan_sql(table: &Table, index: &Index, direction: Direction) -> String {
    let order = match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    };
    let key = if index.number == BY_ID {
        "_id"
    } else {
        &index.key
    };
    format!(
        "SELECT {}, {key} FROM {} WHERE {key} >= $1 AND {key} < $2 ORDER BY {key} {order} LIMIT $3",
        row::select_list(table),
        table.relation,
    )
}

fn id_key(id: &str) -> Vec<u8> {
    encode_key([Some(&Value::String(id.to_owned()))])
}

/// The smallest key after this one.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn after_id(id: &str) -> String {
    let mut next = id.to_owned();
    next.push(ID_FILL);
    next
}

/// The bounds of a scan of `by_id` as text. Values that are not strings lie below or above all ids.
fn id_bounds(range: &ResolvedRange) -> (String, String) {
    if let [value] = range.prefix.as_slice() {
        return match value {
            Some(Value::String(id)) => (id.clone(), after_id(id)),
            _ => (ID_END.to_owned(), ID_END.to_owned()),
        };
    }
    let below_ids = |value: &Option<Value>| {
        compare(value.as_ref(), Some(&Value::String(String::new()))).is_lt()
    };
    let place = |value: &Option<Value>, past: bool| match value {
        Some(Value::String(id)) if past => after_id(id),
        Some(Value::String(id)) => id.clone(),
        other if below_ids(other) => String::new(),
        _ => ID_END.to_owned(),
    };
    let lower = match &range.lower {
        Bound::Unbounded => String::new(),
        Bound::Included(value) => place(value, false),
        Bound::Excluded(value) => place(value, true),
    };
    let upper = match &range.upper {
        Bound::Unbounded => ID_END.to_owned(),
        Bound::Included(value) => place(value, true),
        Bound::Excluded(value) => place(value, false),
    };
    (lower, upper)
}
