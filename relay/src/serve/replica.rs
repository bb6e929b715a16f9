//! One replica: how far it has replayed, and whether runs may use it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::Host;
use tokio_postgres::types::{PgLsn, ToSql};
use tokio_postgres::{Client, Error, Row, Statement};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Relay;
use super::config::Config;
use super::database::sql;
use super::link::Ticket;
use super::metrics::Metrics;
use super::pool::{Connector, Pool, Taken, backoff};
use super::sql_error::describe;
use crate::postgres::Target;

/// One statement waits for replay no longer than this.
const STEP_MS: i64 = 200;
/// A replica that does not answer for so long is gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a replica that nobody waits for.
const IDLE: Duration = Duration::from_secs(1);
/// Between two attempts of a replica that was late to be in time again.
const PROBE: Duration = Duration::from_millis(500);

/// What a replica has replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replayed {
    lsn: PgLsn,
    timeline: i64,
    system: i64,
}

impl Replayed {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            lsn: row.try_get("lsn")?,
            timeline: row.try_get("timeline")?,
            system: row.try_get("system")?,
        })
    }

    /// A standby of another history may be further in numbers, and not see what the ticket stands for.
    fn shows(&self, ticket: &Ticket) -> bool {
        self.lsn >= ticket.lsn && (self.timeline, self.system) == (ticket.timeline, ticket.system)
    }
}

/// A standby that executes queries.
pub(crate) struct Replica {
    /// For the log: hosts, without what is secret.
    name: String,
    connector: Arc<Connector>,
    pub(crate) pool: Arc<Pool>,
    /// `None`: it cannot be reached, or is no standby.
    replayed: watch::Sender<Option<Replayed>>,
    /// It was too late for a run, and has not been in time since.
    late: AtomicBool,
    wanted: Mutex<BTreeSet<(PgLsn, u64)>>,
    wants: AtomicU64,
    wake: Notify,
}

/// Somebody waits for a place in the log.
struct Want<'a> {
    replica: &'a Replica,
    key: (PgLsn, u64),
}

impl Drop for Want<'_> {
    fn drop(&mut self) {
        self.replica.wanted().remove(&self.key);
    }
}

impl Replica {
    pub(crate) fn new(
        mut url: Target,
        config: &Config,
        shutdown: &CancellationToken,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let name = name(url.config());
        let connector = Connector::to_replica(url, shutdown.clone(), Arc::clone(metrics));
        let connector = Arc::new(connector);
        Self {
            name,
            pool: Arc::new(Pool::new(
                Arc::clone(&connector),
                config.query_connections,
                sql::PREPARE_CONNECTION,
            )),
            connector,
            replayed: watch::Sender::new(None),
            late: AtomicBool::new(false),
            wanted: Mutex::default(),
            wants: AtomicU64::new(0),
            wake: Notify::new(),
        }
    }

    /// Whether runs may go there.
    pub(crate) fn is_usable(&self) -> bool {
        !self.late.load(Ordering::Relaxed) && self.replayed.borrow().is_some()
    }

    /// A connection to it whose next snapshots see what the ticket stands for. `None`: it is gone or too late.
    pub(crate) async fn take(&self, ticket: &Ticket, max_lag: Duration) -> Option<Taken> {
        if !self.reaches(ticket, max_lag).await {
            return None;
        }
        let gone = async {
            // The sender lives as long as self.
            let _ = self.replayed.subscribe().wait_for(Option::is_none).await;
        };
        let taken = tokio::select! {
            taken = self.pool.take() => taken.ok()?,
            () = gone => return None,
        };
        // The server behind this connection may have been restarted since, or be another one than
        // the one that is watched: it is asked itself.
        let parameters: [&(dyn ToSql + Sync); 2] = [&ticket.lsn, &STEP_MS];
        let row = taken.one(&taken.wait_for_replay, &parameters);
        let row = in_time(row).await.ok()?;
        let replayed = Replayed::from_row(&row).ok()?;
        if replayed.shows(ticket) {
            return Some(taken);
        }
        taken.give_back();
        None
    }

    /// Waits until it has replayed what the ticket stands for; false if it is gone or too late.
    async fn reaches(&self, ticket: &Ticket, max_lag: Duration) -> bool {
        let shows = |replayed: &Option<Replayed>| replayed.is_some_and(|it| it.shows(ticket));
        if shows(&self.replayed.borrow()) {
            return true;
        }
        let key = (ticket.lsn, self.wants.fetch_add(1, Ordering::Relaxed));
        self.wanted().insert(key);
        let _want = Want { replica: self, key };
        self.wake.notify_one();
        let mut replayed = self.replayed.subscribe();
        let reached = replayed.wait_for(|replayed| replayed.is_none() || shows(replayed));
        match timeout(max_lag, reached).await {
            Ok(Ok(replayed)) => replayed.is_some(),
            Ok(Err(_)) => false,
            Err(_) => {
                if !self.late.swap(true, Ordering::Relaxed) {
                    warn!(
                        replica = self.name,
                        ?max_lag,
                        "a replica lags behind; its clients move"
                    );
                }
                false
            }
        }
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, BTreeSet<(PgLsn, u64)>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hosts and ports of a URL.
fn name(url: &tokio_postgres::Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(host) => host.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<String> = url.get_hosts().iter().map(host).collect();
    let ports: Vec<String> = url.get_ports().iter().map(u16::to_string).collect();
    format!("{}:{}", hosts.join(","), ports.join(","))
}

/// Keeps an eye on a replica until the relay stops.
pub(crate) async fn watch_over(replica: Arc<Replica>, relay: Arc<Relay>) {
    let follow = async {
        let mut attempt = 0;
        loop {
            let error = match follow(&replica, &relay).await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            if replica.replayed.send_replace(None).is_some() {
                attempt = 0;
                warn!(replica = replica.name, %error, "a replica is gone; its clients move");
            } else {
                debug!(replica = replica.name, %error, "a replica cannot be used yet");
            }
            relay.nodes.count_usable(&relay.metrics);
            sleep(backoff(attempt)).await;
            attempt += 1;
        }
    };
    let probe = async {
        loop {
            sleep(PROBE).await;
            probe(&replica, &relay).await;
        }
    };
    tokio::select! {
        () = relay.shutdown.cancelled() => {}
        () = follow => {}
        () = probe => {}
    }
}

/// Why a replica cannot be used.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("{}", describe(.0))]
    Sql(#[from] Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

/// Tells how far the replica has come whenever somebody wants to know, until it is gone.
async fn follow(replica: &Replica, relay: &Relay) -> Result<std::convert::Infallible, Gone> {
    let (client, statement) = connect(&replica.connector).await?;
    loop {
        let least = replica.wanted().first().map(|(lsn, _)| *lsn);
        let lsn = least.unwrap_or_else(|| PgLsn::from(0));
        let row = in_time(client.query_one(&statement, &[&lsn, &STEP_MS])).await?;
        let now = Replayed::from_row(&row)?;
        if replica.replayed.send_replace(Some(now)).is_none() {
            info!(replica = replica.name, "a replica can be used");
            relay.nodes.count_usable(&relay.metrics);
        }
        let idle = replica
            .wanted()
            .first()
            .is_none_or(|(lsn, _)| *lsn <= now.lsn);
        if idle {
            // Whoever was waiting is about to leave.
            let _ = timeout(IDLE, replica.wake.notified()).await;
        }
    }
}

async fn connect(connector: &Connector) -> Result<(Client, Statement), Gone> {
    let (client, connection) = in_time(connector.open()).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(
                error = describe(&error),
                "the connection to a replica ended"
            );
        }
    });
    let statement = in_time(client.prepare(sql::WAIT_FOR_REPLAY.sql)).await?;
    Ok((client, statement))
}

/// Takes a replica that was late back into use once it is in time.
async fn probe(replica: &Replica, relay: &Relay) {
    if !replica.late.load(Ordering::Relaxed) || replica.replayed.borrow().is_none() {
        return;
    }
    let Some(ticket) = relay.nodes.link.ticket().await else {
        return;
    };
    if replica.reaches(&ticket, relay.config.replica_max_lag).await {
        replica.late.store(false, Ordering::Relaxed);
        info!(replica = replica.name, "a replica is in time again");
    }
    relay.nodes.count_usable(&relay.metrics);
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Gone> {
    Ok(timeout(PATIENCE, answer)
        .await
        .map_err(|_| Gone::Silent)??)
}
