//! What a plan reads: for each scan of a table the columns that it looks at, and a condition that every row must
//! fulfil that the scan lets through.
//!
//! A scan stands for itself, whatever is above it: rows that its own conditions refuse are not seen by anything
//! else. What is not understood is read as a whole. What a scan will look up is told by its execution
//! (`looked_up.rs`).

mod columns;
mod condition;
mod found;
mod kept;
mod lookup;
mod measure;
mod operator;
mod predicate;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;

use pg_live_readset::{Attribute, Attributes, Condition, ReadEntry};
use pgrx::pg_sys;

pub(super) use columns::has_system_column;
pub(super) use lookup::Lookup;
pub(crate) use measure::measure;
pub(crate) use operator::is_narrowed;

/// Why a relation is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Every column of every row, for all that is known.
    EveryColumn,
    /// The plan does not scan it: partitions were left out, or it is not needed.
    NotScanned,
    /// The statement writes or locks rows, or its plan does what is not followed.
    NotFollowed,
}

/// What a plan reads.
#[derive(Clone, Default)]
pub(super) struct Reads {
    /// Whether the plan does nothing that is not known here.
    pub(super) is_followed: bool,
    /// Whether, as far as the plan was followed, a system column is read.
    pub(super) has_system_column: bool,
    /// Relations as a whole; views, too.
    pub(super) whole: BTreeMap<u32, Why>,
    /// Parts of tables.
    pub(super) rows: BTreeSet<ReadEntry>,
    /// Partitioned tables, which have no rows of their own: the scans of their partitions stand for them.
    pub(super) partitioned: BTreeSet<u32>,
    /// Scans whose rows depend on what they look up. Of these `rows` has only the table.
    pub(super) sought: Vec<Sought>,
}

/// A scan that looks keys up.
#[derive(Clone)]
pub(super) struct Sought {
    /// Its node; a name, the plan may have gone.
    pub(super) plan: *mut pg_sys::Plan,
    rel: u32,
    pub(super) lookup: Lookup,
    scan: Scan,
}

/// A scan of a table.
#[derive(Clone)]
struct Scan {
    columns: Attributes,
    /// A row fulfils one of these; `None`: nothing is known.
    any_of: Option<Vec<Condition>>,
}

/// What a query that is about to start will read.
///
/// # Safety
/// The query must be valid, and an ERROR of Postgres must be a panic where this is called.
pub(super) unsafe fn reads(query: *mut pg_sys::QueryDesc) -> Reads {
    // SAFETY: as the caller promises.
    unsafe { kept::walk((*query).plannedstmt).reads((*query).params) }
}

impl Sought {
    /// The table and the column.
    pub(super) fn column(&self) -> (u32, Attribute) {
        (self.rel, self.lookup.attribute)
    }

    /// What a scan by these conditions reads.
    pub(super) fn entry(&self, condition: Condition) -> ReadEntry {
        ReadEntry::Rows {
            rel: self.rel,
            columns: self.scan.columns,
            condition: Some(condition),
        }
    }

    /// What stands for the table as long as nothing was looked up.
    pub(super) fn nothing(&self) -> ReadEntry {
        self.entry(found::nothing(self.lookup.attribute))
    }

    /// What the scan reads, whatever it looks up.
    pub(super) fn whatever(&self) -> Reads {
        let mut reads = Reads::default();
        reads.add(self.rel, &self.scan);
        reads
    }
}

impl Reads {
    /// Adds a scan that looks keys up.
    fn seek(&mut self, sought: Sought) {
        self.rows.insert(sought.nothing());
        self.sought.push(sought);
    }

    fn add(&mut self, rel: u32, scan: &Scan) {
        let columns = scan.columns;
        let conditions = match &scan.any_of {
            Some(any_of) => any_of.iter().cloned().map(Some).collect(),
            None if columns.is_all() => {
                self.whole.insert(rel, Why::EveryColumn);
                return;
            }
            None => vec![None],
        };
        let entries = conditions.into_iter().map(|condition| ReadEntry::Rows {
            rel,
            columns,
            condition,
        });
        self.rows.extend(entries);
    }
}

/// # Safety
/// The list must be valid or null.
pub(super) unsafe fn length(list: *mut pg_sys::List) -> usize {
    if list.is_null() {
        return 0;
    }
    // SAFETY: as the caller promises.
    usize::try_from(unsafe { (*list).length }).unwrap_or(0)
}

/// # Safety
/// The list must be null or one of pointers to `T`.
unsafe fn elements<T>(list: *mut pg_sys::List) -> Vec<*mut T> {
    // SAFETY: as the caller promises.
    unsafe {
        let cell = |index| (*(*list).elements.add(index)).ptr_value.cast::<T>();
        (0..length(list)).map(cell).collect()
    }
}

/// # Safety
/// The list must be null or one of numbers.
unsafe fn numbers(list: *mut pg_sys::List) -> Vec<c_int> {
    // SAFETY: as the caller promises.
    unsafe {
        let cell = |index| (*(*list).elements.add(index)).int_value;
        (0..length(list)).map(cell).collect()
    }
}
