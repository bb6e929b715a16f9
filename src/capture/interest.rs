//! Which rows and columns of a table writers have to tell: those that a live query looks at. A hint only: what is not
//! told counts as anything at all.

use pg_live_readset::{Attribute, IndexId, column_index};
use pgrx::pg_sys;

use crate::pg::column::{self, Kind};
use crate::pg::shmem;

/// In place of a column: some live query looks at a part of the relation, so its rows are worth telling.
pub(crate) const ROWS: Attribute = 0;

/// The columns of a relation that live queries have conditions on.
pub(crate) struct Interest {
    columns: Vec<(Attribute, Kind)>,
}

/// What is known of a column of a row.
pub(crate) enum Told {
    /// NULL.
    Null,
    /// A value of the column's type.
    Value(pg_sys::Datum),
    /// Nothing.
    Unknown,
}

impl Interest {
    /// In a relation with these columns and their types. `None`: no live query looks at a part of it.
    pub(crate) fn in_relation(
        rel: u32,
        columns: impl Iterator<Item = (Attribute, pg_sys::Oid)>,
    ) -> Option<Interest> {
        let watched = shmem::own_slot()?.watched_columns();
        watched.contains(rel, ROWS).then(|| Interest {
            columns: columns
                .filter(|(column, _)| watched.contains(rel, *column))
                .filter_map(|(column, of)| Some((column, Kind::of_type(of)?)))
                .collect(),
        })
    }

    /// Whether a live query looks at a part of a relation.
    pub(super) fn is_in(rel: u32) -> bool {
        shmem::own_slot().is_some_and(|slot| slot.watched_columns().contains(rel, ROWS))
    }

    /// The keys of a row.
    pub(crate) fn keys(&self, row: impl Fn(Attribute) -> Told) -> Vec<(IndexId, Vec<u8>)> {
        let columns = self.columns.iter();
        let keys = columns.filter_map(|(column, kind)| {
            let key = match row(*column) {
                Told::Null => column::null_key()?,
                Told::Value(datum) => kind.key(datum)?,
                Told::Unknown => return None,
            };
            Some((column_index(*column), key.into_bytes()))
        });
        keys.collect()
    }
}
