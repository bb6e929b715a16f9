//! Who has an entry: usually one.

use std::collections::BTreeSet;

use crate::attributes::Attributes;
use crate::index::SlotId;

/// A slot, and the columns that it reads of the rows in question.
pub(crate) type Holder = (SlotId, Attributes);

/// Those who have the same entry but for the columns. In order.
#[derive(Debug, Default)]
pub(crate) enum Holders {
    #[default]
    None,
    One(SlotId, Attributes),
    #[expect(clippy::box_collection, reason = "keeps the usual case small")]
    Many(Box<BTreeSet<Holder>>),
}

impl Holders {
    /// Returns whether it was not there yet.
    pub(crate) fn insert(&mut self, holder: Holder) -> bool {
        match self {
            Holders::None => {
                *self = Holders::One(holder.0, holder.1);
                true
            }
            Holders::One(slot, columns) => {
                let one = (*slot, *columns);
                if one != holder {
                    *self = Holders::Many(Box::new(BTreeSet::from([one, holder])));
                }
                one != holder
            }
            Holders::Many(all) => all.insert(holder),
        }
    }

    pub(crate) fn remove(&mut self, holder: Holder) {
        match self {
            Holders::None => {}
            Holders::One(slot, columns) => {
                if (*slot, *columns) == holder {
                    *self = Holders::None;
                }
            }
            Holders::Many(all) => {
                all.remove(&holder);
                if let (1, Some((slot, columns))) = (all.len(), all.first()) {
                    *self = Holders::One(*slot, *columns);
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Holders::None)
    }

    /// Calls `hit` with those that look at what changed; `None`: with all.
    pub(crate) fn hit(&self, changed: Option<Attributes>, hit: &mut impl FnMut(SlotId)) {
        let mut look = |slot: SlotId, columns: Attributes| {
            if changed.is_none_or(|changed| changed.touches(columns)) {
                hit(slot);
            }
        };
        match self {
            Holders::None => {}
            Holders::One(slot, columns) => look(*slot, *columns),
            Holders::Many(all) => all.iter().for_each(|(slot, columns)| look(*slot, *columns)),
        }
    }
}
