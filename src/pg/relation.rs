//! Relations: which others show a relation's rows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Once;

use pgrx::pg_sys;

thread_local! {
    static ANCESTORS: RefCell<HashMap<u32, Rc<[u32]>>> = RefCell::default();
}

/// The catalog pg_inherits, its index on (inhrelid, inhseqno), and the number of its first column.
const INHERITS: u32 = 2611;
const INHERITS_INDEX: u32 = 2680;
const CHILD: i16 = 1;
/// AccessShareLock.
const LOCK: i32 = 1;
/// BTEqualStrategyNumber.
const EQUAL: u16 = 3;

/// The relation and everything it inherits from, partitioned tables included: a read of any of
/// them may show its rows.
pub(crate) fn readers_see(rel: u32) -> Rc<[u32]> {
    if let Some(known) = ANCESTORS.with_borrow(|known| known.get(&rel).cloned()) {
        return known;
    }
    watch();
    let mut all = vec![rel];
    let mut next = 0;
    while let Some(child) = all.get(next).copied() {
        next += 1;
        for parent in parents(child) {
            if !all.contains(&parent) {
                all.push(parent);
            }
        }
    }
    let all: Rc<[u32]> = all.into();
    ANCESTORS.with_borrow_mut(|known| known.insert(rel, Rc::clone(&all)));
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
    ANCESTORS.with(|known| {
        // A relation deep in a tree may have lost an ancestor: all of it is forgotten.
        if let Ok(mut known) = known.try_borrow_mut() {
            known.clear();
        }
    });
}

fn parents(rel: u32) -> Vec<u32> {
    // SAFETY: a scan of a catalog within a transaction, with the snapshot that such scans use; the
    // key's type is the column's. Tuples are read before the scan ends; one of pg_inherits begins
    // with the two ids of the child and the parent.
    unsafe {
        let catalog = pg_sys::table_open(pg_sys::Oid::from(INHERITS), LOCK);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &raw mut key,
            CHILD,
            EQUAL,
            pg_sys::Oid::from(pg_sys::F_OIDEQ),
            pg_sys::Datum::from(rel),
        );
        let scan = pg_sys::systable_beginscan(
            catalog,
            pg_sys::Oid::from(INHERITS_INDEX),
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
            found.push(*pg_sys::heap_tuple_get_struct::<u32>(tuple).add(1));
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, LOCK);
        found
    }
}
