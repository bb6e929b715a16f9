//! Runs of query functions: the queries of a session at one snapshot, tried again where that helps.

use std::collections::BTreeMap;
use std::time::Duration;

use pg_live_session::{Event, Run, RunNumber, Sub};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Relay;
use super::nodes::Seat;
use super::pool::Stopping;
use super::sql_error::{Verdict, describe};
use super::transaction::{Broken, Executed, Open, Work, transact};

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
    pub(crate) path: String,
    pub(crate) args: String,
    pub(crate) identity: Option<String>,
    /// Where its pages end.
    pub(crate) journal: Option<String>,
    /// What to register it as.
    pub(crate) registration: Option<(Sub, RunNumber)>,
}

/// How a run ended, and its snapshot: to be held until the session has taken in the event (R11).
pub(crate) struct Finished {
    pub(crate) event: Event,
    pub(crate) open: Option<Open>,
}

/// Carries out a session's run; if the client is `gone` before it has begun, it fails.
pub(crate) async fn run(
    relay: &Relay,
    seat: &Seat,
    run: Run,
    gone: &CancellationToken,
) -> Finished {
    let (number, keeps) = (run.number, run.keeps);
    let (subs, calls) = calls_of(run);
    relay.metrics.runs.add(1);
    let executed = execute(relay, seat, &calls, keeps, gone).await;
    finished(relay, number, subs, executed.ok().flatten())
}

/// Executes more queries of a run at its snapshot (R11). Whatever fails makes the whole run fail: the
/// next one has a new snapshot.
pub(crate) async fn extend(relay: &Relay, seat: &Seat, run: Run, open: Option<Open>) -> Finished {
    let number = run.number;
    let (subs, calls) = calls_of(run);
    let work = Work {
        calls: &calls,
        failing: &BTreeMap::new(),
        keeps: false,
    };
    let executed = match open {
        Some(open) => {
            let executed = open.execute(relay, seat, work);
            tokio::time::timeout(TIMEOUT, executed).await.ok()
        }
        None => None,
    };
    relay.metrics.executions.add(calls.len() as u64);
    let executed = match executed {
        Some(Ok(executed)) => Some(executed),
        Some(Err(Broken { message, .. })) => {
            debug!(error = message, "a snapshot was lost");
            None
        }
        None => None,
    };
    finished(relay, number, subs, executed)
}

fn calls_of(run: Run) -> (Vec<Sub>, Vec<Call>) {
    let subs = run.queries.iter().map(|query| query.sub).collect();
    let (number, identity) = (run.number, run.identity);
    let calls = run.queries.into_iter().map(|query| Call {
        path: query.path,
        args: query.args,
        identity: identity.clone(),
        journal: query.journal,
        registration: Some((query.sub, number)),
    });
    (subs, calls.collect())
}

fn finished(relay: &Relay, run: RunNumber, subs: Vec<Sub>, executed: Option<Executed>) -> Finished {
    let Some(executed) = executed else {
        relay.metrics.runs_failed.add(1);
        return Finished {
            event: Event::RunFailed { run },
            open: None,
        };
    };
    let Executed {
        moment,
        results,
        release,
        open,
    } = executed;
    let event = Event::RunFinished {
        run,
        moment,
        results: subs.into_iter().zip(results).collect(),
        release,
    };
    Finished { event, open }
}

/// Executes calls at one snapshot. `None`: the transaction lost against another one, or the
/// connection was lost; the caller tries again later. `Stopping`: it did not begin.
pub(crate) async fn execute(
    relay: &Relay,
    seat: &Seat,
    calls: &[Call],
    keeps: bool,
    gone: &CancellationToken,
) -> Result<Option<Executed>, Stopping> {
    let mut failing = BTreeMap::new();
    let mut strikes = BTreeMap::<usize, u32>::new();
    loop {
        let work = Work {
            calls,
            failing: &failing,
            keeps,
        };
        let broken = match attempt(relay, seat, work, gone).await? {
            Ok(mut executed) => {
                for (call, result) in calls.iter().zip(&mut executed.results) {
                    relay.log_function(&call.path, &mut result.log_lines, &mut result.outcome);
                }
                return Ok(Some(executed));
            }
            Err(broken) => broken,
        };
        let Some(culprit) = broken.culprit else {
            return Ok(None);
        };
        let strike = strikes.entry(culprit).or_default();
        *strike += 1;
        let path = calls.get(culprit).map_or("", |call| call.path.as_str());
        match broken.verdict {
            Verdict::Conflict => return Ok(None),
            Verdict::Lost if *strike < STRIKES => {
                debug!(
                    path,
                    error = broken.message,
                    "a connection was lost during a query"
                );
                let pause = STRIKE_PAUSE * 4u32.pow(*strike - 1);
                tokio::select! {
                    () = gone.cancelled() => return Err(Stopping),
                    () = tokio::time::sleep(pause) => {}
                }
            }
            Verdict::Lost => {
                warn!(
                    path,
                    error = broken.message,
                    "a query ends its connection each time"
                );
                failing.insert(culprit, broken.message);
            }
            Verdict::Final => {
                debug!(path, error = broken.message, "a query cannot be executed");
                failing.insert(culprit, broken.message);
            }
        }
    }
}

/// One attempt.
async fn attempt(
    relay: &Relay,
    seat: &Seat,
    work: Work<'_>,
    gone: &CancellationToken,
) -> Result<Result<Executed, Broken>, Stopping> {
    let live = work.keeps || work.calls.iter().any(|call| call.registration.is_some());
    let reading = tokio::select! {
        () = gone.cancelled() => return Err(Stopping),
        reading = relay.nodes.open(relay, seat, live) => reading?,
    };
    let cancel = reading.connection.client.cancel_token();
    let on_replica = reading.ticket.is_some();
    let done = tokio::time::timeout(TIMEOUT, transact(relay, seat, reading, work)).await;
    let executions = work.calls.len() - work.failing.len();
    relay.metrics.executions.add(executions as u64);
    let Ok(done) = done else {
        // The connection is closed; its backend is told to stop.
        if let Err(error) = relay.database.connector.cancel(cancel).await {
            debug!(error = describe(&error), "a query could not be cancelled");
        }
        let message = format!(
            "the queries of a client took longer than {} s",
            TIMEOUT.as_secs()
        );
        if on_replica {
            seat.broken_off();
        }
        return Ok(Err(Broken {
            verdict: Verdict::Lost,
            culprit: None,
            message,
        }));
    };
    Ok(done.map_err(|broken| {
        if on_replica {
            elsewhere(seat, broken)
        } else {
            broken
        }
    }))
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
