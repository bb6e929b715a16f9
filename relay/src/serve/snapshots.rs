//! Snapshots that clients name: `/api/query_ts` takes one and holds it for a while, `/api/query_at_ts` reads at it.
//!
//! The timestamp *is* the name under which Postgres keeps the exported snapshot, so any relay of the database can
//! read at a snapshot that another one holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pg_live_session::Moment;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Relay;
use super::database::{FunctionResult, QueryRow, sql};
use super::http_error::ApiError;
use super::pool::{Pool, Taken};
use super::runs::Call;
use super::sql_error::{Verdict, describe, is_reusable_after, judge};
use super::transaction::end;

/// How long a snapshot is held after it was given to a client.
const HELD: Duration = Duration::from_secs(30);
/// When all places are taken, the oldest snapshot has to go if it is older.
const LEAST: Duration = Duration::from_secs(5);
/// A query that takes longer is cancelled.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The name of an exported snapshot: number of the backend that holds it, and of its transaction there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotName {
    backend: u32,
    transaction: u32,
}

/// Numbers of backends have at most so many bits.
const BACKEND_BITS: u32 = 24;

impl SnapshotName {
    /// Of `pg_export_snapshot()`: `<backend>-<transaction>-1`, hexadecimal.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
        let name = Self {
            backend: number()?,
            transaction: number()?,
        };
        let first_of_its_transaction = parts.next() == Some("1") && parts.next().is_none();
        (first_of_its_transaction && name.backend < 1 << BACKEND_BITS).then_some(name)
    }

    /// As a timestamp of the protocol.
    pub(crate) fn ts(self) -> u64 {
        (u64::from(self.backend) << 32) | u64::from(self.transaction)
    }

    /// `None` for a number that no snapshot has.
    pub(crate) fn from_ts(ts: u64) -> Option<Self> {
        let backend = u32::try_from(ts >> 32).ok()?;
        let transaction = u32::try_from(ts & u64::from(u32::MAX)).ok()?;
        (backend < 1 << BACKEND_BITS).then_some(Self {
            backend,
            transaction,
        })
    }

    fn text(self) -> String {
        format!("{:08X}-{:08X}-1", self.backend, self.transaction)
    }
}

/// The snapshots that this relay holds.
pub(crate) struct Snapshots {
    pool: Arc<Pool>,
    places: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    held: Vec<Held>,
    /// Places of those that are being taken.
    reserved: usize,
}

/// A place for one more, until it is held or comes to nothing.
struct Place<'a>(&'a Snapshots);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().reserved -= 1;
    }
}

#[derive(Clone)]
struct Held {
    name: SnapshotName,
    moment: Moment,
    since: Instant,
    until: Instant,
    release: CancellationToken,
}

impl Snapshots {
    pub(crate) fn new(pool: Pool, places: usize) -> Self {
        Self {
            pool: Arc::new(pool),
            places,
            table: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are held.
    pub(crate) fn count(&self) -> usize {
        self.lock().held.len()
    }

    /// The newest one, held on, if the database has not moved since.
    fn again(&self, now: Moment) -> Option<SnapshotName> {
        let mut table = self.lock();
        let newest = table.held.iter_mut().max_by_key(|held| held.since)?;
        let usable = now.boot != 0 && newest.moment == now && !newest.release.is_cancelled();
        usable.then(|| {
            newest.until = Instant::now() + HELD;
            newest.name
        })
    }

    /// A place for one more; the oldest may have to make room.
    fn reserve(&self) -> Option<Place<'_>> {
        let mut table = self.lock();
        if table.held.len() + table.reserved >= self.places {
            let ages = table.held.iter().map(|held| held.since).enumerate();
            let (oldest, since) = ages.min_by_key(|(_, since)| *since)?;
            if since.elapsed() < LEAST {
                return None;
            }
            table.held.swap_remove(oldest).release.cancel();
        }
        table.reserved += 1;
        Some(Place(self))
    }

    fn forget(&self, name: SnapshotName) {
        self.lock().held.retain(|held| held.name != name);
    }
}

/// Takes a snapshot that sees all that was committed before this call, and holds it.
pub(crate) async fn take(relay: &Arc<Relay>) -> Result<SnapshotName, ApiError> {
    let asking = relay
        .database
        .queries
        .take()
        .await
        .map_err(|_| ApiError::unavailable())?;
    let now = asking.now().await.map_err(|_| ApiError::unavailable())?;
    asking.give_back();
    if let Some(name) = relay.snapshots.again(now) {
        return Ok(name);
    }
    let place = relay.snapshots.reserve().ok_or_else(|| {
        ApiError::overloaded(
            "TooManyConcurrentRequests",
            "Too many snapshots are held for consistent queries. Try again in some seconds.",
        )
    })?;
    let connection = relay
        .snapshots
        .pool
        .take()
        .await
        .map_err(|_| ApiError::unavailable())?;
    let name = export(&connection).await.map_err(|error| {
        debug!(error = describe(&error), "no snapshot could be exported");
        ApiError::unavailable()
    })?;
    let name = SnapshotName::parse(&name).ok_or_else(ApiError::internal)?;
    let since = Instant::now();
    let held = Held {
        name,
        // Read before the snapshot was taken: if it is still that later, nothing has been committed since.
        moment: now,
        since,
        until: since + HELD,
        release: CancellationToken::new(),
    };
    relay.snapshots.lock().held.push(held.clone());
    drop(place);
    tokio::spawn(hold(Arc::clone(relay), connection, held));
    Ok(name)
}

async fn export(connection: &Taken) -> Result<String, tokio_postgres::Error> {
    connection.client.batch_execute(sql::BEGIN_QUERY).await?;
    let row = connection
        .client
        .query_one(sql::EXPORT_SNAPSHOT, &[])
        .await?;
    row.try_get(0)
}

/// Keeps the transaction open until its time has passed.
async fn hold(relay: Arc<Relay>, connection: Taken, mut held: Held) {
    loop {
        tokio::select! {
            () = relay.shutdown.cancelled() => break,
            () = held.release.cancelled() => break,
            () = sleep_until(held.until) => {}
        }
        let now = relay
            .snapshots
            .lock()
            .held
            .iter()
            .find(|it| it.name == held.name)
            .cloned();
        match now {
            Some(now) if now.until > Instant::now() => held = now,
            Some(_) | None => break,
        }
    }
    relay.snapshots.forget(held.name);
    if connection.client.batch_execute("COMMIT").await.is_ok() {
        connection.give_back();
    }
}

/// Runs a query at a snapshot that is held somewhere.
pub(crate) async fn execute_at(
    relay: &Relay,
    snapshot: SnapshotName,
    call: &Call,
) -> Result<FunctionResult, ApiError> {
    let connection = relay
        .database
        .queries
        .take()
        .await
        .map_err(|_| ApiError::unavailable())?;
    let cancel = connection.cancel();
    let Ok(row) = timeout(TIMEOUT, query_at(&connection, snapshot, call)).await else {
        // The connection is closed; its backend is told to stop.
        cancel.send().await;
        return Err(ApiError::unavailable());
    };
    relay.metrics.executions.add(1);
    match row {
        Ok(row) => {
            end(connection);
            let mut result = row.result;
            relay.log_function(&call.path, &mut result.log_lines, &mut result.outcome);
            Ok(FunctionResult {
                outcome: result.outcome,
                log_lines: result.log_lines,
            })
        }
        Err(error) => {
            if is_reusable_after(&error) {
                end(connection);
            }
            Err(refusal(&error))
        }
    }
}

/// The count of the snapshot is not known here; the smallest is always true of it, and nothing is registered.
async fn query_at(
    connection: &Taken,
    snapshot: SnapshotName,
    call: &Call,
) -> Result<QueryRow, tokio_postgres::Error> {
    let begin = format!(
        "{}; SET TRANSACTION SNAPSHOT '{}'; SELECT live.import_snapshot(1)",
        sql::BEGIN_QUERY,
        snapshot.text()
    );
    connection.client.batch_execute(&begin).await?;
    let (path, args, identity): (&str, &str, _) =
        (&call.path, &call.args, call.identity.as_deref());
    let row = connection
        .one(
            &connection.run_query,
            &[&path, &args, &identity, &0i64, &0i64, &0i64, &call.journal],
        )
        .await?;
    QueryRow::from_row(&row)
}

fn refusal(error: &tokio_postgres::Error) -> ApiError {
    let gone = [
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        SqlState::UNDEFINED_OBJECT,
    ];
    let out_of_retention = || {
        ApiError::overloaded(
            "OutOfRetention",
            "The snapshot of this timestamp is not held any more: ask /api/query_ts for a new one.",
        )
    };
    if error.code().is_some_and(|state| gone.contains(state)) {
        return out_of_retention();
    }
    debug!(error = describe(error), "a query at a snapshot failed");
    match judge(error) {
        // A table was truncated or redefined since: nobody can read it as it was.
        Verdict::Conflict => out_of_retention(),
        Verdict::Lost => ApiError::unavailable(),
        Verdict::Final => ApiError::refused_by_database(describe(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        let name = SnapshotName::parse("00000003-0000001B-1").unwrap();
        assert_eq!(
            (name.ts(), name.text().as_str()),
            ((3 << 32) + 27, "00000003-0000001B-1")
        );
        for text in [
            "",
            "3-1B",
            "3-1B-2",
            "3-1B-1-1",
            "x-1-1",
            "01000000-1-1",
            "'; DROP-1-1",
        ] {
            assert_eq!(SnapshotName::parse(text), None, "{text}");
        }
        assert_eq!(SnapshotName::from_ts(u64::MAX), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn a_timestamp_names_one_snapshot(ts: u64, text in ".{0,24}") {
            if let Some(name) = SnapshotName::from_ts(ts) {
                prop_assert_eq!(name.ts(), ts);
                prop_assert_eq!(SnapshotName::parse(&name.text()), Some(name));
            }
            if let Some(name) = SnapshotName::parse(&text) {
                prop_assert_eq!(SnapshotName::from_ts(name.ts()), Some(name));
            }
        }
    }
}
