//! Mutations: serializable, repeated on conflicts, once per session and request (R14).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use pg_live_session::{Event, Failure, Moment, Mutation, MutationOutcome};
use tokio::time::sleep;
use tokio_postgres::types::ToSql;
use tracing::{debug, warn};

use super::Relay;
use super::database::{FunctionResult, MutationRow, moment, sql};
use super::pool::{Connection, Pool, Stopping, Taken, backoff};
use super::sql_error::{Verdict, describe, is_reusable_after, judge};

/// Repetitions after conflicts.
const RETRIES: u32 = 4;
/// Repetitions after lost connections: more than a server needs to come back, few enough that a
/// function which ends its backend stops at last.
const RETRIES_LOST: u32 = 5;
/// How long to wait for the invalidator after a commit.
const CLOCK_PAUSE: Duration = Duration::from_millis(50);

/// What a client is told after the last conflict.
pub(crate) const CONFLICT: &str = "Documents read from or written to by this mutation changed while \
    it was being run and on every subsequent retry. Another call to this mutation, or another \
    writer, changed the same documents. See the OptimisticConcurrencyControlFailure entry in \
    docs/errors.md";
/// What a client is told about trouble inside.
pub(crate) const INTERNAL: &str = "Your request couldn't be completed. Try again later.";

/// A mutation to run.
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) args: String,
    pub(crate) identity: Option<String>,
    /// Session id and request id. Only with them is it safe to repeat what may have been committed.
    pub(crate) key: Option<(String, i64)>,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It lost against others each time.
    Conflict,
    /// The connection was lost and it is not known whether it committed.
    Unknown,
    /// The database refused it.
    Database(String),
    /// The relay stops.
    Stopping,
}

/// One attempt that came to nothing.
struct Broken {
    error: tokio_postgres::Error,
    /// Whether COMMIT had been sent.
    committing: bool,
}

/// Carries out a session's mutation.
pub(crate) async fn run(relay: &Relay, mutation: Mutation) -> Event {
    let Mutation {
        session_id,
        request_id,
        path,
        args,
        identity,
    } = mutation;
    let key = Some((session_id, i64::from(request_id)));
    let outcome = match execute(
        relay,
        &Call {
            path,
            args,
            identity: identity.map(|identity| identity.as_ref().to_owned()),
            key,
        },
    )
    .await
    {
        Ok((
            FunctionResult {
                outcome: Ok(value),
                log_lines,
            },
            moment,
        )) => MutationOutcome::Committed {
            moment,
            value,
            log_lines,
        },
        Ok((
            FunctionResult {
                outcome: Err(failure),
                log_lines,
            },
            _,
        )) => MutationOutcome::Failed { failure, log_lines },
        Err(failed) => {
            let message = match failed {
                Failed::Conflict => CONFLICT.to_owned(),
                Failed::Database(message) => message,
                Failed::Unknown | Failed::Stopping => INTERNAL.to_owned(),
            };
            let failure = Failure {
                message,
                data: None,
            };
            MutationOutcome::Failed {
                failure,
                log_lines: Vec::new(),
            }
        }
    };
    Event::MutationFinished {
        request_id,
        outcome,
    }
}

/// Runs a mutation to its end. The moment's boot is not 0: a transition at or after it sees it.
pub(crate) async fn execute(
    relay: &Relay,
    call: &Call,
) -> Result<(FunctionResult, Moment), Failed> {
    let begun = Instant::now();
    let mut result = execute_until_settled(relay, call).await;
    relay.metrics.mutation_seconds.observe(begun.elapsed());
    relay.metrics.mutations.add(1);
    if let Ok((FunctionResult { outcome, log_lines }, _)) = &mut result {
        relay.log_function(&call.path, log_lines, outcome);
    }
    if !matches!(&result, Ok((FunctionResult { outcome: Ok(_), .. }, _))) {
        relay.metrics.mutations_failed.add(1);
    }
    result
}

async fn execute_until_settled(
    relay: &Relay,
    call: &Call,
) -> Result<(FunctionResult, Moment), Failed> {
    let (mut conflicts, mut losses) = (0, 0);
    loop {
        let turn = tokio::select! {
            biased;
            turn = relay.contention.turn(&call.path, &call.args) => turn,
            () = relay.shutdown.cancelled() => return Err(Failed::Stopping),
        };
        let pool = match turn {
            Some(_) => &relay.database.turns,
            None => &relay.database.mutations,
        };
        let attempted = attempt(relay, pool, call).await;
        drop(turn);
        let broken = match attempted.map_err(|Stopping| Failed::Stopping)? {
            Ok(done) => return Ok(done),
            Err(broken) => broken,
        };
        let (path, error) = (&call.path, describe(&broken.error));
        let pause = match judge(&broken.error) {
            Verdict::Conflict if conflicts < RETRIES => {
                conflicts += 1;
                // Whoever waits for its turn need not also wait for chance.
                if relay.contention.lost(&call.path, &call.args) {
                    Duration::ZERO
                } else {
                    backoff(conflicts - 1)
                }
            }
            Verdict::Conflict => {
                warn!(path, error, "a mutation met a conflict each time");
                return Err(Failed::Conflict);
            }
            Verdict::Lost if broken.committing && call.key.is_none() => {
                return Err(Failed::Unknown);
            }
            Verdict::Lost if losses < RETRIES_LOST => {
                losses += 1;
                backoff(losses - 1)
            }
            Verdict::Lost => {
                warn!(path, error, "a mutation lost its connection each time");
                return Err(Failed::Unknown);
            }
            Verdict::Final => return Err(Failed::Database(error)),
        };
        debug!(path, error, ?pause, "a mutation is repeated");
        relay.metrics.mutation_retries.add(1);
        sleep(pause).await;
    }
}

/// One transaction.
async fn attempt(
    relay: &Relay,
    pool: &Arc<Pool>,
    call: &Call,
) -> Result<Result<(FunctionResult, Moment), Broken>, Stopping> {
    let connection = pool.take().await?;
    // If it may be repeated it is a statement that commits itself, and all is sent at once; else COMMIT is sent only
    // when there is something to commit, since then it can be repeated whatever happens before.
    let committing = call.key.is_some();
    let (row, done) = if committing {
        let (row, done) = join(run_mutation(&connection, call), last_commit(&connection)).await;
        (row, Some(done))
    } else {
        (run_in_transaction(&connection, call).await, None)
    };
    let row = match row {
        Ok(row) => row,
        Err(error) => {
            if is_reusable_after(&error) {
                give_back_after_error(relay, connection, done).await;
            }
            return Ok(Err(Broken { error, committing }));
        }
    };
    let done = match done {
        Some(done) => done,
        None => commit(&connection).await,
    };
    match done {
        Ok((moment, clean)) => {
            give_back_if(relay, connection, clean);
            relay.metrics.mutations_replayed.add(row.replayed.into());
            let moment = if moment.boot == 0 && row.result.outcome.is_ok() {
                wait_for_clock(relay).await?
            } else {
                moment
            };
            Ok(Ok((row.result, moment)))
        }
        Err(error) => {
            // After a conflict at COMMIT the connection is in no transaction.
            if judge(&error) == Verdict::Conflict {
                give_back_if_clean(relay, connection).await;
            }
            Ok(Err(Broken {
                error,
                committing: true,
            }))
        }
    }
}

/// Ends the transaction: a ROLLBACK if a statement in it failed. Its moment, and whether the session is clean.
///
/// A failed function commits too: what it read and then threw must have been true (it wrote nothing).
async fn commit(connection: &Connection) -> Result<(Moment, bool), tokio_postgres::Error> {
    let commit = connection.client.batch_execute("COMMIT");
    let (committed, ended) = join(commit, last_commit(connection)).await;
    committed?;
    ended
}

/// The moment of the transaction that has ended, and whether the session is clean.
async fn last_commit(connection: &Connection) -> Result<(Moment, bool), tokio_postgres::Error> {
    let row = connection.one(&connection.last_commit, &[]).await?;
    Ok((moment(&row)?, row.try_get("clean")?))
}

/// After an error in a transaction, whose end was sent with it or is still to be sent.
async fn give_back_after_error(
    relay: &Relay,
    connection: Taken,
    ended: Option<Result<(Moment, bool), tokio_postgres::Error>>,
) {
    match ended {
        Some(Ok((_, clean))) => give_back_if(relay, connection, clean),
        Some(Err(_)) => {}
        None => {
            if connection.client.batch_execute("ROLLBACK").await.is_ok() {
                give_back_if_clean(relay, connection).await;
            }
        }
    }
}

/// Gives a connection back in which triggers or functions of other languages have left nothing; else it is closed.
fn give_back_if(relay: &Relay, connection: Taken, clean: bool) {
    if clean {
        connection.give_back();
    } else {
        debug!("a mutation left something in its session, which is closed");
        relay.metrics.connections_unclean.add(1);
    }
}

/// After a rollback, which does not take all of it back.
async fn give_back_if_clean(relay: &Relay, connection: Taken) {
    let clean = last_commit(&connection).await.is_ok_and(|(_, clean)| clean);
    give_back_if(relay, connection, clean);
}

async fn run_in_transaction(
    connection: &Connection,
    call: &Call,
) -> Result<MutationRow, tokio_postgres::Error> {
    let begin = connection.client.batch_execute(sql::BEGIN_MUTATION);
    // Both are sent at once.
    let (begun, row) = join(begin, run_mutation(connection, call)).await;
    begun?;
    row
}

/// The statement: a transaction of its own, unless one was begun.
async fn run_mutation(
    connection: &Connection,
    call: &Call,
) -> Result<MutationRow, tokio_postgres::Error> {
    let Call {
        path,
        args,
        identity,
        key,
    } = call;
    let (session, request) = match key {
        Some((session, request)) => (Some(session), Some(*request)),
        None => (None, None),
    };
    let parameters: [&(dyn ToSql + Sync); 5] = [path, args, identity, &session, &request];
    let row = connection
        .one(&connection.run_mutation, &parameters)
        .await?;
    MutationRow::from_row(&row)
}

/// While the invalidator starts, commits have no place in time (R13): waits until there is one that
/// is surely after this commit.
async fn wait_for_clock(relay: &Relay) -> Result<Moment, Stopping> {
    loop {
        tokio::select! {
            () = relay.shutdown.cancelled() => return Err(Stopping),
            () = sleep(CLOCK_PAUSE) => {}
        }
        let connection = relay.database.mutations.take().await?;
        if let Ok(moment) = connection.now().await {
            connection.give_back();
            if moment.boot != 0 {
                return Ok(moment);
            }
        }
    }
}
