//! The stream for outside subscribers: a line of JSON for each commit and each changed key, and for messages
//! of pg_live. docs/wal-stream.md describes it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int};

use pgrx::pg_sys;
use serde_json::{Map, Value, json};

use super::full_xid;
use super::row::{Column, Row};
use crate::pg::wal::Lsn;

/// Microseconds between 1970, which the stream counts from, and 2000, which Postgres counts from.
const EPOCH_US: i64 = 946_684_800_000_000;
/// Bitmaps of columns begin with the system's own.
const FIRST_COLUMN: c_int = 7;

/// What the subscriber asks for, and where the stream is.
struct Stream {
    /// Only these, as `schema.table`; all if there is none.
    tables: BTreeSet<String>,
    messages: bool,
    /// The line that begins the present transaction was written.
    begun: bool,
}

thread_local! {
    // A process has one slot at a time.
    static STREAM: RefCell<Stream> = const {
        RefCell::new(Stream { tables: BTreeSet::new(), messages: true, begun: false })
    };
}

pub(super) fn callbacks() -> pg_sys::OutputPluginCallbacks {
    pg_sys::OutputPluginCallbacks {
        startup_cb: Some(startup),
        begin_cb: Some(begin),
        change_cb: Some(change),
        truncate_cb: Some(truncate),
        commit_cb: Some(commit),
        message_cb: Some(message),
        ..pg_sys::OutputPluginCallbacks::default()
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn startup(
    context: *mut pg_sys::LogicalDecodingContext,
    options: *mut pg_sys::OutputPluginOptions,
    _is_init: bool,
) {
    // SAFETY: Postgres passes the context and options to be filled; the list is one of DefElem.
    let given = unsafe {
        (*options).output_type = pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
        given_options((*context).output_plugin_options)
    };
    let mut stream = Stream {
        tables: BTreeSet::new(),
        messages: true,
        begun: false,
    };
    for (name, value) in given {
        match (name.as_str(), value.as_deref()) {
            ("tables", Some(list)) => {
                let names = list.split(',').map(|name| name.trim().to_owned());
                stream.tables = names.filter(|name| !name.is_empty()).collect();
            }
            ("messages", Some("on" | "true" | "1") | None) => stream.messages = true,
            ("messages", Some("off" | "false" | "0")) => stream.messages = false,
            (name, value) => pgrx::error!(
                "output plugin pg_live does not know option {name} with value {}: there are \
                 \"tables\" (schema.table, ...) and \"messages\" (on, off)",
                value.unwrap_or("none")
            ),
        }
    }
    STREAM.set(stream);
}

/// # Safety
/// `options` must be null or a list of `DefElem` whose arguments are strings.
unsafe fn given_options(options: *mut pg_sys::List) -> Vec<(String, Option<String>)> {
    let mut given = Vec::new();
    if options.is_null() {
        return given;
    }
    // SAFETY: as the caller promises.
    unsafe {
        for index in 0..usize::try_from((*options).length).unwrap_or(0) {
            let element = (*(*options).elements.add(index)).ptr_value;
            let element = element.cast::<pg_sys::DefElem>();
            let text = |text: *const c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
            let value = (*element).arg;
            let value =
                (!value.is_null()).then(|| text(pg_sys::defGetString(element).cast_const()));
            given.push((text((*element).defname), value));
        }
    }
    given
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn begin(
    _context: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
) {
    STREAM.with_borrow_mut(|stream| stream.begun = false);
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn change(
    context: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    relation: pg_sys::Relation,
    change: *mut pg_sys::ReorderBufferChange,
) {
    use pg_sys::ReorderBufferChangeType as Kind;
    // SAFETY: Postgres passes an open relation and a change of one of its rows.
    unsafe {
        let Some(name) = wanted_name(relation) else {
            return;
        };
        let kind = match (*change).action {
            Kind::REORDER_BUFFER_CHANGE_INSERT => "insert",
            Kind::REORDER_BUFFER_CHANGE_UPDATE => "update",
            Kind::REORDER_BUFFER_CHANGE_DELETE => "delete",
            _ => return,
        };
        let rows = (*change).data.tp;
        let mut line = Map::new();
        line.insert("kind".to_owned(), json!(kind));
        line.extend(name);
        for (name, tuple) in [("old", rows.oldtuple), ("new", rows.newtuple)] {
            if let Some(row) = Row::of(relation, tuple) {
                line.insert(name.to_owned(), Value::Object(key(relation, &row)));
            }
        }
        begin_line(context, txn);
        write(context, &Value::Object(line));
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn truncate(
    context: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    count: c_int,
    relations: *mut pg_sys::Relation,
    _change: *mut pg_sys::ReorderBufferChange,
) {
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: Postgres passes an array of that many open relations.
        unsafe {
            if let Some(name) = wanted_name(*relations.add(index)) {
                let mut line = Map::new();
                line.insert("kind".to_owned(), json!("truncate"));
                line.extend(name);
                begin_line(context, txn);
                write(context, &Value::Object(line));
            }
        }
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn commit(
    context: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    commit: pg_sys::XLogRecPtr,
) {
    if !STREAM.with_borrow(|stream| stream.begun) {
        return;
    }
    // SAFETY: Postgres passes the transaction.
    unsafe {
        let line = json!({
            "kind": "commit",
            "xid": full_xid(txn),
            "lsn": text(commit),
            "end_lsn": text((*txn).end_lsn),
            "time_us": (*txn).xact_time.commit_time + EPOCH_US,
        });
        write(context, &line);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn message(
    context: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
    lsn: pg_sys::XLogRecPtr,
    transactional: bool,
    prefix: *const c_char,
    size: pg_sys::Size,
    content: *const c_char,
) {
    if !STREAM.with_borrow(|stream| stream.messages) {
        return;
    }
    // SAFETY: Postgres passes a C string, and as many bytes as it says.
    unsafe {
        if CStr::from_ptr(prefix) != c"pg_live" {
            return;
        }
        let content = std::slice::from_raw_parts(content.cast::<u8>(), size);
        let content = serde_json::from_slice::<Value>(content)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(content)));
        if transactional {
            begin_line(context, txn);
        }
        let line = json!({ "kind": "message", "lsn": text(lsn), "content": content });
        write(context, &line);
    }
}

/// Writes the line that begins a transaction, unless it was written.
///
/// # Safety
/// Both must be what Postgres passed to a callback.
unsafe fn begin_line(
    context: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
) {
    if STREAM.with_borrow_mut(|stream| std::mem::replace(&mut stream.begun, true)) {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        let line = json!({
            "kind": "begin",
            "xid": full_xid(txn),
            "lsn": text((*txn).final_lsn),
            "time_us": (*txn).xact_time.commit_time + EPOCH_US,
        });
        write(context, &line);
    }
}

/// # Safety
/// The context must be what Postgres passed to a callback that may write.
unsafe fn write(context: *mut pg_sys::LogicalDecodingContext, line: &Value) {
    let line = line.to_string();
    // SAFETY: as the caller promises; the bytes are copied.
    unsafe {
        pg_sys::OutputPluginPrepareWrite(context, true);
        pg_sys::appendBinaryStringInfo(
            (*context).out,
            line.as_ptr().cast(),
            c_int::try_from(line.len()).unwrap_or(0),
        );
        pg_sys::OutputPluginWrite(context, true);
    }
}

/// Schema and table, if the subscriber wants to hear of it. pg_live's own tables are left out.
///
/// # Safety
/// The relation must be open.
unsafe fn wanted_name(relation: pg_sys::Relation) -> Option<[(String, Value); 2]> {
    // SAFETY: as the caller promises; names of a catalog entry are C strings, null if there is none.
    let (schema, table) = unsafe {
        let entry = &*(*relation).rd_rel;
        let schema = pg_sys::get_namespace_name(entry.relnamespace);
        if schema.is_null() {
            return None;
        }
        (
            CStr::from_ptr(schema).to_string_lossy().into_owned(),
            pgrx::name_data_to_str(&entry.relname).to_owned(),
        )
    };
    let wanted = STREAM.with_borrow(|stream| {
        if stream.tables.is_empty() {
            schema != "live"
        } else {
            stream.tables.contains(&format!("{schema}.{table}"))
        }
    });
    wanted.then(|| {
        [
            ("schema".to_owned(), json!(schema)),
            ("table".to_owned(), json!(table)),
        ]
    })
}

/// The key of a row: the columns of the primary key, or else of the replica identity, as text.
///
/// # Safety
/// The relation must be open and the row one of its own.
unsafe fn key(relation: pg_sys::Relation, row: &Row<'_>) -> Map<String, Value> {
    use pg_sys::IndexAttrBitmapKind as Kind;
    // SAFETY: as the caller promises; the sets are copies of ours.
    unsafe {
        let mut columns =
            pg_sys::RelationGetIndexAttrBitmap(relation, Kind::INDEX_ATTR_BITMAP_PRIMARY_KEY);
        if columns.is_null() {
            columns =
                pg_sys::RelationGetIndexAttrBitmap(relation, Kind::INDEX_ATTR_BITMAP_IDENTITY_KEY);
        }
        let mut key = Map::new();
        for (position, name) in row.names() {
            let number = c_int::try_from(position).unwrap_or(c_int::MAX - FIRST_COLUMN - 1);
            if !pg_sys::bms_is_member(number + 1 + FIRST_COLUMN, columns) {
                continue;
            }
            match row.column(position) {
                Column::Null => key.insert(name.to_owned(), Value::Null),
                Column::Value(of, value) => key.insert(name.to_owned(), output(of, value)),
                Column::Missing | Column::Unchanged => None,
            };
        }
        key
    }
}

/// # Safety
/// The datum must be of the type.
unsafe fn output(of: pg_sys::Oid, value: pg_sys::Datum) -> Value {
    // SAFETY: the type's own output function gives a C string.
    unsafe {
        let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(of, &raw mut function, &raw mut is_varlena);
        let text = pg_sys::OidOutputFunctionCall(function, value);
        json!(CStr::from_ptr(text).to_string_lossy())
    }
}

/// A place in the WAL as Postgres writes it.
fn text(lsn: Lsn) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}
