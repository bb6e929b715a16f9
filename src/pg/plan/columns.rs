//! The columns that expressions of a scan look at.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_void};

use pg_live_readset::{Attribute, Attributes};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::elements;

/// The system column `tableoid`: unlike the others it changes with the row's table only.
const TABLE_OID: i16 = -6;

type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;

mod raw {
    use super::{Walker, c_void, pg_sys};

    unsafe extern "C-unwind" {
        pub(super) fn expression_tree_walker(
            node: *mut pg_sys::Node,
            walker: Walker,
            context: *mut c_void,
        ) -> bool;
    }
}

/// How expressions of a scan name columns.
#[derive(Clone, Copy)]
pub(super) struct Naming {
    /// The number of the table in the statement.
    pub(super) table: c_int,
    /// The columns of the index, for a scan that looks at nothing else.
    pub(super) index: *mut pg_sys::List,
}

/// What a walk has found.
struct Found {
    table: c_int,
    /// Columns of the index by number, with those of the table that they stand for.
    index: Vec<(i16, Attributes)>,
    columns: Attributes,
}

/// The columns of the table in an expression or a list of such.
///
/// # Safety
/// The node must be an expression of the scan to which the names belong, or null.
pub(super) unsafe fn of(node: *mut pg_sys::Node, naming: Naming) -> Attributes {
    if node.is_null() {
        return Attributes::NONE;
    }
    // SAFETY: as the caller promises; entries of the list name columns of the table.
    let index = unsafe {
        let entries = elements::<pg_sys::TargetEntry>(naming.index).into_iter();
        let of_table = Naming {
            index: std::ptr::null_mut(),
            ..naming
        };
        entries
            .map(|entry| ((*entry).resno, of((*entry).expr.cast(), of_table)))
            .collect()
    };
    let mut found = Found {
        table: naming.table,
        index,
        columns: Attributes::NONE,
    };
    // SAFETY: as the caller promises; the context outlives the walk, and the walker owns nothing.
    unsafe { pg_guard_ffi_boundary(|| visit(node, (&raw mut found).cast())) };
    found.columns
}

/// # Safety
/// The set must be one of columns as permissions name them, or null.
pub(super) unsafe fn of_bitmap(set: *mut pg_sys::Bitmapset) -> Attributes {
    let mut columns = Attributes::NONE;
    let mut member = -1;
    loop {
        // SAFETY: as the caller promises.
        member = unsafe { pg_sys::bms_next_member(set, member) };
        if member < 0 {
            return columns;
        }
        columns = columns.with(named(member + pg_sys::FirstLowInvalidHeapAttributeNumber));
    }
}

/// How many there are, with all as the most.
pub(super) fn count(columns: Attributes) -> usize {
    if columns.is_all() {
        return usize::MAX;
    }
    (1..=64).filter(|one| columns.contains(*one)).count()
}

/// Whether an expression has one of these parameters of the executor.
///
/// # Safety
/// The node must be an expression, or null.
pub(super) unsafe fn has_parameter(node: *mut pg_sys::Node, numbers: &BTreeSet<c_int>) -> bool {
    if numbers.is_empty() {
        return false;
    }
    let numbers: *const BTreeSet<c_int> = numbers;
    // SAFETY: as the caller promises; the context outlives the walk, and the walker owns nothing.
    unsafe { pg_guard_ffi_boundary(|| visit_parameters(node, numbers.cast_mut().cast())) }
}

/// # Safety
/// Called with a valid node, or null, and a set of numbers. The frame owns nothing.
unsafe extern "C-unwind" fn visit_parameters(
    node: *mut pg_sys::Node,
    context: *mut c_void,
) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag tells the type of a node; the walker takes this function for what is below it.
    unsafe {
        if (*node).type_ != Tag::T_Param {
            return raw::expression_tree_walker(node, visit_parameters, context);
        }
        let param = &*node.cast::<pg_sys::Param>();
        let numbers = &*context.cast::<BTreeSet<c_int>>();
        param.paramkind == pg_sys::ParamKind::PARAM_EXEC && numbers.contains(&param.paramid)
    }
}

/// Whether an expression or a list of such has a system column that stands for where a row is stored.
///
/// # Safety
/// The node must be an expression, or null.
pub(super) unsafe fn is_any_of_system(node: *mut pg_sys::Node) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: as the caller promises; the walker owns nothing and needs no context.
    unsafe { pg_guard_ffi_boundary(|| has_system_column(node, std::ptr::null_mut())) }
}

/// The same, for walks within Postgres' frames.
///
/// # Safety
/// Called with a valid node, or null. The frame owns nothing.
pub(in crate::pg) unsafe extern "C-unwind" fn has_system_column(
    node: *mut pg_sys::Node,
    context: *mut c_void,
) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag tells the type of a node; the walker takes this function for what is below it.
    unsafe {
        if (*node).type_ == Tag::T_Var {
            let attribute = (*node.cast::<pg_sys::Var>()).varattno;
            return attribute < 0 && attribute != TABLE_OID;
        }
        raw::expression_tree_walker(node, has_system_column, context)
    }
}

/// What the number of a column stands for: the whole row has number 0, and what is below belongs to the system and
/// is judged elsewhere.
fn named(number: c_int) -> Attributes {
    match number {
        0 => Attributes::ALL,
        ..0 => Attributes::NONE,
        _ => Attribute::try_from(number).map_or(Attributes::ALL, Attributes::of),
    }
}

/// # Safety
/// Called with a valid node, or null, and a [`Found`]. The frame owns nothing.
unsafe extern "C-unwind" fn visit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag tells the type of a node; the walker takes this function for what is below it.
    unsafe {
        if (*node).type_ != Tag::T_Var {
            return raw::expression_tree_walker(node, visit, context);
        }
        let found = &mut *context.cast::<Found>();
        let columns = found.of_var(&*node.cast::<pg_sys::Var>());
        found.columns = found.columns.with(columns);
        false
    }
}

impl Found {
    fn of_var(&self, var: &pg_sys::Var) -> Attributes {
        if var.varlevelsup != 0 {
            Attributes::ALL
        } else if var.varno == self.table {
            named(var.varattno.into())
        } else if var.varno == pg_sys::INDEX_VAR {
            let mut index = self.index.iter();
            let known = index.find(|(number, _)| *number == var.varattno);
            known.map_or(Attributes::ALL, |(_, columns)| *columns)
        } else {
            Attributes::ALL
        }
    }
}

/// What a column of an index stands for, counted from 1.
///
/// # Safety
/// The list must be one of target entries.
pub(super) unsafe fn index_column(
    index: *mut pg_sys::List,
    number: i16,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let entries = elements::<pg_sys::TargetEntry>(index);
        let mut entries = entries.into_iter();
        let entry = entries.find(|entry| (**entry).resno == number)?;
        Some((*entry).expr.cast())
    }
}
