//! Settings of `pg-live serve`: flags, then environment variables, then a file of TOML, then the defaults.
//!
//! The file has the flags' names: `listen = "0.0.0.0:3210"`, `query-connections = 8`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;

use super::config::{Config, Drain};

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3210);
/// Longest time that a setting of seconds may name.
const LONGEST_S: f64 = 3600.0;
/// Postgres has no more connections than this.
const MOST_CONNECTIONS: usize = 10_000;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// An object of JSON a line.
    Json,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the configuration {}: {source}", path.display())]
    Read {
        /// As it was named.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML or has other settings than there are.
    #[error("the configuration {}: {reason}", path.display())]
    Parse {
        /// As it was named.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// There is no database to serve.
    #[error(
        "no database: give --url, set DATABASE_URL, or write `url = \"postgresql://...\"` into the configuration"
    )]
    NoDatabase,
    /// A value that cannot be.
    #[error("{setting} = {value}: expected {expected}")]
    Value {
        /// Its name.
        setting: &'static str,
        /// As it was given.
        value: String,
        /// What it may be.
        expected: String,
    },
}

/// Settings, each from where it is said first.
#[derive(Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// File of settings (TOML); what is given here or in the environment counts more
    #[arg(long, env = "PG_LIVE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Database to serve, as a member of live_relay; sslmode, sslrootcert, sslcert and sslkey as with psql
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    url: Option<String>,
    /// The same database by a pooler in transaction mode, such as PgBouncer: queries go there. Each of its sessions must
    /// begin with SELECT live.prepare_connection() (connect_query)
    #[arg(
        long,
        env = "PG_LIVE_QUERY_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    query_url: Option<String>,
    /// A standby of the database that runs queries, so that the primary need not; may be given several times
    #[arg(
        long,
        env = "PG_LIVE_REPLICA",
        value_delimiter = ' ',
        value_name = "URL",
        hide_env_values = true
    )]
    replica: Vec<String>,
    /// A query waits so many milliseconds for a standby that lags behind; then it goes elsewhere [default: 1000]
    #[arg(long, env = "PG_LIVE_REPLICA_MAX_LAG", value_name = "MS")]
    replica_max_lag: Option<u64>,
    /// Address for clients [default: 127.0.0.1:3210]
    #[arg(long, env = "PG_LIVE_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Key that gives a client administrator rights; without one there are none
    #[arg(
        long,
        env = "PG_LIVE_ADMIN_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    admin_key: Option<String>,
    /// The same database as the role that owns the deployment: lets administrators (`npx convex`) deploy, set
    /// environment variables and import through this relay. Without it they cannot
    #[arg(
        long,
        env = "PG_LIVE_DEPLOY_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    deploy_url: Option<String>,
    /// Where clients reach the relay, for `npx convex`; without it, the address by which it came
    #[arg(long, env = "PG_LIVE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Folder of static files served at / (the built page of the app)
    #[arg(long, env = "PG_LIVE_STATIC_DIR", value_name = "DIR")]
    static_dir: Option<PathBuf>,
    /// Connections to the database that run queries [default: 4]
    #[arg(long, env = "PG_LIVE_QUERY_CONNECTIONS", value_name = "N")]
    query_connections: Option<usize>,
    /// Connections to the database that run mutations [default: 8]
    #[arg(long, env = "PG_LIVE_MUTATION_CONNECTIONS", value_name = "N")]
    mutation_connections: Option<usize>,
    /// Connections to the database that hold snapshots for consistent queries over HTTP [default: 16]
    #[arg(long, env = "PG_LIVE_SNAPSHOT_CONNECTIONS", value_name = "N")]
    snapshot_connections: Option<usize>,
    /// Connections of clients at a time; more wait [default: 100000]
    #[arg(long, env = "PG_LIVE_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,
    /// While so many queries wait to be executed, new clients are told to come back later [default: 20000]
    #[arg(long, env = "PG_LIVE_MAX_WAITING_RUNS", value_name = "N")]
    max_waiting_runs: Option<usize>,
    /// While so many transactions wait for a connection to the database, calls over HTTP are answered by 503
    /// [default: 2000]
    #[arg(long, env = "PG_LIVE_MAX_WAITING_CALLS", value_name = "N")]
    max_waiting_calls: Option<usize>,
    /// Connections of clients that are accepted in a second; more wait [default: 4000]
    #[arg(long, env = "PG_LIVE_MAX_ACCEPTED", value_name = "N")]
    max_accepted: Option<usize>,
    /// Show clients neither messages of functions' errors nor what functions log; the log has them
    #[arg(long, env = "PG_LIVE_REDACT", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    redact: Option<bool>,
    /// After SIGTERM serve on for so many seconds while /readyz says 503, so that proxies notice [default: 0]
    #[arg(long, env = "PG_LIVE_DRAIN_DELAY", value_name = "SECONDS")]
    drain_delay: Option<f64>,
    /// Then have clients leave one by one within so many seconds [default: 2]
    #[arg(long, env = "PG_LIVE_DRAIN_SPREAD", value_name = "SECONDS")]
    drain_spread: Option<f64>,
    /// Then wait so many seconds for what is under way [default: 20]
    #[arg(long, env = "PG_LIVE_DRAIN_PATIENCE", value_name = "SECONDS")]
    drain_patience: Option<f64>,
    /// How the log is written [default: text]
    #[arg(long, env = "PG_LIVE_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
}

impl Settings {
    /// Completes what was given by the file, if one is named.
    ///
    /// # Errors
    /// When the file cannot be read, or has a setting that there is not.
    pub fn with_file(mut self) -> Result<Self, SettingsError> {
        let Some(path) = self.config.take() else {
            return Ok(self);
        };
        let text = std::fs::read_to_string(&path).map_err(|source| SettingsError::Read {
            path: path.clone(),
            source,
        })?;
        Ok(self.or(parse_file(&path, &text)?))
    }

    fn or(self, file: Self) -> Self {
        Self {
            config: None,
            url: self.url.or(file.url),
            query_url: self.query_url.or(file.query_url),
            replica: if self.replica.is_empty() {
                file.replica
            } else {
                self.replica
            },
            replica_max_lag: self.replica_max_lag.or(file.replica_max_lag),
            listen: self.listen.or(file.listen),
            admin_key: self.admin_key.or(file.admin_key),
            deploy_url: self.deploy_url.or(file.deploy_url),
            public_url: self.public_url.or(file.public_url),
            static_dir: self.static_dir.or(file.static_dir),
            query_connections: self.query_connections.or(file.query_connections),
            mutation_connections: self.mutation_connections.or(file.mutation_connections),
            snapshot_connections: self.snapshot_connections.or(file.snapshot_connections),
            max_connections: self.max_connections.or(file.max_connections),
            max_waiting_runs: self.max_waiting_runs.or(file.max_waiting_runs),
            max_waiting_calls: self.max_waiting_calls.or(file.max_waiting_calls),
            max_accepted: self.max_accepted.or(file.max_accepted),
            redact: self.redact.or(file.redact),
            drain_delay: self.drain_delay.or(file.drain_delay),
            drain_spread: self.drain_spread.or(file.drain_spread),
            drain_patience: self.drain_patience.or(file.drain_patience),
            log_format: self.log_format.or(file.log_format),
        }
    }

    /// How the log is to be written.
    pub fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or_default()
    }

    /// The relay's configuration.
    ///
    /// # Errors
    /// When there is no database, or a value cannot be.
    pub fn into_config(self) -> Result<Config, SettingsError> {
        let url = self
            .url
            .filter(|url| !url.is_empty())
            .ok_or(SettingsError::NoDatabase)?;
        let admin_key = self.admin_key.unwrap_or_default();
        let mut config = Config::new(url, self.listen.unwrap_or(DEFAULT_LISTEN), &admin_key);
        if let Some(dir) = self.static_dir {
            if !dir.is_dir() {
                let value = dir.display().to_string();
                return Err(wrong("static-dir", value, "a folder"));
            }
            config.static_dir = Some(dir);
        }
        config.query_url = self.query_url.filter(|url| !url.is_empty());
        config.deploy_url = self.deploy_url;
        config.public_url = self.public_url;
        config.replica_urls = self.replica;
        if let Some(ms) = self.replica_max_lag {
            config.replica_max_lag = Duration::from_millis(ms);
        }
        let numbers = [
            (
                "query-connections",
                self.query_connections,
                &mut config.query_connections,
            ),
            (
                "mutation-connections",
                self.mutation_connections,
                &mut config.mutation_connections,
            ),
            (
                "snapshot-connections",
                self.snapshot_connections,
                &mut config.snapshot_connections,
            ),
        ];
        for (setting, given, place) in numbers {
            if let Some(number) = given {
                *place = between(setting, number, MOST_CONNECTIONS)?;
            }
        }
        let bounds = [
            (
                "max-connections",
                self.max_connections,
                &mut config.max_connections,
            ),
            (
                "max-waiting-runs",
                self.max_waiting_runs,
                &mut config.max_waiting_runs,
            ),
            (
                "max-waiting-calls",
                self.max_waiting_calls,
                &mut config.max_waiting_calls,
            ),
            ("max-accepted", self.max_accepted, &mut config.max_accepted),
        ];
        for (setting, given, place) in bounds {
            if let Some(number) = given {
                *place = between(setting, number, tokio::sync::Semaphore::MAX_PERMITS)?;
            }
        }
        config.redact = self.redact.unwrap_or(false);
        config.drain = Drain {
            delay: seconds("drain-delay", self.drain_delay.unwrap_or(0.0))?,
            spread: seconds("drain-spread", self.drain_spread.unwrap_or(2.0))?,
            patience: seconds("drain-patience", self.drain_patience.unwrap_or(20.0))?,
        };
        Ok(config)
    }
}

pub(crate) fn parse_file(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    // A misspelt name is told before a value of the wrong kind is.
    toml::from_str::<BTreeMap<String, toml::Value>>(text)
        .and_then(|_| toml::from_str(text))
        .map_err(|error| SettingsError::Parse {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

fn wrong(setting: &'static str, value: String, expected: impl Into<String>) -> SettingsError {
    SettingsError::Value {
        setting,
        value,
        expected: expected.into(),
    }
}

fn between(setting: &'static str, number: usize, most: usize) -> Result<usize, SettingsError> {
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(wrong(setting, number.to_string(), format!("1 to {most}")))
}

fn seconds(setting: &'static str, number: f64) -> Result<Duration, SettingsError> {
    if (0.0..=LONGEST_S).contains(&number) {
        return Ok(Duration::from_secs_f64(number));
    }
    Err(wrong(
        setting,
        number.to_string(),
        format!("seconds from 0 to {LONGEST_S}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use proptest::prelude::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn given(arguments: &[&str]) -> Settings {
        let line = ["pg-live"].iter().chain(arguments);
        Line::try_parse_from(line).unwrap().settings
    }

    fn file(text: &str) -> Result<Settings, String> {
        parse_file(Path::new("c.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_counts_more_than_the_file() {
        let text = "url = \"postgresql://file/d\"\nquery-connections = 8\nredact = true\ndrain-delay = 1.5\n\
            replica = [\"postgresql://r/d\"]\nlog-format = \"json\"";
        let settings = given(&["--url", "postgresql://flag/d", "--listen", "0.0.0.0:1"]);
        let settings = settings.or(file(text).unwrap());
        assert_eq!(settings.log_format(), LogFormat::Json);
        let config = settings.into_config().unwrap();
        assert_eq!(config.database_url, "postgresql://flag/d");
        assert_eq!(
            (config.query_connections, config.mutation_connections),
            (8, 8)
        );
        assert_eq!(config.drain.delay, Duration::from_millis(1500));
        assert!(config.redact && config.listen.port() == 1);
        assert_eq!(config.replica_urls, ["postgresql://r/d"]);
    }

    #[test]
    fn mistakes_are_told() {
        assert!(
            file("ulr = \"x\"").unwrap_err().contains("ulr"),
            "a name that there is not"
        );
        assert!(
            file("query-connections = \"many\"")
                .unwrap_err()
                .contains("query-connections")
        );
        assert!(
            file("= 3")
                .unwrap_err()
                .starts_with("the configuration c.toml: ")
        );
        assert!(matches!(
            given(&[]).into_config(),
            Err(SettingsError::NoDatabase) | Ok(_)
        ));
        for (flag, value) in [
            ("--query-connections", "0"),
            ("--drain-delay", "1e9"),
            ("--drain-spread", "NaN"),
            ("--static-dir", "/nowhere/at/all"),
        ] {
            let settings = given(&["--url", "postgresql://h/d", flag, value]);
            let error = settings.into_config().unwrap_err().to_string();
            assert!(error.starts_with(flag.trim_start_matches('-')), "{error}");
        }
        let missing =
            given(&["--url", "postgresql://h/d", "--config", "/nowhere/c.toml"]).with_file();
        assert!(matches!(missing, Err(SettingsError::Read { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_file_is_read_or_refused(text in "([a-z-]{1,12} ?= ?[0-9a-z\"\\[\\]. -]{0,12}\n?){0,4}") {
            if let Ok(settings) = file(&text) {
                let _ = settings.into_config();
            }
        }
    }
}
