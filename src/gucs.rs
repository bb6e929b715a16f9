//! Settings of functions. Limits: sessions may lower them, only a superuser may raise them. Who may call what in SQL: a
//! superuser's alone.

use std::ffi::{CStr, CString};
use std::sync::atomic::AtomicI32;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::guc::{self, Limit, Unit};

const fn limit(
    name: &'static CStr,
    unit: Unit,
    default: i32,
    bounds: (i32, i32),
    short: &'static CStr,
    long: &'static CStr,
) -> Limit {
    Limit {
        name,
        short,
        long,
        bounds,
        unit,
        default,
        value: AtomicI32::new(default),
    }
}

static HEAP_SIZE_MB: Limit = limit(
    c"pg_live.heap_size_mb",
    Unit::Count,
    64,
    (16, 4096),
    c"JavaScript heap of one session.",
    c"A function that needs more ends with an error (SQLSTATE 53200).",
);
static USER_TIME_MS: Limit = limit(
    c"pg_live.user_time_ms",
    Unit::Count,
    5_000,
    (1, 600_000),
    c"Time that one function may spend in its own JavaScript.",
    c"Time in SQL does not count. A function that needs more ends with an error (57014).",
);
static MAX_DOCUMENTS_READ: Limit = limit(
    c"pg_live.max_documents_read",
    Unit::Count,
    32_000,
    (1, i32::MAX),
    c"Documents that one function may read.",
    c"Functions that it calls count with it, documents that filters drop count, too.",
);
static MAX_BYTES_READ: Limit = limit(
    c"pg_live.max_bytes_read",
    Unit::Bytes,
    16 << 20,
    (1, i32::MAX),
    c"Bytes of documents that one function may read.",
    c"Functions that it calls count with it, documents that filters drop count, too.",
);
static MAX_DATABASE_QUERIES: Limit = limit(
    c"pg_live.max_database_queries",
    Unit::Count,
    4_096,
    (1, i32::MAX),
    c"Ranges of indexes that one function may read.",
    c"Functions that it calls count with it. A document read by its id is one, too.",
);
static MAX_DOCUMENTS_WRITTEN: Limit = limit(
    c"pg_live.max_documents_written",
    Unit::Count,
    16_000,
    (1, i32::MAX),
    c"Documents that one function may insert, change or delete.",
    c"Functions that it calls count with it.",
);
static MAX_BYTES_WRITTEN: Limit = limit(
    c"pg_live.max_bytes_written",
    Unit::Bytes,
    16 << 20,
    (1, i32::MAX),
    c"Bytes of documents that one function may insert or change.",
    c"Functions that it calls count with it.",
);
static MAX_CALL_DEPTH: Limit = limit(
    c"pg_live.max_call_depth",
    Unit::Count,
    8,
    (0, 64),
    c"How deep functions may call one another.",
    c"0: functions cannot call functions.",
);
static SMALL_TABLE_KB: Limit = limit(
    c"pg_live.small_table_kb",
    Unit::Count,
    256,
    (0, 1 << 20),
    c"Size up to which a deploy reads and indexes a table while it holds its lock.",
    c"Larger tables are checked and indexed beside their readers and writers.",
);

static IMAGE_CACHE_MB: Limit = limit(
    c"pg_live.image_cache_mb",
    Unit::Count,
    256,
    (0, 1 << 20),
    c"Size of the folder with images of evaluated modules.",
    c"The oldest are removed. With 0 none are made or used: modules are evaluated in every call.",
);

static SQL_SCHEMAS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"api"));
static ANONYMOUS_ROLE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

fn register_texts() {
    GucRegistry::define_string_guc(
        c"pg_live.sql_schemas",
        c"Schemas whose functions clients may query as sql/schema:function.",
        c"Names with commas between them. EXECUTE on the function decides who may.",
        &SQL_SCHEMAS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_live.anonymous_role",
        c"The role of clients whose token has no claim `role`, or who have none.",
        c"It must be granted to the relay's login. Empty: they cannot query SQL functions.",
        &ANONYMOUS_ROLE,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// Schemas whose functions clients may query.
pub(crate) fn sql_schemas() -> Vec<String> {
    text(&SQL_SCHEMAS)
        .split(',')
        .map(|schema| schema.trim().to_owned())
        .filter(|schema| !schema.is_empty())
        .collect()
}

/// The role of callers that have none.
pub(crate) fn anonymous_role() -> Option<String> {
    Some(text(&ANONYMOUS_ROLE)).filter(|role| !role.is_empty())
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    let text = setting.get().unwrap_or_default();
    text.to_string_lossy().into_owned()
}

/// Registers the settings; called once when the library is loaded.
pub(crate) fn register() {
    register_texts();
    guc::register([
        &HEAP_SIZE_MB,
        &USER_TIME_MS,
        &MAX_DOCUMENTS_READ,
        &MAX_BYTES_READ,
        &MAX_DATABASE_QUERIES,
        &MAX_DOCUMENTS_WRITTEN,
        &MAX_BYTES_WRITTEN,
        &MAX_CALL_DEPTH,
        &SMALL_TABLE_KB,
        &IMAGE_CACHE_MB,
    ]);
}

fn value(limit: &Limit) -> usize {
    usize::try_from(limit.get()).unwrap_or(0)
}

/// The JavaScript heap limit in bytes.
pub(crate) fn heap_size_bytes() -> usize {
    value(&HEAP_SIZE_MB) << 20
}

/// The JavaScript time limit in milliseconds.
pub(crate) fn user_time_ms() -> u64 {
    value(&USER_TIME_MS) as u64
}

/// Documents that one function may read.
pub(crate) fn max_documents_read() -> usize {
    value(&MAX_DOCUMENTS_READ)
}

/// Bytes of documents that one function may read.
pub(crate) fn max_bytes_read() -> usize {
    value(&MAX_BYTES_READ)
}

/// Ranges of indexes that one function may read.
pub(crate) fn max_database_queries() -> usize {
    value(&MAX_DATABASE_QUERIES)
}

/// Documents that one function may write.
pub(crate) fn max_documents_written() -> usize {
    value(&MAX_DOCUMENTS_WRITTEN)
}

/// Bytes of documents that one function may write.
pub(crate) fn max_bytes_written() -> usize {
    value(&MAX_BYTES_WRITTEN)
}

/// How deep functions may call one another.
pub(crate) fn max_call_depth() -> usize {
    value(&MAX_CALL_DEPTH)
}

/// The size in bytes up to which a table is small.
pub(crate) fn small_table_bytes() -> i64 {
    i64::from(SMALL_TABLE_KB.get()) << 10
}

/// Whether this session's calls use images of evaluated modules.
pub(crate) fn uses_images() -> bool {
    IMAGE_CACHE_MB.get() > 0
}

/// Bytes that all images may take. A session cannot make the folder of all smaller.
pub(crate) fn image_cache_bytes() -> u64 {
    u64::try_from(IMAGE_CACHE_MB.configured()).unwrap_or(0) << 20
}
