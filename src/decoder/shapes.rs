//! Which columns and indexes tables of documents had at a place in the WAL.
//!
//! Rows are decoded with the columns that they had then, by Postgres' own historic snapshots. Which index reads
//! which field is in tables of the extension, which those snapshots do not show, so the catalog is read as it is
//! now, and used for a transaction only if it is certain that it is the same: every change of it draws a new
//! version into `live.active`, whose rows are decoded too, in the order of commits. Otherwise the tables that the
//! transaction changed count as changed as a whole.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::documents::catalog::{Catalog, Table};
use crate::error::Result;
use crate::pg::definition;
use crate::pg::relation;
use crate::pg::spi::Access;
use crate::pg::wal::{self, Lsn};
use crate::pg::worker;

/// The shortest time between two attempts to read the catalog.
const PACE: Duration = Duration::from_millis(5);

/// The catalog, and the version in force where the WAL is being decoded.
#[derive(Default)]
pub(super) struct Shapes {
    catalog: Option<Rc<Catalog>>,
    /// The end of the WAL when the catalog was read first.
    read_at: Lsn,
    /// The version in force, once it is known.
    in_force: Option<i64>,
    tried: Option<Instant>,
    active: u32,
}

impl Shapes {
    /// Reads the catalog for the first time.
    pub(super) fn begin(&mut self) -> std::result::Result<(), String> {
        let active = worker::transaction(|| definition::find(c"live", c"active"))?;
        // Whoever changed it and has committed is seen by the snapshot then, even if its commit was long
        // between the WAL and new snapshots.
        worker::transaction(|| relation::await_writers(active))?;
        self.active = active;
        self.catalog = Some(read()?);
        self.read_at = wal::inserted();
        Ok(())
    }

    /// `live.active`.
    pub(super) fn active(&self) -> u32 {
        self.active
    }

    /// A decoded transaction put this version into force.
    pub(super) fn put_in_force(&mut self, version: i64) {
        self.in_force = Some(version);
    }

    /// Decoding has come to this place, between two transactions.
    pub(super) fn advance(&mut self, position: Lsn) -> std::result::Result<(), String> {
        let version = self.catalog.as_ref().map(|catalog| catalog.version);
        match self.in_force {
            None if position >= self.read_at => self.in_force = version,
            Some(in_force) if version < Some(in_force) => {
                if self.tried.is_none_or(|tried| tried.elapsed() >= PACE) {
                    self.tried = Some(Instant::now());
                    self.catalog = Some(read()?);
                }
            }
            None | Some(_) => {}
        }
        Ok(())
    }

    /// The table of a relation: `None` if it is no table of documents, or if it is not certain how it was.
    pub(super) fn table(&self, rel: u32) -> Option<&Table> {
        let catalog = self.catalog.as_ref()?;
        if self.in_force != Some(catalog.version) {
            return None;
        }
        catalog.table_by_oid(rel).map(Rc::as_ref)
    }
}

fn read() -> std::result::Result<Rc<Catalog>, String> {
    let catalog: Result<Rc<Catalog>> = worker::transaction(|| Catalog::current(Access::Read))?;
    catalog.map_err(|error| error.to_string())
}
