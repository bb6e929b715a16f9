//! A small pool of prepared connections: as many transactions at once as it has places, first come,
//! first served, so that no session can starve the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Client, Error, Row};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::database::sql;
use super::metrics::{Metrics, Waiting};
use super::sql_error::describe;
use crate::postgres::{Stream, Target};

/// Longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// First pause; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Makes connections, patiently.
pub(crate) struct Connector {
    target: Target,
    shutdown: CancellationToken,
    metrics: Arc<Metrics>,
    in_trouble: AtomicBool,
    sessions: Sessions,
}

/// Whose the session behind a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sessions {
    /// The connection's own, as long as it lives.
    Own,
    /// A pooler's, which lends one for each transaction: nothing may be left in it or expected of it.
    Lent,
}

/// A statement as a connection sends it.
pub(crate) enum Statement {
    /// Known to the session.
    Prepared(tokio_postgres::Statement),
    /// Sent whole each time, to whatever session there is.
    Whole(&'static Text),
}

/// A statement and the types of its parameters.
pub(crate) struct Text {
    pub(crate) sql: &'static str,
    pub(crate) types: &'static [Type],
}

/// A connection with its statements.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) run_query: Statement,
    pub(crate) run_queries: Statement,
    pub(crate) run_mutation: Statement,
    pub(crate) last_commit: Statement,
    pub(crate) clock: Statement,
    pub(crate) watermark: Statement,
    pub(crate) catch_up: Statement,
    pub(crate) wait_for_replay: Statement,
}

/// The pool.
pub(crate) struct Pool {
    connector: Arc<Connector>,
    places: Arc<Semaphore>,
    idle: std::sync::Mutex<Vec<Connection>>,
    /// What makes a session ready.
    preparation: &'static str,
}

/// A connection taken from the pool. Unless it is given back by [`Taken::give_back`] it is closed:
/// whoever is interrupted leaves nothing half-done behind.
pub(crate) struct Taken {
    pool: Arc<Pool>,
    connection: Connection,
    _place: OwnedSemaphorePermit,
}

/// The relay is stopping.
#[derive(Debug)]
pub(crate) struct Stopping;

impl Connector {
    /// Of several hosts the one that is the primary is used: R12, all connections lead to it.
    pub(crate) fn new(
        mut target: Target,
        shutdown: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        let config = target.config();
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Self::any(target, shutdown, metrics)
    }

    /// Connects to a replica.
    pub(crate) fn to_replica(
        mut target: Target,
        shutdown: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        let config = target.config();
        config.target_session_attrs(TargetSessionAttrs::ReadOnly);
        Self::any(target, shutdown, metrics)
    }

    /// Connects to the primary by a pooler that lends a session for each transaction.
    pub(crate) fn by_pooler(
        target: Target,
        shutdown: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            sessions: Sessions::Lent,
            ..Self::new(target, shutdown, metrics)
        }
    }

    fn any(mut target: Target, shutdown: CancellationToken, metrics: Arc<Metrics>) -> Self {
        let config = target.config();
        config.application_name("pg-live relay");
        config.connect_timeout(Duration::from_secs(5));
        config.keepalives_idle(Duration::from_secs(30));
        Self {
            target,
            shutdown,
            metrics,
            in_trouble: AtomicBool::new(false),
            sessions: Sessions::Own,
        }
    }

    /// One attempt; the caller drives the connection.
    pub(crate) async fn open(
        &self,
    ) -> Result<
        (
            Client,
            tokio_postgres::Connection<tokio_postgres::Socket, Stream>,
        ),
        tokio_postgres::Error,
    > {
        self.target.connect().await
    }

    /// Connects as soon as the database lets it.
    async fn connect(&self, preparation: &str) -> Result<Connection, Stopping> {
        let mut attempt = 0;
        loop {
            let connected = tokio::select! {
                () = self.shutdown.cancelled() => return Err(Stopping),
                connected = self.try_connect(preparation) => connected,
            };
            match connected {
                Ok(connection) => {
                    self.recovered();
                    return Ok(connection);
                }
                Err(error) => self.failed(&error),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(Stopping),
                () = tokio::time::sleep(backoff(attempt)) => attempt += 1,
            }
        }
    }

    async fn try_connect(&self, preparation: &str) -> Result<Connection, tokio_postgres::Error> {
        let (client, connection) = self.open().await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(error = describe(&error), "a database connection ended");
            }
        });
        if self.sessions == Sessions::Own {
            client.batch_execute(preparation).await?;
        }
        self.metrics.connections_opened.add(1);
        let statement = |text| self.statement(&client, text);
        Ok(Connection {
            run_query: statement(&sql::RUN_QUERY).await?,
            run_queries: statement(&sql::RUN_QUERIES).await?,
            run_mutation: statement(&sql::RUN_MUTATION).await?,
            last_commit: statement(&sql::LAST_COMMIT).await?,
            clock: statement(&sql::CLOCK).await?,
            watermark: statement(&sql::WATERMARK).await?,
            catch_up: statement(&sql::CATCH_UP).await?,
            wait_for_replay: statement(&sql::WAIT_FOR_REPLAY).await?,
            client,
        })
    }

    async fn statement(&self, client: &Client, text: &'static Text) -> Result<Statement, Error> {
        Ok(match self.sessions {
            Sessions::Own => Statement::Prepared(client.prepare_typed(text.sql, text.types).await?),
            Sessions::Lent => Statement::Whole(text),
        })
    }

    /// Warns once until the database is back.
    pub(crate) fn failed(&self, error: &tokio_postgres::Error) {
        let error = describe(error);
        if self.in_trouble.swap(true, Ordering::Relaxed) {
            debug!(error, "the database cannot be reached yet");
        } else {
            warn!(
                error,
                "the database cannot be reached or has no extension pg_live; trying on"
            );
        }
    }

    pub(crate) fn recovered(&self) {
        if self.in_trouble.swap(false, Ordering::Relaxed) {
            info!("the database is back");
        }
    }
}

impl Pool {
    /// `preparation`: SQL that makes a new session ready.
    pub(crate) fn new(connector: Arc<Connector>, size: usize, preparation: &'static str) -> Self {
        let places = Arc::new(Semaphore::new(size.max(1)));
        Self {
            connector,
            places,
            idle: std::sync::Mutex::default(),
            preparation,
        }
    }

    /// Waits for a place and for the database.
    pub(crate) async fn take(self: &Arc<Self>) -> Result<Taken, Stopping> {
        let metrics = &self.connector.metrics;
        let (waiting, since) = (Waiting::new(&metrics.waiting), Instant::now());
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Stopping)?;
        let connection = match self.idle_connection() {
            Some(connection) => connection,
            None => self.connector.connect(self.preparation).await?,
        };
        drop(waiting);
        metrics.wait_seconds.observe(since.elapsed());
        Ok(Taken {
            pool: Arc::clone(self),
            connection,
            _place: place,
        })
    }

    /// At most so many connections that nobody waits for and that are there already. None of a pooler: it may have
    /// no session left, and wait for one that who asks here has.
    pub(crate) fn spare(self: &Arc<Self>, most: usize) -> Vec<Taken> {
        if self.connector.sessions == Sessions::Lent {
            return Vec::new();
        }
        let spare = std::iter::from_fn(|| {
            let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
            Some(Taken {
                pool: Arc::clone(self),
                connection: self.idle_connection()?,
                _place: place,
            })
        });
        spare.take(most).collect()
    }

    fn idle_connection(&self) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        while let Some(connection) = idle.pop() {
            if !connection.client.is_closed() {
                return Some(connection);
            }
        }
        None
    }
}

impl Taken {
    /// What stops its statements.
    pub(crate) fn cancel(&self) -> Cancel {
        Cancel {
            connector: Arc::clone(&self.pool.connector),
            token: self.connection.client.cancel_token(),
        }
    }

    /// Gives back a connection that is in no transaction.
    pub(crate) fn give_back(self) {
        lock(&self.pool.idle).push(self.connection);
    }
}

/// Stops what a connection does, also when that is gone.
pub(crate) struct Cancel {
    connector: Arc<Connector>,
    token: CancelToken,
}

impl Cancel {
    /// Tells the server.
    pub(crate) async fn send(self) {
        if let Err(error) = self.connector.target.cancel(self.token).await {
            debug!(
                error = describe(&error),
                "a statement could not be cancelled"
            );
        }
    }
}

impl Connection {
    /// The row that a statement gives.
    pub(crate) async fn one(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        match statement {
            Statement::Prepared(prepared) => self.client.query_one(prepared, parameters).await,
            Statement::Whole(Text { sql, types }) => {
                let typed = parameters.iter().copied().zip(types.iter().cloned());
                self.client
                    .query_typed_one(sql, &typed.collect::<Vec<_>>())
                    .await
            }
        }
    }

    /// The rows that a statement gives.
    pub(crate) async fn all(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        match statement {
            Statement::Prepared(prepared) => self.client.query(prepared, parameters).await,
            Statement::Whole(Text { sql, types }) => {
                let typed = parameters.iter().copied().zip(types.iter().cloned());
                self.client
                    .query_typed(sql, &typed.collect::<Vec<_>>())
                    .await
            }
        }
    }
}

impl std::ops::Deref for Taken {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// A list of connections is whole even if a thread panicked with the lock.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// 100 ms, doubling to 2 s, each between half and the whole of it.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let whole = FIRST_PAUSE
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_PAUSE);
    whole.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_bound() {
        for (attempt, most) in [(0, 100), (1, 200), (4, 1_600), (5, 2_000), (40, 2_000)] {
            let pause = backoff(attempt).as_millis();
            assert!(pause >= most / 2 && pause <= most, "{attempt}: {pause} ms");
        }
    }
}
