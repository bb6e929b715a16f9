//! What statements read, seen at the executor: every plan that starts and every function that is set up to be
//! called while a recording runs, those of functions called by the statement included.
//!
//! Hooks run within Postgres' frames, where an ERROR must not become a panic.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_live_readset::{Attribute, Condition, ReadEntry};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::plan::{self, Reads, Sought, Why};
use super::{function, looked_up, session};

/// More keys than that, looked up in one column of a table, are not worth it: any row counts.
pub(crate) const KEYS_MAX: usize = 128;

/// What a statement does that no read-set can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Oddity {
    /// `ctid`, `xmin` and the like: VACUUM FULL and updates that change nothing change them.
    SystemColumn,
    /// TABLESAMPLE: which rows it takes depends on where they are stored.
    Sample,
    /// A command that is no query, such as EXPLAIN.
    Command,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Relations of the plans that count as a whole, and why; views, too.
    pub(crate) relations: BTreeMap<u32, Why>,
    /// Parts of other tables that the plans scan.
    pub(crate) rows: BTreeSet<ReadEntry>,
    /// Partitioned tables of which the plans scan partitions, or none.
    pub(crate) partitioned: BTreeSet<u32>,
    /// How many keys were looked up, by table and column; more than [`KEYS_MAX`] if they were given up.
    pub(crate) looked_up: BTreeMap<(u32, Attribute), usize>,
    /// Functions that were set up to be called, operators' ones included.
    pub(crate) functions: BTreeSet<u32>,
    /// What cannot be followed.
    pub(crate) oddities: BTreeSet<Oddity>,
}

impl Seen {
    fn join(&mut self, other: &Seen) {
        self.relations.extend(other.relations.iter());
        self.rows.extend(other.rows.iter().cloned());
        self.partitioned.extend(&other.partitioned);
        for (column, count) in &other.looked_up {
            *self.looked_up.entry(*column).or_default() += count;
        }
        self.functions.extend(&other.functions);
        self.oddities.extend(&other.oddities);
    }

    fn read(&mut self, reads: Reads) {
        self.relations.extend(reads.whole);
        self.rows.extend(reads.rows);
        self.partitioned.extend(reads.partitioned);
    }

    /// See [`note_looked_up`].
    fn look_up(&mut self, sought: &Sought, conditions: Option<Vec<Condition>>) -> bool {
        let nothing = sought.nothing();
        let count = self.looked_up.entry(sought.column()).or_default();
        if let (Some(conditions), true) = (conditions, *count <= KEYS_MAX) {
            for condition in conditions {
                let entry = sought.entry(condition);
                if entry != nothing {
                    self.rows.remove(&nothing);
                    *count += usize::from(self.rows.insert(entry));
                }
            }
            if *count <= KEYS_MAX {
                return true;
            }
        }
        *count = KEYS_MAX + 1;
        self.read(sought.whatever());
        false
    }
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    /// The number of the innermost recording, 0 without one; and of the last one that began.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static LAST_NUMBER: Cell<u64> = const { Cell::new(0) };
    static NEXT_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    /// Functions that PL/pgSQL has set up for the rest of a transaction, with that transaction's number.
    static SET_UP: RefCell<(u32, BTreeSet<u32>)> = const { RefCell::new((0, BTreeSet::new())) };
    /// Whether what runs belongs to the extension.
    static UNRECORDED: Cell<bool> = const { Cell::new(false) };
}

type Walker<T> = unsafe extern "C-unwind" fn(*mut T, *mut c_void) -> bool;

unsafe extern "C-unwind" {
    fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    fn planstate_tree_walker(
        state: *mut pg_sys::PlanState,
        walker: Walker<pg_sys::PlanState>,
        context: *mut c_void,
    ) -> bool;
}

/// Puts the hook in place; called once when the library is loaded.
pub(crate) fn install() {
    // SAFETY: hooks are chained as Postgres wants it, before any statement runs.
    unsafe {
        NEXT_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(executor_start);
    }
}

/// Parallel workers are other processes, in which nothing is recorded: none is started until drop, whatever a
/// kept plan says.
struct Alone {
    workers: c_int,
    per_gather: c_int,
}

impl Alone {
    fn new() -> Alone {
        // SAFETY: plain settings of this single-threaded backend.
        unsafe {
            let before = Alone {
                workers: pg_sys::max_parallel_workers,
                per_gather: pg_sys::max_parallel_workers_per_gather,
            };
            pg_sys::max_parallel_workers = 0;
            pg_sys::max_parallel_workers_per_gather = 0;
            before
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // SAFETY: as in `new`; no Postgres function is called.
        unsafe {
            pg_sys::max_parallel_workers = self.workers;
            pg_sys::max_parallel_workers_per_gather = self.per_gather;
        }
    }
}

/// Runs `body` and tells what it has read, even if it panicked. A recording around it sees that, too.
pub(crate) fn record<T>(body: impl FnOnce() -> T) -> (std::thread::Result<T>, Seen) {
    let _alone = Alone::new();
    let outer = SEEN.replace(Some(Seen::default()));
    if outer.is_none() {
        looked_up::expect_none();
    }
    LAST_NUMBER.set(LAST_NUMBER.get() + 1);
    let outer_number = NUMBER.replace(LAST_NUMBER.get());
    RECORDING.set(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    let seen = SEEN.take().unwrap_or_default();
    NUMBER.set(outer_number);
    RECORDING.set(outer.is_some());
    SEEN.set(outer.map(|mut outer| {
        outer.join(&seen);
        outer
    }));
    (result, seen)
}

/// Runs `body` without recording: what it reads belongs to the extension, not to the statement.
pub(crate) fn unrecorded<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(bool, bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECORDING.set(self.0);
            UNRECORDED.set(self.1);
        }
    }
    let _restore = Restore(RECORDING.replace(false), UNRECORDED.replace(true));
    body()
}

fn note(change: impl FnOnce(&mut Seen)) {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            change(seen);
        }
    });
}

/// The number of the recording that runs; 0 if none does.
pub(super) fn recording() -> u64 {
    NUMBER.get()
}

/// A scan looks up rows that fulfil one of these conditions; `None`: it is not known which. Whether there is anything
/// more to say of that scan.
pub(super) fn note_looked_up(sought: &Sought, conditions: Option<Vec<Condition>>) -> bool {
    SEEN.with_borrow_mut(|seen| {
        let seen = seen.as_mut();
        seen.is_none_or(|seen| seen.look_up(sought, conditions))
    })
}

/// A function is set up to be called.
pub(super) fn note_function(function: u32) {
    if RECORDING.get() {
        note(|seen| {
            seen.functions.insert(function);
        });
    }
    if is_for_transaction() && !UNRECORDED.get() {
        SET_UP.with_borrow_mut(|(of, functions)| {
            let transaction = session::local_transaction();
            if *of != transaction {
                *of = transaction;
                functions.clear();
            }
            functions.insert(function);
        });
    }
}

/// Whether what is set up now is kept until the transaction ends: simple expressions and casts of PL/pgSQL, in memory
/// that all its calls share. All else is set up when a statement starts and goes with it.
fn is_for_transaction() -> bool {
    // SAFETY: plain reads of memory contexts that are there in every transaction.
    unsafe { (*pg_sys::CurrentMemoryContext).parent == pg_sys::TopTransactionContext }
}

/// The functions that PL/pgSQL has set up in this transaction and will not set up again.
pub(crate) fn set_up_for_transaction() -> BTreeSet<u32> {
    SET_UP.with_borrow(|(of, functions)| {
        if *of == session::local_transaction() {
            functions.clone()
        } else {
            BTreeSet::new()
        }
    })
}

/// Has everything planned again that is kept, and set up again with it, when it is next used.
pub(crate) fn forget_plans() {
    // SAFETY: marks kept plans as invalid; those that run stay until they end.
    unsafe { pg_sys::ResetPlanCache() };
}

/// A command that is no query runs.
///
/// # Safety
/// The node must be valid.
pub(super) unsafe fn note_command(node: *mut pg_sys::Node) {
    if !RECORDING.get() {
        return;
    }
    // SAFETY: as the caller promises.
    let harmless = unsafe {
        matches!(
            (*node).type_,
            Tag::T_DeclareCursorStmt
                | Tag::T_FetchStmt
                | Tag::T_ClosePortalStmt
                | Tag::T_VariableSetStmt
                | Tag::T_VariableShowStmt
        )
    };
    if !harmless {
        note(|seen| {
            seen.oddities.insert(Oddity::Command);
        });
    }
}

/// # Safety
/// Called by Postgres as its hook. The frame owns nothing, so errors may jump over it.
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    let recording = RECORDING.get();
    let mut is_followed = false;
    // SAFETY: the arguments go on as they came. A query has a plan, and once it was started the plan's state.
    unsafe {
        if recording {
            // Before the start, which may fail for want of rights.
            function::guarded(|| is_followed = note_plan(query));
        }
        match NEXT_START.get() {
            Some(next) => next(query, flags),
            None => standard_ExecutorStart(query, flags),
        }
        if recording {
            function::guarded(|| looked_up::attach(query));
            if !is_followed {
                visit((*query).planstate, std::ptr::null_mut());
            }
        }
    }
}

/// Notes what the plan reads, and tells whether that is all that there is to know of it.
///
/// # Safety
/// The query must be valid, and an ERROR of Postgres must be a panic where this is called.
unsafe fn note_plan(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: as the caller promises.
    let mut reads = unsafe { plan::reads(query) };
    let sought = std::mem::take(&mut reads.sought);
    let is_followed = reads.is_followed;
    note(|seen| {
        if reads.has_system_column {
            seen.oddities.insert(Oddity::SystemColumn);
        }
        seen.read(reads);
        for scan in &sought {
            seen.looked_up.entry(scan.column()).or_default();
        }
    });
    looked_up::expect(query, sought);
    is_followed
}

/// # Safety
/// Called with the state of a plan that was started, or null. The frame owns nothing.
unsafe extern "C-unwind" fn visit(state: *mut pg_sys::PlanState, context: *mut c_void) -> bool {
    if state.is_null() {
        return false;
    }
    // SAFETY: a state has its plan; the walker takes this function for what is below it.
    unsafe {
        let plan = (*state).plan;
        let oddity = match (*plan).type_ {
            Tag::T_SampleScan => Some(Oddity::Sample),
            Tag::T_TidScan | Tag::T_TidRangeScan => Some(Oddity::SystemColumn),
            _ => {
                let found = plan::has_system_column((*plan).targetlist.cast(), context)
                    || plan::has_system_column((*plan).qual.cast(), context);
                found.then_some(Oddity::SystemColumn)
            }
        };
        if let Some(oddity) = oddity {
            note(|seen| {
                seen.oddities.insert(oddity);
            });
        }
        planstate_tree_walker(state, visit, context)
    }
}
