//! Queries at one snapshot: a REPEATABLE READ READ ONLY transaction, or several that share the
//! snapshot that the first has exported (R11, R16), and what the invalidator knew of it (R10).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};
use pg_live_session::sharing::Observed;
use pg_live_session::{Failure, Moment, QueryResult, Release};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::Relay;
use super::database::{QueryRow, moment, sql, unsigned};
use super::link::{Ticket, Unlinked};
use super::nodes::{Carried, Reading, Seat};
use super::pool::Taken;
use super::runs::Call;
use super::sharing;
use super::sql_error::{Verdict, describe, is_reusable_after, judge};

/// How long the server waits for the invalidator before results cannot be kept.
const KEEP_PATIENCE_MS: i32 = 20;
/// Each connection gets at least so many queries of a run that is executed on several.
const SHARE: usize = 8;

/// Results of calls, in their order.
pub(crate) struct Executed {
    /// Of the snapshot.
    pub(crate) moment: Moment,
    pub(crate) results: Vec<sharing::Result>,
    /// If results were to be kept.
    pub(crate) release: Option<Release>,
    /// The transaction, if results were to be kept.
    pub(crate) open: Option<Open>,
}

/// A transaction whose snapshot may still be needed. It ends when nobody holds it any more.
pub(crate) struct Open {
    reading: Option<Reading>,
    /// A statement failed.
    broken: AtomicBool,
}

/// Why an attempt came to nothing.
pub(crate) struct Broken {
    pub(crate) verdict: Verdict,
    pub(crate) culprit: Culprit,
    pub(crate) message: String,
}

/// Which call an attempt came to nothing at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Culprit {
    /// None, as far as is known.
    Nobody,
    /// The one with this index.
    Call(usize),
    /// One of several that were in the same statement: each in a statement of its own tells.
    OneOfSeveral,
}

/// Calls to execute, and those that get an error without being executed.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) calls: &'a [Call],
    pub(crate) failing: &'a BTreeMap<usize, String>,
    /// Whether results are to be kept (R10).
    pub(crate) keeps: bool,
    /// Each call in a statement of its own, so that the one that fails is known.
    pub(crate) one_by_one: bool,
}

impl Work<'_> {
    fn executable(&self) -> Vec<(usize, &Call)> {
        let calls = self.calls.iter().enumerate();
        calls
            .filter(|(n, _)| !self.failing.contains_key(n))
            .collect()
    }

    fn results(&self, mut rows: BTreeMap<usize, QueryRow>) -> Vec<sharing::Result> {
        let result = |n: usize| match rows.remove(&n) {
            Some(row) => (row.result, row.observed),
            None => failed(self.failing.get(&n).cloned().unwrap_or_default()),
        };
        (0..self.calls.len()).map(result).collect()
    }
}

impl Open {
    fn new(reading: Reading) -> Self {
        Self {
            reading: Some(reading),
            broken: AtomicBool::new(false),
        }
    }

    /// With whom it registers.
    pub(crate) fn owner(&self) -> i64 {
        self.reading.as_ref().map_or(0, |reading| reading.owner)
    }

    /// Executes more at the same snapshot.
    pub(crate) async fn execute(
        &self,
        relay: &Relay,
        seat: &Seat,
        calls: &[Call],
    ) -> Result<Executed, Broken> {
        let lost = || Broken {
            verdict: Verdict::Lost,
            culprit: Culprit::Nobody,
            message: "the transaction is over".to_owned(),
        };
        let reading = self.reading.as_ref().ok_or_else(lost)?;
        let work = Work {
            calls,
            failing: &BTreeMap::new(),
            keeps: false,
            one_by_one: true,
        };
        let Reading {
            connection,
            owner,
            ticket,
        } = reading;
        let rows = rows(connection, *owner, &work.executable(), work.one_by_one).await;
        let (mut rows, mut moment) = rows.and_then(gather).map_err(|failure| {
            // The connection is closed with the last who holds it.
            self.broken.store(true, Ordering::Relaxed);
            failure.into_broken()
        })?;
        if let Some(ticket) = ticket {
            settle(relay, seat, (*owner, *ticket), calls, &mut rows).await?;
            moment = Some(ticket.moment());
        }
        Ok(Executed {
            moment: moment.unwrap_or_default(),
            results: work.results(rows),
            release: None,
            open: None,
        })
    }
}

impl Drop for Open {
    /// Nobody needs to wait for the end of the transaction.
    fn drop(&mut self) {
        if let Some(reading) = self.reading.take()
            && !*self.broken.get_mut()
        {
            end(reading.connection);
        }
    }
}

/// Begins a transaction and executes the calls at its snapshot.
pub(crate) async fn transact(
    relay: &Relay,
    seat: &Seat,
    reading: Reading,
    work: Work<'_>,
) -> Result<Executed, Broken> {
    if let Some(ticket) = reading.ticket {
        return transact_on_replica(relay, seat, reading, ticket, work).await;
    }
    let Reading {
        connection, owner, ..
    } = reading;
    let calls = work.executable();
    let helpers = relay.database.queries.spare(calls.len() / SHARE);
    let done = if helpers.is_empty() {
        alone(&connection, owner, &calls, work).await
    } else {
        together(&connection, helpers, owner, &calls, work).await
    };
    let (rows, moment, mark) = match done {
        Ok(done) => done,
        Err(failure) => return Err(abandon(connection, failure)),
    };
    let moment = match (moment, &mark) {
        (Some(moment), _) => moment,
        (None, Some(mark)) => mark.moment,
        (None, None) => connection
            .now()
            .await
            .map_err(|error| broken(Culprit::Nobody, &error))?,
    };
    let results = work.results(rows);
    let Some(mark) = mark else {
        // The results are what they are: nobody needs to wait for the end of the transaction.
        end(connection);
        return Ok(Executed {
            moment,
            results,
            release: None,
            open: None,
        });
    };
    Ok(Executed {
        moment,
        results,
        release: mark.release(relay, owner).await,
        open: Some(Open::new(Reading {
            connection,
            owner,
            ticket: None,
        })),
    })
}

/// The same on a replica, where nothing is known of what could be kept: what the session does not ask
/// for now it asks for at the same snapshot.
async fn transact_on_replica(
    relay: &Relay,
    seat: &Seat,
    reading: Reading,
    ticket: Ticket,
    work: Work<'_>,
) -> Result<Executed, Broken> {
    let Reading {
        connection, owner, ..
    } = reading;
    let unkept = Work {
        keeps: false,
        ..work
    };
    let (mut rows, ..) = match alone(&connection, owner, &work.executable(), unkept).await {
        Ok(done) => done,
        Err(failure) => return Err(abandon(connection, failure)),
    };
    let settled = settle(relay, seat, (owner, ticket), work.calls, &mut rows).await;
    let open = if settled.is_ok() && work.keeps {
        Some(Open::new(Reading {
            connection,
            owner,
            ticket: Some(ticket),
        }))
    } else {
        end(connection);
        None
    };
    settled?;
    Ok(Executed {
        moment: ticket.moment(),
        results: work.results(rows),
        release: None,
        open,
    })
}

/// Registers on the primary what a replica has computed.
async fn settle(
    relay: &Relay,
    seat: &Seat,
    by: (i64, Ticket),
    calls: &[Call],
    rows: &mut Rows,
) -> Result<(), Broken> {
    let lost = |verdict, message| Broken {
        verdict,
        culprit: Culprit::Nobody,
        message,
    };
    let mut carried = Vec::with_capacity(rows.len());
    for (n, row) in rows.iter_mut() {
        let call = calls.get(*n).and_then(|call| call.registration);
        let (sub, generation) = call.unwrap_or((0, 0));
        let Some((snapshot, reads)) = row.carried.take() else {
            let message = "the replica is a primary now".to_owned();
            return Err(lost(Verdict::Lost, message));
        };
        carried.push(Carried {
            sub,
            generation,
            snapshot,
            reads,
        });
    }
    let registered = relay.nodes.settle(seat, by, &carried).await;
    let registered = registered.map_err(|error| match &error {
        Unlinked::Sql(sql) => lost(judge(sql), error.to_string()),
        Unlinked::Silent => lost(Verdict::Lost, error.to_string()),
    })?;
    for (row, position) in rows.values_mut().zip(registered) {
        row.result.registered = position;
    }
    Ok(())
}

/// What the server said of each call, by its index.
type Executions = Vec<(usize, Result<QueryRow, Error>)>;
/// What came of one part of the work.
type Rows = BTreeMap<usize, QueryRow>;
type Done = (Rows, Option<Moment>, Option<Mark>);

/// All statements are sent at once and answered in order.
async fn alone(
    connection: &Taken,
    owner: i64,
    calls: &[(usize, &Call)],
    work: Work<'_>,
) -> Result<Done, Failed> {
    let begin = connection.client.batch_execute(sql::BEGIN_QUERY);
    let rows = rows(connection, owner, calls, work.one_by_one);
    let mark = watermark(connection, owner, work.keeps, KEEP_PATIENCE_MS);
    let (begun, (rows, mark)) = join(begin, join(rows, mark)).await;
    begun.map_err(Failed::elsewhere_than_in_a_call)?;
    let (rows, moment) = gather(rows?)?;
    done(
        rows,
        moment,
        mark.map_err(Failed::elsewhere_than_in_a_call)?,
    )
}

/// R11: the first connection exports its snapshot, the others import it. The first transaction ends
/// after all others have what they need.
async fn together(
    lead: &Taken,
    helpers: Vec<Taken>,
    owner: i64,
    calls: &[(usize, &Call)],
    work: Work<'_>,
) -> Result<Done, Failed> {
    let begin = lead.client.batch_execute(sql::BEGIN_QUERY);
    let export = lead.client.query_one(sql::EXPORT_SNAPSHOT, &[]);
    let place = watermark(lead, owner, true, 0);
    let (begun, (exported, place)) = join(begin, join(export, place)).await;
    begun.map_err(Failed::elsewhere_than_in_a_call)?;
    let exported: String = exported
        .and_then(|row| row.try_get(0))
        .map_err(Failed::elsewhere_than_in_a_call)?;
    let Some(place) = place.map_err(Failed::elsewhere_than_in_a_call)? else {
        return Err(Failed::Restarted);
    };
    let mut shares: Vec<Vec<(usize, &Call)>> = vec![Vec::new(); helpers.len() + 1];
    let count = shares.len();
    for (n, call) in calls.iter().enumerate() {
        shares[n % count].push(*call);
    }
    let own = shares.pop().unwrap_or_default();
    let others = helpers.into_iter().zip(shares);
    let begin = format!(
        "{}; SET TRANSACTION SNAPSHOT '{}'; SELECT live.import_snapshot({})",
        sql::BEGIN_QUERY,
        exported.replace('\'', ""),
        place.moment.c
    );
    let others = others.map(|(helper, share)| help(helper, &begin, owner, share, work.one_by_one));
    let (own, (others, mark)) = join(
        rows(lead, owner, &own, work.one_by_one),
        join(
            join_all(others),
            watermark(lead, owner, work.keeps, KEEP_PATIENCE_MS),
        ),
    )
    .await;
    let (mut rows, moment) = gather(own?)?;
    for other in others {
        let (more, other) = other?;
        if other != moment {
            return Err(Failed::Restarted);
        }
        rows.extend(more);
    }
    done(
        rows,
        moment,
        mark.map_err(Failed::elsewhere_than_in_a_call)?,
    )
}

/// A share of the calls at a snapshot that `begin` imports.
async fn help(
    connection: Taken,
    begin: &str,
    owner: i64,
    calls: Vec<(usize, &Call)>,
    one_by_one: bool,
) -> Result<(Rows, Option<Moment>), Failed> {
    let begin = connection.client.batch_execute(begin);
    let (begun, rows) = join(begin, rows(&connection, owner, &calls, one_by_one)).await;
    if let Err(error) = begun {
        // The others' results would be of no use either: all is tried again.
        return Err(Failed::Import(describe(&error)));
    }
    match rows.and_then(gather) {
        Ok(gathered) => {
            end(connection);
            Ok(gathered)
        }
        Err(failed) => {
            if failed.leaves_connection() {
                end(connection);
            }
            Err(failed.elsewhere())
        }
    }
}

/// Why the statements of a transaction came to nothing.
enum Failed {
    /// A statement on the first connection failed.
    Sql(Culprit, Error),
    /// A statement on another one.
    Elsewhere(Broken),
    /// A snapshot could not be imported.
    Import(String),
    /// A new boot began between two queries.
    Restarted,
}

impl Failed {
    fn elsewhere_than_in_a_call(error: Error) -> Self {
        Failed::Sql(Culprit::Nobody, error)
    }

    /// Whether the connection can be used again.
    fn leaves_connection(&self) -> bool {
        match self {
            Failed::Sql(_, error) => is_reusable_after(error),
            Failed::Elsewhere(_) | Failed::Import(_) | Failed::Restarted => true,
        }
    }

    fn elsewhere(self) -> Failed {
        match self {
            Failed::Sql(culprit, error) => Failed::Elsewhere(broken(culprit, &error)),
            Failed::Elsewhere(_) | Failed::Import(_) | Failed::Restarted => self,
        }
    }

    fn into_broken(self) -> Broken {
        let conflict = |message: String| Broken {
            verdict: Verdict::Conflict,
            culprit: Culprit::Nobody,
            message,
        };
        match self {
            Failed::Sql(culprit, error) => broken(culprit, &error),
            Failed::Elsewhere(broken) => broken,
            Failed::Import(message) => conflict(message),
            Failed::Restarted => conflict("the invalidator was restarted during the run".into()),
        }
    }
}

/// A row of `live.watermark`.
struct Mark {
    moment: Moment,
    w: u64,
    n: u64,
    clear: bool,
}

impl Mark {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            moment: moment(row)?,
            w: unsigned(row, "w")?,
            n: unsigned(row, "n")?,
            clear: row.try_get("clear")?,
        })
    }

    /// R10: the record counts once all batches up to its N were received and passed on.
    async fn release(&self, relay: &Relay, owner: i64) -> Option<Release> {
        let boot = self.moment.boot;
        if !self.clear || !relay.control.has_received(owner, boot, self.n).await {
            return None;
        }
        Some(Release {
            boot,
            w: self.w,
            clear: true,
        })
    }
}

async fn watermark(
    connection: &Taken,
    owner: i64,
    wanted: bool,
    patience_ms: i32,
) -> Result<Option<Mark>, Error> {
    if !wanted {
        return Ok(None);
    }
    let mark = &connection.watermark;
    let row = connection.one(mark, &[&owner, &patience_ms]).await?;
    Mark::from_row(&row).map(Some)
}

/// All calls in one statement, which spares both sides most of what a statement costs; or one statement for each.
async fn rows(
    connection: &Taken,
    owner: i64,
    calls: &[(usize, &Call)],
    one_by_one: bool,
) -> Result<Executions, Failed> {
    if calls.len() > 1 && !one_by_one {
        return execute_all(connection, owner, calls).await;
    }
    let executions = calls
        .iter()
        .map(|(n, call)| execute_one(connection, owner, *n, call));
    Ok(join_all(executions).await)
}

async fn execute_all(
    connection: &Taken,
    owner: i64,
    calls: &[(usize, &Call)],
) -> Result<Executions, Failed> {
    let several = |error| Failed::Sql(Culprit::OneOfSeveral, error);
    let (mut paths, mut args, mut identities, mut journals) = (vec![], vec![], vec![], vec![]);
    let (mut subs, mut generations) = (vec![], vec![]);
    for (_, call) in calls {
        let (sub, generation) = call.registration.unwrap_or((0, 0));
        paths.push(&*call.path);
        args.push(&*call.args);
        identities.push(call.identity.as_deref());
        journals.push(call.journal.as_deref());
        subs.push(sub);
        generations.push(generation);
    }
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &paths,
        &args,
        &identities,
        &owner,
        &subs,
        &generations,
        &journals,
    ];
    let found = connection
        .all(&connection.run_queries, &parameters)
        .await
        .map_err(several)?;
    let mut rows = Vec::with_capacity(calls.len());
    for row in &found {
        let place = row.try_get::<_, i64>("n").map_err(several)?;
        let call = usize::try_from(place - 1).ok().and_then(|n| calls.get(n));
        if let Some((n, _)) = call {
            rows.push((*n, QueryRow::from_row(row)));
        }
    }
    Ok(rows)
}

async fn execute_one(
    connection: &Taken,
    owner: i64,
    n: usize,
    call: &Call,
) -> (usize, Result<QueryRow, Error>) {
    let (sub, generation) = call.registration.unwrap_or((0, 0));
    let (path, args, identity): (&str, &str, _) =
        (&call.path, &call.args, call.identity.as_deref());
    let row = connection
        .one(
            &connection.run_query,
            &[
                &path,
                &args,
                &identity,
                &owner,
                &sub,
                &generation,
                &call.journal,
            ],
        )
        .await;
    (n, row.and_then(|row| QueryRow::from_row(&row)))
}

/// The rows, and their moment if there is any.
fn gather(results: Executions) -> Result<(Rows, Option<Moment>), Failed> {
    let mut rows = BTreeMap::new();
    let mut moment = None;
    for (n, result) in results {
        let row = result.map_err(|error| Failed::Sql(Culprit::Call(n), error))?;
        if *moment.get_or_insert(row.moment) != row.moment {
            return Err(Failed::Restarted);
        }
        rows.insert(n, row);
    }
    Ok((rows, moment))
}

fn done(rows: Rows, moment: Option<Moment>, mark: Option<Mark>) -> Result<Done, Failed> {
    match (&moment, &mark) {
        (Some(moment), Some(mark)) if mark.moment != *moment => Err(Failed::Restarted),
        (Some(_) | None, Some(_) | None) => Ok((rows, moment, mark)),
    }
}

/// Ends a transaction, also a failed one, and gives its connection back.
pub(crate) fn end(connection: Taken) {
    tokio::spawn(async move {
        if connection.client.batch_execute("COMMIT").await.is_ok() {
            connection.give_back();
        }
    });
}

/// Ends the transaction of a failed query; the connection is kept if it still works.
fn abandon(connection: Taken, failed: Failed) -> Broken {
    if failed.leaves_connection() {
        end(connection);
    }
    failed.into_broken()
}

fn broken(culprit: Culprit, error: &Error) -> Broken {
    Broken {
        verdict: judge(error),
        culprit,
        message: describe(error),
    }
}

/// The result of a query that could not even be executed: shown, and tried again later.
fn failed(message: String) -> sharing::Result {
    let result = QueryResult {
        outcome: Err(Failure {
            message,
            data: None,
        }),
        log_lines: Vec::new(),
        journal: None,
        registered: None,
        not_live: None,
    };
    let observed = Observed {
        identity: true,
        clock: true,
    };
    (result, observed)
}
