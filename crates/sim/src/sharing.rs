//! The relay's executions: runs of its sessions as batches, each distinct query once, and what the sessions are told.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use pg_live_invalidation::{LogEntry, Owner};
use pg_live_session::sharing::{
    Ask, Asked, Asker, Batch, Done, Hold, Invalidation, Kept, OutOfDate, Outdated, Sharing, Told,
};
use pg_live_session::{Event, Millis, Moment, Run, RunQuery, Sub};
use rand::Rng;

use crate::bug::Bug;
use crate::coverage::State;
use crate::relay::Relay;
use crate::run_job::{Context, Ended, Node, RunJob};
use crate::server::Server;

/// Connections for queries.
const CONNECTIONS: usize = 3;

/// The way to a session.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) session: u32,
    gone: Rc<Cell<bool>>,
}

impl Seat {
    pub(crate) fn new(session: u32) -> Self {
        let gone = Rc::default();
        Seat { session, gone }
    }

    pub(crate) fn leave(&self) {
        self.gone.set(true);
    }
}

impl Asker for Seat {
    fn is_gone(&self) -> bool {
        self.gone.get()
    }
}

/// Something that a session is told, in this order.
#[derive(Debug)]
pub(crate) enum News {
    OutOfDate(OutOfDate),
    RegistrationsLost,
    /// Of its run, with the transaction if more may be read in it (R11).
    Run(Told<Seat>, Option<Rc<RunJob>>),
}

/// A batch on a connection.
#[derive(Debug)]
pub(crate) struct BatchJob {
    batch: Batch<Seat>,
    pub(crate) job: RunJob,
    /// For whom its results are registered.
    pub(crate) owner: Option<Owner>,
}

/// All that a relay executes.
#[derive(Debug)]
pub(crate) struct Executions {
    table: Sharing<Seat>,
    pub(crate) jobs: Vec<BatchJob>,
    /// When to look for a batch; at no other time.
    wanted: BTreeSet<Millis>,
}

impl Executions {
    /// `crowd`: for so many sessions a query is executed before they are told.
    pub(crate) fn new(crowd: usize) -> Self {
        Executions {
            table: Sharing::with_crowd(crowd),
            jobs: Vec::new(),
            wanted: BTreeSet::new(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.wanted.is_empty()
    }
}

/// What a batch is for the connection.
fn run_of(batch: &Batch<Seat>) -> Run {
    let queries = batch.calls.iter().map(|call| RunQuery {
        sub: call.sub,
        path: Arc::clone(&call.path),
        args: Arc::clone(&call.args),
        journal: call.journal.clone(),
    });
    Run {
        // The generation of all executions.
        number: 1,
        min: Moment::default(),
        fresh: false,
        identity: None,
        queries: queries.collect(),
        keeps: batch.keeps,
    }
}

impl Relay {
    /// Takes in the run of a session. The answer, if there is one already; `kept`: that may be it.
    pub(crate) fn ask(
        &mut self,
        seat: &Seat,
        run: Run,
        kept: Option<Kept>,
        now: Millis,
        server: &mut Server,
    ) -> Option<Told<Seat>> {
        self.runs_started += 1;
        let ask = Ask {
            asker: seat.clone(),
            run,
            is_admin: false,
            // A session's node is its own affair.
            alone: self.node == Node::Standby,
        };
        let owner = self.owner();
        if let Some(told) = kept.and_then(|kept| kept.serve(now, owner, &ask)) {
            server.coverage.reach(State::ServedKept);
            return Some(told);
        }
        match self.executions.table.ask(now, owner, ask) {
            Asked::Served(told) => {
                server.coverage.reach(State::Served);
                if told.release.is_none() || self.bug == Some(Bug::ServedOvertakes) {
                    return Some(told);
                }
                // R10: the release counts once the session has taken in all that it was told of before.
                self.tell([told], None);
            }
            Asked::Queued => self.want(now),
            Asked::Joined => server.coverage.reach(State::Joined),
            Asked::Later(at) => self.want(at),
        }
        None
    }

    fn want(&mut self, at: Millis) {
        self.executions.wanted.insert(at);
    }

    /// Executes the next batch if there is a connection. Whether there was one to execute.
    pub(crate) fn begin_batch(&mut self, now: Millis) -> bool {
        let executions = &mut self.executions;
        let due = executions.wanted.first().is_some_and(|at| *at <= now);
        if !due || executions.jobs.len() >= CONNECTIONS {
            return false;
        }
        let owner = self.owner();
        let executions = &mut self.executions;
        let batch = executions.table.next_batch(now, owner.unwrap_or(0), true);
        let Some(mut batch) = batch else {
            executions.wanted.retain(|at| *at > now);
            return false;
        };
        self.tell(std::mem::take(&mut batch.failed), None);
        self.execute(batch, owner);
        true
    }

    fn execute(&mut self, batch: Batch<Seat>, owner: Option<Owner>) {
        let job = RunJob::new(self.node, run_of(&batch));
        let executed = BatchJob { batch, job, owner };
        self.executions.jobs.push(executed);
    }

    /// R11: more queries of a run at its snapshot.
    pub(crate) fn extend(
        &mut self,
        seat: &Seat,
        run: Run,
        open: Option<Rc<RunJob>>,
        now: Millis,
        server: &mut Server,
    ) {
        let owner = open.as_ref().and_then(|open| open.owner());
        let ask = Ask {
            asker: seat.clone(),
            run,
            is_admin: false,
            alone: true,
        };
        let table = &mut self.executions.table;
        let batch = table.extension(now, owner.unwrap_or(0), ask);
        match open {
            None => self.fail(&batch, now, server),
            Some(_) if self.bug == Some(Bug::ExtendedElsewhere) => self.execute(batch, owner),
            Some(open) => {
                server.coverage.reach(State::Extended);
                let job = open.extended(run_of(&batch));
                let executed = BatchJob { batch, job, owner };
                self.executions.jobs.push(executed);
            }
        }
    }

    /// One step of a batch.
    pub(crate) fn work(&mut self, at: usize, now: Millis, cx: &mut Context<'_>) {
        let control = self.control;
        let executed = &mut self.executions.jobs[at];
        let Some(ended) = executed.job.step(executed.owner, control, cx) else {
            return;
        };
        let BatchJob { mut batch, job, .. } = self.executions.jobs.swap_remove(at);
        let outcome = match ended {
            Ended::Done(outcome) => outcome,
            Ended::Failed if cx.rng.random_bool(0.3) => return self.fail(&batch, now, cx.server),
            Ended::Failed => {
                if batch.calls.len() > 1 && cx.rng.random_bool(0.3) {
                    // One of its queries is to blame.
                    cx.server.coverage.reach(State::Split);
                    let culprit = cx.rng.random_range(0..batch.calls.len());
                    let begun = self.executions.table.split(now, &mut batch, culprit);
                    self.unregister(begun, cx.server);
                    self.want(now);
                }
                let owner = self.owner();
                self.executions.table.move_to(&batch, owner.unwrap_or(0));
                return self.execute(batch, owner);
            }
        };
        let took_ms = if cx.rng.random_bool(0.05) { 80.0 } else { 1.0 };
        let done = self.executions.table.done(now, &batch, outcome, took_ms);
        if done.shared > 0 {
            cx.server.coverage.reach(State::Shared);
        }
        let open = batch.keeps.then(|| Rc::new(job));
        self.close_batch(done, open.as_ref(), now, cx.server);
    }

    fn fail(&mut self, batch: &Batch<Seat>, now: Millis, server: &mut Server) {
        let failed = self.executions.table.failed(batch);
        self.close_batch(failed, None, now, server);
    }

    fn close_batch(
        &mut self,
        done: Done<Seat>,
        open: Option<&Rc<RunJob>>,
        now: Millis,
        server: &mut Server,
    ) {
        self.unregister(done.unregister, server);
        if done.more {
            self.want(now);
        }
        done.later.into_iter().for_each(|at| self.want(at));
        if self.bug == Some(Bug::NewsAfterRelease) {
            self.tell(done.told, open);
            return self.spread(done.news, now, server);
        }
        // R10: before the release.
        self.spread(done.news, now, server);
        self.tell(done.told, open);
    }

    /// The owner's registration of an execution is out of date.
    pub(crate) fn invalidated(
        &mut self,
        sub: Sub,
        moment: Moment,
        now: Millis,
        server: &mut Server,
    ) {
        let invalidated = self.executions.table.invalidated(now, sub, moment);
        self.spread(invalidated.told, now, server);
        if let Some(at) = invalidated.wanted {
            server.coverage.reach(State::Ahead);
            self.want(at);
        }
    }

    /// Tells sessions that what they show is out of date.
    fn spread(&mut self, mut news: Vec<Invalidation<Seat>>, now: Millis, server: &mut Server) {
        // They come out of hash maps, and a seed is to decide everything.
        news.sort_by_key(|told| (told.asker.session, told.news.sub));
        for Invalidation { asker, news } in news {
            match self.sessions.get_mut(&asker.session) {
                Some(shell) => shell.news.push_back(News::OutOfDate(news)),
                None => self.release(news.refused(), now, server),
            }
        }
    }

    fn tell(&mut self, told: impl IntoIterator<Item = Told<Seat>>, open: Option<&Rc<RunJob>>) {
        for told in told {
            let shell = self.sessions.get_mut(&told.asker.session);
            // It may hold results, so it waits for its runs.
            let shell = shell.expect("a session outlives its runs");
            let open = open.map(Rc::clone);
            shell.news.push_back(News::Run(told, open));
        }
    }

    /// A session takes in the next that it is told. Whether there was something.
    pub(crate) fn hear(&mut self, number: u32, now: Millis, server: &mut Server) -> bool {
        let shell = self.sessions.get_mut(&number);
        let Some(news) = shell.and_then(|shell| shell.news.pop_front()) else {
            return false;
        };
        match news {
            News::RegistrationsLost => self.handle(number, Event::RegistrationsLost, now, server),
            News::Run(told, open) => self.finish(number, told, open, now, server),
            News::OutOfDate(news) => self.take_in_news(number, &news, now, server),
        }
        true
    }

    fn take_in_news(&mut self, number: u32, news: &OutOfDate, now: Millis, server: &mut Server) {
        if news.is_kept_anew() {
            server.coverage.reach(State::KeptAhead);
        }
        let Some(shell) = self.sessions.get_mut(&number) else {
            return;
        };
        let Outdated {
            event,
            kept,
            release,
        } = shell.holds.out_of_date(news);
        shell.kept = kept;
        let bug = self.bug;
        self.release(release, now, server);
        let event = match event {
            Event::Invalidated { sub, moment, .. } if bug == Some(Bug::RunOfTheHold) => {
                let generation = news.run;
                Event::Invalidated {
                    sub,
                    generation,
                    moment,
                }
            }
            event => event,
        };
        self.handle(number, event, now, server);
        if let Some(shell) = self.sessions.get_mut(&number) {
            shell.kept = None;
        }
    }

    /// A session is given the answer to its run.
    pub(crate) fn finish(
        &mut self,
        number: u32,
        mut told: Told<Seat>,
        open: Option<Rc<RunJob>>,
        now: Millis,
        server: &mut Server,
    ) {
        let Some(shell) = self.sessions.get_mut(&number) else {
            return;
        };
        let new = told.holds.clone();
        let mut older = shell.holds.take_over(&mut told);
        if self.bug == Some(Bug::NewHoldReleased) {
            older = new;
        }
        shell.open = open;
        for event in told.events() {
            self.handle(number, event, now, server);
        }
        if let Some(shell) = self.sessions.get_mut(&number) {
            shell.open = None;
        }
        self.release(older, now, server);
    }

    /// A session no longer shows these results.
    pub(crate) fn release(
        &mut self,
        holds: impl IntoIterator<Item = Hold>,
        now: Millis,
        server: &mut Server,
    ) {
        let table = &mut self.executions.table;
        let unheld = holds
            .into_iter()
            .filter_map(|hold| table.release(now, hold));
        let unheld: Vec<Sub> = unheld.collect();
        self.unregister(unheld, server);
    }

    fn unregister(&mut self, executions: Vec<Sub>, server: &mut Server) {
        let Some(control) = self.control else {
            return;
        };
        for sub in executions {
            // Without room in the log it stays until it is invalidated.
            server.push(&LogEntry::Unregister {
                owner: control.owner,
                sub,
                generation: i64::MAX,
            });
        }
    }

    /// R8: nothing that was registered counts any more.
    pub(crate) fn registrations_lost(&mut self) {
        self.executions.table.forget_registrations();
        for shell in self.sessions.values_mut() {
            shell.news.push_back(News::RegistrationsLost);
        }
    }

    /// A session has gone: what it waits for comes to nothing, unless it is being executed.
    pub(crate) fn give_up(&mut self) {
        let told = self.executions.table.give_up();
        self.tell(told, None);
    }

    /// All connections are lost.
    pub(crate) fn fail_all(&mut self, now: Millis, server: &mut Server) {
        for executed in std::mem::take(&mut self.executions.jobs) {
            self.fail(&executed.batch, now, server);
        }
        for shell in self.sessions.values_mut() {
            for news in &mut shell.news {
                if let News::Run(_, open) = news {
                    *open = None;
                }
            }
        }
    }
}
