//! The output plugin `pg_live`: what Postgres calls while it decodes. The decoder's own process gets what was
//! decoded as values, all others a stream of JSON.

use std::ffi::c_int;

use pgrx::pg_sys;

use super::row::Row;
use super::{Changed, decodes_for_itself, full_xid, stream, with_sink};

/// REPLICA IDENTITY FULL in pg_class.
const FULL: u8 = b'f';

/// The symbol by which Postgres finds the plugin.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C-unwind" fn _PG_output_plugin_init(
    callbacks: *mut pg_sys::OutputPluginCallbacks,
) {
    let ours = if decodes_for_itself() {
        pg_sys::OutputPluginCallbacks {
            startup_cb: Some(startup),
            begin_cb: Some(begin),
            change_cb: Some(change),
            truncate_cb: Some(truncate),
            commit_cb: Some(commit),
            ..pg_sys::OutputPluginCallbacks::default()
        }
    } else {
        stream::callbacks()
    };
    // SAFETY: Postgres passes a place to be filled.
    unsafe { *callbacks = ours };
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup(
    _context: *mut pg_sys::LogicalDecodingContext,
    options: *mut pg_sys::OutputPluginOptions,
    _is_init: bool,
) {
    // SAFETY: Postgres passes options to be filled.
    unsafe {
        (*options).output_type = pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_BINARY_OUTPUT;
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn begin(
    _context: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
) {
    with_sink(|sink| sink.begin());
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn change(
    context: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
    relation: pg_sys::Relation,
    change: *mut pg_sys::ReorderBufferChange,
) {
    // SAFETY: Postgres passes an open relation and a change of one of its rows. What is allocated while the rows
    // are read goes into a context that is emptied after each change: a transaction may have millions.
    unsafe {
        let changed = Changed {
            rel: (*relation).rd_id.to_u32(),
            has_old_rows: (*(*relation).rd_rel).relreplident.cast_unsigned() == FULL,
            is_insert: (*change).action
                == pg_sys::ReorderBufferChangeType::REORDER_BUFFER_CHANGE_INSERT,
        };
        if with_sink(|sink| sink.wants(&changed)) != Some(true) {
            return;
        }
        let scratch = scratch((*context).context);
        let before = pg_sys::MemoryContextSwitchTo(scratch);
        let rows = (*change).data.tp;
        let old = Row::of(relation, rows.oldtuple);
        let new = Row::of(relation, rows.newtuple);
        with_sink(|sink| sink.change(&changed, old.as_ref(), new.as_ref()));
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::MemoryContextReset(scratch);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn truncate(
    _context: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
    count: c_int,
    relations: *mut pg_sys::Relation,
    _change: *mut pg_sys::ReorderBufferChange,
) {
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: Postgres passes an array of that many open relations.
        let rel = unsafe { (**relations.add(index)).rd_id.to_u32() };
        with_sink(|sink| sink.truncate(rel));
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn commit(
    _context: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    _commit: pg_sys::XLogRecPtr,
) {
    // SAFETY: Postgres passes the transaction.
    let (xid, end) = unsafe { (full_xid(txn), (*txn).end_lsn) };
    with_sink(|sink| sink.commit(xid, end));
}

/// A memory context below that of the decoding, made once in this process.
///
/// # Safety
/// `parent` must be a memory context that lasts as long as the process.
unsafe fn scratch(parent: pg_sys::MemoryContext) -> pg_sys::MemoryContext {
    thread_local! {
        static SCRATCH: std::cell::Cell<pg_sys::MemoryContext> = const { std::cell::Cell::new(std::ptr::null_mut()) };
    }
    if SCRATCH.get().is_null() {
        // SAFETY: as the caller promises.
        SCRATCH.set(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                parent,
                c"pg_live decoder".as_ptr(),
                0,
                8 * 1024,
                8 * 1024 * 1024,
            )
        });
    }
    SCRATCH.get()
}
