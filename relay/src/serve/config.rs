//! Settings of the relay.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;

/// A standby in the same place is a few milliseconds behind.
const DEFAULT_MAX_LAG: Duration = Duration::from_secs(1);

/// How a relay stops: first it says that it is about to (`/readyz`) and goes on serving, then it has clients
/// leave, then it waits for what is under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    /// From the signal on until clients are sent away: as long as a proxy takes to notice.
    pub delay: Duration,
    /// Clients leave one by one within this time, so that they do not all arrive elsewhere at once.
    pub spread: Duration,
    /// What is under way then may take so long.
    pub patience: Duration,
}

/// How to serve. [`Config::new`] has the defaults.
#[derive(Debug)]
pub struct Config {
    /// The database, as a member of `live_relay`.
    pub database_url: String,
    /// The same by a pooler that lends a session for each transaction: queries go there.
    pub query_url: Option<String>,
    /// Where clients connect; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The database, as the role that owns the deployment: for what administrators change. `None`: they cannot.
    pub deploy_url: Option<String>,
    /// Where clients find the relay, if that is not where administrators find it.
    pub public_url: Option<String>,
    /// The key of administrators; `None`: there are none.
    pub admin_key: Option<String>,
    /// Whether `console` output and errors of functions are also written to the relay's log.
    pub dev_logs: bool,
    /// Folder of static files served at `/`.
    pub static_dir: Option<PathBuf>,
    /// Connections that run queries: as many transactions at once.
    pub query_connections: usize,
    /// Connections that run mutations.
    pub mutation_connections: usize,
    /// Standbys of the database that run queries, as the same role.
    pub replica_urls: Vec<String>,
    /// A run waits so long for a standby to replay what it must see; then it goes elsewhere.
    pub replica_max_lag: Duration,
    /// Connections that hold snapshots for `/api/query_ts`.
    pub snapshot_connections: usize,
    /// Connections of clients at a time; more wait to be accepted.
    pub max_connections: usize,
    /// While so many runs wait to be executed nobody else is let in: clients come back later, each after a time of its own.
    pub max_waiting_runs: usize,
    /// While so many transactions wait for a connection to the database, HTTP calls are refused.
    pub max_waiting_calls: usize,
    /// Connections of clients that are accepted in a second: those that are served already go first.
    pub max_accepted: usize,
    /// Whether clients are shown neither the messages of a function's errors nor what it logged.
    pub redact: bool,
    /// How to stop.
    pub drain: Drain,
    /// Told the bound address once clients can connect.
    pub ready: Option<oneshot::Sender<SocketAddr>>,
}

impl Config {
    /// Defaults for a database and an address. An empty `admin_key` means that there are no
    /// administrators.
    pub fn new(database_url: impl Into<String>, listen: SocketAddr, admin_key: &str) -> Self {
        Self {
            database_url: database_url.into(),
            query_url: None,
            listen,
            admin_key: Some(admin_key.to_owned()).filter(|key| !key.is_empty()),
            deploy_url: None,
            public_url: None,
            dev_logs: false,
            static_dir: None,
            query_connections: 4,
            mutation_connections: 8,
            replica_urls: Vec::new(),
            replica_max_lag: DEFAULT_MAX_LAG,
            snapshot_connections: 16,
            max_connections: 100_000,
            max_waiting_runs: 20_000,
            max_waiting_calls: 2_000,
            max_accepted: 4_000,
            redact: false,
            drain: Drain::default(),
            ready: None,
        }
    }
}
