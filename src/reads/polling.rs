//! What changes without a write that anybody captures: foreign tables, catalogs, the time. It can be run again at
//! intervals, if `live.poll` or `live.refresh` says so.

use std::collections::BTreeSet;

use pg_live_readset::RelId;
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::session;
use crate::pg::shmem;
use crate::pg::spi::{self, Access, Param};

/// The numbers of intervals stand for relations that are written when they are over. Postgres' own relations have
/// greater ones.
pub(crate) const INTERVALS: std::ops::RangeInclusive<RelId> = 1..=99;

/// Puts the numbers of their intervals in the place of relations that are polled. Returns whether any is.
pub(super) fn replace_polled(relations: &mut BTreeSet<RelId>) -> Result<bool> {
    let ids: Vec<String> = relations.iter().map(RelId::to_string).collect();
    let ids = format!("{{{}}}", ids.join(","));
    let polled = session::as_superuser(|| {
        spi::query(
            "SELECT p.relation, p.number FROM live.polled($1::pg_catalog.oid[]) AS p",
            &[Param::Text(&ids)],
            Access::Read,
            |row| {
                let relation: pg_sys::Oid = row.need(0)?;
                let number: i32 = row.need(1)?;
                Ok((relation.to_u32(), number))
            },
        )
    })?;
    for (relation, number) in &polled {
        relations.remove(relation);
        relations.extend(interval(*number));
    }
    Ok(!polled.is_empty())
}

/// The relation of an interval. From here on it is written.
pub(super) fn interval(number: i32) -> Option<RelId> {
    let rel = RelId::try_from(number).ok()?;
    if let Some(slot) = shmem::own_slot() {
        slot.watched().add(rel);
        slot.wake_scribe();
    }
    INTERVALS.contains(&rel).then_some(rel)
}
