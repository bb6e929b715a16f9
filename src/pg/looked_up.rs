//! What scans look up while a plan runs. A scan whose condition compares a column with a parameter of the executor is
//! watched: each time it is asked for a row, the value of the parameter is the one that it compares with, and is noted.
//!
//! Scans run within Postgres' frames, where an ERROR must not become a panic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use pgrx::{PgMemoryContexts, pg_sys::Datum};

use super::executed;
use super::function;
use super::plan::Sought;

type Execute = unsafe extern "C-unwind" fn(*mut pg_sys::PlanState) -> *mut pg_sys::TupleTableSlot;
type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::PlanState, *mut c_void) -> bool;

mod raw {
    use super::{Datum, Walker, c_int, c_void, pg_sys};

    unsafe extern "C-unwind" {
        pub(super) fn planstate_tree_walker(
            state: *mut pg_sys::PlanState,
            walker: Walker,
            context: *mut c_void,
        ) -> bool;
        pub(super) fn datumIsEqual(one: Datum, other: Datum, by_value: bool, length: c_int)
        -> bool;
        pub(super) fn datumCopy(value: Datum, by_value: bool, length: c_int) -> Datum;
    }
}

/// A scan that is watched.
struct Watch {
    /// The query to which it belongs.
    query: *mut pg_sys::EState,
    /// What gives its rows.
    execute: Execute,
    sought: Sought,
    by_value: bool,
    length: c_int,
    /// The recording for which the rest holds.
    recording: u64,
    /// The value that was noted last, or NULL: a copy in the query's memory.
    last: Option<(Datum, bool)>,
    /// What it looks up is not worth noting any more.
    is_given_up: bool,
    /// It is running, and the subquery that gives the value had not run before.
    awaits: bool,
}

/// What is to be done with a scan that is asked for a row.
#[derive(Clone, Copy)]
struct Step {
    execute: Execute,
    is_new: bool,
    awaits: bool,
}

thread_local! {
    /// Scans of queries that are about to start.
    static EXPECTED: RefCell<Vec<(*mut pg_sys::QueryDesc, Vec<Sought>)>> = const { RefCell::new(Vec::new()) };
    static WATCHES: RefCell<HashMap<*mut pg_sys::PlanState, Watch>> = RefCell::default();
}

/// The query is about to start, with these scans.
pub(super) fn expect(query: *mut pg_sys::QueryDesc, sought: Vec<Sought>) {
    EXPECTED.with_borrow_mut(|expected| {
        // One that did not start may have had the same address.
        expected.retain(|(known, _)| *known != query);
        if !sought.is_empty() {
            expected.push((query, sought));
        }
    });
}

/// Forgets queries that were expected and did not start.
pub(super) fn expect_none() {
    EXPECTED.take();
}

/// Watches the scans of a query that has started. A scan that cannot be watched counts as one that looks up anything.
///
/// # Safety
/// The query must have been started just now, and an ERROR of Postgres must be a panic where this is called.
pub(super) unsafe fn attach(query: *mut pg_sys::QueryDesc) {
    let expected = EXPECTED.with_borrow_mut(|expected| {
        let at = expected.iter().position(|(known, _)| *known == query)?;
        Some(expected.swap_remove(at).1)
    });
    let Some(expected) = expected else { return };
    let mut states: Vec<*mut pg_sys::PlanState> = Vec::new();
    // SAFETY: as the caller promises; the context outlives the walk. The callback lies in the memory whose end it tells.
    unsafe {
        let top = (*query).planstate;
        pg_guard_ffi_boundary(|| visit(top, (&raw mut states).cast()));
        let memory = (*(*query).estate).es_query_cxt;
        let size = size_of::<pg_sys::MemoryContextCallback>();
        let callback =
            pg_sys::MemoryContextAllocZero(memory, size).cast::<pg_sys::MemoryContextCallback>();
        (*callback).func = Some(forget);
        (*callback).arg = (*query).estate.cast();
        pg_sys::MemoryContextRegisterResetCallback(memory, callback);
        for sought in expected {
            let mut fitting = states.iter().filter(|state| (***state).plan == sought.plan);
            let is_watched = fitting.next().is_some_and(|state| {
                let others = fitting.any(|other| other != state);
                !others && watch(*state, (*query).plannedstmt, &sought)
            });
            if !is_watched {
                executed::note_looked_up(&sought, None);
            }
        }
    }
}

/// Puts a watch on a scan; `false` if that is not possible.
///
/// # Safety
/// The scan must be one of a query with that statement, and must not have run.
unsafe fn watch(
    state: *mut pg_sys::PlanState,
    statement: *const pg_sys::PlannedStmt,
    sought: &Sought,
) -> bool {
    // SAFETY: as the caller promises. Before the first row, `ExecProcNode` is what goes on with `ExecProcNodeReal`.
    unsafe {
        let Some(execute) = (*state).ExecProcNodeReal else {
            return false;
        };
        let has_begun = (*state)
            .ExecProcNode
            .is_none_or(|first| std::ptr::fn_addr_eq(first, execute));
        let types = (*statement).paramExecTypes;
        let count = if types.is_null() { 0 } else { (*types).length };
        let is_known = c_int::try_from(sought.lookup.param).is_ok_and(|number| number < count);
        if has_begun || !is_known {
            return false;
        }
        let (mut length, mut by_value) = (0, false);
        pg_sys::get_typlenbyval(sought.lookup.of_type, &raw mut length, &raw mut by_value);
        let watch = Watch {
            query: (*state).state,
            execute,
            sought: sought.clone(),
            by_value,
            length: length.into(),
            recording: 0,
            last: None,
            is_given_up: false,
            awaits: false,
        };
        WATCHES.with_borrow_mut(|watches| watches.insert(state, watch));
        (*state).ExecProcNodeReal = Some(watched);
        true
    }
}

/// # Safety
/// Called with the state of a plan that was started, or null, and a list of such. The frame owns nothing.
unsafe extern "C-unwind" fn visit(state: *mut pg_sys::PlanState, context: *mut c_void) -> bool {
    if state.is_null() {
        return false;
    }
    // SAFETY: as the caller promises; the walker takes this function for what is below it.
    unsafe {
        (*context.cast::<Vec<*mut pg_sys::PlanState>>()).push(state);
        raw::planstate_tree_walker(state, visit, context)
    }
}

/// The memory of a query goes, and its scans with it. One that was cut off while the value was not known yet may have
/// looked up anything.
unsafe extern "C-unwind" fn forget(query: *mut c_void) {
    let query: *mut pg_sys::EState = query.cast();
    WATCHES.with_borrow_mut(|watches| {
        watches.retain(|_, watch| {
            if watch.query == query && watch.awaits {
                executed::note_looked_up(&watch.sought, None);
            }
            watch.query != query
        });
    });
}

/// Gives a row of a scan that is watched.
///
/// # Safety
/// Called by Postgres for a scan that was [`watch`]ed. The frame owns nothing, so errors may jump over it.
unsafe extern "C-unwind" fn watched(state: *mut pg_sys::PlanState) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: as the caller promises. A value that a scan compares with does not change while it runs: whoever sets
    // another one has the scan begin anew.
    unsafe {
        let Some(step) = step(state) else {
            function::guarded(|| pgrx::error!("pg_live: a scan lost its watch"));
            return std::ptr::null_mut();
        };
        if step.is_new {
            function::guarded(|| with_watch(state, |watch| watch.note(state)));
        }
        let row = (step.execute)(state);
        if step.awaits {
            function::guarded(|| with_watch(state, |watch| watch.settle(state)));
        }
        row
    }
}

fn with_watch(state: *mut pg_sys::PlanState, body: impl FnOnce(&mut Watch)) {
    WATCHES.with_borrow_mut(|watches| {
        if let Some(watch) = watches.get_mut(&state) {
            body(watch);
        }
    });
}

/// # Safety
/// As for [`watched`].
unsafe fn step(state: *mut pg_sys::PlanState) -> Option<Step> {
    WATCHES.with_borrow_mut(|watches| {
        let watch = watches.get_mut(&state)?;
        // SAFETY: as the caller promises.
        let (is_ready, is_new) = unsafe {
            let given = watch.given(state);
            (given.execPlan.is_null(), !watch.knows(given))
        };
        watch.awaits = !is_ready && is_new;
        Some(Step {
            execute: watch.execute,
            is_new: is_ready && is_new,
            awaits: watch.awaits,
        })
    })
}

impl Watch {
    /// The parameter as it is now.
    ///
    /// # Safety
    /// The state must be that of the scan.
    unsafe fn given<'a>(&self, state: *mut pg_sys::PlanState) -> &'a pg_sys::ParamExecData {
        // SAFETY: as the caller promises; the number was compared with how many there are.
        unsafe {
            let params = (*(*state).ps_ExprContext).ecxt_param_exec_vals;
            &*params.add(self.sought.lookup.param)
        }
    }

    /// Whether nothing new can be said of it.
    ///
    /// # Safety
    /// The parameter must be the one that is looked up.
    unsafe fn knows(&self, given: &pg_sys::ParamExecData) -> bool {
        let recording = executed::recording();
        if recording == 0 {
            return true;
        }
        if recording != self.recording {
            return false;
        }
        if self.is_given_up {
            return true;
        }
        let is_ready = given.execPlan.is_null();
        match self.last {
            Some((_, true)) => is_ready && given.isnull,
            // SAFETY: both are of the parameter's type. A copy of a value that lies elsewhere is never equal to it.
            Some((last, false)) => unsafe {
                is_ready
                    && !given.isnull
                    && raw::datumIsEqual(last, given.value, self.by_value, self.length)
            },
            None => false,
        }
    }

    /// Notes what is looked up.
    ///
    /// # Safety
    /// The state must be that of the scan, and an ERROR of Postgres must be a panic where this is called.
    unsafe fn note(&mut self, state: *mut pg_sys::PlanState) {
        // SAFETY: as the caller promises. The scan empties the memory for a row itself.
        unsafe {
            let given = *self.given(state);
            let memory = (*(*state).ps_ExprContext).ecxt_per_tuple_memory;
            let conditions = PgMemoryContexts::For(memory)
                .switch_to(|_| self.sought.lookup.conditions(given.value, given.isnull));
            self.is_given_up = !executed::note_looked_up(&self.sought, conditions);
            self.recording = executed::recording();
            let old = self.last.take();
            if let (Some((copy, false)), false) = (old, self.by_value) {
                pg_sys::pfree(copy.cast_mut_ptr());
            }
            let copied = || {
                let (value, by_value, length) = (given.value, self.by_value, self.length);
                pg_guard_ffi_boundary(|| raw::datumCopy(value, by_value, length))
            };
            let copy = if given.isnull {
                Datum::from(0)
            } else {
                PgMemoryContexts::For((*self.query).es_query_cxt).switch_to(|_| copied())
            };
            self.last = Some((copy, given.isnull));
        }
    }

    /// After a run before which the value was not known. If it still is not, no row has come to be compared with it.
    ///
    /// # Safety
    /// As for [`note`](Self::note).
    unsafe fn settle(&mut self, state: *mut pg_sys::PlanState) {
        // SAFETY: as the caller promises.
        unsafe {
            if self.given(state).execPlan.is_null() {
                self.note(state);
            } else {
                executed::note_looked_up(&self.sought, None);
                self.recording = executed::recording();
                self.is_given_up = true;
            }
        }
        self.awaits = false;
    }
}
