//! What is told of rows that a statement writes: to whom, and by which columns.
//!
//! A row of a tree of partitions or of inheritance is a row of several tables. It is told by the columns of each of
//! them, which have the same names and often other numbers.

use std::collections::HashMap;

use pg_live_readset::{Attribute, Attributes, RelId, RowImage};
use pgrx::pg_sys;

use super::interest::{Interest, Told};
use super::trigger::active;
use super::{add_row, add_table};
use crate::documents;
use crate::pg::relation;
use crate::pg::trigger::Row;
use crate::pg::tuple::Tuple;

/// What is to be told of rows of a relation.
pub(super) struct Rows {
    /// Rows are documents, as far as is known.
    are_documents: bool,
    /// The relation itself.
    own: Option<Interest>,
    /// Others that show the rows, by parts of which live queries look at.
    others: Vec<Other>,
    /// Others that show the rows and count as changed as a whole.
    whole: Vec<RelId>,
}

/// Another relation that shows the rows.
struct Other {
    rel: RelId,
    interest: Interest,
    /// Columns of the relation that is written, by the number that they have in the other.
    columns: HashMap<Attribute, Attribute>,
    /// It shows all of the rows. Where it shows some, an update may move a row into it or out of it.
    shows_all: bool,
}

impl Rows {
    /// Of the relation of a row; `None` if only the relations are to be told.
    pub(super) fn of(row: &Row<'_>) -> Option<Rows> {
        let rel = row.relation();
        if rel == active() {
            // A change of it is noted in other ways, too.
            return None;
        }
        let columns: Vec<(Attribute, pg_sys::Oid)> = Tuple::of(row).columns().collect();
        let are_documents = documents::is_table(rel);
        let own = Interest::in_relation(rel, columns.iter().copied());
        let (all, some) = relation::readers_of_all_and_of_some(rel);
        let mut rows = Rows {
            are_documents,
            own,
            others: Vec::new(),
            whole: Vec::new(),
        };
        let all = all.into_iter().map(|other| (other, true));
        let some = some.into_iter().map(|other| (other, false));
        for (other, shows_all) in all.chain(some).filter(|(other, _)| *other != rel) {
            match Other::of(rel, &columns, other, shows_all) {
                Some(other) => rows.others.push(other),
                None => rows.whole.push(other),
            }
        }
        let is_of_use = are_documents || rows.own.is_some() || !rows.others.is_empty();
        is_of_use.then_some(rows)
    }

    /// Whether it matters which columns an update changes.
    pub(super) fn ask_for_changes(&self) -> bool {
        self.own.is_some() || self.others.iter().any(|other| other.shows_all)
    }

    /// Tells a row. Returns whether a further one can say more.
    pub(super) fn tell(&self, row: &Row<'_>, changed: Option<Attributes>) -> bool {
        self.whole.iter().for_each(|rel| add_table(*rel));
        let tuple = Tuple::of(row);
        for other in &self.others {
            add_row(other.rel, other.image(&tuple, changed));
        }
        let rel = row.relation();
        match self.own_image(row, &tuple) {
            Some(image) => {
                add_row(rel, RowImage { changed, ..image });
                true
            }
            None => {
                add_table(rel);
                !self.others.is_empty()
            }
        }
    }

    fn own_image(&self, row: &Row<'_>, tuple: &Tuple<'_>) -> Option<RowImage> {
        let document = if self.are_documents {
            documents::row_image(row)
        } else {
            None
        };
        let Some(interest) = &self.own else {
            return document;
        };
        let mut image = document.unwrap_or_default();
        image
            .keys
            .extend(interest.keys(|column| told(tuple, column)));
        Some(image)
    }
}

impl Other {
    fn of(
        rel: RelId,
        columns: &[(Attribute, pg_sys::Oid)],
        other: RelId,
        shows_all: bool,
    ) -> Option<Other> {
        if !Interest::is_in(other) {
            return None;
        }
        let mut there = Vec::new();
        let mut numbers = HashMap::new();
        for (column, of) in columns {
            let number = i16::try_from(*column).ok()?;
            let found = relation::same_column(rel, number, other);
            if let Some((found, found_of)) = found
                && found_of == *of
                && let Ok(found) = Attribute::try_from(found)
            {
                there.push((found, found_of));
                numbers.insert(found, *column);
            } else if shows_all && found.is_some() {
                return None;
            }
        }
        Some(Other {
            rel: other,
            interest: Interest::in_relation(other, there.into_iter())?,
            columns: numbers,
            shows_all,
        })
    }

    fn image(&self, tuple: &Tuple<'_>, changed: Option<Attributes>) -> RowImage {
        let keys = self
            .interest
            .keys(|column| match self.columns.get(&column) {
                Some(own) => told(tuple, *own),
                None => Told::Unknown,
            });
        let changed = changed.filter(|_| self.shows_all).map(|changed| {
            let here = self.columns.iter();
            let here = here.filter(|(_, own)| changed.contains(**own));
            here.map(|(column, _)| *column).collect()
        });
        RowImage {
            pk: None,
            keys,
            changed,
        }
    }
}

fn told(tuple: &Tuple<'_>, column: Attribute) -> Told {
    tuple.by_number(column).map_or(Told::Null, Told::Value)
}
