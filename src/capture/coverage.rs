//! R18: a result may be registered only if all that it read was captured at its snapshot.

use std::cell::RefCell;
use std::collections::HashMap;

use pg_live_readset::{ReadEntry, ReadSet, RelId};
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::relation;
use crate::pg::session;
use crate::pg::shmem;
use crate::pg::snapshot::{self, Moment};
use crate::pg::spi::{self, Access, Param};

/// Whether the changes of relations are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// All of them.
    Captured,
    /// Not yet all: that was asked for, and a query at a newer snapshot will find it done. Says which.
    Wanted(String),
    /// Never, for this reason.
    Never(String),
}

/// The first oid that is not one of the system's own objects.
const FIRST_USER_OID: RelId = 16384;

thread_local! {
    /// Relations found to be captured from a snapshot on, as long as no definition changes.
    static KNOWN: RefCell<HashMap<RelId, (u64, Moment)>> = RefCell::default();
}

/// Whether the relations, and what a read of them shows, were captured at the active snapshot. Those that
/// were not, but can be, get their triggers soon: by the scribe, since adding a trigger waits for writers, and
/// what waits must hold up neither this transaction nor the worker that matches.
pub(crate) fn ensure_captured(relations: &[RelId]) -> Result<Coverage> {
    let definitions = relation::definitions();
    let moment = snapshot::active_moment();
    let unknown: Vec<RelId> = KNOWN.with_borrow(|known| {
        let is_known = |rel: &RelId| match (known.get(rel), moment) {
            (Some((as_of, since)), Some(now)) => *as_of == definitions && now.not_before(*since),
            _ => false,
        };
        relations
            .iter()
            .copied()
            .filter(|rel| !is_known(rel))
            .collect()
    });
    if unknown.is_empty() {
        return Ok(Coverage::Captured);
    }
    let missing = not_captured(&unknown)?;
    if missing.is_empty() {
        if let Some(moment) = moment {
            KNOWN.with_borrow_mut(|known| {
                known.retain(|_, (as_of, _)| *as_of == definitions);
                known.extend(unknown.iter().map(|rel| (*rel, (definitions, moment))));
            });
        }
        return Ok(Coverage::Captured);
    }
    if let Some(Missing {
        name,
        reason: Some(reason),
        ..
    }) = missing.iter().find(|missing| missing.reason.is_some())
    {
        return Ok(Coverage::Never(format!(
            "changes of {name} cannot be captured: {reason}"
        )));
    }
    if let Some(slot) = shmem::own_slot() {
        // Without room it is asked for again by the next run of the query.
        missing.iter().for_each(|missing| {
            slot.capture_requests().add(missing.rel);
        });
        slot.wake_scribe();
    }
    let names: Vec<&str> = missing
        .iter()
        .map(|missing| missing.name.as_str())
        .collect();
    Ok(Coverage::Wanted(format!(
        "changes of {} were not captured yet at this snapshot; that was asked for, try again",
        names.join(", ")
    )))
}

/// Whether a query's result may be registered: nothing that it read has yet to be captured. Its tables are those
/// of documents, which are captured from the start; what somebody has put in the place of one counts as it is.
pub(crate) fn may_register(reads: &ReadSet) -> Result<bool> {
    // Those of the system stand for definitions: what changes them is told by event triggers.
    let of_users = |rel: &RelId| *rel >= FIRST_USER_OID;
    let rels = reads.entries.iter().map(ReadEntry::rel);
    let mut relations: Vec<RelId> = rels.filter(of_users).collect();
    relations.sort_unstable();
    relations.dedup();
    match ensure_captured(&relations)? {
        Coverage::Captured | Coverage::Never(_) => Ok(true),
        Coverage::Wanted(_) => Ok(false),
    }
}

/// A relation that is not captured.
struct Missing {
    rel: RelId,
    name: String,
    /// Why it cannot be.
    reason: Option<String>,
}

fn not_captured(relations: &[RelId]) -> Result<Vec<Missing>> {
    let ids: Vec<String> = relations.iter().map(RelId::to_string).collect();
    let ids = format!("{{{}}}", ids.join(","));
    session::as_superuser(|| {
        spi::query(
            "SELECT relation, name, reason FROM live.not_captured($1::pg_catalog.oid[])",
            &[Param::Text(&ids)],
            Access::Read,
            |row| {
                Ok(Missing {
                    rel: row.need::<pg_sys::Oid>(0)?.to_u32(),
                    name: row.need(1)?,
                    reason: row.get(2),
                })
            },
        )
    })
}

/// Adds the triggers of a relation and of all that shares rows with it, in a transaction of the caller's.
pub(crate) fn capture_relation(rel: RelId) -> Result<()> {
    spi::execute(
        "SELECT live.capture_table(c.oid::pg_catalog.regclass) FROM pg_catalog.pg_class AS c WHERE c.oid = $1::pg_catalog.oid",
        &[Param::Int8(rel.into())],
    )
}

/// The captured relations and their state, as JSON.
pub(crate) fn status() -> Result<Option<String>> {
    session::as_superuser(|| {
        spi::query_one(
            "SELECT live.capture_status()::pg_catalog.text",
            &[],
            Access::Read,
            |row| row.need(0),
        )
    })
}
