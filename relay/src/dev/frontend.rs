//! The app's own page server: script `dev:frontend` of its `package.json`.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::say::say;

/// Name of the script; templates for new apps have it.
pub(super) const SCRIPT: &str = "dev:frontend";

/// How long the page's server may take to say where it listens before we go on without it.
const URL_PATIENCE: Duration = Duration::from_secs(20);

/// A running page server.
pub(super) struct Frontend {
    child: Child,
    url: watch::Receiver<Option<String>>,
    ended: bool,
}

impl Frontend {
    /// Starts the script in the app's folder; its output is passed on line by line.
    ///
    /// `pid_file` remembers it, so that the next run can end what a killed one left behind.
    pub(super) fn start(app_dir: &Path, pid_file: &Path) -> std::io::Result<Self> {
        end_previous(app_dir, pid_file);
        let mut command = std::process::Command::new("npm");
        command
            .args(["run", "--silent", SCRIPT])
            .current_dir(app_dir);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own, so that all of it can be ended.
        command.process_group(0);
        let mut child = Command::from(command).spawn()?;
        std::fs::write(pid_file, child.id().unwrap_or_default().to_string())?;
        let (sender, url) = watch::channel(None);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(pass_on(out, Some(sender)));
        }
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(pass_on(errors, None));
        }
        Ok(Self {
            child,
            url,
            ended: false,
        })
    }

    /// The page's URL, as soon as its server has printed it.
    pub(super) async fn page_url(&mut self) -> Option<String> {
        let wait = self.url.wait_for(Option::is_some);
        timeout(URL_PATIENCE, wait).await.ok()?.ok()?.clone()
    }

    /// Returns when the page's server has ended by itself and that was said; only once.
    pub(super) async fn watch(&mut self) {
        if self.ended {
            return std::future::pending().await;
        }
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        say(
            "web",
            format!("the page's server ended ({how}); everything else keeps running"),
        );
        self.ended = true;
    }

    /// Ends the script and all that it started.
    pub(super) async fn stop(mut self) {
        let Some(group) = self.child.id().and_then(group) else {
            return;
        };
        for signal in [Signal::TERM, Signal::KILL] {
            // The group may be gone already.
            let _ = kill_process_group(group, signal);
            if timeout(Duration::from_secs(3), self.child.wait())
                .await
                .is_ok()
            {
                break;
            }
        }
        sleep(Duration::from_millis(20)).await;
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn group(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Ends the page server of a run that was killed, if it still runs.
fn end_previous(app_dir: &Path, pid_file: &Path) {
    let Some(id) = std::fs::read_to_string(pid_file)
        .ok()
        .and_then(|text| text.parse().ok())
    else {
        return;
    };
    // The number may belong to another program by now.
    let ours = std::fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|dir| dir == app_dir);
    if let Some(group) = group(id).filter(|_| ours) {
        // If it has just ended, all the better.
        let _ = kill_process_group(group, Signal::TERM);
    }
}

/// Prints each line of `output`; the first URL in it goes to `url`.
async fn pass_on(output: impl AsyncRead + Unpin, url: Option<watch::Sender<Option<String>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let plain = without_colours(&line);
        if !plain.trim().is_empty() {
            say("web", format!("| {plain}"));
        }
        if let (Some(url), Some(found)) = (&url, local_url(&plain)) {
            url.send_if_modified(|known| {
                let new = known.is_none();
                if new {
                    *known = Some(found.to_owned());
                }
                new
            });
        }
    }
}

/// The first URL of this machine in a line.
fn local_url(line: &str) -> Option<&str> {
    let start = ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"]
        .iter()
        .find_map(|prefix| line.find(prefix))?;
    let rest = &line[start..];
    Some(
        rest.split_whitespace()
            .next()
            .unwrap_or(rest)
            .trim_end_matches('/'),
    )
}

/// The line without terminal escape sequences.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // ESC [ parameters letter
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_found_in_coloured_output() {
        let line = "  \u{1b}[32m➜\u{1b}[39m  \u{1b}[1mLocal\u{1b}[22m:   \u{1b}[36mhttp://localhost:\u{1b}[1m5173\u{1b}[22m/\u{1b}[39m";
        assert_eq!(
            local_url(&without_colours(line)),
            Some("http://localhost:5173")
        );
        assert_eq!(local_url("see https://vite.dev"), None);
    }
}
