//! A private Postgres cluster: made, started, watched and stopped.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::account::{Account, run};
use super::error::io;
use super::home::Home;
use super::say::say;
use super::secrets::{Secrets, write_private};
use super::server_files::ServerFiles;
use super::supervise::{State, supervise};

/// A fast shutdown that takes longer is followed by an immediate one.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// The log starts anew when it is larger than this, in bytes.
const MAX_LOG: u64 = 16 << 20;

/// Says in the data folder which build of the extension made what is in it.
const BUILD_FILE: &str = "pg_live.build";

/// A private cluster and, while it runs, its process.
pub(super) struct Cluster {
    server: Server,
    port: u16,
    stopping: CancellationToken,
    running: Option<(watch::Receiver<State>, JoinHandle<()>)>,
}

/// What is needed to start the server.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) home: Home,
    files: ServerFiles,
    account: Account,
}

impl Cluster {
    /// The cluster in `home`; makes it if there is none and ends what a crashed run left behind. `fresh`: data
    /// that is there is moved aside.
    pub(super) fn open(
        home: &Home,
        files: ServerFiles,
        account: Account,
        secrets: &Secrets,
        fresh: bool,
    ) -> Result<Self, Error> {
        let server = Server {
            home: home.clone(),
            files,
            account,
        };
        server.end_previous_run()?;
        if fresh && home.data().exists() {
            let aside = home.aside();
            fs::rename(home.data(), &aside).map_err(io(&aside))?;
            say(
                "postgres",
                format!("the old data is in {} now", aside.display()),
            );
        }
        if home.data().exists() {
            server.check_build()?;
        } else {
            say("postgres", "making a new cluster (only the first time)");
            server.make_data(secrets)?;
        }
        let port = free_port(home)?;
        server.configure(port)?;
        Ok(Self {
            server,
            port,
            stopping: CancellationToken::new(),
            running: None,
        })
    }

    /// Port of the server on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server; from then on it is started again whenever it ends by itself.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        let child = self.server.spawn()?;
        let (sender, receiver) = watch::channel(State::Up(child.id().unwrap_or_default()));
        let task = supervise(self.server.clone(), child, self.stopping.clone(), sender);
        self.running = Some((receiver, tokio::spawn(task)));
        Ok(())
    }

    /// Waits until the server takes connections by `url`.
    pub(super) async fn wait_until_ready(&self, url: &str) -> Result<(), Error> {
        let started = Instant::now();
        let mut next_word = Duration::from_secs(5);
        loop {
            if tokio_postgres::connect(url, tokio_postgres::NoTls)
                .await
                .is_ok()
            {
                return Ok(());
            }
            if self.state() == State::GivenUp {
                let log = self.server.home.postgres_log();
                let tail = tail(&log);
                return Err(Error::Start { log, tail });
            }
            if started.elapsed() > next_word {
                say(
                    "postgres",
                    "still starting (after a crash it first repeats its log)",
                );
                next_word *= 2;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns once the server has ended for good.
    pub(super) async fn given_up(&self) -> Error {
        if let Some((state, _)) = &self.running {
            let mut state = state.clone();
            while *state.borrow_and_update() != State::GivenUp && state.changed().await.is_ok() {}
        }
        let log = self.server.home.postgres_log();
        let tail = tail(&log);
        Error::Start { log, tail }
    }

    /// Stops the server: open transactions are rolled back, what is committed is on disk.
    pub(super) async fn stop(&mut self) {
        self.stopping.cancel();
        let Some((state, mut task)) = self.running.take() else {
            return;
        };
        for (signal, patience) in [
            (Signal::INT, STOP_PATIENCE),
            (Signal::QUIT, STOP_PATIENCE / 3),
        ] {
            let State::Up(pid) = *state.borrow() else {
                break;
            };
            send(pid, signal);
            if timeout(patience, &mut task).await.is_ok() {
                return;
            }
        }
        task.abort();
    }

    fn state(&self) -> State {
        self.running
            .as_ref()
            .map_or(State::GivenUp, |(state, _)| *state.borrow())
    }
}

/// Stops a server that runs without us, if there is one; returns whether there was.
pub(super) fn stop_orphan(home: &Home) -> Result<bool, Error> {
    let account = Account::choose()?;
    if postmaster(home).is_none() {
        return Ok(false);
    }
    let server = Server {
        home: home.clone(),
        files: ServerFiles::find(account)?,
        account,
    };
    server.end_previous_run()?;
    Ok(true)
}

impl Server {
    /// Runs `initdb` beside the data folder and moves the result into place when it is complete.
    fn make_data(&self, secrets: &Secrets) -> Result<(), Error> {
        let new = self.home.dir.join("data.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io(&new))?;
        }
        fs::create_dir(&new).map_err(io(&new))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o700)).map_err(io(&new))?;
        self.account.own(&new)?;
        let password = self.home.dir.join("password");
        write_private(&password, &secrets.superuser)?;
        self.account.own(&password)?;
        let made = run(self
            .account
            .command(&self.files.program("initdb"))
            .args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .args(["--username=postgres", "--no-instructions"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", new.display())));
        let _ = fs::remove_file(&password);
        made?;
        let conf = new.join("postgresql.conf");
        let mut text = fs::read_to_string(&conf).map_err(io(&conf))?;
        text.push_str("\n# Written at each start; what stands after this line wins over it.\n");
        text.push_str("include_if_exists = 'pg_live.conf'\n");
        fs::write(&conf, text).map_err(io(&conf))?;
        let mark = new.join(BUILD_FILE);
        fs::write(&mark, self.files.build()?).map_err(io(&mark))?;
        let data = self.home.data();
        fs::rename(&new, &data).map_err(io(&data))
    }

    /// An error if the extension in the cluster was made by another build of this version: there is no way from one
    /// to the other. Between versions there may be one.
    fn check_build(&self) -> Result<(), Error> {
        let path = self.home.data().join(BUILD_FILE);
        let made_by = fs::read_to_string(&path).unwrap_or_default();
        let ours = self.files.build()?;
        let version = |build: &str| build.split(' ').next().unwrap_or_default().to_owned();
        if made_by == ours {
            return Ok(());
        }
        if made_by.is_empty() || version(&made_by) == version(&ours) {
            return Err(Error::OtherBuild {
                home: self.home.dir.clone(),
            });
        }
        fs::write(&path, ours).map_err(io(&path))
    }

    /// Writes the settings that may differ from start to start.
    fn configure(&self, port: u16) -> Result<(), Error> {
        let sockets = self.home.socket_dir();
        fs::create_dir_all(&sockets).map_err(io(&sockets))?;
        fs::set_permissions(&sockets, fs::Permissions::from_mode(0o700)).map_err(io(&sockets))?;
        self.account.own(&sockets)?;
        let path = self.home.data().join("pg_live.conf");
        fs::write(&path, settings(port, &sockets)).map_err(io(&path))?;
        self.account.own(&path)
    }

    /// Ends a server that a killed run left behind, and forgets one that is gone.
    fn end_previous_run(&self) -> Result<(), Error> {
        let data = self.home.data();
        let pid_file = data.join("postmaster.pid");
        if postmaster(&self.home).is_none() {
            if pid_file.exists() {
                fs::remove_file(&pid_file).map_err(io(&pid_file))?;
            }
            return Ok(());
        }
        say(
            "postgres",
            "still runs from a run that was killed: stopping it first",
        );
        let stop = |mode: &str| {
            run(self
                .account
                .command(&self.files.program("pg_ctl"))
                .args(["stop", "--wait", "--timeout=30", "--mode", mode, "--pgdata"])
                .arg(&data))
        };
        stop("fast").or_else(|_| stop("immediate"))
    }

    /// Whether the last start failed because processes of the one before still run.
    pub(super) fn memory_in_use(&self) -> bool {
        tail(&self.home.postgres_log()).contains("still in use")
    }

    /// Starts the server's process; its output goes to the cluster's log.
    pub(super) fn spawn(&self) -> Result<Child, Error> {
        let path = self.home.postgres_log();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > MAX_LOG) {
            fs::rename(&path, path.with_extension("log.1")).map_err(io(&path))?;
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io(&path))?;
        let errors = log.try_clone().map_err(io(&path))?;
        let program = self.files.program("postgres");
        let mut command = self.account.command(&program);
        command.arg("-D").arg(self.home.data());
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        // A group of its own: Ctrl-C is for us, who then stop things in order.
        command.process_group(0);
        Command::from(command).spawn().map_err(io(&program))
    }
}

/// The server's process, if one runs on this data.
pub(super) fn postmaster(home: &Home) -> Option<u32> {
    let text = fs::read_to_string(home.data().join("postmaster.pid")).ok()?;
    let pid: u32 = text.lines().next()?.trim().parse().ok()?;
    // The number may belong to another program by now.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "postgres").then_some(pid)
}

fn settings(port: u16, sockets: &Path) -> String {
    format!(
        "# Written by pg-live at each start. Put your own settings at the end of postgresql.conf.\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = '{}'\n\
         unix_socket_permissions = 0700\n\
         shared_preload_libraries = 'pg_live'\n\
         pg_live.recheck_calls = 50\n\
         password_encryption = 'scram-sha-256'\n\
         max_connections = 200\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         log_line_prefix = '%m [%p] %q%u@%d '\n",
        sockets.display().to_string().replace('\'', "''")
    )
}

/// A port of these is not given to a connection before Postgres listens on it: systems number those from 32768 on.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
/// So many of them are tried.
const PORT_TRIES: usize = 1_000;

/// The port of earlier runs if it is still free, else a new one.
fn free_port(home: &Home) -> Result<u16, Error> {
    let path = home.dir.join("port");
    let known = fs::read_to_string(&path)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    if let Some(port) = known.filter(is_free) {
        return Ok(port);
    }
    let mut some = std::iter::repeat_with(|| rand::rng().random_range(PORTS)).take(PORT_TRIES);
    let port = match some.find(is_free) {
        Some(port) => port,
        None => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io(&path))?;
            listener.local_addr().map_err(io(&path))?.port()
        }
    };
    fs::write(&path, format!("{port}\n")).map_err(io(&path))?;
    Ok(port)
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself just now.
        let _ = kill_process(pid, signal);
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_stays_the_same_while_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        let port = free_port(&home).unwrap();
        assert_eq!(free_port(&home).unwrap(), port);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(free_port(&home).unwrap(), port);
    }

    #[test]
    fn settings_are_for_this_machine_only() {
        let text = settings(5555, Path::new("/tmp/it's"));
        assert!(text.contains("listen_addresses = '127.0.0.1'"));
        assert!(text.contains("unix_socket_directories = '/tmp/it''s'"));
    }

    #[test]
    fn the_tail_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let lines: Vec<String> = (0..2000).map(|n| format!("line {n}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        assert!(tail(&path).ends_with("line 1999"));
        assert_eq!(tail(&path).lines().count(), 12);
    }

    #[test]
    fn a_pid_file_of_another_program_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        fs::create_dir(home.data()).unwrap();
        assert_eq!(postmaster(&home), None);
        let pid = std::process::id();
        fs::write(
            home.data().join("postmaster.pid"),
            format!("{pid}\n/data\n"),
        )
        .unwrap();
        assert_eq!(postmaster(&home), None);
    }
}
