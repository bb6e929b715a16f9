//! A mutation on a pooled connection: tried until its outcome is known.

use pg_live_invalidation::Xid;
use pg_live_session::{Event, Failure, Moment, Mutation, MutationOutcome};
use rand::Rng;

use crate::bug::Bug;
use crate::coverage::State;
use crate::database::Stage;
use crate::history::{DOCUMENTS, Request};
use crate::query::Images;
use crate::run_job::Context;

/// See the module.
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
            if db.history.applied.contains_key(&request) {
                db.answered_late.insert(request);
                let c = db.completion_count();
                self.stage = Progress::Committed(cx.server.moment_of_completion(c));
                cx.server.coverage.reach(State::StoredOutcome);
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
        let mut candidates = (first..=cx.pks).filter(|pk| !db.is_locked(DOCUMENTS, *pk));
        let pk = candidates.next().unwrap_or(cx.pks);
        let old = db.history.value(DOCUMENTS, pk, db.now());
        let new = old.map_or(0, |value| (value + 1) % 8);
        if !db.write(xid, DOCUMENTS, pk, Some(new)) {
            db.leave(xid);
            return;
        }
        if let Some(tx) = db.live.get_mut(&xid) {
            tx.request = Some(request);
            tx.driven = true;
            tx.in_wal = cx.rng.random_bool(cx.faults.wal);
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
