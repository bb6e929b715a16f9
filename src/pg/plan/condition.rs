//! From the conditions of a scan to one on a single column: the one that lets the fewest rows through. Each of those
//! that must all be true may stand for them.
//!
//! Rows that a condition refuses must not show in any other way, either: an error that an expression raises for them
//! would. So what comes after an expression that may fail is not used, in the order in which a scan evaluates them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::c_int;
use std::rc::Rc;

use pg_live_readset::{Attribute, Attributes, Condition};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;

use super::columns::{self, Naming};
use super::elements;
use super::found::{
    Class, Found, boolean_test, coarse, compared, intersected, is, no_row, nothing,
};
use super::lookup::Lookup;
use super::operator::{self, Comparison, Pattern, Side};
use super::predicate;
use crate::pg::column::{Kind, with_bytes};

/// More alternatives than that are not worth it.
const MOST: usize = 1000;

/// What is compared with a column.
pub(super) enum Constant {
    Null,
    Value(pg_sys::Datum),
}

/// A comparison of a column with something else.
struct Compared {
    attribute: Attribute,
    comparison: Comparison,
    /// The kind of what it is compared with; of each element, for `= ANY`.
    of: Kind,
    other: *mut pg_sys::Node,
}

/// The conditions of a scan.
#[derive(Clone)]
pub(super) struct Quals {
    naming: Naming,
    params: pg_sys::ParamListInfo,
    /// Whether what was said of the conditions depends on these.
    depends_on_params: Cell<bool>,
    /// Parameters whose values come from subqueries that run when they are first asked for.
    of_subqueries: Rc<BTreeSet<c_int>>,
    /// Lists of conditions that must all be true, in the order in which they are evaluated.
    lists: Vec<*mut pg_sys::List>,
    /// What else a scan looks at.
    others: Vec<*mut pg_sys::List>,
    outputs: *mut pg_sys::List,
}

impl Quals {
    /// Of a scan of a table, without parameters; `None` for a kind of scan that is not known here.
    ///
    /// # Safety
    /// The scan must be valid, about to be executed, and live longer than what is returned. An ERROR of Postgres must
    /// be a panic where this is called.
    pub(super) unsafe fn of(
        scan: *mut pg_sys::Scan,
        of_subqueries: &Rc<BTreeSet<c_int>>,
    ) -> Option<Quals> {
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            let plan = &(*scan).plan;
            let mut index = std::ptr::null_mut();
            let (first, others) = match plan.type_ {
                Tag::T_SeqScan => (vec![], None),
                Tag::T_IndexScan => {
                    let node = &*scan.cast::<pg_sys::IndexScan>();
                    let of_index = predicate::of_index(node.indexid, scan)?;
                    (
                        vec![of_index, node.indexqualorig],
                        Some(node.indexorderbyorig),
                    )
                }
                Tag::T_IndexOnlyScan => {
                    let node = &*scan.cast::<pg_sys::IndexOnlyScan>();
                    index = node.indextlist;
                    let of_index = predicate::of_index(node.indexid, scan)?;
                    (vec![of_index, node.recheckqual], Some(node.indexorderby))
                }
                // What partial indexes do not have is among the conditions.
                Tag::T_BitmapHeapScan => {
                    let node = &*scan.cast::<pg_sys::BitmapHeapScan>();
                    (vec![node.bitmapqualorig], None)
                }
                _ => return None,
            };
            Some(Quals {
                naming: Naming {
                    table: c_int::try_from((*scan).scanrelid).ok()?,
                    index,
                },
                params: std::ptr::null_mut(),
                depends_on_params: Cell::new(false),
                of_subqueries: Rc::clone(of_subqueries),
                lists: first.into_iter().chain([plan.qual]).collect(),
                others: others.into_iter().collect(),
                outputs: plan.targetlist,
            })
        }
    }

    /// The same with parameters of the statement.
    ///
    /// # Safety
    /// These must live longer than what is returned.
    pub(super) unsafe fn given(&self, params: pg_sys::ParamListInfo) -> Quals {
        Quals {
            params,
            ..self.clone()
        }
    }

    /// Whether what was said since the parameters were given depends on them.
    pub(super) fn depends_on_params(&self) -> bool {
        self.depends_on_params.get()
    }

    /// The columns that it looks at.
    pub(super) fn columns(&self) -> Attributes {
        let lists = self.lists.iter().chain(&self.others);
        lists.fold(Attributes::NONE, |columns, list| {
            // SAFETY: see `of`.
            columns.with(unsafe { columns::of(list.cast(), self.naming) })
        })
    }

    /// The columns that it hands over.
    pub(super) fn outputs(&self) -> Attributes {
        // SAFETY: see `of`.
        unsafe { columns::of(self.outputs.cast(), self.naming) }
    }

    /// Conditions of which each row fulfils one, if any is known; and the first one that wants a column to be equal to
    /// what the executor will put into a parameter, if it is as good.
    pub(super) fn judged(&self) -> (Option<Vec<Condition>>, Option<Lookup>) {
        // SAFETY: see `of`.
        let (found, lookup) = unsafe { self.judge(&self.all()) };
        (found.map(|found| found.any_of), lookup)
    }

    /// The conditions that must all be true, in the order in which they are evaluated.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn all(&self) -> Vec<*mut pg_sys::Node> {
        let lists = self.lists.iter();
        // SAFETY: as the caller promises.
        lists.flat_map(|list| unsafe { elements(*list) }).collect()
    }

    /// The best of conditions that must all be true, evaluated in this order.
    ///
    /// # Safety
    /// The nodes must be expressions of the scan, as everywhere here.
    unsafe fn best(&self, all: &[*mut pg_sys::Node]) -> Option<Found> {
        // SAFETY: as the caller promises.
        unsafe { self.judge(all).0 }
    }

    /// The same, and the first that looks something up, unless an equality comes before.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn judge(&self, all: &[*mut pg_sys::Node]) -> (Option<Found>, Option<Lookup>) {
        let mut best: Option<Found> = None;
        let mut lookup = None;
        let mut intervals: Vec<Condition> = Vec::new();
        for node in all {
            // SAFETY: as the caller promises. What is compared with a constant looks nothing up.
            let (found, looked_up, may_fail) = unsafe {
                let found = self.one(*node);
                let looked_up = match found {
                    Some(_) => None,
                    None => self.looked_up(*node),
                };
                let is_understood = found.is_some() || looked_up.is_some();
                (found, looked_up, self.may_fail(*node, is_understood))
            };
            if let Some(found) = found {
                let found = intersected(found, &mut intervals);
                if best.as_ref().is_none_or(|best| found.class < best.class) {
                    best = Some(found);
                }
            }
            let has_equality = best
                .as_ref()
                .is_some_and(|best| best.class == Class::Equality);
            if lookup.is_none() && !has_equality {
                lookup = looked_up;
            }
            if may_fail {
                break;
            }
        }
        (best, lookup)
    }

    /// Whether the evaluation of a condition may raise an error. One that was understood compares a column with a
    /// value, unless it is made of others; and patterns without escapes are none that end in one. A subquery that runs
    /// when a row is compared with its result may fail.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn may_fail(&self, node: *mut pg_sys::Node, is_understood: bool) -> bool {
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            let is_plain = (*node).type_ != Tag::T_BoolExpr;
            let is_safe = (is_understood && is_plain)
                || ((*node).type_ == Tag::T_OpExpr && self.is_safe_pattern(&*node.cast()));
            (!is_safe && pg_sys::contain_leaked_vars(node))
                || columns::has_parameter(node, &self.of_subqueries)
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn is_safe_pattern(&self, node: &pg_sys::OpExpr) -> bool {
        // SAFETY: as the caller promises.
        unsafe {
            let args = elements::<pg_sys::Node>(node.args);
            let [left, right] = args[..] else {
                return false;
            };
            operator::is_like(node.opno)
                && operator::is_deterministic(node.inputcollid)
                && self
                    .column(left)
                    .is_some_and(|(_, kind)| kind == Kind::Text)
                && match self.constant(right, Kind::Text) {
                    Some(Constant::Null) => true,
                    Some(Constant::Value(pattern)) => {
                        with_bytes(pattern, |pattern| !pattern.contains(&b'\\'))
                    }
                    None => false,
                }
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn one(&self, node: *mut pg_sys::Node) -> Option<Found> {
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            match (*node).type_ {
                Tag::T_OpExpr => {
                    let node = &*node.cast::<pg_sys::OpExpr>();
                    self.operator(node.opno, node.inputcollid, &elements(node.args))
                }
                Tag::T_ScalarArrayOpExpr => self.array(&*node.cast::<pg_sys::ScalarArrayOpExpr>()),
                Tag::T_BoolExpr => self.boolean(&*node.cast::<pg_sys::BoolExpr>()),
                Tag::T_NullTest => self.null_test(&*node.cast::<pg_sys::NullTest>()),
                Tag::T_BooleanTest => {
                    let node = &*node.cast::<pg_sys::BooleanTest>();
                    let column = self.boolean_column(node.arg.cast())?;
                    boolean_test(column, node.booltesttype)
                }
                Tag::T_Var => coarse(vec![is(self.boolean_column(node)?, true)?]),
                _ => None,
            }
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn boolean(&self, node: &pg_sys::BoolExpr) -> Option<Found> {
        // SAFETY: as the caller promises.
        unsafe {
            let args = elements::<pg_sys::Node>(node.args);
            match node.boolop {
                pg_sys::BoolExprType::AND_EXPR => self.best(&args),
                pg_sys::BoolExprType::OR_EXPR => {
                    let mut any_of = Vec::new();
                    let mut class = Class::Equality;
                    for arm in args {
                        let found = self.one(arm)?;
                        class = class.max(found.class);
                        any_of.extend(found.any_of);
                    }
                    (any_of.len() <= MOST).then_some(Found { class, any_of })
                }
                pg_sys::BoolExprType::NOT_EXPR => {
                    coarse(vec![is(self.boolean_column(*args.first()?)?, false)?])
                }
                _ => None,
            }
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn operator(
        &self,
        operator: pg_sys::Oid,
        collation: pg_sys::Oid,
        args: &[*mut pg_sys::Node],
    ) -> Option<Found> {
        let [left, right] = args else { return None };
        // SAFETY: as the caller promises.
        unsafe {
            if let Some(pattern) = Pattern::of(operator) {
                return self.pattern(pattern, collation, *left, *right);
            }
            let Compared {
                attribute,
                comparison,
                of,
                other,
            } = self.comparison(operator, collation, args)?;
            match self.constant(other, of)? {
                // Nothing is equal to NULL, or less.
                Constant::Null => Some(no_row(attribute)),
                Constant::Value(value) => Some(compared(attribute, comparison, &of.key(value)?)),
            }
        }
    }

    /// A column that an operator compares with something by which its keys compare, too.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn comparison(
        &self,
        operator: pg_sys::Oid,
        collation: pg_sys::Oid,
        args: &[*mut pg_sys::Node],
    ) -> Option<Compared> {
        let [left, right] = args else { return None };
        // SAFETY: as the caller promises.
        let (column, side, other) = unsafe {
            match (self.column(*left), self.column(*right)) {
                (Some(column), None) => (column, Side::Left, *right),
                (None, Some(column)) => (column, Side::Right, *left),
                (Some(_), Some(_)) | (None, None) => return None,
            }
        };
        let (attribute, kind) = column;
        let (comparison, of) = operator::comparison(operator, kind, side)?;
        operator::collation_fits(kind, comparison, collation).then_some(Compared {
            attribute,
            comparison,
            of,
            other,
        })
    }

    /// What a condition looks up by the value of a parameter of the executor.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn looked_up(&self, node: *mut pg_sys::Node) -> Option<Lookup> {
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            let args = match (*node).type_ {
                Tag::T_OpExpr => (*node.cast::<pg_sys::OpExpr>()).args,
                Tag::T_ScalarArrayOpExpr => (*node.cast::<pg_sys::ScalarArrayOpExpr>()).args,
                _ => return None,
            };
            let mut args = elements::<pg_sys::Node>(args).into_iter();
            if !args.any(|arg| is_set_by_executor(arg)) {
                return None;
            }
            let (compared, is_array) = match (*node).type_ {
                Tag::T_OpExpr => {
                    let node = &*node.cast::<pg_sys::OpExpr>();
                    let args = elements(node.args);
                    let compared = self.comparison(node.opno, node.inputcollid, &args)?;
                    (compared, false)
                }
                Tag::T_ScalarArrayOpExpr => {
                    (self.any(&*node.cast::<pg_sys::ScalarArrayOpExpr>())?, true)
                }
                _ => return None,
            };
            let param = without_relabelling(compared.other);
            if compared.comparison != Comparison::Equal || !is_set_by_executor(param) {
                return None;
            }
            let param = &*param.cast::<pg_sys::Param>();
            let element = if is_array {
                Some(element_type(param.paramtype, compared.of)?)
            } else {
                None
            };
            let fits = is_array || Kind::of_type(param.paramtype) == Some(compared.of);
            fits.then_some(Lookup {
                attribute: compared.attribute,
                param: usize::try_from(param.paramid).ok()?,
                of_type: param.paramtype,
                of: compared.of,
                element,
            })
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn pattern(
        &self,
        pattern: Pattern,
        collation: pg_sys::Oid,
        left: *mut pg_sys::Node,
        right: *mut pg_sys::Node,
    ) -> Option<Found> {
        // SAFETY: as the caller promises; the constant's type is text.
        unsafe {
            let (attribute, kind) = self.column(left)?;
            if kind != Kind::Text || !operator::is_deterministic(collation) {
                return None;
            }
            match self.constant(right, Kind::Text)? {
                Constant::Null => Some(no_row(attribute)),
                Constant::Value(value) => with_bytes(value, |bytes| {
                    let prefix = pattern.prefix(bytes).filter(|prefix| !prefix.is_empty())?;
                    Some(Found {
                        class: Class::Interval,
                        any_of: vec![Condition::prefix(attribute, prefix)],
                    })
                }),
            }
        }
    }

    /// `column = ANY (array)`.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn array(&self, node: &pg_sys::ScalarArrayOpExpr) -> Option<Found> {
        // SAFETY: as the caller promises; an array's type tells that of its elements.
        unsafe {
            let compared = self.any(node)?;
            let (array_type, value) = self.value(compared.other)?;
            let element = element_type(array_type, compared.of)?;
            Some(Found {
                class: Class::Equality,
                any_of: equal_to_any(compared.attribute, compared.of, element, &value)?,
            })
        }
    }

    /// The column of `column = ANY (array)`.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn any(&self, node: &pg_sys::ScalarArrayOpExpr) -> Option<Compared> {
        // SAFETY: as the caller promises.
        unsafe {
            let args = elements::<pg_sys::Node>(node.args);
            let [left, right] = args[..] else { return None };
            let (attribute, kind) = self.column(left)?;
            let (comparison, of) = operator::comparison(node.opno, kind, Side::Left)?;
            let fits = node.useOr
                && comparison == Comparison::Equal
                && operator::collation_fits(kind, comparison, node.inputcollid);
            fits.then_some(Compared {
                attribute,
                comparison,
                of,
                other: right,
            })
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn null_test(&self, node: &pg_sys::NullTest) -> Option<Found> {
        if node.argisrow {
            return None;
        }
        // SAFETY: as the caller promises.
        let (attribute, _) = unsafe { self.column(node.arg.cast())? };
        coarse(vec![match node.nulltesttype {
            pg_sys::NullTestType::IS_NULL => Condition::is_null(attribute),
            pg_sys::NullTestType::IS_NOT_NULL => Condition::is_not_null(attribute),
            _ => return None,
        }])
    }

    /// A column by its number, if values of its type have keys.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn column(&self, node: *mut pg_sys::Node) -> Option<(Attribute, Kind)> {
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            let node = without_relabelling(node);
            if (*node).type_ != Tag::T_Var {
                return None;
            }
            let mut var = &*node.cast::<pg_sys::Var>();
            if var.varno == pg_sys::INDEX_VAR {
                let node = columns::index_column(self.naming.index, var.varattno)?;
                if (*node).type_ != Tag::T_Var {
                    return None;
                }
                var = &*node.cast::<pg_sys::Var>();
            }
            let is_own = var.varno == self.naming.table && var.varlevelsup == 0;
            let attribute = Attribute::try_from(var.varattno).ok()?;
            let is_column = is_own && attribute > 0;
            is_column
                .then(|| Kind::of_type(var.vartype))
                .flatten()
                .map(|kind| (attribute, kind))
        }
    }

    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn boolean_column(&self, node: *mut pg_sys::Node) -> Option<Attribute> {
        // SAFETY: as the caller promises.
        let (attribute, kind) = unsafe { self.column(node)? };
        (kind == Kind::Bool).then_some(attribute)
    }

    /// A value that is the same for the whole run, if it is of that kind.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn constant(&self, node: *mut pg_sys::Node, kind: Kind) -> Option<Constant> {
        // SAFETY: as the caller promises.
        let (of, value) = unsafe { self.value(node)? };
        (Kind::of_type(of) == Some(kind)).then_some(value)
    }

    /// As [`constant`](Self::constant), with its type.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn value(&self, node: *mut pg_sys::Node) -> Option<(pg_sys::Oid, Constant)> {
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            let node = without_relabelling(node);
            let (of, value, is_null) = match (*node).type_ {
                Tag::T_Const => {
                    let node = &*node.cast::<pg_sys::Const>();
                    (node.consttype, node.constvalue, node.constisnull)
                }
                Tag::T_Param => {
                    let node = &*node.cast::<pg_sys::Param>();
                    if node.paramkind != pg_sys::ParamKind::PARAM_EXTERN {
                        return None;
                    }
                    let given = self.parameter(node)?;
                    (given.ptype, given.value, given.isnull)
                }
                _ => return None,
            };
            let constant = if is_null {
                Constant::Null
            } else {
                Constant::Value(value)
            };
            Some((of, constant))
        }
    }

    /// A parameter of the statement.
    ///
    /// # Safety
    /// As for [`best`](Self::best).
    unsafe fn parameter(&self, node: &pg_sys::Param) -> Option<pg_sys::ParamExternData> {
        // SAFETY: as the caller promises. Whoever gives parameters one by one is asked for it as planners do: then
        // nothing is evaluated that might fail.
        unsafe {
            self.depends_on_params.set(true);
            let params = self.params.as_ref()?;
            let count = usize::try_from(params.numParams).ok()?;
            let index = usize::try_from(node.paramid).ok()?.checked_sub(1)?;
            if index >= count {
                return None;
            }
            let given = match params.paramFetch {
                Some(fetch) => {
                    let (list, mut place) = (self.params, pg_sys::ParamExternData::default());
                    *pg_guard_ffi_boundary(|| fetch(list, node.paramid, true, &raw mut place))
                }
                None => *params.params.as_slice(count).get(index)?,
            };
            (given.ptype == node.paramtype).then_some(given)
        }
    }
}

/// Looks through changes of type that leave the value as it is.
///
/// # Safety
/// The node must be a valid expression.
unsafe fn without_relabelling(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises; the tag tells the type of a node.
    unsafe {
        while (*node).type_ == Tag::T_RelabelType {
            node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
        }
    }
    node
}

/// Whether it is a parameter of the executor.
///
/// # Safety
/// The node must be a valid expression.
unsafe fn is_set_by_executor(node: *mut pg_sys::Node) -> bool {
    // SAFETY: as the caller promises; the tag tells the type of a node.
    unsafe {
        let node = without_relabelling(node);
        (*node).type_ == Tag::T_Param
            && (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXEC
    }
}

/// The type of an array's elements, if they are of that kind.
///
/// # Safety
/// A transaction must be open.
unsafe fn element_type(array: pg_sys::Oid, of: Kind) -> Option<pg_sys::Oid> {
    // SAFETY: catalog lookups.
    let element = unsafe { pg_sys::get_element_type(pg_sys::getBaseType(array)) };
    (element != pg_sys::InvalidOid && Kind::of_type(element)? == of).then_some(element)
}

/// Conditions of which the rows fulfil one whose column is equal to an element of the array.
///
/// # Safety
/// The value must be an array with elements of the type `element`, which is of the kind `of`.
pub(super) unsafe fn equal_to_any(
    attribute: Attribute,
    of: Kind,
    element: pg_sys::Oid,
    array: &Constant,
) -> Option<Vec<Condition>> {
    let mut any_of = Vec::new();
    if let Constant::Value(array) = array {
        // SAFETY: as the caller promises.
        for value in unsafe { array_elements(*array, element)? } {
            any_of.push(Condition::equal(attribute, &of.key(value)?));
        }
    }
    if any_of.is_empty() {
        any_of.push(nothing(attribute));
    }
    Some(any_of)
}

/// The values of an array that are not NULL.
///
/// # Safety
/// The datum must be an array with elements of that type.
unsafe fn array_elements(array: pg_sys::Datum, of: pg_sys::Oid) -> Option<Vec<pg_sys::Datum>> {
    let (mut length, mut by_value, mut alignment) = (0, false, 0);
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: as the caller promises; the arrays that are made have that many elements.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        pg_sys::get_typlenbyvalalign(of, &raw mut length, &raw mut by_value, &raw mut alignment);
        pg_sys::deconstruct_array(
            array,
            of,
            length.into(),
            by_value,
            alignment,
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        let count = usize::try_from(count).ok().filter(|count| *count <= MOST)?;
        let given = (0..count).filter(|index| !*nulls.add(*index));
        Some(given.map(|index| *values.add(index)).collect())
    }
}
