//! The walk over a plan: once for each plan, whatever its parameters are.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ffi::c_int;
use std::rc::Rc;

use pg_live_readset::Attributes;
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use super::condition::Quals;
use super::{Reads, Scan, Sought, Why, columns, elements, length, numbers};

/// What was found in a plan. It points into the plan.
pub(super) struct Walk {
    /// Relations that no scan stands for.
    unscanned: Vec<(u32, Unscanned)>,
    scans: Vec<Scanned>,
    is_followed: bool,
    has_system_column: bool,
    /// What it reads, if that does not depend on parameters.
    always: OnceCell<Reads>,
}

/// Why no scan stands for a relation.
#[derive(Clone, Copy)]
enum Unscanned {
    Because(Why),
    Partitioned,
}

/// A scan of a table.
struct Scanned {
    plan: *mut pg_sys::Plan,
    rel: u32,
    columns: Attributes,
    quals: Quals,
}

impl Walk {
    /// # Safety
    /// The statement must be valid and live longer than what is returned, and an ERROR of Postgres must be a panic
    /// where this is called.
    pub(super) unsafe fn of(statement: &pg_sys::PlannedStmt) -> Walk {
        // SAFETY: as the caller promises.
        unsafe {
            let mut has_system_column = false;
            let scans = Scans::of(statement, &mut has_system_column);
            let is_followed = scans.is_some();
            let scans = scans.unwrap_or_default();
            let scanned: BTreeSet<u32> = scans.iter().map(|scan| scan.rel).collect();
            let others = relations(statement).into_iter();
            let unscanned = others.filter(|relation| !scanned.contains(relation));
            let why = |relation| {
                if !is_followed {
                    Unscanned::Because(Why::NotFollowed)
                } else if is_partitioned(statement, relation) {
                    Unscanned::Partitioned
                } else {
                    Unscanned::Because(Why::NotScanned)
                }
            };
            Walk {
                unscanned: unscanned.map(|rel| (rel, why(rel))).collect(),
                scans,
                is_followed,
                has_system_column,
                always: OnceCell::new(),
            }
        }
    }

    /// What the plan reads with these parameters.
    ///
    /// # Safety
    /// The plan must still be there, the parameters must be its, and an ERROR of Postgres must be a panic where this is
    /// called.
    pub(super) unsafe fn reads(&self, params: pg_sys::ParamListInfo) -> Reads {
        if let Some(reads) = self.always.get() {
            return reads.clone();
        }
        let mut reads = Reads {
            is_followed: self.is_followed,
            has_system_column: self.has_system_column,
            ..Reads::default()
        };
        for (rel, unscanned) in &self.unscanned {
            match unscanned {
                Unscanned::Because(why) => {
                    reads.whole.insert(*rel, *why);
                }
                Unscanned::Partitioned => {
                    reads.partitioned.insert(*rel);
                }
            }
        }
        let mut depends_on_params = false;
        for scanned in &self.scans {
            // SAFETY: as the caller promises.
            let quals = unsafe { scanned.quals.given(params) };
            let (any_of, lookup) = quals.judged();
            let scan = Scan {
                columns: scanned.columns,
                any_of,
            };
            match lookup {
                Some(lookup) => reads.seek(Sought {
                    plan: scanned.plan,
                    rel: scanned.rel,
                    lookup,
                    scan,
                }),
                None => reads.add(scanned.rel, &scan),
            }
            depends_on_params = depends_on_params || quals.depends_on_params();
        }
        if !depends_on_params {
            return self.always.get_or_init(|| reads).clone();
        }
        reads
    }
}

/// All relations of a plan: those that were expanded, pruned or found to be unneeded are among them.
///
/// # Safety
/// The statement must be valid.
unsafe fn relations(statement: &pg_sys::PlannedStmt) -> BTreeSet<u32> {
    // SAFETY: the range table is a list of its entries, the relations are a list of oids.
    unsafe {
        let entries = elements::<pg_sys::RangeTblEntry>(statement.rtable).into_iter();
        let mut relations: BTreeSet<u32> = entries
            .filter(|entry| (**entry).rtekind == pg_sys::RTEKind::RTE_RELATION)
            .map(|entry| (*entry).relid.to_u32())
            .collect();
        let named = statement.relationOids;
        for index in 0..length(named) {
            relations.insert((*(*named).elements.add(index)).oid_value.to_u32());
        }
        relations
    }
}

/// Whether it is a partitioned table of the range table.
///
/// # Safety
/// The statement must be valid.
unsafe fn is_partitioned(statement: &pg_sys::PlannedStmt, relation: u32) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let mut entries = elements::<pg_sys::RangeTblEntry>(statement.rtable).into_iter();
        entries.any(|entry| {
            let entry = &*entry;
            entry.rtekind == pg_sys::RTEKind::RTE_RELATION
                && entry.relid.to_u32() == relation
                && entry.relkind.cast_unsigned() == b'p'
        })
    }
}

/// The walk itself.
struct Scans<'a> {
    statement: &'a pg_sys::PlannedStmt,
    /// The scans of tables.
    scans: Vec<*mut pg_sys::Scan>,
    /// The parameters that results of subqueries are put into, once they are needed.
    of_subqueries: BTreeSet<c_int>,
    has_system_column: bool,
}

impl Scans<'_> {
    /// The scans of a plan; `None` if it does anything that is not known here.
    ///
    /// # Safety
    /// As for [`Walk::of`].
    unsafe fn of(
        statement: &pg_sys::PlannedStmt,
        has_system_column: &mut bool,
    ) -> Option<Vec<Scanned>> {
        let reads_only = statement.commandType == pg_sys::CmdType::CMD_SELECT
            && !statement.hasModifyingCTE
            && statement.rowMarks.is_null();
        if !reads_only {
            return None;
        }
        let mut scans = Scans {
            statement,
            scans: Vec::new(),
            of_subqueries: BTreeSet::new(),
            has_system_column: false,
        };
        // SAFETY: as the caller promises. Plans of subqueries, of expressions and before the main one are in the list.
        unsafe {
            scans.walk(statement.planTree)?;
            for plan in elements::<pg_sys::Plan>(statement.subplans) {
                scans.walk(plan)?;
            }
            *has_system_column = scans.has_system_column;
            let of_subqueries = Rc::new(std::mem::take(&mut scans.of_subqueries));
            let found = scans.scans.iter();
            found
                .map(|scan| scans.scan(*scan, &of_subqueries))
                .collect()
        }
    }

    /// # Safety
    /// The plan must be one of the statement's, or null.
    unsafe fn walk(&mut self, plan: *mut pg_sys::Plan) -> Option<()> {
        if plan.is_null() {
            return Some(());
        }
        // SAFETY: as the caller promises; the tag tells the type of a node.
        unsafe {
            for subquery in elements::<pg_sys::SubPlan>((*plan).initPlan) {
                self.of_subqueries.extend(numbers((*subquery).setParam));
            }
            self.has_system_column = self.has_system_column
                || columns::is_any_of_system((*plan).targetlist.cast())
                || columns::is_any_of_system((*plan).qual.cast());
            match (*plan).type_ {
                Tag::T_SeqScan
                | Tag::T_IndexScan
                | Tag::T_IndexOnlyScan
                | Tag::T_BitmapHeapScan => self.scans.push(plan.cast()),
                Tag::T_Append => self.walk_all((*plan.cast::<pg_sys::Append>()).appendplans)?,
                Tag::T_MergeAppend => {
                    self.walk_all((*plan.cast::<pg_sys::MergeAppend>()).mergeplans)?;
                }
                Tag::T_SubqueryScan => {
                    self.walk((*plan.cast::<pg_sys::SubqueryScan>()).subplan)?;
                }
                Tag::T_Result
                | Tag::T_ProjectSet
                | Tag::T_NestLoop
                | Tag::T_MergeJoin
                | Tag::T_HashJoin
                | Tag::T_Hash
                | Tag::T_Material
                | Tag::T_Memoize
                | Tag::T_Sort
                | Tag::T_IncrementalSort
                | Tag::T_Group
                | Tag::T_Agg
                | Tag::T_WindowAgg
                | Tag::T_Unique
                | Tag::T_SetOp
                | Tag::T_Limit
                | Tag::T_Gather
                | Tag::T_GatherMerge
                | Tag::T_RecursiveUnion
                | Tag::T_WorkTableScan
                | Tag::T_CteScan
                | Tag::T_ValuesScan
                | Tag::T_FunctionScan
                | Tag::T_TableFuncScan => {}
                _ => return None,
            }
            if (*plan).type_ == Tag::T_BitmapHeapScan {
                // What is below looks at the index only.
                return Some(());
            }
            self.walk((*plan).lefttree)?;
            self.walk((*plan).righttree)
        }
    }

    /// # Safety
    /// As for [`walk`](Self::walk), for a list of plans.
    unsafe fn walk_all(&mut self, plans: *mut pg_sys::List) -> Option<()> {
        // SAFETY: as the caller promises.
        unsafe {
            let mut plans = elements::<pg_sys::Plan>(plans).into_iter();
            plans.try_for_each(|plan| self.walk(plan))
        }
    }

    /// # Safety
    /// The plan must be a scan of a table.
    unsafe fn scan(
        &self,
        scan: *mut pg_sys::Scan,
        of_subqueries: &Rc<BTreeSet<c_int>>,
    ) -> Option<Scanned> {
        // SAFETY: as the caller promises. Entries of the range table are counted from 1.
        unsafe {
            let number = (*scan).scanrelid;
            let entries = elements::<pg_sys::RangeTblEntry>(self.statement.rtable);
            let entry = *entries.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
            if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                return None;
            }
            let quals = Quals::of(scan, of_subqueries)?;
            Some(Scanned {
                plan: scan.cast(),
                rel: (*entry).relid.to_u32(),
                columns: self.columns(&*entry, &quals),
                quals,
            })
        }
    }

    /// The columns that a scan looks at or hands over. It may hand over more than is needed, whole rows as they are
    /// stored; then the columns that the text of the query names are fewer, and these it cannot do without. Policies
    /// are not in the text.
    ///
    /// # Safety
    /// As for [`scan`](Self::scan).
    unsafe fn columns(&self, entry: &pg_sys::RangeTblEntry, quals: &Quals) -> Attributes {
        // SAFETY: as the caller promises.
        unsafe {
            let looked_at = quals.columns();
            let handed_over = looked_at.with(quals.outputs());
            let permission = pg_sys::AclMode::from(pg_sys::ACL_SELECT);
            if self.statement.dependsOnRole || entry.requiredPerms & permission == 0 {
                return handed_over;
            }
            let named = looked_at.with(columns::of_bitmap(entry.selectedCols));
            if columns::count(named) < columns::count(handed_over) {
                named
            } else {
                handed_over
            }
        }
    }
}
