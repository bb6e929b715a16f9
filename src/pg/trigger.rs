//! What a trigger function is told: the event, the relation, the rows.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::decoding;
use super::function::Call;

/// The event that fired a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// INSERT, COPY.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// TRUNCATE.
    Truncate,
}

/// The data of one firing of a trigger.
pub(crate) struct Fired<'call> {
    data: NonNull<pg_sys::TriggerData>,
    function: pg_sys::Oid,
    call: PhantomData<&'call Call>,
}

/// A row of the trigger's relation.
pub(crate) struct Row<'a> {
    relation: pg_sys::Relation,
    pub(super) slot: NonNull<pg_sys::TupleTableSlot>,
    lifetime: PhantomData<&'a ()>,
}

/// The rows that a statement removed or added.
pub(crate) struct TransitionTable<'a> {
    relation: pg_sys::Relation,
    store: NonNull<pg_sys::Tuplestorestate>,
    lifetime: PhantomData<&'a ()>,
}

/// A pass over a transition table.
pub(crate) struct Cursor<'a> {
    table: &'a TransitionTable<'a>,
    pointer: i32,
    slot: NonNull<pg_sys::TupleTableSlot>,
}

impl<'call> Fired<'call> {
    /// The trigger data of a call; `None` if it was not made by the trigger manager.
    pub(crate) fn of(call: &'call Call) -> Option<Fired<'call>> {
        // SAFETY: the call information is valid for the call and has its function's; the node's tag tells its type.
        unsafe {
            let context = NonNull::new((*call.raw()).context)?;
            let is_trigger = context.as_ref().type_ == pg_sys::NodeTag::T_TriggerData;
            is_trigger.then(|| Fired {
                data: context.cast(),
                function: (*(*call.raw()).flinfo).fn_oid,
                call: PhantomData,
            })
        }
    }

    fn data(&self) -> &pg_sys::TriggerData {
        // SAFETY: valid for the call, see `of`.
        unsafe { self.data.as_ref() }
    }

    /// What happened.
    pub(crate) fn event(&self) -> Event {
        match self.data().tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => Event::Insert,
            pg_sys::TRIGGER_EVENT_DELETE => Event::Delete,
            pg_sys::TRIGGER_EVENT_UPDATE => Event::Update,
            _ => Event::Truncate,
        }
    }

    /// Whether the trigger fires for each row.
    pub(crate) fn is_for_row(&self) -> bool {
        self.data().tg_event & pg_sys::TRIGGER_EVENT_ROW != 0
    }

    /// Whether it fires after the event.
    pub(crate) fn is_after(&self) -> bool {
        self.data().tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_AFTER
    }

    /// The oid of the relation.
    pub(crate) fn relation(&self) -> u32 {
        // SAFETY: the relation is open during the call.
        unsafe { (*self.data().tg_relation).rd_id.to_u32() }
    }

    /// The oid of the trigger's function.
    pub(super) fn function(&self) -> pg_sys::Oid {
        self.function
    }

    /// Whether the rows that the relation's writers change are in the WAL as rows: a permanent table in a heap,
    /// at `wal_level = logical`. A partition's rows are, too, but others speak of them by other names.
    pub(crate) fn rows_are_in_wal(&self) -> bool {
        // SAFETY: the relation is open during the call.
        self.event() != Event::Truncate && unsafe { rows_are_in_wal(self.data().tg_relation) }
    }

    /// The row before the event, in a row trigger for UPDATE or DELETE.
    pub(crate) fn old_row(&self) -> Option<Row<'_>> {
        match self.event() {
            Event::Update | Event::Delete => self.row(self.data().tg_trigslot),
            Event::Insert | Event::Truncate => None,
        }
    }

    /// The row after the event, in a row trigger for INSERT or UPDATE.
    pub(crate) fn new_row(&self) -> Option<Row<'_>> {
        match self.event() {
            Event::Insert => self.row(self.data().tg_trigslot),
            Event::Update => self.row(self.data().tg_newslot),
            Event::Delete | Event::Truncate => None,
        }
    }

    fn row(&self, slot: *mut pg_sys::TupleTableSlot) -> Option<Row<'_>> {
        let relation = self.data().tg_relation;
        NonNull::new(slot).map(|slot| Row {
            relation,
            slot,
            lifetime: PhantomData,
        })
    }

    /// The rows that the statement removed, if the trigger asks for them.
    pub(crate) fn old_table(&self) -> Option<TransitionTable<'_>> {
        self.table(self.data().tg_oldtable)
    }

    /// The rows that the statement added, if the trigger asks for them.
    pub(crate) fn new_table(&self) -> Option<TransitionTable<'_>> {
        self.table(self.data().tg_newtable)
    }

    fn table(&self, store: *mut pg_sys::Tuplestorestate) -> Option<TransitionTable<'_>> {
        let relation = self.data().tg_relation;
        NonNull::new(store).map(|store| TransitionTable {
            relation,
            store,
            lifetime: PhantomData,
        })
    }
}

/// As [`Fired::rows_are_in_wal`], whatever the event, but for TRUNCATE.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn rows_are_in_wal(relation: pg_sys::Relation) -> bool {
    /// The access method `heap`.
    const HEAP: u32 = 2;
    // SAFETY: as the caller promises.
    let entry = unsafe { &*(*relation).rd_rel };
    let is = |field: std::ffi::c_char, letter: u8| field.cast_unsigned() == letter;
    decoding::is_possible()
        && is(entry.relkind, b'r')
        && is(entry.relpersistence, b'p')
        && entry.relam.to_u32() == HEAP
        && !entry.relispartition
}

impl TransitionTable<'_> {
    /// How many rows there are.
    pub(crate) fn len(&self) -> u64 {
        // SAFETY: the store lives as long as the call.
        let count = unsafe { pg_sys::tuplestore_tuple_count(self.store.as_ptr()) };
        u64::try_from(count).unwrap_or(0)
    }

    /// A pass from the first row on. Other readers of the table are not disturbed.
    pub(crate) fn rows(&self) -> Cursor<'_> {
        // SAFETY: the store lives as long as the call and allows rewinding; the slot gets the
        // relation's row type, which transition rows have.
        unsafe {
            let store = self.store.as_ptr();
            #[allow(clippy::cast_possible_wrap)] // a small flag
            let rewind = pg_sys::EXEC_FLAG_REWIND as i32;
            let pointer = pg_sys::tuplestore_alloc_read_pointer(store, rewind);
            pg_sys::tuplestore_select_read_pointer(store, pointer);
            // A new pointer starts where pointer 0 is.
            pg_sys::tuplestore_rescan(store);
            let slot = pg_sys::MakeSingleTupleTableSlot(
                (*self.relation).rd_att,
                &raw const pg_sys::TTSOpsMinimalTuple,
            );
            Cursor {
                table: self,
                pointer,
                slot: NonNull::new_unchecked(slot),
            }
        }
    }
}

impl Cursor<'_> {
    /// The next row. It is valid until the cursor moves again.
    pub(crate) fn next(&mut self) -> Option<Row<'_>> {
        // SAFETY: store and slot are alive; nobody writes to a transition table any more, so a row
        // that the slot only points to stays where it is.
        let found = unsafe {
            let store = self.table.store.as_ptr();
            pg_sys::tuplestore_select_read_pointer(store, self.pointer);
            pg_sys::tuplestore_gettupleslot(store, true, false, self.slot.as_ptr())
        };
        let relation = self.table.relation;
        found.then_some(Row {
            relation,
            slot: self.slot,
            lifetime: PhantomData,
        })
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        // After an ERROR the memory context takes the slot away.
        if !std::thread::panicking() {
            // SAFETY: made by `rows`; no row borrows it any more.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot.as_ptr()) };
        }
    }
}

impl Row<'_> {
    /// The oid of the row's relation.
    pub(crate) fn relation(&self) -> u32 {
        // SAFETY: the relation is open as long as the row is valid.
        unsafe { (*self.relation).rd_id.to_u32() }
    }

    /// Whether both rows have the same bytes: then nobody can tell them apart. Rows that differ in
    /// representation only may be told apart.
    pub(crate) fn same_bytes(&self, other: &Row<'_>) -> bool {
        // SAFETY: both slots are valid; the tuples live in them until they are cleared.
        unsafe {
            let (a, free_a) = minimal_tuple(self.slot);
            let (b, free_b) = minimal_tuple(other.slot);
            let same = content(a) == content(b);
            for (tuple, free) in [(a, free_a), (b, free_b)] {
                if free {
                    pg_sys::pfree(tuple.cast());
                }
            }
            same
        }
    }
}

/// # Safety
/// The slot must hold a row.
unsafe fn minimal_tuple(
    slot: NonNull<pg_sys::TupleTableSlot>,
) -> (*mut pg_sys::MinimalTupleData, bool) {
    let mut free = false;
    // SAFETY: as the caller promises.
    let tuple = unsafe { pg_sys::ExecFetchSlotMinimalTuple(slot.as_ptr(), &raw mut free) };
    (tuple, free)
}

/// Number of columns, whether there are NULLs, and the bytes from the NULL bitmap on. What is left
/// out tells how the row got there, not what it says.
///
/// # Safety
/// The tuple must be valid.
unsafe fn content<'a>(tuple: *mut pg_sys::MinimalTupleData) -> (u32, bool, u8, &'a [u8]) {
    // SAFETY: a valid tuple has t_len bytes, of which t_bits begins behind the fixed part.
    unsafe {
        let fixed = std::mem::offset_of!(pg_sys::MinimalTupleData, t_bits);
        let length = (*tuple).t_len as usize;
        let bytes = std::slice::from_raw_parts(tuple.cast::<u8>().add(fixed), length - fixed);
        let columns = u32::from((*tuple).t_infomask2) & pg_sys::HEAP_NATTS_MASK;
        let nulls = u32::from((*tuple).t_infomask) & pg_sys::HEAP_HASNULL != 0;
        (columns, nulls, (*tuple).t_hoff, bytes)
    }
}
