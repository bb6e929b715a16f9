//! Postgres, as the invalidator sees it.

use pg_live_invalidation::{World, Xid};

use crate::pg::{snapshot, wal, xact};

/// The running server.
pub(super) struct Postgres;

impl World for Postgres {
    fn in_progress(&mut self, xid: Xid) -> bool {
        xact::in_progress(xid)
    }

    fn committed(&mut self, xid: Xid) -> bool {
        xact::committed(xid)
    }

    fn completion_count(&mut self) -> u64 {
        snapshot::completion_count()
    }

    fn wal_end(&mut self) -> u64 {
        wal::inserted()
    }
}
