//! What a statement is about to write, before it does: a hook at the start of its execution.
//!
//! To call a trigger function costs a statement of one row more than the function does, most of all with transition
//! tables. Where what it would say is known beforehand, it is said at the start, and the triggers are taken out of
//! the copy of the table's triggers that the statement has for itself. They stay what they are in the catalog, and
//! for everything that does not execute a plan: COPY, apply workers, TRUNCATE.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::{Once, OnceLock};

use pgrx::pg_sys;

use super::function;
use super::trigger::{self, Fired};

/// A trigger function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// The one that reads the changed rows.
    ReadsRows,
    /// The one that leaves them to the WAL.
    LeavesRows,
}

/// A table that a statement is about to write; for each way in which it may do so the table has a trigger of ours.
pub(crate) struct Target {
    relation: pg_sys::Relation,
    /// The function of those triggers.
    pub(crate) function: Function,
}

impl Target {
    /// The oid of the table.
    pub(crate) fn relation(&self) -> u32 {
        // SAFETY: the statement holds the relation.
        unsafe { (*self.relation).rd_id.to_u32() }
    }

    /// As [`Fired::rows_are_in_wal`].
    pub(crate) fn rows_are_in_wal(&self) -> bool {
        // SAFETY: the statement holds the relation.
        unsafe { trigger::rows_are_in_wal(self.relation) }
    }
}

/// Says what there is to say of all tables that a statement is about to write, and returns `true`; or `false`, and
/// the triggers are called. May panic, also by an ERROR of Postgres.
type Say = fn(&[Target]) -> bool;

static SAY: OnceLock<Say> = OnceLock::new();

/// The oids of the functions, as far as this process has called them.
#[derive(Clone, Copy, Default)]
struct Known {
    reads_rows: Option<pg_sys::Oid>,
    leaves_rows: Option<pg_sys::Oid>,
}

thread_local! {
    static NEXT: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static KNOWN: Cell<Known> = const { Cell::new(Known { reads_rows: None, leaves_rows: None }) };
}

mod raw {
    use super::{c_int, pg_sys};

    unsafe extern "C-unwind" {
        pub(super) fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    }
}

/// Has `say` asked before statements write captured tables. To be called once, at preload.
pub(crate) fn before_writes(say: Say) {
    if SAY.set(say).is_ok() {
        // SAFETY: hooks are chained as Postgres wants it, before any statement runs.
        unsafe {
            NEXT.set(pg_sys::ExecutorStart_hook);
            pg_sys::ExecutorStart_hook = Some(on_start);
        }
    }
}

/// A trigger was called: which function is behind it. Only then is anything spared, so no name is ever looked up.
pub(crate) fn note_call(fired: &Fired<'_>, function: Function) {
    static REGISTER: Once = Once::new();
    let (oid, mut known) = (Some(fired.function()), KNOWN.get());
    let slot = match function {
        Function::ReadsRows => &mut known.reads_rows,
        Function::LeavesRows => &mut known.leaves_rows,
    };
    if *slot == oid {
        return;
    }
    REGISTER.call_once(|| {
        let functions = pg_sys::SysCacheIdentifier::PROCOID.cast_signed();
        // SAFETY: the callback lives as long as the process.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(functions, Some(forget), pg_sys::Datum::from(0));
        }
    });
    *slot = oid;
    KNOWN.set(known);
}

/// A function was redefined or dropped: an oid may come to mean another one.
unsafe extern "C-unwind" fn forget(_: pg_sys::Datum, _: c_int, _: u32) {
    KNOWN.set(Known::default());
}

/// # Safety
/// Called by Postgres as its hook. The frame owns nothing, so errors may jump over it.
unsafe extern "C-unwind" fn on_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: the arguments go on as they came; after that the query has a state.
    unsafe {
        match NEXT.get() {
            Some(next) => next(query, flags),
            None => raw::standard_ExecutorStart(query, flags),
        }
        let explained = flags.cast_unsigned() & pg_sys::EXEC_FLAG_EXPLAIN_ONLY != 0;
        if !explained && !(*(*query).plannedstmt).resultRelations.is_null() {
            function::guarded(|| spare(query));
        }
    }
}

/// Spares the statement the calls of triggers of ours, if `say` has said what they would.
///
/// # Safety
/// The query must have been started.
unsafe fn spare(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as the caller promises. The nodes belong to the query and are changed by nobody else.
    unsafe {
        let replica = pg_sys::SESSION_REPLICATION_ROLE_REPLICA.cast_signed();
        let (Some(say), known) = (SAY.get(), KNOWN.get()) else {
            return;
        };
        let unknown = known.reads_rows.is_none() && known.leaves_rows.is_none();
        if unknown || pg_sys::SessionReplicationRole == replica {
            return;
        }
        let Some(nodes) = modify_tables(query) else {
            return;
        };
        let target = |node: &*mut pg_sys::ModifyTableState| target(*node, known);
        let targets: Option<Vec<Target>> = nodes.iter().map(target).collect();
        if targets.is_some_and(|targets| say(&targets)) {
            nodes.iter().for_each(|node| take_out(*node, known));
        }
    }
}

/// The nodes of the statement that write; `None` if that are not all. Either all are spared the triggers or none:
/// Postgres looks a trigger up in the first copy of its table's.
///
/// # Safety
/// As for [`spare`].
unsafe fn modify_tables(
    query: *mut pg_sys::QueryDesc,
) -> Option<Vec<*mut pg_sys::ModifyTableState>> {
    // SAFETY: as the caller promises. The list has the nodes below the top one that write.
    unsafe {
        let top = (*query).planstate;
        let mut nodes = elements::<pg_sys::ModifyTableState>((*(*query).estate).es_auxmodifytables);
        // One that a rule has added is among them already.
        if (*top).type_ == pg_sys::NodeTag::T_ModifyTableState && !nodes.contains(&top.cast()) {
            nodes.push(top.cast());
        }
        let tables = |node: &*mut pg_sys::ModifyTableState| {
            let node = &**node;
            node.mt_nrels + c_int::from(node.rootResultRelInfo != node.resultRelInfo)
        };
        let written: c_int = nodes.iter().map(tables).sum();
        let expected = (*(*(*query).plannedstmt).resultRelations).length;
        (written == expected).then_some(nodes)
    }
}

/// # Safety
/// The list must be null or one of pointers to `T`.
unsafe fn elements<T>(list: *mut pg_sys::List) -> Vec<*mut T> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: as the caller promises.
    unsafe {
        let length = usize::try_from((*list).length).unwrap_or(0);
        let cell = |index| (*(*list).elements.add(index)).ptr_value.cast::<T>();
        (0..length).map(cell).collect()
    }
}

/// The table that a node writes, if all that it may do there fires a trigger of ours for the statement, with one and
/// the same function.
///
/// # Safety
/// As for [`spare`].
unsafe fn target(node: *mut pg_sys::ModifyTableState, known: Known) -> Option<Target> {
    // SAFETY: as the caller promises.
    unsafe {
        let root = (*node).rootResultRelInfo;
        let relation = (*root).ri_RelationDesc;
        if (*(*relation).rd_rel).relkind.cast_unsigned() != b'r' {
            // A partition may be attached while the statement runs, and get rows of it.
            return None;
        }
        let triggers = triggers((*root).ri_TrigDesc)?;
        let fires = |event: u32, function: Option<pg_sys::Oid>| {
            function.is_some()
                && triggers
                    .iter()
                    .any(|one| Some(one.tgfoid) == function && fires_for(one, event))
        };
        let events = events(node);
        let all = |function| events.iter().all(|event| fires(*event, function));
        let function = match (all(known.reads_rows), all(known.leaves_rows)) {
            (true, _) => Function::ReadsRows,
            (false, true) => Function::LeavesRows,
            (false, false) => return None,
        };
        Some(Target { relation, function })
    }
}

/// What a node may do with rows, as the bits of a trigger's type.
///
/// # Safety
/// As for [`spare`].
unsafe fn events(node: *mut pg_sys::ModifyTableState) -> &'static [u32] {
    use pg_sys::{CmdType, OnConflictAction};
    const INSERT: u32 = pg_sys::TRIGGER_TYPE_INSERT;
    const UPDATE: u32 = pg_sys::TRIGGER_TYPE_UPDATE;
    const DELETE: u32 = pg_sys::TRIGGER_TYPE_DELETE;
    // SAFETY: as the caller promises; the node's plan is of its kind.
    unsafe {
        let plan = (*node).ps.plan.cast::<pg_sys::ModifyTable>();
        let or_update = (*plan).onConflictAction == OnConflictAction::ONCONFLICT_UPDATE;
        match (*node).operation {
            CmdType::CMD_INSERT if !or_update => &[INSERT],
            CmdType::CMD_INSERT => &[INSERT, UPDATE],
            CmdType::CMD_UPDATE => &[UPDATE],
            CmdType::CMD_DELETE => &[DELETE],
            _ => &[INSERT, UPDATE, DELETE],
        }
    }
}

/// # Safety
/// The description must be null or a valid one, which lives for `'a`.
unsafe fn triggers<'a>(all: *mut pg_sys::TriggerDesc) -> Option<&'a [pg_sys::Trigger]> {
    // SAFETY: as the caller promises.
    unsafe {
        let all = all.as_ref()?;
        let count = usize::try_from(all.numtriggers).unwrap_or(0);
        (count > 0).then(|| std::slice::from_raw_parts(all.triggers, count))
    }
}

/// Whether a trigger is called after each statement that does this, with nothing else asked.
fn fires_for(one: &pg_sys::Trigger, event: u32) -> bool {
    is_after(one, pg_sys::TRIGGER_TYPE_STATEMENT, event)
        && matches!(
            one.tgenabled.cast_unsigned(),
            pg_sys::TRIGGER_FIRES_ON_ORIGIN | pg_sys::TRIGGER_FIRES_ALWAYS
        )
        && one.tgnattr == 0
        && one.tgqual.is_null()
}

fn is_after(one: &pg_sys::Trigger, level: u32, event: u32) -> bool {
    let mask = pg_sys::TRIGGER_TYPE_LEVEL_MASK | pg_sys::TRIGGER_TYPE_TIMING_MASK | event;
    u32::from(one.tgtype.cast_unsigned()) & mask == level | event
}

fn does(one: &pg_sys::Trigger, event: u32) -> bool {
    u32::from(one.tgtype.cast_unsigned()) & event != 0
}

/// Takes the triggers of ours out of the node's copies.
///
/// # Safety
/// As for [`spare`]; nothing of the statement may have been executed.
unsafe fn take_out(node: *mut pg_sys::ModifyTableState, known: Known) {
    // SAFETY: as the caller promises. The copies lie in the query's memory.
    unsafe {
        let count = usize::try_from((*node).mt_nrels).unwrap_or(0);
        for index in 0..count {
            take_out_of((*(*node).resultRelInfo.add(index)).ri_TrigDesc, known);
        }
        let root = (*(*node).rootResultRelInfo).ri_TrigDesc;
        take_out_of(root, known);
        let Some(left) = root.as_ref() else { return };
        for capture in [
            (*node).mt_transition_capture,
            (*node).mt_oc_transition_capture,
        ] {
            if let Some(capture) = capture.as_mut() {
                capture.tcs_insert_new_table &= left.trig_insert_new_table;
                capture.tcs_update_old_table &= left.trig_update_old_table;
                capture.tcs_update_new_table &= left.trig_update_new_table;
                capture.tcs_delete_old_table &= left.trig_delete_old_table;
            }
        }
    }
}

/// # Safety
/// The description must be null or a copy that nobody else uses.
unsafe fn take_out_of(all: *mut pg_sys::TriggerDesc, known: Known) {
    use pg_sys::{
        TRIGGER_TYPE_DELETE as DELETE, TRIGGER_TYPE_INSERT as INSERT, TRIGGER_TYPE_ROW as ROW,
        TRIGGER_TYPE_STATEMENT as STATEMENT, TRIGGER_TYPE_UPDATE as UPDATE,
    };
    // SAFETY: as the caller promises.
    unsafe {
        let Some(all) = all.as_mut() else { return };
        let count = usize::try_from(all.numtriggers).unwrap_or(0);
        let is_ours = |one: &pg_sys::Trigger| {
            [known.reads_rows, known.leaves_rows].contains(&Some(one.tgfoid))
                && !does(one, pg_sys::TRIGGER_TYPE_TRUNCATE)
        };
        let mut kept = 0;
        for index in 0..count {
            let one = *all.triggers.add(index);
            if !is_ours(&one) {
                *all.triggers.add(kept) = one;
                kept += 1;
            }
        }
        if kept == count {
            return;
        }
        all.numtriggers = c_int::try_from(kept).unwrap_or(0);
        let left = std::slice::from_raw_parts(all.triggers, kept);
        let after = |level, event| left.iter().any(|one| is_after(one, level, event));
        all.trig_insert_after_row = after(ROW, INSERT);
        all.trig_update_after_row = after(ROW, UPDATE);
        all.trig_delete_after_row = after(ROW, DELETE);
        all.trig_insert_after_statement = after(STATEMENT, INSERT);
        all.trig_update_after_statement = after(STATEMENT, UPDATE);
        all.trig_delete_after_statement = after(STATEMENT, DELETE);
        let old = |event| {
            left.iter()
                .any(|one| does(one, event) && !one.tgoldtable.is_null())
        };
        let new = |event| {
            left.iter()
                .any(|one| does(one, event) && !one.tgnewtable.is_null())
        };
        all.trig_insert_new_table = new(INSERT);
        all.trig_update_old_table = old(UPDATE);
        all.trig_update_new_table = new(UPDATE);
        all.trig_delete_old_table = old(DELETE);
    }
}
