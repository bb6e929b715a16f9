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
use crate::pg::shmem::{self, Counter};
use crate::pg::spi::{self, Access, Param, PreferIndexes};
use crate::pg::xact::{self, CommandId};

/// Rows fetched at first when nothing limits the scan; doubles up to [`CHUNK_MAX`]. So no scan
/// fetches more than twice the rows that it gives, and these.
const CHUNK_FIRST: usize = 64;
const CHUNK_MAX: usize = 1024;
/// Documents held ahead of need; the rest of a chunk is left where it is, and fetched again.
const AHEAD_BYTES_MAX: usize = 8 << 20;
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
    let document = spi::query_one(&sql, &[Param::Text(id)], access, |found| {
        row::from_row(table, found)
    })?;
    count_fetched(document.iter().len());
    Ok(document)
}

fn count_fetched(rows: usize) {
    if let Some(slot) = shmem::own_slot() {
        slot.count(Counter::RowsFetched, rows as u64);
    }
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

impl Direction {
    /// Whether a scan in this direction meets `first` before `second`, or they are the same.
    pub(crate) fn is_in_order(self, first: &[u8], second: &[u8]) -> bool {
        match self {
            Direction::Ascending => first <= second,
            Direction::Descending => first >= second,
        }
    }
}

/// What a scan reads of its index: from (and with) the lower bound to (and without) the upper one.
#[derive(Clone)]
enum Bounds {
    /// Keys of an expression index.
    Keys(KeyRange),
    /// Ids.
    Ids { lower: String, upper: String },
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
    /// The key of the row fetched last: the next chunk begins behind it.
    last_fetched: Option<Vec<u8>>,
    fetched_all: bool,
    /// What of the own transaction the fetched rows show.
    fetched_at: Option<CommandId>,
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
            Bounds::Ids { lower, upper }
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
            fetched_all: false,
            fetched_at: None,
            last_returned: None,
            started: false,
            finished: false,
        }
    }

    /// Leaves out everything up to and with the row of this key, in the direction of the scan.
    /// `None` if no row can have the key.
    pub(crate) fn start_after(&mut self, key: &[u8]) -> Option<()> {
        match self.direction {
            Direction::Ascending => self.bounds.raise(key, true),
            Direction::Descending => self.bounds.lower(key, false),
        }
    }

    /// Leaves out everything behind the row of this key, in the direction of the scan. `None` if no
    /// row can have the key.
    pub(crate) fn end_with(&mut self, key: &[u8]) -> Option<()> {
        match self.direction {
            Direction::Ascending => self.bounds.lower(key, true),
            Direction::Descending => self.bounds.raise(key, false),
        }
    }

    /// The next document with its key, or `None` at the end of the range.
    pub(crate) fn next(&mut self, access: Access) -> Result<Option<(Vec<u8>, Value)>> {
        self.started = true;
        let now = xact::command_id();
        if access == Access::Write && self.fetched_at.is_some_and(|at| at != now) {
            self.forget_ahead();
        }
        loop {
            if let Some((key, document)) = self.buffer.pop_front() {
                self.last_returned = Some(key.clone());
                if self.wanted(&document)? {
                    return Ok(Some((key, document)));
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

    /// The transaction has written since: rows fetched ahead are fetched anew. A function that
    /// writes once may do so after each row, so few are fetched.
    fn forget_ahead(&mut self) {
        self.chunk = 1;
        self.fetched_at = None;
        self.buffer.clear();
        self.last_fetched.clone_from(&self.last_returned);
        self.fetched_all = false;
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
            Bounds::Ids { lower, upper } => (id_key(lower), Some(id_key(upper))),
        }
    }

    /// Where keys are cut a range may hold rows that do not match; compares the values themselves.
    fn wanted(&self, document: &Value) -> Result<bool> {
        match &self.bounds {
            Bounds::Ids { .. } => Ok(true),
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
        let table = Rc::clone(&self.table);
        let key_column = 3 + table.columns.len();
        let by_id = matches!(self.bounds, Bounds::Ids { .. });
        let (mut fetched, mut bytes) = (0, 0);
        let read = |found: &spi::Row| -> Result<Option<(Vec<u8>, Value)>> {
            fetched += 1;
            if bytes > AHEAD_BYTES_MAX {
                return Ok(None);
            }
            let key = if by_id {
                id_key(&found.need::<String>(0)?)
            } else {
                found.need(key_column)?
            };
            let document = row::from_row(&table, found)?;
            bytes += document.size();
            Ok(Some((key, document)))
        };
        let mut bounds = self.bounds.clone();
        if let Some(key) = self.last_fetched.take() {
            let narrowed = match self.direction {
                Direction::Ascending => bounds.raise(&key, true),
                Direction::Descending => bounds.lower(&key, false),
            };
            narrowed.ok_or_else(|| Error::Catalog("a row without a key".to_owned()))?;
        }
        let limit = Param::Int8(self.chunk.try_into().unwrap_or(i64::MAX));
        self.fetched_at = Some(xact::command_id());
        let _planner = PreferIndexes::new();
        let rows = match &bounds {
            Bounds::Keys(range) => {
                let upper = range.upper.as_deref().unwrap_or(KEY_END);
                let params = [Param::Bytes(&range.lower), Param::Bytes(upper), limit];
                spi::query(&self.sql, &params, access, read)?
            }
            Bounds::Ids { lower, upper } => {
                let params = [Param::Text(lower), Param::Text(upper), limit];
                spi::query(&self.sql, &params, access, read)?
            }
        };
        count_fetched(fetched);
        let held: Vec<_> = rows.into_iter().flatten().collect();
        self.fetched_all = fetched < self.chunk && held.len() == fetched;
        self.chunk = if held.len() == fetched {
            (self.chunk * 2).min(CHUNK_MAX)
        } else {
            held.len().max(1)
        };
        self.last_fetched = held.last().map(|(key, _)| key.clone());
        self.buffer.extend(held);
        Ok(())
    }
}

impl Bounds {
    /// Begins at this key, or after it; never before where it began. `None` if no row can have the
    /// key.
    fn raise(&mut self, key: &[u8], past: bool) -> Option<()> {
        match self {
            Bounds::Keys(range) => {
                let key = place(key, past);
                if key > range.lower {
                    range.lower = key;
                }
            }
            Bounds::Ids { lower, .. } => {
                let id = place_id(key, past)?;
                if id > *lower {
                    *lower = id;
                }
            }
        }
        Some(())
    }

    /// Ends before this key, or after it; never after where it ended. `None` if no row can have the
    /// key.
    fn lower(&mut self, key: &[u8], past: bool) -> Option<()> {
        match self {
            Bounds::Keys(range) => {
                let key = place(key, past);
                if range.upper.as_ref().is_none_or(|upper| key < *upper) {
                    range.upper = Some(key);
                }
            }
            Bounds::Ids { upper, .. } => {
                let id = place_id(key, past)?;
                if id < *upper {
                    *upper = id;
                }
            }
        }
        Some(())
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

/// The id in a key of `by_id`.
fn id_of_key(key: &[u8]) -> Option<&str> {
    let (start, end) = (id_key(""), 2);
    let id = key.strip_prefix(&start[..start.len() - end])?;
    let id = id.strip_suffix(&start[start.len() - end..])?;
    std::str::from_utf8(id).ok().filter(|id| !id.contains('\0'))
}

/// This key, or the smallest one after it.
fn place(key: &[u8], past: bool) -> Vec<u8> {
    if past {
        successor(key.to_vec())
    } else {
        key.to_vec()
    }
}

fn place_id(key: &[u8], past: bool) -> Option<String> {
    let id = id_of_key(key)?;
    Some(if past { after_id(id) } else { id.to_owned() })
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
