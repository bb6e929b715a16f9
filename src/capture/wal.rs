//! The trigger function `live.capture_wal()`: says which tables were written, and leaves the rows to the WAL.

use pg_live_readset::RelId;
use pgrx::pg_sys;

use super::trigger::{is_watched, note_table};
use super::{add_in_wal, is_said, publish_if_late};
use crate::error::{Error, Result};
use crate::pg::executor::{self, Function};
use crate::pg::function::Call;
use crate::pg::relation;
use crate::pg::shmem;
use crate::pg::trigger::Fired;

/// `live.capture_wal()`: notes that a statement changed rows of a table.
///
/// Which triggers a table has is a matter of speed only: what the function says is true whatever the table has
/// become since. It says "in the WAL" if the rows are certain to be there, and else that the table changed.
pub(crate) fn capture_wal(call: &mut Call) -> Result<pg_sys::Datum> {
    // SQL NULL is not what a trigger function returns.
    let nothing = pg_sys::Datum::from(0usize);
    let fired = Fired::of(call).filter(Fired::is_after).ok_or_else(|| {
        Error::InvalidParameter("live.capture_wal() can be called as an AFTER trigger only".into())
    })?;
    if shmem::memory().is_err() {
        // Not preloaded: there are no live queries in the whole server.
        return Ok(nothing);
    }
    executor::note_call(&fired, Function::LeavesRows);
    let rel = fired.relation();
    if !is_said(rel) {
        note_write(rel, fired.rows_are_in_wal());
        publish_if_late();
    }
    Ok(nothing)
}

/// Notes that rows of a table change, which may be in the WAL.
pub(super) fn note_write(rel: RelId, rows_are_in_wal: bool) {
    // The decoder speaks of the table itself, not of those that show its rows.
    if is_watched(rel) && rows_are_in_wal && relation::readers_see(rel).len() == 1 {
        add_in_wal(rel);
    } else {
        note_table(rel);
    }
}
