//! From what the executor saw to entries of a read-set, or the reason why there can be none.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::resume_unwind;

use pg_live_readset::{Attribute, ReadEntry, ReadSetBuilder, RelId};
use pgrx::pg_sys;

use super::polling::{self, INTERVALS};
use crate::capture::{self, Coverage};
use crate::error::Result;
use crate::pg::executed::{self, Oddity, Seen};
use crate::pg::plan::Why;
use crate::pg::relation::{self, ViewOrTable};
use crate::pg::session;
use crate::pg::spi::{self, Access, Param};

/// Stands for all definitions (tables, views, functions, policies, grants): every change of one publishes a change
/// of pg_class, and every result of SQL depends on it.
pub(crate) const DEFINITIONS: RelId = 1259;
/// The first oid that is not one of the system's own objects.
const FIRST_USER_OID: u32 = 16384;

/// What a result depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Whole tables, with all that a read of them shows.
    pub(crate) relations: BTreeSet<RelId>,
    /// Parts of other tables.
    pub(crate) rows: BTreeSet<ReadEntry>,
    /// Why changes of what was read cannot all be seen.
    pub(crate) not_live: Option<String>,
}

impl Sources {
    /// What every result of SQL depends on.
    pub(crate) fn of_definitions() -> Sources {
        Sources {
            relations: BTreeSet::from([DEFINITIONS]),
            rows: BTreeSet::new(),
            not_live: None,
        }
    }

    /// Adds what something else has read.
    pub(crate) fn join(&mut self, other: Sources) {
        self.relations.extend(other.relations);
        self.rows.extend(other.rows);
        self.not_live = self.not_live.take().or(other.not_live);
    }

    /// Adds them to a read-set.
    pub(crate) fn add_to(&self, reads: &mut ReadSetBuilder) {
        self.relations.iter().for_each(|rel| reads.table(*rel));
        self.rows.iter().for_each(|entry| reads.add(entry.clone()));
    }
}

/// Why a table is in a read-set as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Widened {
    /// Of how it is read.
    Plan(Why),
    /// `live.depends` says so.
    Declared,
}

/// What `live.explain` says besides the entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons {
    /// Why tables were widened.
    pub(crate) widened: BTreeMap<RelId, Widened>,
    /// Columns in which keys were looked up while statements ran, and whether all of them were noted.
    pub(crate) looked_up: BTreeMap<(RelId, Attribute), bool>,
}

thread_local! {
    static REASONS: RefCell<Reasons> = RefCell::default();
    /// What statements have read whose failure took the read-set of their call with it.
    static LOST: RefCell<BTreeSet<RelId>> = const { RefCell::new(BTreeSet::new()) };
    /// The system's functions that read nothing but their arguments.
    static HARMLESS: RefCell<HashSet<u32>> = RefCell::default();
    /// Whether anything is told of functions that were judged in a transaction, with that transaction's number.
    static JUDGED: RefCell<(u32, HashMap<u32, bool>)> = RefCell::default();
    /// What a read of a relation shows, as of a number of definitions.
    static SHOWN: RefCell<(u64, HashMap<RelId, Shown>)> = RefCell::default();
}

/// What a relation in a plan stands for: itself and what inherits from it; a view for nothing, its tables are in
/// the plan, too.
type Shown = std::rc::Rc<[RelId]>;

/// Whoever asks for reasons has emptied them before, others do not fill them for ever.
const REASONS_MAX: usize = 1000;

fn note_why(rel: RelId, why: Widened) {
    REASONS.with_borrow_mut(|reasons| {
        if reasons.widened.len() < REASONS_MAX {
            reasons.widened.insert(rel, why);
        }
    });
}

fn note_looked_up(seen: &Seen) {
    if seen.looked_up.is_empty() {
        return;
    }
    REASONS.with_borrow_mut(|reasons| {
        for (column, count) in &seen.looked_up {
            if reasons.looked_up.len() < REASONS_MAX {
                let all = reasons.looked_up.entry(*column).or_insert(true);
                *all = *all && *count <= executed::KEYS_MAX;
            }
        }
    });
}

/// Reasons since the last call.
pub(crate) fn take_reasons() -> Reasons {
    REASONS.take()
}

/// Forgets what was lost before.
pub(crate) fn forget_lost() {
    LOST.take();
}

/// What failed statements have read since [`forget_lost`].
pub(crate) fn lost() -> BTreeSet<RelId> {
    LOST.with_borrow(Clone::clone)
}

/// Runs `body`, which runs SQL, and tells what the SQL has read. What it read before a panic is in [`lost`].
pub(crate) fn record<T>(body: impl FnOnce() -> T) -> Result<(T, Sources)> {
    capture::learn_definitions(DEFINITIONS);
    executed::unrecorded(show_functions_again)?;
    let (result, seen) = executed::record(body);
    match result {
        Ok(value) => {
            let sources = executed::unrecorded(|| resolve(&seen))?;
            Ok((value, sources))
        }
        Err(panic) => {
            // No catalog can be read now: a view, which nobody writes, does no harm, and what inherits from a table
            // publishes that, too.
            LOST.with_borrow_mut(|lost| {
                lost.extend(seen.relations.keys());
                lost.extend(seen.rows.iter().map(ReadEntry::rel));
                lost.extend(&seen.partitioned);
                lost.insert(DEFINITIONS);
            });
            resume_unwind(panic)
        }
    }
}

fn resolve(seen: &Seen) -> Result<Sources> {
    let mut relations = BTreeSet::new();
    for (rel, why) in &seen.relations {
        for rel in shown(*rel).iter() {
            relations.insert(*rel);
            note_why(*rel, Widened::Plan(*why));
        }
    }
    note_looked_up(seen);
    // Writers tell a row by the columns of each table of its tree, so those that are scanned are enough.
    let mut rows = seen.rows.clone();
    let mut reasons: Vec<String> = seen.oddities.iter().map(describe).collect();
    judge_functions(seen, &mut relations, &mut reasons)?;
    let parts = rows.iter().map(ReadEntry::rel);
    let parts: BTreeSet<RelId> = parts.chain(seen.partitioned.iter().copied()).collect();
    let all = relations.union(&parts).copied().collect();
    if let Some(reason) = uncaptured(&all)? {
        // What is polled is named as a whole.
        rows.clear();
        for rel in parts {
            relations.extend(shown(rel).iter());
        }
        if polling::replace_polled(&mut relations)? {
            reasons.extend(uncaptured(&relations)?);
        } else {
            reasons.push(reason);
        }
    }
    relations.insert(DEFINITIONS);
    Ok(Sources {
        relations,
        rows,
        not_live: (!reasons.is_empty()).then(|| reasons.join("; ")),
    })
}

/// Why changes of some of the relations cannot be captured, ever.
fn uncaptured(relations: &BTreeSet<RelId>) -> Result<Option<String>> {
    let tables = relations.iter().filter(|rel| !INTERVALS.contains(rel));
    let tables: Vec<RelId> = tables.copied().collect();
    match capture::ensure_captured(&tables)? {
        Coverage::Never(reason) => Ok(Some(reason)),
        Coverage::Captured | Coverage::Wanted(_) => Ok(None),
    }
}

fn describe(oddity: &Oddity) -> String {
    match oddity {
        Oddity::SystemColumn => {
            "it reads a system column (ctid, xmin, ...), which changes without a change of the row"
        }
        Oddity::Sample => "TABLESAMPLE takes rows by where they are stored",
        Oddity::Command => "it runs a command that is no query",
    }
    .to_owned()
}

fn shown(rel: RelId) -> Shown {
    let definitions = relation::definitions();
    let known = SHOWN.with_borrow(|(as_of, known)| {
        (*as_of == definitions)
            .then(|| known.get(&rel).cloned())
            .flatten()
    });
    if let Some(known) = known {
        return known;
    }
    let shown: Shown = match relation::view_or_table(rel) {
        ViewOrTable::View => [].into(),
        ViewOrTable::Other => relation::read_with(rel).into(),
    };
    SHOWN.with_borrow_mut(|(as_of, known)| {
        if *as_of != definitions {
            *as_of = definitions;
            known.clear();
        }
        known.insert(rel, Shown::clone(&shown));
    });
    shown
}

/// A function that is set up is seen, and PL/pgSQL sets those of an expression up once in a transaction. If what one of
/// them reads has to be known, a recording must see it, too.
fn show_functions_again() -> Result<()> {
    let set_up = executed::set_up_for_transaction();
    if set_up.is_empty() {
        return Ok(());
    }
    let transaction = session::local_transaction();
    let known = JUDGED.with_borrow(|(of, judged)| (*of == transaction).then(|| judged.clone()));
    let known = known.unwrap_or_default();
    let unknown: Vec<u32> = HARMLESS.with_borrow(|harmless| {
        let unknown = set_up.iter().filter(|f| !harmless.contains(f));
        unknown
            .filter(|f| !known.contains_key(f))
            .copied()
            .collect()
    });
    let is_told = |function: &u32| known.get(function).copied().unwrap_or(false);
    if !judge(&unknown)?.is_empty() || set_up.iter().any(is_told) {
        executed::forget_plans();
    }
    Ok(())
}

/// What is told of a function that is not harmless.
struct Told {
    /// What it reads as a whole, if that was declared.
    reads: Vec<RelId>,
    /// Why it is not known what it reads.
    reason: Option<String>,
}

/// What is told of functions; those of which nothing is are harmless.
fn judge(functions: &[u32]) -> Result<Vec<Told>> {
    if functions.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = functions.iter().map(u32::to_string).collect();
    let ids = format!("{{{}}}", ids.join(","));
    let told = session::as_superuser(|| {
        spi::query(
            "SELECT function, reads, reason FROM live.function_reads($1::pg_catalog.oid[])",
            &[Param::Text(&ids)],
            Access::Read,
            |row| {
                let reads: Option<Vec<pg_sys::Oid>> = row.get(1);
                let reads = reads.into_iter().flatten().map(pg_sys::Oid::to_u32);
                let told = Told {
                    reads: reads.collect(),
                    reason: row.get(2),
                };
                Ok((row.need::<pg_sys::Oid>(0)?.to_u32(), told))
            },
        )
    })?;
    let are_told: HashSet<u32> = told.iter().map(|(function, _)| *function).collect();
    HARMLESS.with_borrow_mut(|harmless| {
        let of_system = functions.iter().filter(|oid| **oid < FIRST_USER_OID);
        harmless.extend(of_system.filter(|oid| !are_told.contains(oid)));
    });
    JUDGED.with_borrow_mut(|(of, judged)| {
        let transaction = session::local_transaction();
        if *of != transaction {
            *of = transaction;
            judged.clear();
        }
        let functions = functions.iter();
        judged.extend(functions.map(|function| (*function, are_told.contains(function))));
    });
    Ok(told.into_iter().map(|(_, told)| told).collect())
}

/// Functions of LANGUAGE sql and plpgsql were seen as they ran. What others read has to be declared, unless they are
/// IMMUTABLE or known.
fn judge_functions(
    seen: &Seen,
    relations: &mut BTreeSet<RelId>,
    reasons: &mut Vec<String>,
) -> Result<()> {
    let unknown: Vec<u32> = HARMLESS.with_borrow(|harmless| {
        let unknown = seen.functions.iter().filter(|f| !harmless.contains(f));
        unknown.copied().collect()
    });
    for told in judge(&unknown)? {
        for rel in told.reads.iter().flat_map(|rel| shown(*rel).to_vec()) {
            relations.insert(rel);
            note_why(rel, Widened::Declared);
        }
        reasons.extend(told.reason);
    }
    Ok(())
}
