//! Locks that nobody else has to wait for: taken within a tenth of a second, or given back.
//!
//! A waiter for an exclusive lock holds up everyone who comes after it. The deploy functions are
//! declared with a `lock_timeout` of 100 ms and a `deadlock_timeout` below it, so that it is they
//! who give way in a deadlock, and so that an autovacuum in the way is asked to leave.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::pg::session::{self, Subtransaction};
use crate::pg::spi::{self, Access, Param};

/// How long a deploy tries before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause after the first failure; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Runs `body` in a subtransaction, again and again while it cannot have its locks; between the
/// attempts it holds none.
///
/// # Errors
/// Those of `body`; [`Error::Busy`] with the transactions in the way when patience is at an end.
pub(super) fn with_short_locks<T>(body: impl Fn() -> Result<T>) -> Result<T> {
    let (begun, mut pause) = (Instant::now(), PAUSE);
    loop {
        if let Some(result) = if_free(&body)? {
            return Ok(result);
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::Busy(in_the_way()?));
        }
        spi::query_one(
            "SELECT pg_catalog.pg_sleep($1)",
            &[Param::Float8(pause.as_secs_f64())],
            Access::Write,
            |_| Ok(()),
        )?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Runs `body` in a subtransaction; `None`, and nothing done, if it cannot have its locks.
pub(super) fn if_free<T>(body: impl Fn() -> Result<T>) -> Result<Option<T>> {
    let outcome = session::subtransaction(
        || catch_unwind(AssertUnwindSafe(&body)),
        |result| matches!(result, Ok(Ok(_))),
    );
    let (Subtransaction::Released(result) | Subtransaction::RolledBack(result)) = outcome;
    match result {
        Ok(result) => result.map(Some),
        Err(payload) if session::describe(payload.as_ref()).lock_refused => Ok(None),
        Err(payload) => resume_unwind(payload),
    }
}

/// The oldest transactions that hold locks on tables of documents, for the message.
fn in_the_way() -> Result<String> {
    let holders = spi::query(
        "SELECT DISTINCT ON (a.xact_start, a.pid) pg_catalog.format( \
             'process %s (%s since %s, holds a lock on %s)', a.pid, a.state, \
             pg_catalog.date_trunc('second', a.xact_start), l.relation::pg_catalog.regclass) \
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) \
         JOIN live.tables t ON l.relation = \
             pg_catalog.to_regclass(pg_catalog.format('%I.%I', t.schema, t.relation)) \
         WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.database = \
             (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) \
         ORDER BY a.xact_start, a.pid LIMIT 3",
        &[],
        Access::Write,
        |row| row.need::<String>(0),
    )?;
    Ok(if holders.is_empty() {
        "transactions that have ended by now".to_owned()
    } else {
        holders.join(", ")
    })
}
