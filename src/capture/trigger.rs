//! The trigger function `live.capture()`.
//!
//! It runs in every statement that writes a captured table, with the rights of whoever writes: it is declared
//! without SECURITY DEFINER and without settings, which would cost more than all it does.

use std::cell::Cell;

use pg_live_readset::{Attributes, RelId};
use pgrx::pg_sys;

use super::rehearsal::is_rehearsing;
use super::told::Rows;
use super::{add_redefinition, add_table, is_said, note_catalog_change, publish_if_late};
use crate::error::{Error, Result};
use crate::invalidator::settings;
use crate::pg::definition;
use crate::pg::executor::{self, Function};
use crate::pg::function::Call;
use crate::pg::relation;
use crate::pg::shmem;
use crate::pg::trigger::{Event, Fired, Row, TransitionTable};
use crate::pg::tuple::Tuple;

/// `live.capture()`: notes what the statement, or the row event, changed.
pub(crate) fn capture(call: &mut Call) -> Result<pg_sys::Datum> {
    // SQL NULL is not what a trigger function returns.
    let nothing = pg_sys::Datum::from(0usize);
    let fired = Fired::of(call).filter(Fired::is_after).ok_or_else(|| {
        Error::InvalidParameter("live.capture() can be called as an AFTER trigger only".into())
    })?;
    if shmem::memory().is_err() {
        // Not preloaded: there are no live queries in the whole server.
        return Ok(nothing);
    }
    executor::note_call(&fired, Function::ReadsRows);
    let rel = fired.relation();
    if fired.event() == Event::Truncate {
        for reader in relation::readers_see(rel).iter() {
            add_redefinition(*reader);
        }
    } else if is_said(rel) {
        // Whatever it is, it is said already.
        return Ok(nothing);
    } else if fired.is_for_row() {
        row(&fired);
    } else {
        statement(&fired);
    }
    publish_if_late();
    Ok(nothing)
}

/// Whether a live query may look at the relation, or at another that shows its rows. Only then is it worth knowing
/// which rows change: a table that nobody watches publishes that it changed, never nothing.
pub(super) fn is_watched(rel: RelId) -> bool {
    if is_rehearsing() {
        return true;
    }
    shmem::own_slot().is_some_and(|slot| {
        let watched = slot.watched();
        watched.contains(rel)
            || relation::readers_see(rel)
                .iter()
                .any(|rel| watched.contains(*rel))
    })
}

fn row(fired: &Fired<'_>) {
    let (old, new) = (fired.old_row(), fired.new_row());
    if let (Some(old), Some(new)) = (&old, &new)
        && old.same_bytes(new)
    {
        return;
    }
    let rel = fired.relation();
    if !is_watched(rel) {
        return note_table(rel);
    }
    match (old, new) {
        (Some(old), Some(new)) => {
            note_pair(Rows::of(&old).as_ref(), &old, &new);
        }
        (old, new) => {
            for row in [old, new].into_iter().flatten() {
                note_row(Rows::of(&row).as_ref(), &row, None);
            }
        }
    }
}

pub(super) fn note_table(rel: RelId) {
    let active = active();
    for rel in relation::readers_see(rel).iter() {
        if *rel == active {
            note_catalog_change();
        }
        add_table(*rel);
    }
}

/// The table `live.active`, looked up once per change of any definition.
pub(super) fn active() -> RelId {
    thread_local! {
        static KNOWN: Cell<Option<(u64, RelId)>> = const { Cell::new(None) };
    }
    let definitions = relation::definitions();
    if let Some((as_of, rel)) = KNOWN.get()
        && as_of == definitions
    {
        return rel;
    }
    let rel = definition::find(c"live", c"active");
    KNOWN.set(Some((definitions, rel)));
    rel
}

fn statement(fired: &Fired<'_>) {
    let (old, new) = (fired.old_table(), fired.new_table());
    if old.is_none() && new.is_none() {
        // Without transition tables nothing is known.
        return note_table(fired.relation());
    }
    let rows = |table: &Option<TransitionTable<'_>>| table.as_ref().map_or(0, TransitionTable::len);
    let (removed, added) = (rows(&old), rows(&new));
    if removed + added == 0 {
        return;
    }
    let too_many = removed + added > settings::max_write_keys() as u64;
    if too_many || !is_watched(fired.relation()) {
        // Rows that would not be told need not be read.
        return note_table(fired.relation());
    }
    match (old, new) {
        (Some(old), Some(new)) if removed == added => changed_rows(&old, &new),
        (old, new) => {
            for table in [old, new].into_iter().flatten() {
                all_rows(&table);
            }
        }
    }
}

fn all_rows(table: &TransitionTable<'_>) {
    let (mut rows, mut known) = (table.rows(), None);
    while let Some(row) = rows.next() {
        let known = known.get_or_insert_with(|| Rows::of(&row));
        if !note_row(known.as_ref(), &row, None) {
            return;
        }
    }
}

/// Old and new rows in step. A pair with equal bytes leaves the table's contents as they were,
/// even if the two are not versions of one row, and says nothing.
fn changed_rows(old: &TransitionTable<'_>, new: &TransitionTable<'_>) {
    let (mut before, mut after, mut known) = (old.rows(), new.rows(), None);
    while let (Some(before), Some(after)) = (before.next(), after.next()) {
        if before.same_bytes(&after) {
            continue;
        }
        let known = known.get_or_insert_with(|| Rows::of(&before));
        if !note_pair(known.as_ref(), &before, &after) {
            return;
        }
    }
}

/// Two rows of which one takes the place of the other. Which columns differ says what is no longer as it was, even if
/// the two are not versions of one row.
fn note_pair(known: Option<&Rows>, before: &Row<'_>, after: &Row<'_>) -> bool {
    let changed = known
        .filter(|known| known.ask_for_changes())
        .map(|_| Tuple::of(before).differing(&Tuple::of(after)));
    let more_before = note_row(known, before, changed);
    let more_after = note_row(known, after, changed);
    more_before && more_after
}

/// Returns whether a further row of the relation can say more.
fn note_row(known: Option<&Rows>, row: &Row<'_>, changed: Option<Attributes>) -> bool {
    match known {
        Some(known) => known.tell(row, changed),
        None => {
            note_table(row.relation());
            false
        }
    }
}
