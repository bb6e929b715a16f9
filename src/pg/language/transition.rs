//! The transition tables of a firing: statements of its function read them by their names.

use std::cell::Cell;
use std::ptr;

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::catch::{catch, raw};

thread_local! {
    /// The firing whose function runs; null in functions that are no triggers.
    static CURRENT: Cell<*mut pg_sys::TriggerData> = const { Cell::new(ptr::null_mut()) };
}

/// Marks the time in which a function runs for a firing, or for none.
pub(crate) struct Scope(*mut pg_sys::TriggerData);

impl Scope {
    /// From now until drop statements belong to `data`, which must be valid as long, or null.
    pub(super) fn enter(data: *mut pg_sys::TriggerData) -> Scope {
        Scope(CURRENT.replace(data))
    }

    /// A function that is no trigger.
    pub(crate) fn without() -> Scope {
        Scope::enter(ptr::null_mut())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// The tables of the present firing with their names.
fn tables() -> Vec<(*mut std::ffi::c_char, *mut pg_sys::Tuplestorestate)> {
    let data = CURRENT.get();
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: who entered the scope promises that the data is valid until it is left.
    unsafe {
        let trigger = (*data).tg_trigger;
        [
            ((*trigger).tgnewtable, (*data).tg_newtable),
            ((*trigger).tgoldtable, (*data).tg_oldtable),
        ]
        .into_iter()
        .filter(|(name, table)| !name.is_null() && !table.is_null())
        .collect()
    }
}

/// What plans depend on beside their text: the trigger whose tables they can read.
pub(super) fn trigger() -> Option<pg_sys::Oid> {
    if tables().is_empty() {
        return None;
    }
    // SAFETY: as above; there are tables, so there is a firing.
    unsafe { Some((*(*CURRENT.get()).tg_trigger).tgoid) }
}

/// What the parser must know of the tables; null if there are none.
pub(super) fn environment() -> Result<*mut pg_sys::QueryEnvironment> {
    let tables = tables();
    if tables.is_empty() {
        return Ok(ptr::null_mut());
    }
    // SAFETY: the environment, its entries and the names live in the present memory context, the tables longer.
    unsafe {
        let relation = (*(*CURRENT.get()).tg_relation).rd_id;
        Ok(catch(|| {
            let environment = raw::create_queryEnv();
            for (name, table) in &tables {
                let size = size_of::<pg_sys::EphemeralNamedRelationData>();
                let entry = raw::palloc0(size).cast::<pg_sys::EphemeralNamedRelationData>();
                (*entry).md.name = *name;
                (*entry).md.reliddesc = relation;
                (*entry).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
                (*entry).reldata = table.cast();
                raw::register_ENR(environment, entry);
            }
            environment
        })?)
    }
}

/// Lets the statements of the present level of SPI read the tables. To be called between `SPI_connect` and
/// `SPI_finish`.
pub(super) fn register() -> Result<()> {
    if tables().is_empty() {
        return Ok(());
    }
    let data = CURRENT.get();
    // SAFETY: the data is valid, and SPI is connected; it refuses only what is no firing.
    unsafe { catch(|| raw::SPI_register_trigger_data(data))? };
    Ok(())
}
