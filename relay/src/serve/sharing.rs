//! Executes the runs of all sessions, each distinct query once: the I/O shell of `pg_live_session::sharing`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pg_live_session::sharing::{
    Anew, Ask, Asked, Asker, Batch, Hold, Invalidation, Observed, Outcome, Owner, Sharing, Told,
};
use pg_live_session::{Event, Millis, Moment, QueryResult, Run, RunNumber, Sub};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tracing::debug;

use super::Relay;
use super::nodes::{Reading, Seat};
use super::runs::{self, Attempt, Next, Strikes};
use super::transaction::{Culprit, Executed, Open};

/// Something that a session is told. Small: each session has room for some of them.
pub(crate) enum News {
    /// As [`Event::Invalidated`].
    Invalidated {
        sub: Sub,
        generation: RunNumber,
        moment: Moment,
        /// The next result is kept for the session.
        anew: Option<Anew>,
    },
    Event(Box<Event>),
    /// The relay is about to stop: sessions leave one after the other.
    Drains,
    /// It stops: what is under way is given up next, and no client is to be told of that.
    Stops,
    /// Of its run. The snapshot is held until the session has taken it in, if it keeps results (R11).
    Run(Box<(Told<Waiter>, Option<Arc<Open>>)>),
}

/// The way to a session.
#[derive(Clone)]
pub(crate) struct Waiter {
    pub(crate) events: UnboundedSender<News>,
    pub(crate) seat: Arc<Seat>,
}

impl Asker for Waiter {
    fn is_gone(&self) -> bool {
        self.seat.is_gone()
    }
}

/// All runs of the relay.
pub(crate) struct Executions {
    started: Instant,
    /// As many batches as there are connections for queries.
    most: usize,
    table: Mutex<Table>,
}

struct Table {
    sharing: Sharing<Waiter>,
    /// Tasks that execute batches, and how many of them are at one that takes long.
    busy: usize,
    heavy: usize,
}

impl Executions {
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            started: Instant::now(),
            most: connections.max(1),
            table: Mutex::new(Table {
                sharing: Sharing::default(),
                busy: 0,
                heavy: 0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Whether a batch that takes long may be begun: others must find a connection.
    fn may_be_heavy(&self, table: &Table) -> bool {
        table.heavy < (self.most / 2).max(1)
    }

    /// How many runs, each of a session or of several, wait to be executed.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().sharing.waiting()
    }

    /// R8: nothing that was registered counts any more.
    pub(crate) fn forget_registrations(&self) {
        self.lock().sharing.forget_registrations();
    }
}

/// A result is out of date: everyone who holds it is told, now or when the next one is there.
pub(crate) fn invalidated(relay: &Arc<Relay>, execution: Sub, moment: Moment) {
    let executions = &relay.executions;
    let now = executions.now();
    let invalidated = executions
        .lock()
        .sharing
        .invalidated(now, execution, moment);
    spread(relay, invalidated.told);
    match invalidated.wanted {
        Some(at) if at > now => dispatch_at(relay, at),
        Some(_) => dispatch(relay),
        None => {}
    }
}

/// Tells sessions that what they show is out of date.
fn spread(relay: &Relay, news: Vec<Invalidation<Waiter>>) {
    let mut unheld = Vec::new();
    for told in news {
        let Invalidation {
            asker,
            sub,
            run,
            moment,
            anew,
        } = told;
        let told = asker.events.send(News::Invalidated {
            sub,
            generation: run,
            moment,
            anew,
        });
        // One that has just ended needs it no more.
        if told.is_err() {
            unheld.extend(anew.map(|anew| anew.hold(sub, run)));
        }
    }
    release(relay, unheld);
}

/// Takes in the run of a session. It is answered here, or later through the session's events.
pub(crate) fn ask(
    relay: &Arc<Relay>,
    waiter: Waiter,
    run: Run,
    is_admin: bool,
) -> Option<Told<Waiter>> {
    relay.metrics.runs.add(1);
    let executions = &relay.executions;
    let ask = Ask {
        asker: waiter,
        run,
        is_admin,
        alone: relay.nodes.has_replicas(),
    };
    let (now, owner) = (executions.now(), relay.control.owner());
    let asked = executions.lock().sharing.ask(now, owner, ask);
    match asked {
        Asked::Served(told) => {
            relay.metrics.results_shared.add(told.answers.len() as u64);
            if told.release.is_none() {
                return Some(told);
            }
            // R10: the release counts once the session has taken in all that it was told of before.
            tell([told], None);
        }
        Asked::Queued => dispatch(relay),
        Asked::Joined => {}
        Asked::Later(at) => dispatch_at(relay, at),
    }
    None
}

/// A session does not show a result any more.
pub(crate) fn release(relay: &Relay, holds: impl IntoIterator<Item = Hold>) {
    let mut holds = holds.into_iter().peekable();
    if holds.peek().is_none() {
        return;
    }
    let executions = &relay.executions;
    let now = executions.now();
    let mut table = executions.lock();
    let unheld: Vec<Sub> = holds
        .filter_map(|hold| table.sharing.release(now, hold))
        .collect();
    drop(table);
    if !unheld.is_empty() {
        relay.control.unregister(unheld);
    }
}

/// Has another batch executed if there is a connection for it.
fn dispatch(relay: &Arc<Relay>) {
    let mut table = relay.executions.lock();
    if table.busy < relay.executions.most {
        table.busy += 1;
        tokio::spawn(work(Arc::clone(relay)));
    }
}

/// The same at a time.
fn dispatch_at(relay: &Arc<Relay>, at: Millis) {
    let relay = Arc::clone(relay);
    let pause = at.saturating_sub(relay.executions.now());
    tokio::spawn(async move {
        sleep(Duration::from_millis(pause)).await;
        dispatch(&relay);
    });
}

/// A session has gone: what it waits for comes to nothing, unless it is being executed.
pub(crate) fn give_up(relay: &Relay) {
    let told = relay.executions.lock().sharing.give_up();
    tell(told, None);
}

/// Executes batches until none is left.
async fn work(relay: Arc<Relay>) {
    while let Some((batch, reading)) = next(&relay).await {
        let heavy = batch.is_heavy;
        execute(&relay, batch, reading).await;
        if heavy {
            relay.executions.lock().heavy -= 1;
        }
        tokio::task::yield_now().await;
    }
}

/// The next batch, and a connection for it. `None`: there is none, and this task no longer counts as busy.
async fn next(relay: &Arc<Relay>) -> Option<(Batch<Waiter>, Option<Reading>)> {
    // First the connection: whoever asks meanwhile is in the batch. A replica is chosen by the session.
    let reading = if relay.nodes.has_replicas() {
        None
    } else {
        match relay.nodes.open(relay, &Seat::default(), true).await {
            Ok(reading) => Some(reading),
            Err(_) => {
                relay.executions.lock().busy -= 1;
                return None;
            }
        }
    };
    let owner = reading.as_ref().map(|reading| reading.owner);
    let owner: Owner = owner.or_else(|| relay.control.owner()).unwrap_or(0);
    let executions = &relay.executions;
    let batch = {
        let mut table = executions.lock();
        let heavy_too = executions.may_be_heavy(&table);
        let batch = table.sharing.next_batch(executions.now(), owner, heavy_too);
        match &batch {
            Some(batch) if batch.is_heavy => table.heavy += 1,
            Some(_) => {}
            None => table.busy -= 1,
        }
        batch
    };
    match batch {
        Some(batch) => Some((batch, reading)),
        None => {
            if let Some(reading) = reading {
                reading.connection.give_back();
            }
            None
        }
    }
}

/// Executes a batch until there are results or its runs have failed.
async fn execute(relay: &Arc<Relay>, mut batch: Batch<Waiter>, mut reading: Option<Reading>) {
    tell(batch.failed.drain(..), None);
    let seat = batch.alone.as_ref().map(|waiter| Arc::clone(&waiter.seat));
    let seat = seat.unwrap_or_default();
    let mut strikes = Strikes::default();
    let mut calls = calls_of(&batch);
    let mut one_by_one = false;
    loop {
        let reading = match reading.take() {
            Some(reading) => reading,
            None => match relay.nodes.open(relay, &seat, true).await {
                Ok(reading) => reading,
                Err(_) => break,
            },
        };
        let executions = &relay.executions;
        executions.lock().sharing.move_to(&batch, reading.owner);
        let begun = Instant::now();
        let attempt = Attempt {
            calls: &calls,
            failing: strikes.failing(),
            keeps: batch.keeps,
            one_by_one,
        };
        let broken = match runs::attempt(relay, &seat, attempt, reading).await {
            Ok(mut executed) => {
                for (call, (result, _)) in calls.iter().zip(&mut executed.results) {
                    relay.log_function(&call.path, &mut result.log_lines, &mut result.outcome);
                }
                return finish(relay, &batch, executed, begun.elapsed());
            }
            Err(broken) => broken,
        };
        if broken.culprit == Culprit::OneOfSeveral && !one_by_one {
            one_by_one = true;
            continue;
        }
        if let Culprit::Call(culprit) = broken.culprit
            && calls.len() > 1
        {
            // One query must not keep those of other sessions waiting.
            let now = executions.now();
            let begun = executions.lock().sharing.split(now, &mut batch, culprit);
            relay.control.unregister(begun);
            dispatch(relay);
            let is_smaller = batch.calls.len() < calls.len();
            calls = calls_of(&batch);
            if is_smaller {
                strikes = Strikes::default();
                continue;
            }
        }
        match strikes.judge(broken, &calls) {
            Next::Again(pause) => sleep(pause).await,
            Next::GiveUp => break,
        }
    }
    fail(relay, &batch);
}

fn fail(relay: &Relay, batch: &Batch<Waiter>) {
    let failed = relay.executions.lock().sharing.failed(batch);
    relay.metrics.runs_failed.add(failed.told.len() as u64);
    spread(relay, failed.news);
    if !failed.unregister.is_empty() {
        relay.control.unregister(failed.unregister);
    }
    tell(failed.told, None);
}

/// Hands the results to all who wait for them.
fn finish(relay: &Arc<Relay>, batch: &Batch<Waiter>, executed: Executed, took: Duration) {
    let Executed {
        moment,
        results,
        release,
        open,
    } = executed;
    let outcome = Outcome {
        moment,
        results,
        release,
    };
    let executions = &relay.executions;
    let now = executions.now();
    let took_ms = took.as_secs_f64() * 1_000.0;
    let done = executions.lock().sharing.done(now, batch, outcome, took_ms);
    relay.metrics.results_shared.add(done.shared);
    if !done.unregister.is_empty() {
        relay.control.unregister(done.unregister);
    }
    if done.more {
        dispatch(relay);
    }
    if let Some(at) = done.later {
        dispatch_at(relay, at);
    }
    // R10: before the release.
    spread(relay, done.news);
    tell(done.told, open.map(Arc::new).as_ref());
}

fn tell(told: impl IntoIterator<Item = Told<Waiter>>, open: Option<&Arc<Open>>) {
    for told in told {
        let events = told.asker.events.clone();
        if events
            .send(News::Run(Box::new((told, open.cloned()))))
            .is_err()
        {
            debug!("a session ended before its run");
        }
    }
}

fn calls_of(batch: &Batch<Waiter>) -> Vec<runs::Call> {
    let calls = batch.calls.iter().map(|call| runs::Call {
        path: Arc::clone(&call.path),
        args: Arc::clone(&call.args),
        identity: call.identity.clone(),
        journal: call.journal.clone(),
        // An execution is registered once.
        registration: Some((call.sub, 1)),
    });
    calls.collect()
}

/// Executes more queries of a run at its snapshot (R11). Whatever fails makes the whole run fail: the next one has a
/// new snapshot.
pub(crate) async fn extend(
    relay: Arc<Relay>,
    waiter: Waiter,
    run: Run,
    is_admin: bool,
    open: Option<Arc<Open>>,
) {
    let owner = open.as_ref().map_or(0, |open| open.owner());
    let ask = Ask {
        asker: waiter,
        run,
        is_admin,
        alone: true,
    };
    let executions = &relay.executions;
    let now = executions.now();
    let batch = executions.lock().sharing.extension(now, owner, ask);
    let seat = batch.alone.as_ref().map(|waiter| Arc::clone(&waiter.seat));
    let begun = Instant::now();
    let executed = match &open {
        Some(open) => {
            let calls = calls_of(&batch);
            relay.metrics.executions.add(calls.len() as u64);
            let seat = seat.unwrap_or_default();
            runs::in_time(open.execute(&relay, &seat, &calls)).await
        }
        None => None,
    };
    match executed {
        Some(executed) => finish(&relay, &batch, executed, begun.elapsed()),
        None => fail(&relay, &batch),
    }
}

/// A result with what its function looked at.
pub(crate) type Result = (QueryResult, Observed);
