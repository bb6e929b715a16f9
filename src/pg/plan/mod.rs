//! What a plan reads: for each scan of a table the columns that it looks at, and a condition that every row must
//! fulfil that the scan lets through.
//!
//! A scan stands for itself, whatever is above it: rows that its own conditions refuse are not seen by anything
//! else. What is not understood is read as a whole. What a scan will look up is told by its execution
//! (`looked_up.rs`).

mod columns;
mod condition;
mod lookup;
mod operator;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;

use pg_live_readset::{Attribute, Attributes, Condition, ReadEntry};
use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag as Tag;

use condition::Quals;

pub(super) use lookup::Lookup;
pub(crate) use operator::is_narrowed;

/// Why a relation is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// Every column of every row, for all that is known.
    EveryColumn,
    /// The plan does not scan it: partitions were left out, or it is not needed.
    NotScanned,
    /// The statement writes or locks rows, or its plan does what is not followed.
    NotFollowed,
}

/// What a plan reads.
#[derive(Default)]
pub(super) struct Reads {
    /// Relations as a whole; views, too.
    pub(super) whole: BTreeMap<u32, Why>,
    /// Parts of tables.
    pub(super) rows: BTreeSet<ReadEntry>,
    /// Partitioned tables, which have no rows of their own: the scans of their partitions stand for them.
    pub(super) partitioned: BTreeSet<u32>,
    /// Scans whose rows depend on what they look up. Of these `rows` has only the table.
    pub(super) sought: Vec<Sought>,
}

/// A scan that looks keys up.
#[derive(Clone)]
pub(super) struct Sought {
    /// Its node; a name, the plan may have gone.
    pub(super) plan: *mut pg_sys::Plan,
    rel: u32,
    pub(super) lookup: Lookup,
    scan: Scan,
}

/// A scan of a table.
#[derive(Clone)]
struct Scan {
    columns: Attributes,
    /// A row fulfils one of these; `None`: nothing is known.
    any_of: Option<Vec<Condition>>,
}

/// A scan of a table, and what it looks up.
struct Found {
    plan: *mut pg_sys::Plan,
    scan: Scan,
    lookup: Option<Lookup>,
}

/// What a query that is about to start will read.
///
/// # Safety
/// The query must be valid, and an ERROR of Postgres must be a panic where this is called.
pub(super) unsafe fn reads(query: *mut pg_sys::QueryDesc) -> Reads {
    // SAFETY: as the caller promises.
    unsafe {
        let statement = &*(*query).plannedstmt;
        let mut reads = Reads::default();
        let scans = Scans::of(statement, (*query).params);
        for relation in relations(statement) {
            let of_relation = scans.as_ref().map(|scans| scans.get(&relation));
            match of_relation {
                Some(Some(scans)) => scans
                    .iter()
                    .for_each(|found| reads.add_found(relation, found)),
                Some(None) if is_partitioned(statement, relation) => {
                    reads.partitioned.insert(relation);
                }
                Some(None) => {
                    reads.whole.insert(relation, Why::NotScanned);
                }
                None => {
                    reads.whole.insert(relation, Why::NotFollowed);
                }
            }
        }
        reads
    }
}

impl Sought {
    /// The table and the column.
    pub(super) fn column(&self) -> (u32, Attribute) {
        (self.rel, self.lookup.attribute)
    }

    /// What a scan by these conditions reads.
    pub(super) fn entry(&self, condition: Condition) -> ReadEntry {
        ReadEntry::Rows {
            rel: self.rel,
            columns: self.scan.columns,
            condition: Some(condition),
        }
    }

    /// What stands for the table as long as nothing was looked up.
    pub(super) fn nothing(&self) -> ReadEntry {
        self.entry(condition::nothing(self.lookup.attribute))
    }

    /// What the scan reads, whatever it looks up.
    pub(super) fn whatever(&self) -> Reads {
        let mut reads = Reads::default();
        reads.add(self.rel, &self.scan);
        reads
    }
}

impl Reads {
    fn add_found(&mut self, rel: u32, found: &Found) {
        let Some(lookup) = &found.lookup else {
            self.add(rel, &found.scan);
            return;
        };
        let sought = Sought {
            plan: found.plan,
            rel,
            lookup: lookup.clone(),
            scan: found.scan.clone(),
        };
        self.rows.insert(sought.nothing());
        self.sought.push(sought);
    }

    fn add(&mut self, rel: u32, scan: &Scan) {
        let columns = scan.columns;
        let conditions = match &scan.any_of {
            Some(any_of) => any_of.iter().cloned().map(Some).collect(),
            None if columns.is_all() => {
                self.whole.insert(rel, Why::EveryColumn);
                return;
            }
            None => vec![None],
        };
        let entries = conditions.into_iter().map(|condition| ReadEntry::Rows {
            rel,
            columns,
            condition,
        });
        self.rows.extend(entries);
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

/// The walk over a plan.
struct Scans<'a> {
    statement: &'a pg_sys::PlannedStmt,
    params: pg_sys::ParamListInfo,
    /// The scans of tables.
    scans: Vec<*mut pg_sys::Scan>,
    /// The parameters that results of subqueries are put into, once they are needed.
    of_subqueries: BTreeSet<c_int>,
}

impl Scans<'_> {
    /// The scans of a plan by relation; `None` if it does anything that is not known here.
    ///
    /// # Safety
    /// As for [`reads`].
    unsafe fn of(
        statement: &pg_sys::PlannedStmt,
        params: pg_sys::ParamListInfo,
    ) -> Option<BTreeMap<u32, Vec<Found>>> {
        let reads_only = statement.commandType == pg_sys::CmdType::CMD_SELECT
            && !statement.hasModifyingCTE
            && statement.rowMarks.is_null();
        if !reads_only {
            return None;
        }
        let mut scans = Scans {
            statement,
            params,
            scans: Vec::new(),
            of_subqueries: BTreeSet::new(),
        };
        let mut found: BTreeMap<u32, Vec<Found>> = BTreeMap::new();
        // SAFETY: as the caller promises. Plans of subqueries, of expressions and before the main one are in the list.
        unsafe {
            scans.walk(statement.planTree)?;
            for plan in elements::<pg_sys::Plan>(statement.subplans) {
                scans.walk(plan)?;
            }
            for scan in &scans.scans {
                let (relation, scan) = scans.scan(*scan)?;
                found.entry(relation).or_default().push(scan);
            }
        }
        Some(found)
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
    unsafe fn scan(&self, scan: *mut pg_sys::Scan) -> Option<(u32, Found)> {
        // SAFETY: as the caller promises. Entries of the range table are counted from 1.
        unsafe {
            let number = (*scan).scanrelid;
            let entries = elements::<pg_sys::RangeTblEntry>(self.statement.rtable);
            let entry = *entries.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
            if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION {
                return None;
            }
            let quals = Quals::of(scan, self.params, &self.of_subqueries)?;
            let found = Found {
                plan: scan.cast(),
                scan: Scan {
                    columns: self.columns(&*entry, &quals),
                    any_of: quals.any_of(),
                },
                lookup: quals.lookup(),
            };
            Some(((*entry).relid.to_u32(), found))
        }
    }

    /// The columns that a scan looks at or hands over. It may hand over more than is needed, whole rows as they are
    /// stored; then the columns that the text of the query names are fewer, and these it cannot do without. Policies
    /// are not in the text.
    ///
    /// # Safety
    /// As for [`scan`](Self::scan).
    unsafe fn columns(&self, entry: &pg_sys::RangeTblEntry, quals: &Quals<'_>) -> Attributes {
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

/// # Safety
/// The list must be valid or null.
pub(super) unsafe fn length(list: *mut pg_sys::List) -> usize {
    if list.is_null() {
        return 0;
    }
    // SAFETY: as the caller promises.
    usize::try_from(unsafe { (*list).length }).unwrap_or(0)
}

/// # Safety
/// The list must be null or one of pointers to `T`.
unsafe fn elements<T>(list: *mut pg_sys::List) -> Vec<*mut T> {
    // SAFETY: as the caller promises.
    unsafe {
        let cell = |index| (*(*list).elements.add(index)).ptr_value.cast::<T>();
        (0..length(list)).map(cell).collect()
    }
}

/// # Safety
/// The list must be null or one of numbers.
unsafe fn numbers(list: *mut pg_sys::List) -> Vec<c_int> {
    // SAFETY: as the caller promises.
    unsafe {
        let cell = |index| (*(*list).elements.add(index)).int_value;
        (0..length(list)).map(cell).collect()
    }
}
