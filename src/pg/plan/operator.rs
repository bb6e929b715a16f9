//! Operators that conditions on one column may use: members of the families of the kinds of columns, and LIKE.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use crate::pg::column::Kind;

/// text LIKE text.
const LIKE: u32 = 1209;
/// text ^@ text.
const STARTS_WITH: u32 = 3877;
/// LIKE, NOT LIKE, ILIKE and NOT ILIKE of texts.
const LIKES: [u32; 4] = [LIKE, 1210, 1627, 1628];

unsafe extern "C-unwind" {
    fn lc_collate_is_c(collation: pg_sys::Oid) -> bool;
}

/// How an operator compares a column with a value that stands on its right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    /// From the number that btree gives it.
    fn of_strategy(number: i32) -> Option<Comparison> {
        Some(match number {
            1 => Comparison::Less,
            2 => Comparison::LessOrEqual,
            3 => Comparison::Equal,
            4 => Comparison::GreaterOrEqual,
            5 => Comparison::Greater,
            _ => return None,
        })
    }

    fn turned(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Equal => Comparison::Equal,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            Comparison::Greater => Comparison::Less,
        }
    }
}

/// Where the column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Left,
    Right,
}

/// The first oid that is not one of the system's own objects.
const FIRST_USER_OID: u32 = 16384;

/// An operator beside a column of a kind that stands on a side of it.
type Place = (u32, Kind, Side);

thread_local! {
    /// Comparisons by the system's own operators, whose families nobody can take them from.
    static OF_SYSTEM: RefCell<HashMap<Place, Option<(Comparison, Kind)>>> = RefCell::default();
}

/// What an operator says of a column of that kind, and the kind of what it is compared with; `None` if its keys do
/// not compare like that.
pub(super) fn comparison(
    operator: pg_sys::Oid,
    column: Kind,
    side: Side,
) -> Option<(Comparison, Kind)> {
    let place = (operator.to_u32(), column, side);
    if place.0 >= FIRST_USER_OID {
        return looked_up(operator, column, side);
    }
    if let Some(known) = OF_SYSTEM.with_borrow(|known| known.get(&place).copied()) {
        return known;
    }
    let found = looked_up(operator, column, side);
    OF_SYSTEM.with_borrow_mut(|known| known.insert(place, found));
    found
}

/// The same, from the catalog.
fn looked_up(operator: pg_sys::Oid, column: Kind, side: Side) -> Option<(Comparison, Kind)> {
    let family = column.family();
    let (mut strategy, mut left, mut right) = (0, pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: catalog lookups in a transaction.
    unsafe {
        if pg_sys::get_op_opfamily_strategy(operator, family) == 0 {
            return None;
        }
        pg_sys::get_op_opfamily_properties(
            operator,
            family,
            false,
            &raw mut strategy,
            &raw mut left,
            &raw mut right,
        );
    }
    let comparison = Comparison::of_strategy(strategy)?;
    let (comparison, own, other) = match side {
        Side::Left => (comparison, left, right),
        Side::Right => (comparison.turned(), right, left),
    };
    let (own, other) = (Kind::of_operand(own)?, Kind::of_operand(other)?);
    // The numbers of an enum's values are not in its order.
    let fits = own == column
        && column.compares_with(other)
        && (column != Kind::Enum || comparison == Comparison::Equal);
    fits.then_some((comparison, other))
}

/// Whether keys compare by that collation as values do.
pub(super) fn collation_fits(kind: Kind, comparison: Comparison, collation: pg_sys::Oid) -> bool {
    if !kind.has_collation() {
        return true;
    }
    if collation == pg_sys::InvalidOid {
        return false;
    }
    match comparison {
        Comparison::Equal => is_deterministic(collation),
        Comparison::Less
        | Comparison::LessOrEqual
        | Comparison::GreaterOrEqual
        | Comparison::Greater => {
            // SAFETY: a catalog lookup in a transaction.
            unsafe { pg_guard_ffi_boundary(|| lc_collate_is_c(collation)) }
        }
    }
}

/// Whether by a collation only texts with the same bytes are equal.
pub(super) fn is_deterministic(collation: pg_sys::Oid) -> bool {
    // SAFETY: a catalog lookup in a transaction.
    collation != pg_sys::InvalidOid && unsafe { pg_sys::get_collation_isdeterministic(collation) }
}

/// A pattern that texts are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// LIKE
    Like,
    /// ^@
    Prefix,
}

impl Pattern {
    /// Of an operator.
    pub(super) fn of(operator: pg_sys::Oid) -> Option<Pattern> {
        match operator.to_u32() {
            LIKE => Some(Pattern::Like),
            STARTS_WITH => Some(Pattern::Prefix),
            _ => None,
        }
    }

    /// The bytes with which every text that fits begins; `None` if the pattern has escapes.
    pub(super) fn prefix(self, pattern: &[u8]) -> Option<&[u8]> {
        match self {
            Pattern::Prefix => Some(pattern),
            Pattern::Like if pattern.contains(&b'\\') => None,
            Pattern::Like => {
                let end = pattern.iter().position(|byte| matches!(byte, b'%' | b'_'));
                Some(&pattern[..end.unwrap_or(pattern.len())])
            }
        }
    }
}

/// Whether an operator compares a text with a pattern.
pub(super) fn is_like(operator: pg_sys::Oid) -> bool {
    LIKES.contains(&operator.to_u32())
}

/// Whether conditions with an operator are understood, for some kind of column.
pub(crate) fn is_narrowed(operator: pg_sys::Oid) -> bool {
    let compares = |kind| {
        let sides = [Side::Left, Side::Right].into_iter();
        sides
            .filter_map(|side| comparison(operator, kind, side))
            .count()
            > 0
    };
    Pattern::of(operator).is_some() || Kind::all().any(compares)
}
