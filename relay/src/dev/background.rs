//! A development server in the background: started by `dev --detach`, ended by `stop`.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::account::Account;
use super::cluster::stop_orphan;
use super::error::io;
use super::home::Home;
use super::say::say;
use super::secrets::write_private;
use super::{Error, Options};
use crate::deploy::App;

/// How often a file is looked at.
const POLL: Duration = Duration::from_millis(50);
/// A run has this long to end after it was told to.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What a run writes when it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    /// Its process.
    pub(super) pid: u32,
    /// URL of the relay.
    pub(super) relay: String,
    /// URL of the page, if the app has one.
    pub(super) page: Option<String>,
}

impl Ready {
    /// Tells the world.
    pub(super) fn write(&self, home: &Home) -> Result<(), Error> {
        let path = home.ready();
        let text = serde_json::to_string(self).map_err(|error| Error::Io {
            path: path.clone(),
            source: error.into(),
        })?;
        write_private(&path, &text)
    }

    fn read(home: &Home) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(home.ready()).ok()?).ok()
    }
}

/// Starts a run in the background and returns once it is ready; shows its output until then.
///
/// # Errors
/// When the run ends before it is ready: its own words have been shown.
pub async fn detach(options: &Options) -> Result<(), Error> {
    let app = App::open(&options.app_dir)?;
    let home = Home::create(&app.dir, options.dir.as_deref(), Account::choose()?)?;
    drop(home.lock(&app.dir)?);
    let log = home.dev_log();
    let output = File::create(&log).map_err(io(&log))?;
    let errors = output.try_clone().map_err(io(&log))?;
    let program = std::env::current_exe().map_err(io(&log))?;
    let mut command = Command::new(&program);
    command
        .arg("dev")
        .arg(&app.dir)
        .arg("--port")
        .arg(options.port.to_string());
    if let Some(dir) = &options.dir {
        command.arg("--dir").arg(dir);
    }
    if options.fresh {
        command.arg("--fresh");
    }
    if !options.frontend {
        command.arg("--no-frontend");
    }
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    // A group of its own: it outlives the terminal that it was started from.
    let mut child = command.process_group(0).spawn().map_err(io(&program))?;

    let mut shown = 0;
    loop {
        show_new_output(&log, &mut shown);
        if Ready::read(&home).is_some_and(|ready| ready.pid == child.id()) {
            show_new_output(&log, &mut shown);
            say(
                "pg-live",
                format!("runs in the background: log {}", log.display()),
            );
            let stop = stop_command(&app.dir, options.dir.as_deref());
            say("", format!("`{stop}` ends it."));
            return Ok(());
        }
        if child.try_wait().map_err(io(&program))?.is_some() {
            show_new_output(&log, &mut shown);
            return Err(Error::Detached { log });
        }
        sleep(POLL).await;
    }
}

/// The command that ends the run of an app.
pub(super) fn stop_command(app_dir: &Path, dir: Option<&Path>) -> String {
    let dir = dir.map_or_else(String::new, |dir| format!(" --dir {}", dir.display()));
    format!("pg-live stop {}{dir}", app_dir.display())
}

/// Ends the run of an app, wherever it was started; returns once everything has ended.
///
/// # Errors
/// When the run does not end.
pub async fn stop(app_dir: &Path, dir: Option<&Path>) -> Result<(), Error> {
    let app_dir = app_dir.canonicalize().map_err(io(app_dir))?;
    let home = Home::locate(&app_dir, dir)?;
    if !home.dir.is_dir() {
        say(
            "pg-live",
            format!("nothing to stop: there is no {}", home.dir.display()),
        );
        return Ok(());
    }
    let Err(Error::Running { pid, .. }) = home.lock(&app_dir) else {
        let what = if stop_orphan(&home)? {
            "Postgres had been left running"
        } else {
            "nothing ran"
        };
        say("pg-live", format!("{what} in {}", home.dir.display()));
        return Ok(());
    };
    let process = pid.parse().ok().and_then(Pid::from_raw);
    if let Some(process) = process {
        // If it has just ended, the lock tells.
        let _ = kill_process(process, Signal::TERM);
    }
    let started = Instant::now();
    while home.lock(&app_dir).is_err() {
        if started.elapsed() > STOP_PATIENCE {
            return Err(Error::Stuck { pid });
        }
        sleep(POLL).await;
    }
    say(
        "pg-live",
        format!(
            "stopped process {pid}; the data stays in {}",
            home.dir.display()
        ),
    );
    Ok(())
}

/// Copies what is new in the log to our own output. A log that cannot be read shows nothing.
fn show_new_output(log: &Path, shown: &mut u64) {
    let Ok(mut file) = File::open(log) else {
        return;
    };
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(*shown)).is_ok() && file.read_to_end(&mut bytes).is_ok() {
        *shown += bytes.len() as u64;
        let _ = std::io::stdout().write_all(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        assert_eq!(Ready::read(&home), None);
        let ready = Ready {
            pid: 7,
            relay: "http://127.0.0.1:3210".into(),
            page: None,
        };
        ready.write(&home).unwrap();
        assert_eq!(Ready::read(&home), Some(ready));
    }
}
