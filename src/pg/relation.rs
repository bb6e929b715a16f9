//! Relations: which others may show a relation's rows.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Once;

use pgrx::pg_sys;

/// The relation, everything it inherits from and everything that inherits from it.
#[derive(Clone)]
struct Related {
    all: Rc<[u32]>,
    /// How many of them are the relation itself and what it inherits from.
    above: usize,
}

thread_local! {
    static RELATED: RefCell<HashMap<u32, Related>> = RefCell::default();
    static DEFINITIONS: Cell<u64> = const { Cell::new(0) };
}

/// The catalog pg_inherits.
const INHERITS: u32 = 2611;
/// AccessShareLock.
const LOCK: i32 = 1;
/// ShareLock: with it no other transaction has written what it has not yet ended.
const NO_WRITERS: i32 = 5;
/// BTEqualStrategyNumber.
const EQUAL: u16 = 3;

/// Which way to follow inheritance: the column of pg_inherits to look up, and its index.
#[derive(Clone, Copy)]
enum Way {
    ToParents,
    ToChildren,
}

impl Way {
    fn column_and_index(self) -> (i16, u32) {
        match self {
            Way::ToParents => (1, 2680),
            Way::ToChildren => (2, 2187),
        }
    }
}

/// Waits for the end of all transactions that have written the relation: new snapshots see those that
/// have committed. New writers wait until the end of this transaction.
pub(crate) fn await_writers(rel: u32) {
    // SAFETY: within a transaction; a relation that is gone may be locked, too.
    unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(rel), NO_WRITERS) };
}

/// The relation, everything it inherits from and everything that inherits from it, partitions
/// included: a write to the relation may change what a read of any of them shows.
pub(crate) fn readers_see(rel: u32) -> Rc<[u32]> {
    related(rel).all
}

/// As [`readers_see`], apart: first the relation and those that show all of its rows, then those that show some.
pub(crate) fn readers_of_all_and_of_some(rel: u32) -> (Vec<u32>, Vec<u32>) {
    let Related { all, above } = related(rel);
    let (above, below) = all.split_at(above);
    (above.to_vec(), below.to_vec())
}

fn related(rel: u32) -> Related {
    if let Some(known) = RELATED.with_borrow(|known| known.get(&rel).cloned()) {
        return known;
    }
    watch();
    let mut all = closure(rel, Way::ToParents);
    let above = all.len();
    all.extend(&closure(rel, Way::ToChildren)[1..]);
    let related = Related {
        all: all.into(),
        above,
    };
    RELATED.with_borrow_mut(|known| known.insert(rel, related.clone()));
    related
}

/// The column of another relation that has the name of one of this, with its type.
pub(crate) fn same_column(rel: u32, column: i16, other: u32) -> Option<(i16, pg_sys::Oid)> {
    // SAFETY: catalog lookups in a transaction; the name is a copy.
    unsafe {
        let name = pg_sys::get_attname(pg_sys::Oid::from(rel), column, true);
        if name.is_null() {
            return None;
        }
        let number = pg_sys::get_attnum(pg_sys::Oid::from(other), name);
        pg_sys::pfree(name.cast());
        let of = pg_sys::get_atttype(pg_sys::Oid::from(other), number);
        (number > 0 && of != pg_sys::InvalidOid).then_some((number, of))
    }
}

/// The relation and everything whose rows a read of it shows: what inherits from it, partitions included.
pub(crate) fn read_with(rel: u32) -> Vec<u32> {
    closure(rel, Way::ToChildren)
}

/// Whether a relation has rows of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewOrTable {
    /// None: it shows those of others.
    View,
    /// It has, or there is no such relation.
    Other,
}

/// What a relation is.
pub(crate) fn view_or_table(rel: u32) -> ViewOrTable {
    // SAFETY: a catalog lookup in a transaction.
    let kind = unsafe { pg_sys::get_rel_relkind(pg_sys::Oid::from(rel)) };
    if kind.cast_unsigned() == b'v' {
        ViewOrTable::View
    } else {
        ViewOrTable::Other
    }
}

/// A number that changes with every change of a relation's definition that this process learns of.
pub(crate) fn definitions() -> u64 {
    watch();
    DEFINITIONS.get()
}

/// Takes in what other processes have told of changes of definitions.
pub(crate) fn accept_changes() {
    // SAFETY: within a transaction, between statements.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

/// The relation, then all that can be reached from it.
fn closure(rel: u32, way: Way) -> Vec<u32> {
    let mut all = vec![rel];
    let mut next = 0;
    while let Some(from) = all.get(next).copied() {
        next += 1;
        for reached in neighbours(from, way) {
            if !all.contains(&reached) {
                all.push(reached);
            }
        }
    }
    all
}

/// Forgets what is known whenever a definition changes.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function lives as long as the library, which is never unloaded.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(on_invalidation), pg_sys::Datum::from(0));
        }
    });
}

unsafe extern "C-unwind" fn on_invalidation(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    DEFINITIONS.set(DEFINITIONS.get() + 1);
    RELATED.with(|known| {
        // The change may be anywhere in a tree: all of it is forgotten.
        if let Ok(mut known) = known.try_borrow_mut() {
            known.clear();
        }
    });
}

fn neighbours(rel: u32, way: Way) -> Vec<u32> {
    let (column, index) = way.column_and_index();
    // SAFETY: a scan of a catalog within a transaction, with the snapshot that such scans use; the
    // key's type is the column's. Tuples are read before the scan ends; one of pg_inherits begins
    // with the two ids of the child and the parent.
    unsafe {
        let catalog = pg_sys::table_open(pg_sys::Oid::from(INHERITS), LOCK);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut key,
            column,
            EQUAL,
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(rel),
        );
        let scan = pg_sys::systable_beginscan(
            catalog,
            pg_sys::Oid::from(index),
            true,
            std::ptr::null_mut(),
            1,
            &raw mut key,
        );
        let mut found = Vec::new();
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let ids = pg_sys::heap_tuple_get_struct::<u32>(tuple);
            found.push(match way {
                Way::ToParents => *ids.add(1),
                Way::ToChildren => *ids,
            });
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, LOCK);
        found
    }
}
