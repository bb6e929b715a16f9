//! What a statement of a function in LANGUAGE js must not leave behind in the session.
//!
//! The checks go by what Postgres is about to execute, not by its text, and hold for what the statement calls
//! in turn. `docs/language-js.md` names the holes. What statements of other functions leave is noted, for relays.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};

use pgrx::pg_sys;

use crate::capture;
use crate::error::{Error, Result};
use crate::invalidator;
use crate::pg::{databases, executed, function, residue};

/// Session-level advisory locks and unlocks of `pg_proc.dat`, by oid.
const ADVISORY: std::ops::RangeInclusive<u32> = 2880..=2892;
/// `setseed(float8)`.
const SETSEED: u32 = 1599;
/// `set_config(text, text, boolean)`.
const SET_CONFIG: u32 = 2078;

thread_local! {
    /// How many statements of functions in LANGUAGE js are running, one inside of the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static NEXT_UTILITY: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
    static NEXT_ACCESS: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
}

unsafe extern "C-unwind" {
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
    fn query_tree_walker(
        query: *mut pg_sys::Query,
        walker: unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool,
        context: *mut c_void,
        flags: c_int,
    ) -> bool;
    fn expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool,
        context: *mut c_void,
    ) -> bool;
}

/// Marks the time in which a statement of a function runs.
pub(super) struct Running(());

impl Running {
    /// From now until drop the rules hold.
    pub(super) fn new() -> Running {
        DEPTH.set(DEPTH.get() + 1);
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

/// Puts the hooks in place; called once when the library is loaded.
pub(crate) fn install() {
    // SAFETY: hooks are chained as Postgres wants it, before any statement runs.
    unsafe {
        NEXT_UTILITY.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
        NEXT_ACCESS.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(object_access);
    }
}

/// # Safety
/// Called by Postgres as its hook. The frame owns nothing, so errors may jump over it.
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the arguments go on as they came; a statement holds a node.
    unsafe {
        let inner = context != pg_sys::ProcessUtilityContext::PROCESS_UTILITY_TOPLEVEL;
        if (inner || DEPTH.get() > 0)
            && let Some(what) = outlives((*statement).utilityStmt)
        {
            if DEPTH.get() > 0 {
                function::raise(refusal(what));
            }
            residue::note();
        }
        executed::note_command((*statement).utilityStmt);
        if let Some(emptied) = databases::emptied_by((*statement).utilityStmt) {
            invalidator::make_way(emptied.database, emptied.by_force);
        }
        let of_roles = databases::changes_roles((*statement).utilityStmt);
        match NEXT_UTILITY.get() {
            Some(next) => next(
                statement,
                text,
                read_only_tree,
                context,
                params,
                environment,
                destination,
                completion,
            ),
            None => standard_ProcessUtility(
                statement,
                text,
                read_only_tree,
                context,
                params,
                environment,
                destination,
                completion,
            ),
        }
        if of_roles {
            capture::note_roles_changed();
        }
    }
}

/// # Safety
/// As [`process_utility`].
unsafe extern "C-unwind" fn object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub_object: c_int,
    argument: *mut c_void,
) {
    let executes = access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE;
    let function = object.to_u32();
    if executes {
        executed::note_function(function);
    }
    let outlives = executes && (ADVISORY.contains(&function) || function == SETSEED);
    if outlives && DEPTH.get() == 0 {
        residue::note();
    } else if outlives {
        let what = if function == SETSEED {
            "setseed()"
        } else {
            "an advisory lock of the session"
        };
        // SAFETY: this frame owns nothing.
        unsafe { function::raise(refusal(what)) };
    }
    if let Some(next) = NEXT_ACCESS.get() {
        // SAFETY: the arguments go on as they came.
        unsafe { next(access, class, object, sub_object, argument) };
    }
}

fn refusal(what: &str) -> Error {
    Error::OutlivesTransaction(what.to_owned())
}

/// What of a utility statement outlives the transaction.
///
/// # Safety
/// The node must be valid.
unsafe fn outlives(node: *mut pg_sys::Node) -> Option<&'static str> {
    use pg_sys::NodeTag as Tag;
    // SAFETY: the tag tells the type of a node.
    unsafe {
        match (*node).type_ {
            Tag::T_VariableSetStmt => {
                let set = node.cast::<pg_sys::VariableSetStmt>();
                (!(*set).is_local).then_some("SET or RESET without LOCAL")
            }
            Tag::T_ListenStmt | Tag::T_UnlistenStmt => Some("LISTEN and UNLISTEN"),
            Tag::T_PrepareStmt | Tag::T_DeallocateStmt => Some("PREPARE and DEALLOCATE"),
            Tag::T_DiscardStmt => Some("DISCARD"),
            Tag::T_LoadStmt => Some("LOAD"),
            Tag::T_DeclareCursorStmt => {
                let cursor = node.cast::<pg_sys::DeclareCursorStmt>();
                let holds = (*cursor).options & pg_sys::CURSOR_OPT_HOLD.cast_signed() != 0;
                holds.then_some("a cursor WITH HOLD")
            }
            Tag::T_CreateStmt => {
                let create = node.cast::<pg_sys::CreateStmt>();
                temporary((*create).relation, (*create).oncommit)
            }
            Tag::T_CreateTableAsStmt => {
                let create = node.cast::<pg_sys::CreateTableAsStmt>();
                let into = (*create).into;
                temporary((*into).rel, (*into).onCommit)
            }
            Tag::T_ViewStmt => {
                let view = node.cast::<pg_sys::ViewStmt>();
                temporary((*view).view, pg_sys::OnCommitAction::ONCOMMIT_NOOP)
            }
            Tag::T_CreateSeqStmt => {
                let sequence = node.cast::<pg_sys::CreateSeqStmt>();
                temporary((*sequence).sequence, pg_sys::OnCommitAction::ONCOMMIT_NOOP)
            }
            _ => None,
        }
    }
}

/// # Safety
/// The node must be valid.
unsafe fn temporary(
    relation: *mut pg_sys::RangeVar,
    on_commit: pg_sys::OnCommitAction::Type,
) -> Option<&'static str> {
    // SAFETY: as the caller promises; a name that is not null is a C string.
    let is_temporary = unsafe {
        let schema = (*relation).schemaname;
        (*relation).relpersistence == b't'.cast_signed()
            || !schema.is_null() && CStr::from_ptr(schema).to_bytes().starts_with(b"pg_temp")
    };
    (is_temporary && on_commit != pg_sys::OnCommitAction::ONCOMMIT_DROP)
        .then_some("a temporary relation without ON COMMIT DROP")
}

/// Refuses a statement that calls set_config() in another way than for the transaction.
///
/// # Safety
/// The query must be what the parser gave.
pub(super) unsafe fn check_query(query: *mut pg_sys::Query) -> Result<()> {
    // SAFETY: as the caller promises; the walker raises no errors.
    let found = unsafe { query_tree_walker(query, sets_for_session, std::ptr::null_mut(), 0) };
    if found {
        return Err(refusal(
            "set_config() whose third argument is not the constant true",
        ));
    }
    Ok(())
}

/// # Safety
/// Called by Postgres' walkers with valid nodes.
unsafe extern "C-unwind" fn sets_for_session(
    node: *mut pg_sys::Node,
    context: *mut c_void,
) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag tells the type of a node; the walkers take this function for what is below it.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                query_tree_walker(node.cast(), sets_for_session, context, 0)
            }
            pg_sys::NodeTag::T_FuncExpr => {
                let call = node.cast::<pg_sys::FuncExpr>();
                ((*call).funcid.to_u32() == SET_CONFIG && !is_local((*call).args))
                    || expression_tree_walker(node, sets_for_session, context)
            }
            _ => expression_tree_walker(node, sets_for_session, context),
        }
    }
}

/// Whether the third argument is the constant true.
///
/// # Safety
/// The list must be the arguments of set_config().
unsafe fn is_local(args: *mut pg_sys::List) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        if args.is_null() || (*args).length != 3 {
            return false;
        }
        let last = (*(*args).elements.add(2)).ptr_value.cast::<pg_sys::Node>();
        if (*last).type_ != pg_sys::NodeTag::T_Const {
            return false;
        }
        let constant = last.cast::<pg_sys::Const>();
        !(*constant).constisnull && (*constant).constvalue.value() & 0xff != 0
    }
}
