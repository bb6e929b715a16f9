//! The condition of a partial index. A scan of the index meets no rows without it, so the planner takes conditions of
//! the query that follow from it out of the plan, and with them perhaps the only mention of a column.

use std::ffi::c_int;

use pgrx::pg_sys;

/// In conditions as indexes have them the table has this number.
const OWN_TABLE: c_int = 1;

/// The conditions that all rows fulfil that an index has, as those of a scan of it; null if it has all rows. `None`:
/// there is no such index.
///
/// # Safety
/// The index must be that of the scan, whose plan is about to be executed; the list lives as long as the scan. An ERROR
/// of Postgres must be a panic where this is called.
pub(super) unsafe fn of_index(
    index: pg_sys::Oid,
    scan: *mut pg_sys::Scan,
) -> Option<*mut pg_sys::List> {
    // SAFETY: as the caller promises. The plan has a lock on the table, without which nobody changes or drops the index,
    // so that it needs none of its own; the context is that of the node, which was allocated as every node, and the one
    // before comes back.
    unsafe {
        let relation = pg_sys::RelationIdGetRelation(index);
        if relation.is_null() {
            return None;
        }
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = pg_sys::GetMemoryChunkContext(scan.cast());
        let predicate = pg_sys::RelationGetIndexPredicate(relation);
        pg_sys::CurrentMemoryContext = before;
        pg_sys::RelationClose(relation);
        if !predicate.is_null() {
            let table = c_int::try_from((*scan).scanrelid).ok()?;
            pg_sys::ChangeVarNodes(predicate.cast(), OWN_TABLE, table, 0);
        }
        Some(predicate)
    }
}
