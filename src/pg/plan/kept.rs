//! Walks of plans that Postgres keeps for statements that are repeated. A walk goes when its plan does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::rc::Rc;

use pgrx::pg_sys;

use super::walk::Walk;

/// What Postgres calls the memory of a plan that it keeps. Nothing else is in it.
const OF_KEPT_PLAN: &CStr = c"CachedPlan";

thread_local! {
    static KEPT: RefCell<HashMap<*const pg_sys::PlannedStmt, Rc<Walk>>> = RefCell::default();
}

/// The walk over a plan.
///
/// # Safety
/// The plan must be valid, and an ERROR of Postgres must be a panic where this is called.
pub(super) unsafe fn walk(statement: *mut pg_sys::PlannedStmt) -> Rc<Walk> {
    let known = KEPT.with_borrow(|kept| kept.get(&statement.cast_const()).cloned());
    if let Some(known) = known {
        return known;
    }
    // SAFETY: as the caller promises. A plan was allocated as every node; the callback lies in its memory, and tells
    // its end before another plan can have the address.
    unsafe {
        let walk = Rc::new(Walk::of(&*statement));
        let memory = pg_sys::GetMemoryChunkContext(statement.cast());
        let name = (*memory).name;
        if !name.is_null() && CStr::from_ptr(name) == OF_KEPT_PLAN {
            let size = size_of::<pg_sys::MemoryContextCallback>();
            let callback = pg_sys::MemoryContextAllocZero(memory, size)
                .cast::<pg_sys::MemoryContextCallback>();
            (*callback).func = Some(forget);
            (*callback).arg = statement.cast();
            pg_sys::MemoryContextRegisterResetCallback(memory, callback);
            KEPT.with_borrow_mut(|kept| kept.insert(statement, Rc::clone(&walk)));
        }
        walk
    }
}

/// The memory of a plan goes.
unsafe extern "C-unwind" fn forget(statement: *mut c_void) {
    let statement: *const pg_sys::PlannedStmt = statement.cast_const().cast();
    KEPT.with_borrow_mut(|kept| kept.remove(&statement));
}
