//! Settings of capture and of the invalidator.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

static MAX_DATABASES: GucSetting<i32> = GucSetting::<i32>::new(4);
static RING_SIZE_KB: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);
static REPAIRING: GucSetting<bool> = GucSetting::<bool>::new(false);
static MAX_READ_SET_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(256 * 1024);
static CAPTURE: GucSetting<Capture> = GucSetting::<Capture>::new(Capture::Auto);
static EMIT_WAL: GucSetting<bool> = GucSetting::<bool>::new(false);
static MAX_WRITE_KEYS: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// How tables are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PostgresGucEnum)]
enum Capture {
    #[name = c"auto"]
    Auto,
    #[name = c"trigger"]
    Trigger,
    #[name = c"wal"]
    Wal,
}

/// Makes the settings of shared memory known; only while the server starts, later ones are refused.
pub(crate) fn register_at_start() {
    GucRegistry::define_int_guc(
        c"pg_live.max_databases",
        c"How many databases of this server may have live queries at the same time.",
        c"Each takes shared memory: pg_live.ring_size_kb and about 4 MB.",
        &MAX_DATABASES,
        1,
        64,
        GucContext::Postmaster,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_live.ring_size_kb",
        c"Size of the log of writes and registrations of each database.",
        c"When it is full all live queries of the database are run again.",
        &RING_SIZE_KB,
        64,
        1024 * 1024,
        GucContext::Postmaster,
        GucFlags::UNIT_KB,
    );
}

/// Makes the settings known. To be called once, when the library is loaded.
pub(crate) fn register() {
    GucRegistry::define_int_guc(
        c"pg_live.max_write_keys",
        c"How many changed rows of one table a transaction may publish one by one.",
        c"Beyond it the whole table counts as changed.",
        &MAX_WRITE_KEYS,
        0,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_live.max_read_set_memory",
        c"Memory of each worker for live queries and what they depend on.",
        c"From three quarters of it on a new live query depends on whole tables; beyond it none is taken.",
        &MAX_READ_SET_MEMORY,
        64,
        64 * 1024 * 1024,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_enum_guc(
        c"pg_live.capture",
        c"How changes of tables are captured that are not captured yet: by triggers, or from the WAL.",
        c"auto: by triggers. live.set_capture() and live.apply_capture() change how tables are that are captured.",
        &CAPTURE,
        GucContext::SuBackend,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_live.emit_wal",
        c"Whether invalidations are written to the WAL as logical messages.",
        c"Subscribers of the output plugin pg_live get them. Needs wal_level = logical.",
        &EMIT_WAL,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_live.repairing",
        c"Set by the extension while it changes its own triggers.",
        c"Its event trigger for DDL does nothing meanwhile.",
        &REPAIRING,
        GucContext::Suset,
        GucFlags::NO_SHOW_ALL | GucFlags::DISALLOW_IN_FILE,
    );
}

/// `pg_live.emit_wal`.
pub(crate) fn emit_wal() -> bool {
    EMIT_WAL.get()
}

/// `pg_live.max_databases`.
pub(crate) fn max_databases() -> usize {
    usize::try_from(MAX_DATABASES.get()).unwrap_or(1)
}

/// `pg_live.ring_size_kb`, in bytes.
pub(crate) fn ring_bytes() -> usize {
    usize::try_from(RING_SIZE_KB.get()).unwrap_or(64) * 1024
}

/// `pg_live.max_read_set_memory`, in bytes.
pub(crate) fn max_read_set_bytes() -> usize {
    usize::try_from(MAX_READ_SET_MEMORY.get()).unwrap_or(64) * 1024
}

/// `pg_live.max_write_keys`.
pub(crate) fn max_write_keys() -> usize {
    usize::try_from(MAX_WRITE_KEYS.get()).unwrap_or(0)
}
