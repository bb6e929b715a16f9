//! Columns by number, and sets of them.

use serde::{Deserialize, Serialize};

use crate::entry::IndexId;

/// The number of a column within its relation, as in `pg_attribute`: from 1 on.
pub type Attribute = u16;

/// Numbers of indexes from here on stand for columns.
const COLUMNS_FROM: IndexId = 1 << 31;

/// The number under which an image of a row carries the key of one column, and under which entries
/// with a condition on that column are found. Indexes of documents never have such a number.
pub const fn column_index(attribute: Attribute) -> IndexId {
    COLUMNS_FROM | attribute as IndexId
}

/// The column that such a number stands for.
pub(crate) fn column_of_index(index: IndexId) -> Option<Attribute> {
    let number = index.checked_sub(COLUMNS_FROM)?;
    Attribute::try_from(number).ok()
}

/// A set of columns of one relation: exact up to 64 columns. Beyond that, columns whose numbers differ by a
/// multiple of 64 count as one, so that two sets may seem to have something in common, and never the
/// other way round.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Attributes(u64);

impl Attributes {
    /// No column.
    pub const NONE: Attributes = Attributes(0);
    /// Every column.
    pub const ALL: Attributes = Attributes(u64::MAX);

    /// One column.
    #[must_use]
    pub const fn of(attribute: Attribute) -> Attributes {
        Attributes(1 << (attribute.wrapping_sub(1) % 64))
    }

    /// Adds a column.
    pub const fn insert(&mut self, attribute: Attribute) {
        *self = self.with(Attributes::of(attribute));
    }

    /// The columns of both sets.
    #[must_use]
    pub const fn with(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }

    /// Whether the set holds the column.
    #[must_use]
    pub const fn contains(self, attribute: Attribute) -> bool {
        self.touches(Attributes::of(attribute))
    }

    /// Whether the sets have a column in common.
    #[must_use]
    pub const fn touches(self, other: Attributes) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every column of the other set is in this one.
    #[must_use]
    pub(crate) const fn covers(self, other: Attributes) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether the set holds every column.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.0 == u64::MAX
    }
}

impl FromIterator<Attribute> for Attributes {
    fn from_iter<I: IntoIterator<Item = Attribute>>(attributes: I) -> Self {
        let sets = attributes.into_iter().map(Attributes::of);
        sets.fold(Attributes::NONE, Attributes::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_64_columns_are_told_apart() {
        for one in 1..=64 {
            let set = Attributes::of(one);
            let found: Vec<Attribute> = (1..=64).filter(|a| set.contains(*a)).collect();
            assert_eq!(found, [one]);
        }
        let all: Attributes = (1..=64).collect();
        assert!(all.is_all() && all.covers(Attributes::of(1)));
    }

    #[test]
    fn a_set_never_misses_a_column_of_a_wide_table() {
        for one in [65, 128, 129, 1600, Attribute::MAX] {
            assert!(Attributes::of(one).contains(one));
            assert!(Attributes::ALL.contains(one));
            assert!(!Attributes::NONE.contains(one));
        }
        assert!(Attributes::of(65).touches(Attributes::of(1)));
    }

    #[test]
    fn columns_have_indexes_of_their_own() {
        assert_eq!(column_of_index(column_index(7)), Some(7));
        assert_eq!(column_of_index(7), None);
        assert_eq!(column_of_index(IndexId::MAX), None);
    }
}
