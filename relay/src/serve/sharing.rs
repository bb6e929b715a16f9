//! Executes the runs of all sessions, each distinct query once: the I/O shell of `pg_live_session::sharing`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pg_live_session::sharing::{
    Ask, Asked, Batch, Hold, Invalidation, Kept, Observed, Outcome, Owner, Sharing, Told,
};
use pg_live_session::{Millis, Moment, QueryResult, Sub};
use tokio::time::sleep;

use super::Relay;
use super::desk::{self, Desk, News, Waiter};
use super::nodes::{Reading, Seat};
use super::runs::{self, Attempt, Next, Strikes};
use super::transaction::{Culprit, Executed, Open};

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
        self.at(Instant::now())
    }

    fn at(&self, time: Instant) -> Millis {
        let passed = time.saturating_duration_since(self.started);
        Millis::try_from(passed.as_millis()).unwrap_or(Millis::MAX)
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
    let mut table = executions.lock();
    let invalidated = table.sharing.invalidated(now, execution, moment);
    let mut round = Round::default();
    round.spread(&table, invalidated.told);
    drop(table);
    round.end(relay);
    match invalidated.wanted {
        Some(at) if at > now => dispatch_at(relay, at),
        Some(_) => dispatch(relay),
        None => {}
    }
}

/// Sessions that have been told something. The table is locked meanwhile, so that each is told all things in the order in
/// which the table came to know them: a release says that the news before it was passed on (R10).
#[derive(Default)]
struct Round {
    to_visit: Vec<Arc<Desk>>,
    /// What was kept for those that have ended.
    unheld: Vec<Hold>,
}

impl Round {
    /// Tells sessions that what they show is out of date.
    fn spread(&mut self, _locked: &Table, news: Vec<Invalidation<Waiter>>) {
        for Invalidation { asker, news } in news {
            self.tell_one(asker.0, News::OutOfDate(news));
        }
    }

    /// Tells sessions what came of their runs.
    fn tell(
        &mut self,
        _locked: &Table,
        told: impl IntoIterator<Item = Told<Waiter>>,
        open: Option<&Arc<Open>>,
    ) {
        for told in told {
            let Waiter(desk) = told.asker.clone();
            self.tell_one(desk, News::Run(Box::new((told, open.cloned()))));
        }
    }

    fn tell_one(&mut self, desk: Arc<Desk>, news: News) {
        match desk.tell_before_visit(news) {
            Ok(()) => {
                self.to_visit.push(desk);
                // The first are visited while others are told.
                if self.to_visit.len() >= desk::ROUND {
                    desk::visit_all(std::mem::take(&mut self.to_visit));
                }
            }
            Err(news) => self.unheld.extend(unheld(news)),
        }
    }

    /// Has them take it in. The table is not locked any more.
    fn end(self, relay: &Relay) {
        desk::visit_all(self.to_visit);
        release(relay, self.unheld);
    }
}

/// What was kept for a session that does not take in what it was told.
pub(crate) fn unheld(news: News) -> Vec<Hold> {
    match news {
        News::OutOfDate(news) => news.refused().into_iter().collect(),
        News::Run(told) => told.0.holds,
        News::Event(_) | News::Drains | News::Stops => Vec::new(),
    }
}

/// Takes in the run of a session. It is answered here, or later at the session's desk. `kept`: what was kept for it.
pub(crate) fn ask(
    relay: &Arc<Relay>,
    now: Instant,
    ask: Ask<Waiter>,
    kept: Option<Kept>,
) -> Option<Told<Waiter>> {
    relay.metrics.runs.add(1);
    let executions = &relay.executions;
    let (now, owner) = (executions.at(now), relay.control.owner());
    if let Some(told) = kept.and_then(|kept| kept.serve(now, owner, &ask)) {
        relay.metrics.results_shared.add(1);
        return Some(told);
    }
    let mut table = executions.lock();
    let asked = table.sharing.ask(now, owner, ask);
    match asked {
        Asked::Served(told) => {
            relay.metrics.results_shared.add(told.answers.len() as u64);
            if told.release.is_none() {
                return Some(told);
            }
            // R10: the release counts once the session has taken in all that it was told of before.
            let mut round = Round::default();
            round.tell(&table, [told], None);
            drop(table);
            round.end(relay);
        }
        Asked::Queued => {
            drop(table);
            dispatch(relay);
        }
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
    let mut table = relay.executions.lock();
    let mut round = Round::default();
    let told = table.sharing.give_up();
    round.tell(&table, told, None);
    drop(table);
    round.end(relay);
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
    let mut round = Round::default();
    round.tell(&relay.executions.lock(), batch.failed.drain(..), None);
    round.end(relay);
    let seat = seat_of(&batch);
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
    let mut table = relay.executions.lock();
    let failed = table.sharing.failed(batch);
    relay.metrics.runs_failed.add(failed.told.len() as u64);
    let mut round = Round::default();
    round.spread(&table, failed.news);
    round.tell(&table, failed.told, None);
    drop(table);
    round.end(relay);
    if !failed.unregister.is_empty() {
        relay.control.unregister(failed.unregister);
    }
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
    let mut table = executions.lock();
    let done = table.sharing.done(now, batch, outcome, took_ms);
    // R10: before the release.
    let mut round = Round::default();
    round.spread(&table, done.news);
    round.tell(&table, done.told, open.map(Arc::new).as_ref());
    drop(table);
    round.end(relay);
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
}

/// Where a batch for one session is executed.
fn seat_of(batch: &Batch<Waiter>) -> Option<Arc<Seat>> {
    let Waiter(desk) = batch.alone.as_ref()?;
    Some(Arc::clone(&desk.seat))
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
pub(crate) async fn extend(relay: Arc<Relay>, ask: Ask<Waiter>, open: Option<Arc<Open>>) {
    let owner = open.as_ref().map_or(0, |open| open.owner());
    let executions = &relay.executions;
    let now = executions.now();
    let batch = executions.lock().sharing.extension(now, owner, ask);
    let seat = seat_of(&batch);
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
