//! Makes write-sets of what is decoded.

use std::cell::RefCell;
use std::rc::Rc;

use pg_live_invalidation::{Lsn, Xid};
use pg_live_readset::{WriteLimits, WriteSet, WriteSetBuilder};

use super::image;
use super::shapes::Shapes;
use crate::capture::Interest;
use crate::invalidator::settings;
use crate::pg::datum;
use crate::pg::decoding::{Changed, Column, Row, Sink};

/// What a transaction that has committed changed.
pub(super) struct Decoded {
    pub(super) xid: Xid,
    /// The end of its commit's record.
    pub(super) end: Lsn,
    pub(super) set: WriteSet,
}

/// What the decoder's loop and the collector share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) shapes: Shapes,
    /// Transactions in the order of their commits.
    pub(super) finished: Vec<Decoded>,
}

/// The write-set of the transaction that is being decoded.
pub(super) struct Collector {
    shared: Rc<RefCell<Shared>>,
    set: WriteSetBuilder,
    /// The version of the catalog that the transaction puts into force.
    version: Option<i64>,
}

impl Collector {
    pub(super) fn new(shared: Rc<RefCell<Shared>>) -> Self {
        Collector {
            shared,
            set: WriteSetBuilder::default(),
            version: None,
        }
    }
}

impl Sink for Collector {
    fn begin(&mut self) {
        self.set = WriteSetBuilder::new(WriteLimits {
            rows_per_relation: settings::max_write_keys(),
            bytes: settings::ring_bytes() / 8,
        });
        self.version = None;
    }

    fn wants(&self, changed: &Changed) -> bool {
        !self.set.is_whole(changed.rel)
    }

    fn change(&mut self, changed: &Changed, old: Option<&Row<'_>>, new: Option<&Row<'_>>) {
        let shared = self.shared.borrow();
        if changed.rel == shared.shapes.active() {
            self.version = new.and_then(version).or(self.version);
            return;
        }
        let is_complete = changed.has_old_rows;
        if let (Some(old), Some(new)) = (old, new)
            && is_complete
            && old.same_bytes(new)
        {
            return;
        }
        let table = shared.shapes.table(changed.rel);
        let columns = old.or(new).map(|row| row.columns());
        let interest = Interest::in_relation(changed.rel, columns.into_iter().flatten());
        let interest = interest.as_ref();
        let images = match (old, new) {
            // The row as it was is known.
            (Some(old), Some(new)) if is_complete => {
                image::of_pair(table, interest, old, new).map(Vec::from)
            }
            (Some(old), None) if is_complete => {
                image::of(table, interest, old, None).map(|image| vec![image])
            }
            (None, Some(new)) if changed.is_insert => {
                image::of(table, interest, new, None).map(|image| vec![image])
            }
            _ => None,
        };
        match images {
            Some(images) => {
                for image in images {
                    self.set.row(changed.rel, image);
                }
            }
            None => self.set.table(changed.rel),
        }
    }

    fn truncate(&mut self, rel: u32) {
        self.set.table(rel);
    }

    fn commit(&mut self, xid: Xid, end: Lsn) {
        let set = std::mem::take(&mut self.set).build();
        let mut shared = self.shared.borrow_mut();
        if let Some(version) = self.version {
            shared.shapes.put_in_force(version);
        }
        shared.finished.push(Decoded { xid, end, set });
    }
}

/// The version in a row of `live.active`.
fn version(row: &Row<'_>) -> Option<i64> {
    match row.by_name("version") {
        Column::Value(of, value) if of == pgrx::pg_sys::INT8OID => datum::read(value),
        Column::Value(..) | Column::Missing | Column::Null | Column::Unchanged => None,
    }
}
