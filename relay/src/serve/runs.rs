//! Runs of query functions: all queries of a session in one read-only transaction (R11, R16).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use pg_live_session::{Event, Failure, Moment, QueryResult, Run, RunNumber, Sub};
use tokio_postgres::{Error, NoTls};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Relay;
use super::database::{QueryRow, sql};
use super::pool::{Stopping, Taken};
use super::sql_error::{Verdict, describe, is_reusable_after, judge};

/// A run that takes longer is cancelled.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A query that was running when that many connections in a row were lost is told to be failing, so
/// that one function that ends its backend does not keep the others of its session from running.
const STRIKES: u32 = 3;

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

/// Results of calls, in their order, all of the snapshot at this moment.
pub(crate) type Outcome = (Moment, Vec<QueryResult>);

/// Why an attempt came to nothing.
struct Broken {
    verdict: Verdict,
    /// Index of the call that was running.
    culprit: Option<usize>,
    message: String,
}

/// Carries out a session's run; if the client is `gone` before it has begun, it fails.
pub(crate) async fn run(relay: &Relay, run: Run, gone: &CancellationToken) -> Event {
    let number = run.number;
    let subs: Vec<Sub> = run.queries.iter().map(|query| query.sub).collect();
    let identity = run.identity;
    let calls: Vec<Call> = run
        .queries
        .into_iter()
        .map(|query| Call {
            path: query.path,
            args: query.args,
            identity: identity.clone(),
            journal: query.journal,
            registration: Some((query.sub, number)),
        })
        .collect();
    relay.metrics.runs.add(1);
    match execute(relay, &calls, gone).await {
        Ok(Some((moment, results))) => {
            let results = subs.into_iter().zip(results).collect();
            Event::RunFinished {
                run: number,
                moment,
                results,
            }
        }
        Ok(None) | Err(Stopping) => {
            relay.metrics.runs_failed.add(1);
            Event::RunFailed { run: number }
        }
    }
}

/// Executes calls at one snapshot. `None`: the transaction lost against another one, or the
/// connection was lost; the caller tries again later. `Stopping`: it did not begin.
pub(crate) async fn execute(
    relay: &Relay,
    calls: &[Call],
    gone: &CancellationToken,
) -> Result<Option<Outcome>, Stopping> {
    let mut failing = BTreeMap::new();
    let mut strikes = BTreeMap::<usize, u32>::new();
    loop {
        let broken = match attempt(relay, calls, &failing, gone).await? {
            Ok(outcome) => {
                for (call, result) in calls.iter().zip(&outcome.1) {
                    relay.log_function(&call.path, &result.log_lines, &result.outcome);
                }
                return Ok(Some(outcome));
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

/// One attempt; calls in `failing` get that error without being executed.
async fn attempt(
    relay: &Relay,
    calls: &[Call],
    failing: &BTreeMap<usize, String>,
    gone: &CancellationToken,
) -> Result<Result<Outcome, Broken>, Stopping> {
    let live = calls.iter().any(|call| call.registration.is_some());
    let (connection, owner) = tokio::select! {
        () = gone.cancelled() => return Err(Stopping),
        taken = take(relay, live) => taken?,
    };
    let cancel = connection.client.cancel_token();
    let done = tokio::time::timeout(TIMEOUT, transact(connection, owner, calls, failing)).await;
    relay
        .metrics
        .executions
        .add((calls.len() - failing.len()) as u64);
    let Ok(done) = done else {
        // The connection is closed; its backend is told to stop.
        if let Err(error) = cancel.cancel_query(NoTls).await {
            debug!(error = describe(&error), "a query could not be cancelled");
        }
        let message = format!(
            "the queries of a client took longer than {} s",
            TIMEOUT.as_secs()
        );
        return Ok(Err(Broken {
            verdict: Verdict::Lost,
            culprit: None,
            message,
        }));
    };
    Ok(done)
}

/// A connection, and the owner to register with: read after the connection is there, since waiting
/// for it may outlast an owner (R8).
async fn take(relay: &Relay, live: bool) -> Result<(Taken, i64), Stopping> {
    if !live {
        return Ok((relay.database.queries.take().await?, 0));
    }
    loop {
        tokio::select! {
            () = relay.shutdown.cancelled() => return Err(Stopping),
            _ = relay.control.attached() => {}
        }
        let connection = relay.database.queries.take().await?;
        if let Some(owner) = relay.control.owner() {
            return Ok((connection, owner));
        }
        connection.give_back();
    }
}

async fn transact(
    connection: Taken,
    owner: i64,
    calls: &[Call],
    failing: &BTreeMap<usize, String>,
) -> Result<Outcome, Broken> {
    // All statements are sent at once and answered in order.
    let begin = connection.client.batch_execute(sql::BEGIN_QUERY);
    let queries = calls
        .iter()
        .enumerate()
        .filter(|(n, _)| !failing.contains_key(n));
    let queries = join_all(queries.map(|(n, call)| execute_one(&connection, owner, n, call)));
    let (begun, results) = join(begin, queries).await;
    begun.map_err(|error| broken(None, &error))?;
    let mut rows = BTreeMap::new();
    for (n, result) in results {
        match result {
            Ok(row) => rows.insert(n, row),
            Err(error) => return Err(abandon(connection, n, &error).await),
        };
    }
    let moments: Vec<Moment> = rows.values().map(|row| row.moment).collect();
    let moment = match moments.first() {
        Some(first) => *first,
        None => connection
            .now()
            .await
            .map_err(|error| broken(None, &error))?,
    };
    // The results are what they are: nobody needs to wait for the end of the transaction.
    tokio::spawn(async move {
        if connection.client.batch_execute("COMMIT").await.is_ok() {
            connection.give_back();
        }
    });
    if moments.iter().any(|other| *other != moment) {
        // A new boot began between two queries of the transaction.
        let message = "the invalidator was restarted during the run".to_owned();
        return Err(Broken {
            verdict: Verdict::Conflict,
            culprit: None,
            message,
        });
    }
    let result = |n: usize| match rows.remove(&n) {
        Some(row) => row.result,
        None => failed(failing.get(&n).cloned().unwrap_or_default()),
    };
    Ok((moment, (0..calls.len()).map(result).collect()))
}

async fn execute_one(
    connection: &Taken,
    owner: i64,
    n: usize,
    call: &Call,
) -> (usize, Result<QueryRow, Error>) {
    let (sub, generation) = call.registration.unwrap_or((0, 0));
    let Call {
        path,
        args,
        identity,
        journal,
        ..
    } = call;
    let row = connection
        .client
        .query_one(
            &connection.run_query,
            &[path, args, identity, &owner, &sub, &generation, journal],
        )
        .await;
    (n, row.and_then(|row| QueryRow::from_row(&row)))
}

/// Ends the transaction of a failed query; the connection is kept if it still works.
async fn abandon(connection: Taken, culprit: usize, error: &Error) -> Broken {
    let broken = broken(Some(culprit), error);
    if is_reusable_after(error) && connection.client.batch_execute("ROLLBACK").await.is_ok() {
        connection.give_back();
    }
    broken
}

fn broken(culprit: Option<usize>, error: &Error) -> Broken {
    Broken {
        verdict: judge(error),
        culprit,
        message: describe(error),
    }
}

/// The result of a query that could not even be executed: shown, and tried again later.
fn failed(message: String) -> QueryResult {
    QueryResult {
        outcome: Err(Failure {
            message,
            data: None,
        }),
        log_lines: Vec::new(),
        journal: None,
        registered: false,
        not_live: None,
    }
}
