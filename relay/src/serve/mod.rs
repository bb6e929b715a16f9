//! The network service: clients' WebSockets and HTTP requests on one side, Postgres on the other.
//!
//! It is the I/O shell of `pg_live_session`: `ws` owns the sockets, `runs` and `mutations`
//! execute what sessions ask for, `invalidations` keeps the control connection. It holds nothing
//! that must outlive it: after a crash clients connect again and everything is registered anew.

mod admin;
mod any_input;
mod auth;
mod body;
mod config;
mod contention;
mod database;
mod desk;
mod frames;
mod functions;
mod http;
mod http_error;
mod invalidations;
mod link;
mod listen;
mod metrics;
mod mutations;
mod nodes;
mod pool;
mod replica;
mod request_id;
mod runs;
mod sessions;
mod settings;
mod sharing;
mod silence;
mod snapshots;
mod socket;
mod sql_error;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pg_live_session::Failure;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

#[doc(hidden)]
pub use any_input::{
    parse_any_conversation, parse_any_import, parse_any_keys, parse_any_settings, parse_anything,
};
pub use config::{Config, Drain};
pub use settings::{LogFormat, Settings, SettingsError};

use admin::Preparations;
use auth::Gate;
pub(crate) use auth::acting_as;
use contention::Contention;
use database::{Database, sql};
use invalidations::Control;
use link::Link;
use metrics::Metrics;
use nodes::Nodes;
use pool::Pool;
use replica::Replica;
use sessions::Sessions;
use sharing::Executions;
use snapshots::Snapshots;

use crate::postgres::{self, Target};

/// How long what is under way may take to end once it was told to.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Why the relay cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the port, or the address is not one of this machine.
    #[error(
        "cannot listen on {address}: {source}; stop the process that uses this port or choose \
         another address"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The database URL has a mistake. The URL is not shown: it may hold a password.
    #[error("the database URL is not valid: {0}; expected postgresql://user:password@host:port/db")]
    DatabaseUrl(#[source] postgres::Error),
    /// The URL of a replica has a mistake.
    #[error(
        "the URL of replica {number} is not valid: {source}; expected postgresql://user:password@host:port/db"
    )]
    ReplicaUrl {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        #[source]
        source: postgres::Error,
    },
    /// The listening socket has no address.
    #[error("serving clients failed: {0}")]
    Serve(#[source] std::io::Error),
}

/// What every part of the relay shares.
struct Relay {
    config: Config,
    database: Database,
    nodes: Nodes,
    control: Control,
    gate: Gate,
    preparations: Preparations,
    sessions: Sessions,
    snapshots: Snapshots,
    contention: Contention,
    executions: Executions,
    metrics: Arc<Metrics>,
    /// Makes the numbers of hidden errors.
    salt: u64,
    /// Those of connections and sockets.
    tasks: TaskTracker,
    /// The relay is about to stop: it says so, and goes on serving.
    stopping: CancellationToken,
    /// Clients are to leave, new ones are not accepted.
    draining: CancellationToken,
    /// What is under way is given up.
    shutdown: CancellationToken,
}

impl Relay {
    /// Shows a developer what a function printed and how it failed, and hides it from clients if it is to be hidden:
    /// then the log has it under a number that clients are told.
    fn log_function(
        &self,
        path: &str,
        log_lines: &mut Vec<String>,
        outcome: &mut Result<String, Failure>,
    ) {
        if self.config.dev_logs {
            for line in log_lines.iter() {
                info!(target: "function", "{path} {line}");
            }
            if let Err(failure) = outcome {
                warn!(target: "function", "{path} {}", failure.message.trim_end());
            }
        }
        if !self.config.redact {
            return;
        }
        log_lines.clear();
        if let Err(failure) = outcome {
            let request_id = self.number_of(path, &failure.message);
            info!(target: "function", request_id, path, error = failure.message.trim_end(), "a call failed");
            failure.message = wire::hidden_error(&request_id);
        }
    }

    /// The same for the same error, so that a client is not sent it again (R15).
    fn number_of(&self, path: &str, message: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.salt.to_le_bytes());
        hash.update(path);
        hash.update([0]);
        hash.update(message);
        hex::encode(hash.finalize().get(..8).unwrap_or_default())
    }
}

/// Serves clients until `stop` is cancelled; returns after they were sent away as `config.drain` says.
///
/// Postgres need not be up: the relay connects, and connects again, by itself.
///
/// # Errors
/// If the address cannot be listened on or the database URL is malformed.
pub async fn run(mut config: Config, stop: CancellationToken) -> Result<(), Error> {
    let url = Target::parse(&config.database_url).map_err(Error::DatabaseUrl)?;
    let query_url = config.query_url.as_deref().map(Target::parse);
    let query_url = query_url.transpose().map_err(Error::DatabaseUrl)?;
    let replica_urls = parse_replica_urls(&config.replica_urls)?;
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let address = listener.local_addr().map_err(Error::Serve)?;
    if let Some(ready) = config.ready.take() {
        // The receiver may have lost interest.
        let _ = ready.send(address);
    }
    info!(%address, "serving clients");
    let metrics = Arc::new(Metrics::default());
    let shutdown = CancellationToken::new();
    let database = Database::new(
        url,
        query_url,
        &config,
        shutdown.clone(),
        Arc::clone(&metrics),
    );
    let (control, unregister) = Control::new();
    let replicas: Vec<Arc<Replica>> = replica_urls
        .into_iter()
        .map(|url| Arc::new(Replica::new(url, &config, &shutdown, &metrics)))
        .collect();
    let (link, tickets) = Link::new(Arc::clone(&database.connector));
    let link = Arc::new(link);
    let tickets = link::issue_tickets(Arc::clone(&link), tickets, Arc::clone(&metrics));
    let tickets = tokio::spawn(shutdown.clone().run_until_cancelled_owned(tickets));
    let gate = Gate::new(config.admin_key.clone());
    let places = config.snapshot_connections;
    let exporting = Pool::new(
        Arc::clone(&database.connector),
        places,
        sql::PREPARE_CONNECTION,
    );
    let snapshots = Snapshots::new(exporting, places);
    let relay = Arc::new(Relay {
        gate,
        preparations: Preparations::default(),
        nodes: Nodes::new(link, replicas.clone()),
        contention: Contention::new(),
        executions: Executions::new(config.query_connections),
        config,
        database,
        control,
        sessions: Sessions::default(),
        snapshots,
        metrics,
        salt: rand::random(),
        tasks: TaskTracker::new(),
        stopping: stop,
        draining: CancellationToken::new(),
        shutdown: shutdown.clone(),
    });
    let control = tokio::spawn(invalidations::keep_attached(Arc::clone(&relay), unregister));
    for replica in replicas {
        tokio::spawn(replica::watch_over(replica, Arc::clone(&relay)));
    }
    let router = http::router(Arc::clone(&relay));
    let listening = tokio::spawn(listen::serve(Arc::clone(&relay), listener, router));
    relay.stopping.cancelled().await;
    drain(&relay).await;
    relay.sessions.stop();
    shutdown.cancel();
    let ended = async { tokio::join!(relay.tasks.wait(), listening, control, tickets) };
    if tokio::time::timeout(LAST_PATIENCE, ended).await.is_err() {
        warn!("some connections did not end in time");
    }
    Ok(())
}

fn parse_replica_urls(urls: &[String]) -> Result<Vec<Target>, Error> {
    urls.iter()
        .zip(1..)
        .map(|(url, number)| {
            Target::parse(url).map_err(|source| Error::ReplicaUrl { number, source })
        })
        .collect()
}

/// Sends clients away, and waits for what they have under way.
async fn drain(relay: &Relay) {
    let Drain {
        delay,
        spread,
        patience,
    } = relay.config.drain;
    info!(sessions = relay.metrics.sessions.get(), "stopping");
    tokio::time::sleep(delay).await;
    relay.draining.cancel();
    relay.sessions.drain();
    relay.tasks.close();
    if tokio::time::timeout(spread + patience, relay.tasks.wait())
        .await
        .is_err()
    {
        warn!("some clients have not left in time: giving up what they have under way");
    }
}
