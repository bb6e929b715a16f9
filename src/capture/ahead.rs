//! Statements of which it is known beforehand what their triggers would note.

use super::trigger::{is_watched, note_table};
use super::wal::note_write;
use super::{is_late, is_said};
use crate::pg::executor::{Function, Target};

/// Notes that a statement writes these tables, if its triggers would say no more: no live query looks at them, or the
/// rows are left to the WAL. Returns whether it did, for all of them; then the triggers need not be called.
///
/// It is noted before it is true, and also if no row changes in the end: what is published is then wider than it need
/// be. It stays noted if the statement fails, or is rolled back to a savepoint. What comes after the publication is
/// published at once and so must be noted after it was written (R1): there the triggers are called.
pub(super) fn note_ahead(targets: &[Target]) -> bool {
    if is_late() {
        return false;
    }
    let is_known = |target: &Target| match target.function {
        Function::LeavesRows => true,
        Function::ReadsRows => is_said(target.relation()) || !is_watched(target.relation()),
    };
    if !targets.iter().all(is_known) {
        return false;
    }
    for target in targets {
        let rel = target.relation();
        match target.function {
            _ if is_said(rel) => {}
            Function::LeavesRows => note_write(rel, target.rows_are_in_wal()),
            Function::ReadsRows => note_table(rel),
        }
    }
    true
}
