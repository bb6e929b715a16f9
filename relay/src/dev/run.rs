//! One run of the development server, from the first line to the last.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::background::Ready;
use super::cluster::Cluster;
use super::env_files::Addresses;
use super::error::io;
use super::frontend::{Frontend, SCRIPT};
use super::home::Home;
use super::say::say;
use super::secrets::Secrets;
use super::server_files::ServerFiles;
use super::watcher::Watcher;
use super::{Error, Options, database};
use crate::deploy::{self, App};
use crate::serve;

/// How long the relay may take to say goodbye to its clients.
const RELAY_PATIENCE: Duration = Duration::from_secs(5);
/// Deploys wait this long, in seconds, for a server that is being started again.
const DEPLOY_PATIENCE: u32 = 20;
/// What the database refused is tried again after this long: a variable or the documents may be why.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// What is to be deployed.
struct Push {
    source: deploy::Source,
    /// Why it could not be, the last time.
    refusal: String,
    started: Instant,
}

/// What one run is made of.
struct Run<'a> {
    options: &'a Options,
    started: Instant,
    app: App,
    home: Home,
    secrets: Secrets,
}

/// The relay: what stops it, and its task.
type Relay = (CancellationToken, JoinHandle<Result<(), serve::Error>>);

/// What has to be stopped at the end, besides the cluster.
#[derive(Default)]
struct Services {
    relay: Option<Relay>,
    frontend: Option<Frontend>,
}

/// Runs everything until Ctrl-C or `pg-live stop`.
///
/// # Errors
/// When something that is needed is missing, or a part ends by itself and stays down.
pub async fn run(options: &Options) -> Result<(), Error> {
    let started = Instant::now();
    let app = App::open(&options.app_dir)?;
    app.esbuild()?;
    let account = Account::choose()?;
    let files = ServerFiles::find(account)?;
    let home = Home::create(&app.dir, options.dir.as_deref(), account)?;
    let _lock = home.lock(&app.dir)?;
    check_port(options.port)?;
    let stop = stop_signals().map_err(io(&home.dir))?;

    say(
        "pg-live",
        format!(
            "{} with its own Postgres in {}",
            app.dir.display(),
            home.dir.display()
        ),
    );
    let secrets = Secrets::load(&home)?;
    let mut cluster = Cluster::open(&home, files, account, &secrets, options.fresh)?;
    if stop.is_cancelled() {
        return Ok(());
    }
    cluster.start()?;

    let run = Run {
        options,
        started,
        app,
        home,
        secrets,
    };
    let mut services = Services::default();
    let result = tokio::select! {
        result = run.serve(&cluster, &mut services) => result,
        error = cluster.given_up() => Err(error),
        () = stop.cancelled() => Ok(()),
    };
    say("pg-live", "stopping: page, relay, Postgres");
    let _ = std::fs::remove_file(run.home.ready());
    services.stop().await;
    cluster.stop().await;
    if result.is_ok() {
        say("pg-live", "stopped; the data stays for the next start");
    }
    result
}

impl Run<'_> {
    /// Brings everything up and keeps the deployment up to date. Returns only with an error.
    async fn serve(&self, cluster: &Cluster, services: &mut Services) -> Result<(), Error> {
        let relay_url = format!("http://127.0.0.1:{}", self.options.port);
        let addresses = Addresses {
            postgres: cluster.port(),
            relay: &relay_url,
            secrets: &self.secrets,
        };
        cluster
            .wait_until_ready(&addresses.superuser_url("postgres"))
            .await?;
        let log = self.home.postgres_log();
        say(
            "postgres",
            format!(
                "ready on 127.0.0.1:{} (log: {})",
                cluster.port(),
                log.display()
            ),
        );

        let version = database::set_up(&addresses).await?;
        addresses.write_env(&self.home)?;
        addresses.write_env_local(&self.app.dir)?;
        say(
            "database",
            format!("app, owned by role app, with pg_live {version}"),
        );

        // Watch first: what changes during the first deploy is deployed next.
        let mut watcher = Watcher::start(&self.app).map_err(|error| Error::Watch {
            path: self.app.functions_dir.clone(),
            error,
        })?;
        let mut refused = self.deploy(&addresses).await;
        self.start_relay(&addresses, services).await?;
        let page = self.start_frontend(services).await?;
        self.say_ready(&relay_url, page)?;

        let Services { relay, frontend } = services;
        loop {
            tokio::select! {
                () = watcher.changed() => refused = self.deploy(&addresses).await,
                () = sleep(TRY_AGAIN), if refused.is_some() => {
                    if let Some(mut push) = refused.take() {
                        push.started = Instant::now();
                        refused = self.push(push, &addresses).await;
                    }
                }
                error = relay_ended(relay) => return Err(error),
                () = frontend_ended(frontend) => {}
            }
        }
    }

    /// Bundles and deploys; a failure is told and leaves the running deployment as it is. What the database refused is
    /// to be tried again.
    async fn deploy(&self, addresses: &Addresses<'_>) -> Option<Push> {
        let started = Instant::now();
        let prepared = match deploy::prepare(&self.app).await {
            Ok(prepared) => prepared,
            Err(error) => {
                say_deploy_error(&error.to_string());
                return None;
            }
        };
        for note in &prepared.notes {
            say("deploy", note);
        }
        let push = Push {
            source: prepared.source,
            refusal: String::new(),
            started,
        };
        self.push(push, addresses).await
    }

    /// Deploys what is bundled. A refusal is told once.
    async fn push(&self, push: Push, addresses: &Addresses<'_>) -> Option<Push> {
        let mut patience = DEPLOY_PATIENCE;
        loop {
            match deploy::deploy(&push.source, &addresses.app_url()).await {
                Ok(deployed) => {
                    let took = push.started.elapsed().as_secs_f64();
                    say("deploy", format!("{} ({took:.1} s)", deployed.summary()));
                    return None;
                }
                Err(deploy::Error::Connect(_)) if patience > 0 => {
                    patience -= 1;
                    sleep(Duration::from_secs(1)).await;
                }
                Err(error) => {
                    let refusal = error.to_string();
                    if push.refusal != refusal {
                        say_deploy_error(&refusal);
                        say(
                            "deploy",
                            "waits: it is tried again until a file, a variable or the documents have changed",
                        );
                    }
                    return Some(Push { refusal, ..push });
                }
            }
        }
    }

    async fn start_relay(
        &self,
        addresses: &Addresses<'_>,
        services: &mut Services,
    ) -> Result<(), Error> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, self.options.port));
        let (ready, is_ready) = oneshot::channel();
        let mut config = serve::Config::new(addresses.relay_url(), listen, &self.secrets.admin_key);
        config.dev_logs = true;
        config.deploy_url = Some(addresses.app_url());
        config.ready = Some(ready);
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve::run(config, stop.clone()));
        services.relay = Some((stop, task));
        if is_ready.await.is_err() {
            return Err(relay_ended(&mut services.relay).await);
        }
        say("relay", format!("clients connect to {}", addresses.relay));
        Ok(())
    }

    /// Returns the page's URL, if the app has a page of its own.
    async fn start_frontend(&self, services: &mut Services) -> Result<Option<String>, Error> {
        if !self.options.frontend || self.app.script(SCRIPT)?.is_none() {
            return Ok(None);
        }
        say("web", format!("npm run {SCRIPT}"));
        match Frontend::start(&self.app.dir, &self.home.frontend()) {
            Ok(frontend) => Ok(services.frontend.insert(frontend).page_url().await),
            Err(error) => {
                say(
                    "web",
                    format!("cannot run npm: {error}; everything else runs"),
                );
                Ok(None)
            }
        }
    }

    fn say_ready(&self, relay: &str, page: Option<String>) -> Result<(), Error> {
        let took = self.started.elapsed().as_secs_f64();
        let env = self.home.env();
        match &page {
            Some(page) => say("ready", format!("in {took:.1} s: open {page}")),
            None => say(
                "ready",
                format!("in {took:.1} s: clients connect to {relay}"),
            ),
        }
        say(
            "",
            format!("SQL:   . {} && psql \"$DATABASE_URL\"", env.display()),
        );
        say(
            "",
            format!(
                "Edit {}: each change is deployed.",
                self.app.functions_dir.display()
            ),
        );
        say("", "Ctrl-C stops everything.");
        Ready {
            pid: std::process::id(),
            relay: relay.to_owned(),
            page,
        }
        .write(&self.home)
    }
}

impl Services {
    /// Clients first, then the data they use.
    async fn stop(self) {
        if let Some(frontend) = self.frontend {
            frontend.stop().await;
        }
        if let Some((stop, task)) = self.relay {
            stop.cancel();
            // After this the connections are closed without a goodbye.
            let _ = timeout(RELAY_PATIENCE, task).await;
        }
    }
}

/// Waits for the relay to end by itself.
async fn relay_ended(relay: &mut Option<Relay>) -> Error {
    match relay {
        None => std::future::pending().await,
        Some((_, task)) => match task.await {
            Ok(Ok(())) => Error::Relay("it stopped by itself".into()),
            Ok(Err(error)) => Error::Relay(error.to_string()),
            Err(error) => Error::Relay(error.to_string()),
        },
    }
}

/// Says once when the page's server ends by itself.
async fn frontend_ended(frontend: &mut Option<Frontend>) {
    match frontend {
        None => std::future::pending().await,
        Some(frontend) => frontend.watch().await,
    }
}

fn say_deploy_error(error: &str) {
    say(
        "deploy",
        format!("{error}\nNothing was changed: what ran before keeps running."),
    );
}

/// Fails early, with advice, if the relay will not get its port.
fn check_port(port: u16) -> Result<(), Error> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::PortTaken { port }),
    }
}

/// A token that Ctrl-C, a closed terminal or `pg-live stop` cancels.
fn stop_signals() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind)?;
        let token = token.clone();
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                token.cancel();
            }
        });
    }
    Ok(token)
}
