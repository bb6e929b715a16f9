//! The network service: clients' WebSockets and HTTP requests on one side, Postgres on the other.
//!
//! It is the I/O shell of `pg_live_session`: `ws` owns the sockets, `runs` and `mutations`
//! execute what sessions ask for, `invalidations` keeps the control connection. It holds nothing
//! that must outlive it: after a crash clients connect again and everything is registered anew.

mod admin;
mod auth;
mod config;
mod database;
mod functions;
mod http;
mod http_error;
mod invalidations;
mod link;
mod metrics;
mod mutations;
mod nodes;
mod pool;
mod replica;
mod runs;
mod sessions;
mod sql_error;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use pg_live_session::Failure;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

pub use config::Config;

use admin::Preparations;
use auth::Gate;
use database::Database;
use invalidations::Control;
use link::Link;
use metrics::Metrics;
use nodes::Nodes;
use replica::Replica;
use sessions::Sessions;

/// How long open connections may take to end when the relay stops.
const DRAIN: Duration = Duration::from_secs(5);

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
    DatabaseUrl(#[source] tokio_postgres::Error),
    /// The URL of a replica has a mistake.
    #[error(
        "the URL of replica {number} is not valid: {source}; expected postgresql://user:password@host:port/db"
    )]
    ReplicaUrl {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The listening socket failed.
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
    metrics: Arc<Metrics>,
    /// The sockets' tasks.
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Relay {
    /// Shows a developer what a function printed and how it failed.
    fn log_function(&self, path: &str, log_lines: &[String], outcome: &Result<String, Failure>) {
        if !self.config.dev_logs {
            return;
        }
        for line in log_lines {
            info!(target: "function", "{path} {line}");
        }
        if let Err(failure) = outcome {
            warn!(target: "function", "{path} {}", failure.message.trim_end());
        }
    }
}

/// Serves clients until `shutdown` is cancelled; returns after the connections have ended.
///
/// Postgres need not be up: the relay connects, and connects again, by itself.
///
/// # Errors
/// If the address cannot be listened on or the database URL is malformed.
pub async fn run(mut config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    let url = config.database_url.parse().map_err(Error::DatabaseUrl)?;
    let replica_urls = parse_replica_urls(&config.replica_urls)?;
    let address = config.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let address = listener.local_addr().map_err(Error::Serve)?;
    // A response and the transition after it are two small writes: the second must not wait for the
    // client's acknowledgement of the first.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection has no TCP_NODELAY");
        }
    });
    if let Some(ready) = config.ready.take() {
        // The receiver may have lost interest.
        let _ = ready.send(address);
    }
    info!(%address, "serving clients");
    let metrics = Arc::new(Metrics::default());
    let database = Database::new(url, &config, shutdown.clone(), Arc::clone(&metrics));
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
    let relay = Arc::new(Relay {
        gate,
        preparations: Preparations::default(),
        nodes: Nodes::new(link, replicas.clone()),
        config,
        database,
        control,
        sessions: Sessions::default(),
        metrics,
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    });
    let control = tokio::spawn(invalidations::keep_attached(Arc::clone(&relay), unregister));
    for replica in replicas {
        tokio::spawn(replica::watch_over(replica, Arc::clone(&relay)));
    }
    let router = http::router(Arc::clone(&relay));
    let server =
        axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let served = tokio::select! {
        served = server.into_future() => served.map_err(Error::Serve),
        () = drain(&shutdown) => Ok(()),
    };
    shutdown.cancel();
    relay.tasks.close();
    let ended = async { tokio::join!(relay.tasks.wait(), control, tickets) };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        warn!("some connections did not end in time");
    }
    served
}

fn parse_replica_urls(urls: &[String]) -> Result<Vec<tokio_postgres::Config>, Error> {
    urls.iter()
        .zip(1..)
        .map(|(url, number)| {
            url.parse()
                .map_err(|source| Error::ReplicaUrl { number, source })
        })
        .collect()
}

/// Ends some time after the shutdown has begun, whether or not clients have left.
async fn drain(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}
