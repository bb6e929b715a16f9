//! Runs of query functions: queries at one snapshot, tried again where that helps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pg_live_session::{RunNumber, Sub};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Relay;
use super::nodes::{Reading, Seat};
use super::pool::Stopping;
use super::sql_error::Verdict;
use super::transaction::{Broken, Culprit, Executed, transact};

pub(crate) use super::transaction::Work as Attempt;

/// A run that takes longer is cancelled.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A query that was running when that many connections in a row were lost is told to be failing, so
/// that one function that ends its backend does not keep the others of its session from running.
const STRIKES: u32 = 4;
/// Pause after the first such loss, four times as long after each: a network that breaks for a moment, again and again,
/// is not the query's doing.
const STRIKE_PAUSE: Duration = Duration::from_millis(100);

/// A query to execute.
pub(crate) struct Call {
    pub(crate) path: Arc<str>,
    pub(crate) args: Arc<str>,
    pub(crate) identity: Option<Arc<str>>,
    /// Where its pages end.
    pub(crate) journal: Option<String>,
    /// What to register it as.
    pub(crate) registration: Option<(Sub, RunNumber)>,
}

/// What is known of calls that were tried in vain, by their index.
#[derive(Default)]
pub(crate) struct Strikes {
    failing: BTreeMap<usize, String>,
    counts: BTreeMap<usize, u32>,
}

/// What to do after an attempt that came to nothing.
pub(crate) enum Next {
    /// Try again after a pause.
    Again(Duration),
    /// The transaction lost against another one, or the connection was lost: the session tries again later.
    GiveUp,
}

impl Strikes {
    /// These get an error without being executed.
    pub(crate) fn failing(&self) -> &BTreeMap<usize, String> {
        &self.failing
    }

    pub(crate) fn judge(&mut self, broken: Broken, calls: &[Call]) -> Next {
        let Broken {
            verdict,
            culprit: Culprit::Call(culprit),
            message,
        } = broken
        else {
            return Next::GiveUp;
        };
        let strike = self.counts.entry(culprit).or_default();
        *strike += 1;
        let path = calls.get(culprit).map_or("", |call| &call.path);
        match verdict {
            Verdict::Conflict => Next::GiveUp,
            Verdict::Lost if *strike < STRIKES => {
                debug!(
                    path,
                    error = message,
                    "a connection was lost during a query"
                );
                Next::Again(STRIKE_PAUSE * 4u32.pow(*strike - 1))
            }
            Verdict::Lost => {
                warn!(
                    path,
                    error = message,
                    "a query ends its connection each time"
                );
                self.failing.insert(culprit, message);
                Next::Again(Duration::ZERO)
            }
            Verdict::Final => {
                debug!(path, error = message, "a query cannot be executed");
                self.failing.insert(culprit, message);
                Next::Again(Duration::ZERO)
            }
        }
    }
}

/// Executes calls at one snapshot, registering nothing. `None`: the transaction lost against another one, or the
/// connection was lost; the caller tries again later. `Stopping`: it did not begin.
pub(crate) async fn execute(
    relay: &Relay,
    seat: &Seat,
    calls: &[Call],
    gone: &CancellationToken,
) -> Result<Option<Executed>, Stopping> {
    let mut strikes = Strikes::default();
    loop {
        let reading = tokio::select! {
            () = gone.cancelled() => return Err(Stopping),
            reading = relay.nodes.open(relay, seat, false) => reading?,
        };
        let work = Attempt {
            calls,
            failing: strikes.failing(),
            keeps: false,
            one_by_one: true,
        };
        let broken = match attempt(relay, seat, work, reading).await {
            Ok(mut executed) => {
                for (call, (result, _)) in calls.iter().zip(&mut executed.results) {
                    relay.log_function(&call.path, &mut result.log_lines, &mut result.outcome);
                }
                return Ok(Some(executed));
            }
            Err(broken) => broken,
        };
        match strikes.judge(broken, calls) {
            Next::GiveUp => return Ok(None),
            Next::Again(pause) => {
                tokio::select! {
                    () = gone.cancelled() => return Err(Stopping),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

/// One attempt.
pub(crate) async fn attempt(
    relay: &Relay,
    seat: &Seat,
    work: Attempt<'_>,
    reading: Reading,
) -> Result<Executed, Broken> {
    let cancel = reading.connection.cancel();
    let on_replica = reading.ticket.is_some();
    let executions = work.calls.len() - work.failing.len();
    let done = tokio::time::timeout(TIMEOUT, transact(relay, seat, reading, work)).await;
    relay.metrics.executions.add(executions as u64);
    let Ok(done) = done else {
        // The connection is closed; its backend is told to stop.
        cancel.send().await;
        let message = format!(
            "the queries of a client took longer than {} s",
            TIMEOUT.as_secs()
        );
        if on_replica {
            seat.broken_off();
        }
        return Err(Broken {
            verdict: Verdict::Lost,
            culprit: Culprit::Nobody,
            message,
        });
    };
    done.map_err(|broken| {
        if on_replica {
            elsewhere(seat, broken)
        } else {
            broken
        }
    })
}

/// The results of more queries at an open snapshot, unless it is lost or they take too long.
pub(crate) async fn in_time(
    executed: impl Future<Output = Result<Executed, Broken>>,
) -> Option<Executed> {
    match tokio::time::timeout(TIMEOUT, executed).await {
        Ok(Ok(executed)) => Some(executed),
        Ok(Err(Broken { message, .. })) => {
            debug!(error = message, "a snapshot was lost");
            None
        }
        Err(_) => None,
    }
}

/// What a failure on a replica means: it must replay what the run was in the way of, or it cannot do
/// what the primary can.
fn elsewhere(seat: &Seat, broken: Broken) -> Broken {
    match broken.verdict {
        Verdict::Conflict => seat.broken_off(),
        Verdict::Lost => {}
        Verdict::Final => {
            seat.stay_away();
            return Broken {
                verdict: Verdict::Lost,
                ..broken
            };
        }
    }
    broken
}
