//! The scribe: one background worker for each database that has a worker, with nothing else to do than to
//! append what the queue holds, so that the worker that matches never waits for a table.

use std::time::{Duration, Instant};

use pgrx::pg_sys;

use super::capturer::Capturer;
use super::poller::Poller;
use super::settings;
use crate::pg::latch::{self, ProcessSeat};
use crate::pg::shmem::{self, Slot};
use crate::pg::spi::{self, Param};
use crate::pg::worker;

/// How long records gather before they are appended: so often a transaction, however many calls there are.
const GATHER: Duration = Duration::from_millis(200);
const IDLE: Duration = Duration::from_secs(10);
/// After an error: somebody may hold a lock on the tables.
const RETRY: Duration = Duration::from_secs(2);
/// Bytes that one transaction appends.
const CHUNK: usize = 256 * 1024;
/// Rows that one transaction deletes.
const PRUNE_ROWS: i64 = 10_000;
/// Deployments whose figures are kept.
const KEPT_DEPLOYMENTS: i64 = 100;

/// Appends an array of records ($1). A call that logs nothing and succeeds has no row.
const APPEND: &str = "\
    INSERT INTO live.logs (at, deployment, function, kind, caller, session, request, level, line, outcome, duration_ms) \
    SELECT pg_catalog.to_timestamp(r.at / 1000000.0), r.deployment, r.function, r.kind, r.caller, r.session, r.request, \
           l.level, l.text, CASE WHEN r.ok THEN 'success' ELSE 'error' END, r.ms \
    FROM ROWS FROM (pg_catalog.json_to_recordset($1::pg_catalog.json) AS (at int8, deployment int8, function text, \
           kind text, caller text, session text, request int8, ok bool, ms float8, lines json)) WITH ORDINALITY \
           AS r (at, deployment, function, kind, caller, session, request, ok, ms, lines, n), \
         ROWS FROM (pg_catalog.json_to_recordset(r.lines) AS (level text, text text)) WITH ORDINALITY AS l (level, text, n) \
    ORDER BY r.n, l.n";

/// Adds the same records ($1) to the figures.
const COUNT: &str = "\
    WITH r AS MATERIALIZED ( \
        SELECT r.*, live.histogram_bucket(r.ms) AS bucket \
        FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS r (at int8, deployment int8, function text, kind text, \
               found bool, ok bool, ms float8, read int8, written int8) \
        WHERE r.found AND r.deployment IS NOT NULL), \
    b AS (SELECT r.deployment, r.function, r.kind, r.bucket, pg_catalog.count(*) AS calls FROM r GROUP BY 1, 2, 3, 4) \
    INSERT INTO live.function_stats AS s (deployment, function, kind, calls, errors, total_ms, max_ms, documents_read, \
        documents_written, last_at, histogram) \
    SELECT r.deployment, r.function, r.kind, pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE NOT r.ok), \
           pg_catalog.sum(r.ms), pg_catalog.max(r.ms), pg_catalog.sum(r.read), pg_catalog.sum(r.written), \
           pg_catalog.to_timestamp(pg_catalog.max(r.at) / 1000000.0), \
           (SELECT pg_catalog.array_agg(COALESCE(b.calls, 0) ORDER BY n.n) FROM pg_catalog.generate_series(0, 95) AS n (n) \
            LEFT JOIN b ON b.bucket = n.n AND b.deployment = r.deployment AND b.function = r.function AND b.kind = r.kind) \
    FROM r GROUP BY r.deployment, r.function, r.kind \
    ON CONFLICT (deployment, function, kind) DO UPDATE SET \
        calls = s.calls + excluded.calls, errors = s.errors + excluded.errors, \
        total_ms = s.total_ms + excluded.total_ms, max_ms = GREATEST(s.max_ms, excluded.max_ms), \
        documents_read = s.documents_read + excluded.documents_read, \
        documents_written = s.documents_written + excluded.documents_written, \
        last_at = GREATEST(s.last_at, excluded.last_at), \
        histogram = live.histogram_sum(s.histogram, excluded.histogram)";

/// Notes the modules in the records ($1) whose calls no longer share a context.
const NOTE_FRESH: &str = "\
    UPDATE live.functions AS f SET context = 'fresh', reason = r.reason \
    FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS r (deployment int8, fresh_module text, reason text) \
    WHERE f.deployment = r.deployment AND f.module = r.fresh_module AND f.context = 'guarded'";

/// Deletes rows beyond the newest $1, at most $2 of them.
const PRUNE: &str = "\
    DELETE FROM live.logs WHERE id IN (SELECT l.id FROM live.logs AS l \
        WHERE l.id <= (SELECT pg_catalog.max(m.id) FROM live.logs AS m) - $1 ORDER BY l.id LIMIT $2)";

const PRUNE_FIGURES: &str = "DELETE FROM live.function_stats WHERE deployment <= (SELECT pg_catalog.max(id) FROM live.deployments) - $1";

worker::worker_main!(pg_live_scribe_main = main);

/// The scribe's process; the argument is the slot's number.
fn main(argument: pg_sys::Datum) {
    worker::begin();
    let Ok(memory) = shmem::memory() else {
        worker::exit(0)
    };
    let Some(slot) = memory.slots().get(argument.value()) else {
        worker::exit(0)
    };
    let database = slot.database();
    if database == 0 || worker::is_connected(slot.scribe_pid()) {
        worker::exit(0);
    }
    worker::connect(database);
    worker::before_exit(on_exit);
    slot.set_scribe(Some((ProcessSeat::own(), worker::own_pid())));
    // Log lines need not survive a crash of the server.
    worker::set_parameter(c"synchronous_commit", c"off");
    worker::set_parameter(c"lock_timeout", c"200ms");
    worker::set_parameter(c"search_path", c"pg_catalog, pg_temp");
    worker::report_activity("appending to live.logs");
    serve(slot);
    worker::exit(0);
}

fn on_exit() {
    if let Ok(memory) = shmem::memory() {
        let own = |slot: &&Slot| slot.scribe_pid() == worker::own_pid();
        if let Some(slot) = memory.slots().iter().find(own) {
            slot.set_scribe(None);
            memory.wake_launcher();
        }
    }
}

/// Until the slot is given back or the process is to end.
fn serve(slot: &Slot) {
    let mut batch = String::new();
    let mut capturer = Capturer::default();
    let mut poller = Poller::default();
    loop {
        latch::check_for_interrupts();
        worker::reload_if_asked();
        let serves = slot.database() == shmem::own_database() && slot.is_wanted();
        if worker::is_asked_to_end() || slot.has_stop() || !serves {
            return;
        }
        let pause = [capturer.serve(slot), poller.serve(slot)];
        let pause = pause.into_iter().flatten().min();
        if batch.is_empty() {
            batch = next_batch(slot);
        }
        if batch.is_empty() {
            latch::wait(pause.unwrap_or(IDLE));
            sleep(GATHER);
            continue;
        }
        match append(&batch) {
            Ok(()) => {
                batch.clear();
                sleep(GATHER);
            }
            Err(message) => {
                pgrx::log!("pg_live could not append to live.logs and will try again: {message}");
                sleep(RETRY);
            }
        }
    }
}

/// Waits, though records come in the meantime.
fn sleep(time: Duration) {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || worker::is_asked_to_end() {
            return;
        }
        latch::wait(left);
        latch::check_for_interrupts();
    }
}

/// A JSON array of records; empty if there are none.
fn next_batch(slot: &Slot) -> String {
    let records = slot.drain_journal(CHUNK);
    let texts: Vec<String> = records
        .into_iter()
        .filter_map(|record| String::from_utf8(record).ok())
        .collect();
    if texts.is_empty() {
        return String::new();
    }
    format!("[{}]", texts.join(","))
}

/// One short transaction.
fn append(batch: &str) -> Result<(), String> {
    let rows = settings::log_rows();
    worker::transaction(|| {
        if worker::extension() == 0 {
            return Ok(());
        }
        let records = [Param::Text(batch)];
        if rows > 0 {
            spi::execute(APPEND, &records)?;
        }
        spi::execute(COUNT, &records)?;
        if batch.contains("\"fresh_module\"") {
            spi::execute(NOTE_FRESH, &records)?;
        }
        spi::execute(PRUNE, &[Param::Int8(rows.into()), Param::Int8(PRUNE_ROWS)])?;
        spi::execute(PRUNE_FIGURES, &[Param::Int8(KEPT_DEPLOYMENTS)])
    })
    .and_then(|done: crate::error::Result<()>| done.map_err(|error| error.to_string()))
}
