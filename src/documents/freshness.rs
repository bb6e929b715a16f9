//! Whether the kept catalog is the one of a query's snapshot, without asking the catalog.
//!
//! Every transaction that changes `live.active` is counted in shared memory twice: before it commits (*begun*)
//! and when new snapshots see its fate (*ended*). Say that at some time as many had ended as had begun, k, and
//! that at a snapshot taken after that the catalog had version v. Then a snapshot that is not older, looked at
//! while still no more than k have begun, sees the same changes: what it sees was begun before, so it is among
//! the k, and of those the older snapshot saw all. So the catalog has version v there too.

use std::cell::RefCell;
use std::rc::Rc;

use crate::capture;
use crate::documents::catalog::Catalog;
use crate::error::Result;
use crate::pg::definition::{self, Redefinitions};
use crate::pg::shmem;
use crate::pg::snapshot::{self, Moment};

/// What is known of the kept catalog.
#[derive(Clone, Copy)]
struct Known {
    /// As many changes had ended as had begun.
    changes: u64,
    /// From this snapshot on.
    since: Moment,
    /// `live.active` has not been redefined or replaced since.
    definition: Redefinitions,
}

struct Kept {
    catalog: Rc<Catalog>,
    known: Option<Known>,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// The kept catalog, if it is certain that it is the one of the active snapshot.
pub(super) fn current() -> Option<Rc<Catalog>> {
    KEPT.with_borrow(|kept| {
        let kept = kept.as_ref()?;
        let known = kept.known?;
        let unchanged = !capture::changes_catalog()
            && known.definition == definition::redefinitions()
            && snapshot::active_moment()?.not_before(known.since)
            && shmem::memory().ok()?.catalog_changes_begun() == known.changes;
        unchanged.then(|| Rc::clone(&kept.catalog))
    })
}

/// The kept catalog, if it has this version.
pub(super) fn of_version(version: i64) -> Option<Rc<Catalog>> {
    KEPT.with_borrow(|kept| {
        kept.as_ref()
            .map(|kept| &kept.catalog)
            .filter(|catalog| catalog.version == version)
            .map(Rc::clone)
    })
}

/// Keeps the catalog. `version_now` gives the version at the active snapshot.
pub(super) fn keep(catalog: &Rc<Catalog>, version_now: impl FnOnce() -> Result<i64>) -> Result<()> {
    definition::watch(catalog.active_oid);
    let definition = definition::redefinitions();
    let settled = shmem::memory()
        .ok()
        .and_then(|memory| memory.settled_catalog_changes());
    let known = match settled {
        // What the transaction itself has changed may be rolled back.
        Some(changes) if !capture::changes_catalog() => {
            let (version, since) =
                snapshot::with_latest(|| (version_now(), snapshot::active_moment()));
            match since {
                Some(since) if version? == catalog.version => Some(Known {
                    changes,
                    since,
                    definition,
                }),
                Some(_) | None => None,
            }
        }
        Some(_) | None => None,
    };
    KEPT.set(Some(Kept {
        catalog: Rc::clone(catalog),
        known,
    }));
    Ok(())
}
