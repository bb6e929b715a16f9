//! Runs and what becomes of them: when one is started, whether its snapshot will do, and the
//! transition that shows it.

use crate::session::{Phase, Session};
use crate::{
    Answer, Command, Millis, Moment, Release, Run, RunNumber, ServerMessage, StateModification,
    Sub, Transition, Version,
};

/// First pause after a run that came to nothing; doubles up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Millis = 20;
/// First pause before results that could not be registered are run again.
const UNREGISTERED_PAUSE: Millis = 200;
/// No pause is longer.
const LONGEST_PAUSE: Millis = 2_000;

/// A run that the shell works on.
#[derive(Debug)]
pub(crate) struct Running {
    number: RunNumber,
    min: Moment,
    /// The queries that it executes, ascending.
    subs: Vec<Sub>,
    /// The queries whose results it keeps, ascending (R10).
    kept: Vec<Sub>,
    /// Of [`Session::epoch`] at its start.
    epoch: u64,
    /// What was executed before it was extended.
    first: Option<(Moment, Vec<(Sub, Answer)>)>,
    /// What the client will know when it is told the results.
    query_set: u32,
    identity: u32,
}

/// A run whose results wait to be shown.
#[derive(Debug)]
pub(crate) struct Finished {
    run: Running,
    moment: Moment,
    results: Vec<(Sub, Answer)>,
}

impl Session {
    /// Does whatever has become possible.
    pub(crate) fn advance(&mut self, now: Millis, out: &mut Vec<Command>) {
        match self.phase {
            Phase::New | Phase::Closing | Phase::Finished => {}
            Phase::Gone => self.finish(out),
            Phase::Open => {
                if self.rerun_at.is_some_and(|at| at <= now) {
                    self.rerun_at = None;
                    self.queries.make_unregistered_due();
                }
                if self.needs_new_token(now) {
                    return self.refuse_ended_token(out);
                }
                // R13: a transition that sees a mutation is not sent before its response.
                if !self.mutations.in_flight()
                    && let Some(finished) = self.held.take()
                {
                    self.show(now, finished, out);
                }
                out.extend(self.mutations.start().map(Command::Mutate));
                self.start_run(now, out);
                self.send_unmoved_transition(out);
            }
        }
    }

    /// Number of the run that is executed or held.
    pub(crate) fn under_way(&self) -> Option<RunNumber> {
        let held = self.held.as_ref().map(|finished| finished.run.number);
        self.running.as_ref().map(|run| run.number).or(held)
    }

    /// Whether the client is to be moved to a newer snapshot: something may have changed, or a
    /// mutation was answered that the shown snapshot does not see (R13).
    pub(crate) fn wants_run(&self) -> bool {
        let unseen = || self.acknowledgements.latest() > Some(self.shown);
        self.queries.has_due() || (self.queries.has_live() && unseen())
    }

    /// Whether nothing but time, or the lack of a reason, keeps a run from being started.
    pub(crate) fn may_start_run(&self) -> bool {
        let unsent = self
            .unsent
            .iter()
            .filter(|is_transition| **is_transition)
            .count();
        self.phase == Phase::Open
            && self.under_way().is_none()
            && unsent < self.limits.unsent_transitions
    }

    fn start_run(&mut self, now: Millis, out: &mut Vec<Command>) {
        if !self.wants_run() || now < self.not_before || !self.may_start_run() {
            return;
        }
        let (mut subs, mut kept) = self.queries.split();
        if kept.len() < self.limits.keep_from {
            subs.append(&mut kept);
            subs.sort_unstable();
        }
        self.rerun_at = None;
        self.runs += 1;
        let (number, min) = (self.runs, self.required.max(self.shown)); // R9, R12
        out.push(Command::Run(Run {
            number,
            min,
            fresh: self.failures > 0 || self.queries.any_new(&subs),
            identity: self.identity.clone(),
            queries: self.queries.start(&subs),
            keeps: !kept.is_empty(),
        }));
        self.running = Some(Running {
            number,
            min,
            subs,
            kept,
            epoch: self.epoch,
            first: None,
            query_set: self.queries.accepted,
            identity: self.identity_version,
        });
    }

    pub(crate) fn on_run_finished(
        &mut self,
        now: Millis,
        number: RunNumber,
        moment: Moment,
        mut results: Vec<(Sub, Answer)>,
        release: Option<Release>,
        out: &mut Vec<Command>,
    ) {
        let Some(mut run) = self.running.take_if(|run| run.number == number) else {
            return;
        };
        if !self.is_serving() {
            return;
        }
        if moment.boot != 0 && moment.boot < run.min.boot {
            // R12: the database lost commits that the client has seen (restored, failed over). A new
            // connection starts from what there is.
            return self.close(1011, "InternalServerError", out);
        }
        let mut same_snapshot = true;
        if let Some((first, earlier)) = run.first.take() {
            same_snapshot = first == moment;
            results.extend(earlier);
        }
        results.sort_by_key(|(sub, _)| *sub);
        let complete = results.iter().map(|(sub, _)| sub).eq(&run.subs);
        if moment.boot == 0 || moment < run.min || !complete || !same_snapshot {
            self.counts.runs_discarded += 1;
            return self.try_again(now, &run);
        }
        if !run.kept.is_empty() && run.epoch != self.epoch {
            // All is to be executed anew, also what this run was to keep.
            return;
        }
        let queries = &self.queries;
        let (kept, lost): (Vec<Sub>, Vec<Sub>) = std::mem::take(&mut run.kept)
            .into_iter()
            .partition(|sub| queries.is_kept(*sub, release));
        self.counts.results_kept += kept.len() as u64;
        self.counts.keeps_failed += lost.len() as u64;
        if !lost.is_empty() {
            return self.extend(run, &lost, (moment, results), out);
        }
        self.failures = 0;
        self.held = Some(Finished {
            run,
            moment,
            results,
        });
    }

    pub(crate) fn on_run_failed(&mut self, now: Millis, number: RunNumber) {
        if let Some(run) = self.running.take_if(|run| run.number == number) {
            self.try_again(now, &run);
        }
    }

    /// R11: executes what could not be kept at the same snapshot. What is kept by now stays so: later
    /// invalidations are of commits that the snapshot does not see.
    fn extend(
        &mut self,
        mut run: Running,
        lost: &[Sub],
        first: (Moment, Vec<(Sub, Answer)>),
        out: &mut Vec<Command>,
    ) {
        out.push(Command::Extend(Run {
            number: run.number,
            min: first.0,
            fresh: false,
            identity: self.identity.clone(),
            queries: self.queries.start(lost),
            keeps: false,
        }));
        run.subs.extend(lost);
        run.subs.sort_unstable();
        run.first = Some(first);
        self.running = Some(run);
    }

    fn try_again(&mut self, now: Millis, run: &Running) {
        for sub in &run.subs {
            self.queries.make_due(*sub);
        }
        self.not_before = now + pause(FIRST_PAUSE, self.failures);
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether the run under way executes the query.
    pub(crate) fn is_under_way(&self, sub: Sub) -> bool {
        let held = self.held.as_ref().map(|finished| &finished.run);
        let run = self.running.as_ref().or(held);
        run.is_some_and(|run| run.subs.binary_search(&sub).is_ok())
    }

    /// R11: moves the client to the snapshot of a run, all queries together.
    fn show(&mut self, now: Millis, finished: Finished, out: &mut Vec<Command>) {
        let Finished {
            run,
            moment,
            results,
        } = finished;
        debug_assert!(moment >= self.shown, "R12: forward only");
        self.shown = moment;
        let mut modifications = self.remove_up_to(run.query_set, out);
        let mut unregistered = false;
        for (sub, answer) in results {
            unregistered |= answer.registered.is_none() && answer.not_live.is_none();
            modifications.extend(self.take_answer((run.number, moment.boot), sub, answer));
        }
        let seen_ts = self.acknowledgements.seen_ts(moment);
        let (query_set, identity) = (run.query_set, run.identity);
        let news = (query_set, identity) != (self.sent.query_set, self.sent.identity);
        if news || seen_ts > 0 || self.owes_transition || !modifications.is_empty() {
            let ts = self.clock.of_transition(moment, seen_ts);
            self.send_transition(
                Version {
                    query_set,
                    identity,
                    ts,
                },
                modifications,
                out,
            );
        }
        if unregistered {
            self.rerun_at = Some(now + pause(UNREGISTERED_PAUSE, self.unregistered_runs));
            self.unregistered_runs = self.unregistered_runs.saturating_add(1);
        } else {
            self.unregistered_runs = 0;
        }
    }

    /// The change that a result is to the client; none if it is identical (R15).
    fn take_answer(
        &mut self,
        (run, boot): (RunNumber, u64),
        sub: Sub,
        answer: Answer,
    ) -> Option<StateModification> {
        let query = self.queries.get_mut(sub)?;
        if !query.replace(run, boot, &answer) {
            self.counts.results_unchanged += 1;
            return None;
        }
        self.counts.results_sent += 1;
        Some(StateModification::Updated {
            query_id: query.id,
            journal: query.journal.clone(),
            answer,
        })
    }

    /// A transition without a run: removals, a new identity without queries, an answered mutation
    /// that the shown snapshot sees or that nothing is there to see.
    fn send_unmoved_transition(&mut self, out: &mut Vec<Command>) {
        if !self.may_start_run() || self.wants_run() {
            return;
        }
        if !self.queries.has_live() {
            self.shown = self
                .shown
                .max(self.acknowledgements.latest().unwrap_or_default());
        }
        let (query_set, identity) = (self.queries.accepted, self.identity_version);
        let news = (query_set, identity) != (self.sent.query_set, self.sent.identity);
        if news || self.owes_transition || !self.acknowledgements.is_empty() {
            let ts = self
                .clock
                .of_unmoved_transition(self.acknowledgements.seen_ts(self.shown));
            let modifications = self.remove_up_to(query_set, out);
            self.send_transition(
                Version {
                    query_set,
                    identity,
                    ts,
                },
                modifications,
                out,
            );
        }
    }

    fn remove_up_to(&mut self, version: u32, out: &mut Vec<Command>) -> Vec<StateModification> {
        let (subs, ids): (Vec<_>, Vec<_>) = self
            .queries
            .take_removed(version)
            .into_iter()
            .map(|(sub, q)| (sub, q.id))
            .unzip();
        if !subs.is_empty() {
            out.push(Command::Unregister(subs));
        }
        ids.into_iter()
            .map(|query_id| StateModification::Removed { query_id })
            .collect()
    }

    fn send_transition(
        &mut self,
        end: Version,
        modifications: Vec<StateModification>,
        out: &mut Vec<Command>,
    ) {
        debug_assert!(end.ts >= self.sent.ts, "timestamps never fall");
        self.owes_transition = false;
        self.acknowledgements.cover(self.shown, end.ts);
        let start = std::mem::replace(&mut self.sent, end);
        self.counts.transitions += 1;
        self.send(
            ServerMessage::Transition(Transition {
                start,
                end,
                modifications,
            }),
            out,
        );
    }

    /// Ends a session without a client once nothing is under way that could still register.
    fn finish(&mut self, out: &mut Vec<Command>) {
        if self.running.is_some() {
            return;
        }
        let subs = self.queries.take_all();
        if !subs.is_empty() {
            out.push(Command::Unregister(subs));
        }
        if !self.mutations.in_flight() {
            self.phase = Phase::Finished;
        }
    }
}

fn pause(first: Millis, times: u32) -> Millis {
    (first << times.min(16)).min(LONGEST_PAUSE)
}
