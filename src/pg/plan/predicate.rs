//! The condition of a partial index. A scan of the index meets no rows without it, so the planner takes conditions of
//! the query that follow from it out of the plan, and with them perhaps the only mention of a column.

use std::ffi::c_int;

use pgrx::pg_sys;

/// In conditions as indexes have them the table has this number.
const OWN_TABLE: c_int = 1;

/// The conditions that all rows fulfil that an index has, as those of a scan of it; null if it has all rows.
///
/// # Safety
/// The index must be that of the scan, whose plan is about to be executed; the list lives as long as the scan. An ERROR
/// of Postgres must be a panic where this is called.
pub(super) unsafe fn of_index(index: pg_sys::Oid, scan: *mut pg_sys::Scan) -> *mut pg_sys::List {
    let lock = pg_sys::AccessShareLock.cast_signed();
    // SAFETY: as the caller promises. The plan has a lock on the table, without which nobody drops the index; the
    // context is that of the node, which was allocated as every node, and the one before comes back.
    unsafe {
        let relation = pg_sys::index_open(index, lock);
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = pg_sys::GetMemoryChunkContext(scan.cast());
        let predicate = pg_sys::RelationGetIndexPredicate(relation);
        pg_sys::CurrentMemoryContext = before;
        pg_sys::index_close(relation, lock);
        if let Ok(table) = c_int::try_from((*scan).scanrelid)
            && !predicate.is_null()
        {
            pg_sys::ChangeVarNodes(predicate.cast(), OWN_TABLE, table, 0);
        }
        predicate
    }
}
