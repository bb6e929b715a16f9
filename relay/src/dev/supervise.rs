//! Keeps the server of a private cluster running.

use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cluster::{Server, postmaster};
use super::home::Home;
use super::say::say;

/// A run shorter than this is a failed start.
const SHORT_RUN: Duration = Duration::from_secs(2);
/// Between two starts.
const RESTART_DELAY: Duration = Duration::from_millis(500);
/// How often a server that is not our child is looked at.
const ADOPTED_POLL: Duration = Duration::from_millis(100);
/// Failed starts in a row after which we give up.
const MAX_FAILED_STARTS: u32 = 3;
/// The same, while processes of a killed server still use its memory: they need time to notice.
const MAX_FAILED_STARTS_IN_USE: u32 = 60;

/// What the server's process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, as far as we know.
    Up(u32),
    /// It ended and will be started again.
    Down,
    /// It ended and stays so.
    GivenUp,
}

/// A server's process: ours, or one that somebody started on our data (`pg_ctl restart`).
enum Process {
    Ours(Child),
    Adopted(u32),
}

impl Process {
    fn pid(&self) -> u32 {
        match self {
            Self::Ours(child) => child.id().unwrap_or_default(),
            Self::Adopted(pid) => *pid,
        }
    }

    /// Waits for its end; returns how it ended.
    async fn ended(&mut self, home: &Home) -> String {
        match self {
            Self::Ours(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Adopted(pid) => {
                while postmaster(home) == Some(*pid) {
                    sleep(ADOPTED_POLL).await;
                }
                "it was not ours".into()
            }
        }
    }
}

fn max_failed_starts(server: &Server) -> u32 {
    if server.memory_in_use() {
        MAX_FAILED_STARTS_IN_USE
    } else {
        MAX_FAILED_STARTS
    }
}

/// Starts the server again whenever it ends, until `stopping` or until it keeps failing.
pub(super) async fn supervise(
    server: Server,
    child: Child,
    stopping: CancellationToken,
    state: watch::Sender<State>,
) {
    let mut process = Process::Ours(child);
    let mut failed_starts = 0;
    loop {
        let started = Instant::now();
        let how = process.ended(&server.home).await;
        if stopping.is_cancelled() {
            return;
        }
        state.send_replace(State::Down);
        if started.elapsed() > SHORT_RUN {
            failed_starts = 0;
            say(
                "postgres",
                format!("ended by itself ({how}): starting it again"),
            );
        } else {
            failed_starts += 1;
        }
        tokio::select! {
            () = sleep(RESTART_DELAY) => {}
            () = stopping.cancelled() => return,
        }
        let next = match postmaster(&server.home) {
            Some(pid) => {
                say(
                    "postgres",
                    format!("was started by somebody else (process {pid})"),
                );
                Ok(Process::Adopted(pid))
            }
            None if failed_starts >= max_failed_starts(&server) => {
                state.send_replace(State::GivenUp);
                return;
            }
            None => server.spawn().map(Process::Ours),
        };
        match next {
            Ok(next) => process = next,
            Err(error) => {
                say("postgres", error);
                state.send_replace(State::GivenUp);
                return;
            }
        }
        state.send_replace(State::Up(process.pid()));
    }
}
