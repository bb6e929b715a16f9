//! What pooled connections do for a relay: runs of queries, and mutations.

use pg_live_invalidation::{LogEntry, Owner, Registration, Xid};
use pg_live_session::{Event, Failure, Moment, Mutation, MutationOutcome, QueryResult, Run, Sub};
use rand::Rng;
use rand::rngs::StdRng;

use crate::bug::Bug;
use crate::database::{Pk, Request, Snap, Stage};
use crate::faults::Faults;
use crate::query::{Images, Query};
use crate::server::Server;

/// What a job needs besides itself.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a mut Server,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) faults: &'a Faults,
    pub(crate) bug: Option<Bug>,
    /// Other transactions write the keys below.
    pub(crate) pks: Pk,
}

/// All queries of a session in one REPEATABLE READ READ ONLY transaction.
#[derive(Debug)]
pub(crate) struct RunJob {
    pub(crate) session: u32,
    run: Run,
    transaction: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    snap: Snap,
    /// For whom results are registered; `None` while no control connection is attached.
    owner: Option<Owner>,
    results: Vec<(Sub, QueryResult)>,
}

impl RunJob {
    pub(crate) fn new(session: u32, run: Run) -> Self {
        RunJob {
            session,
            run,
            transaction: None,
        }
    }

    /// Begins, or executes the next query, or ends with an event.
    pub(crate) fn step(&mut self, owner: Option<Owner>, cx: &mut Context<'_>) -> Option<Event> {
        let run = self.run.number;
        if cx.rng.random_bool(cx.faults.run_failure) {
            return Some(Event::RunFailed { run });
        }
        let Some(reading) = &mut self.transaction else {
            self.transaction = Some(Reading {
                snap: cx.server.db.snapshot(),
                owner,
                results: Vec::new(),
            });
            return None;
        };
        if cx.bug == Some(Bug::SnapshotPerQuery) {
            reading.snap = cx.server.db.snapshot();
        }
        if let Some(query) = self.run.queries.get(reading.results.len()) {
            let (sub, path) = (query.sub, query.path.clone());
            let result = reading.execute(sub, run, &path, cx);
            reading.results.push((sub, result));
            return None;
        }
        let c = match cx.bug {
            Some(Bug::CountOfNow) => cx.server.db.completion_count(),
            _ => reading.snap.snapshot.completed,
        };
        Some(Event::RunFinished {
            run,
            moment: cx.server.moment_of_snapshot(c),
            results: std::mem::take(&mut reading.results),
        })
    }

    /// The connection is lost.
    pub(crate) fn failed(&self) -> Event {
        Event::RunFailed {
            run: self.run.number,
        }
    }
}

impl Reading {
    fn execute(&self, sub: Sub, run: i64, path: &str, cx: &mut Context<'_>) -> QueryResult {
        let query = Query::parse(path);
        let outcome = match query {
            Some(query) => Ok(query.result(&cx.server.db, self.snap.at)),
            None => Err(Failure {
                message: format!("no query {path}"),
                data: None,
            }),
        };
        let registered = match (query, self.owner) {
            (Some(query), Some(owner)) => {
                // R2: the boot is read after the snapshot was taken.
                let registration = Registration {
                    owner,
                    sub,
                    generation: run,
                    boot: cx.server.ring.boot_of_snapshot(),
                    snapshot: self.snap.snapshot.clone(),
                    read_set: query.read_set(),
                };
                cx.server.push(&LogEntry::Register(registration))
            }
            (None, _) | (_, None) => false,
        };
        QueryResult {
            outcome,
            log_lines: Vec::new(),
            journal: None,
            registered: registered || cx.bug == Some(Bug::ClaimsRegistered),
            not_live: None,
        }
    }
}

/// A mutation, tried until its outcome is known.
#[derive(Debug)]
pub(crate) struct MutationJob {
    pub(crate) session: u32,
    mutation: Mutation,
    stage: Progress,
}

#[derive(Debug)]
enum Progress {
    /// Looks for a stored outcome, or begins.
    Start,
    Running(Xid),
    /// Done; the moment as it was at the commit, or when the stored outcome was found.
    Committed(Moment),
}

impl MutationJob {
    pub(crate) fn new(session: u32, mutation: Mutation) -> Self {
        MutationJob {
            session,
            mutation,
            stage: Progress::Start,
        }
    }

    pub(crate) fn step(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        match self.stage {
            Progress::Start => {
                self.start(cx);
                None
            }
            Progress::Running(xid) => self.advance(xid, cx),
            Progress::Committed(at) => {
                let moment = cx.server.moment_of_completion(at.c);
                if moment != at {
                    cx.server.db.answered_late.insert(self.request());
                }
                (moment.boot != 0).then(|| self.committed(moment))
            }
        }
    }

    /// The connection is lost: what it was doing goes on without it, or not.
    pub(crate) fn disconnect(&mut self, cx: &mut Context<'_>) {
        if let Progress::Running(xid) = self.stage
            && let Some(tx) = cx.server.db.live.get_mut(&xid)
        {
            tx.driven = false;
            tx.doomed = tx.stage != Stage::InClog && cx.rng.random_bool(0.5);
        }
        self.forget();
    }

    /// Nothing is known of how far it came.
    pub(crate) fn forget(&mut self) {
        self.stage = Progress::Start;
    }

    /// R14: a stored outcome is returned; otherwise it is stored with what the mutation writes.
    fn start(&mut self, cx: &mut Context<'_>) {
        let request = self.request();
        let db = &mut cx.server.db;
        if cx.bug != Some(Bug::OutcomeNotStored) {
            if db.applied.contains_key(&request) {
                db.answered_late.insert(request);
                let c = db.completion_count();
                self.stage = Progress::Committed(cx.server.moment_of_completion(c));
                return;
            }
            // The unique key makes it wait for one that is under way.
            if db
                .live
                .values()
                .any(|tx| tx.request.as_ref() == Some(&request))
            {
                return;
            }
        }
        let xid = db.begin();
        // The last row is for mutations alone, so that no prepared transaction can block them all.
        let first = cx.rng.random_range(0..=cx.pks);
        let mut candidates = (first..=cx.pks).filter(|pk| !db.is_locked(*pk));
        let pk = candidates.next().unwrap_or(cx.pks);
        let new = db.value(pk, db.now).map_or(0, |value| (value + 1) % 8);
        if !db.write(xid, pk, Some(new)) {
            db.leave(xid);
            return;
        }
        if let Some(tx) = db.live.get_mut(&xid) {
            tx.request = Some(request);
            tx.driven = true;
        }
        self.stage = Progress::Running(xid);
    }

    fn advance(&mut self, xid: Xid, cx: &mut Context<'_>) -> Option<Event> {
        let stage = cx.server.db.live.get(&xid).map(|tx| tx.stage);
        let Some(stage) = stage else {
            self.stage = Progress::Start;
            return None;
        };
        if cx.rng.random_bool(cx.faults.mutation_failure) {
            self.disconnect(cx);
            return None;
        }
        match stage {
            Stage::Working if cx.rng.random_bool(cx.faults.mutation_failure) => {
                cx.server.db.leave(xid);
                self.stage = Progress::Start;
                cx.rng.random_bool(0.5).then(|| self.refused())
            }
            Stage::Working => {
                cx.server.publish(xid, Images::Both);
                None
            }
            Stage::Published | Stage::Prepared => {
                cx.server.db.enter_clog(xid);
                None
            }
            Stage::InClog => {
                let before = cx.server.db.completion_count();
                cx.server.db.leave(xid);
                let c = match cx.bug {
                    Some(Bug::EarlyMutationCount) => before,
                    _ => cx.server.db.completion_count(),
                };
                self.stage = Progress::Committed(cx.server.moment_of_completion(c));
                None
            }
        }
    }

    fn request(&self) -> Request {
        (self.mutation.session_id.clone(), self.mutation.request_id)
    }

    fn committed(&self, moment: Moment) -> Event {
        let outcome = MutationOutcome::Committed {
            moment,
            value: self.mutation.request_id.to_string(),
            log_lines: Vec::new(),
        };
        self.finished(outcome)
    }

    fn refused(&self) -> Event {
        let failure = Failure {
            message: "refused".into(),
            data: None,
        };
        self.finished(MutationOutcome::Failed {
            failure,
            log_lines: Vec::new(),
        })
    }

    fn finished(&self, outcome: MutationOutcome) -> Event {
        Event::MutationFinished {
            request_id: self.mutation.request_id,
            outcome,
        }
    }
}
