//! Batches: units that are executed at one snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use super::ahead::Stale;
use super::hold::Execution;
use super::kept::Next;
use super::{
    Ask, Asked, Asker, CLOCK_SHARED, Hold, Invalidation, Lane, Owner, Question, Results, Sharing,
    State, Told, Unit, UnitId, Waiting, Who, answers,
};
use crate::{Answer, Millis, Moment, QueryResult, Release, Sub};

/// A batch is not expected to take longer, in milliseconds, unless one unit does.
const BATCH_MS: f64 = 10.0;
/// Units of a batch.
const BATCH_UNITS: usize = 64;

/// Queries to execute and register at one snapshot.
#[derive(Debug)]
pub struct Batch<W> {
    /// For [`Sharing::done`] and its like.
    pub number: u64,
    /// Each distinct query once.
    pub calls: Vec<Call>,
    /// The record of the invalidator is to be read, too (R10).
    pub keeps: bool,
    /// The only session that it is for, if it must be executed alone.
    pub alone: Option<W>,
    /// It is expected to take long.
    pub is_heavy: bool,
    /// Runs of sessions that have gone.
    pub failed: Vec<Told<W>>,
}

/// One query of a batch.
#[derive(Clone, Debug)]
pub struct Call {
    /// What to register it as; the generation is 1.
    pub sub: Sub,
    /// `dir/module:function`.
    pub path: Arc<str>,
    /// JSON array with one object.
    pub args: Arc<str>,
    /// Where its pages end.
    pub journal: Option<String>,
    /// JSON of the identity, if any.
    pub identity: Option<Arc<str>>,
}

/// What a function looked at besides the database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// Who the caller is.
    pub identity: bool,
    /// The time, or random numbers.
    pub clock: bool,
}

/// What came of a batch, one result for each call.
#[derive(Debug)]
pub struct Outcome {
    /// Of the snapshot of all results.
    pub moment: Moment,
    /// In the order of the calls.
    pub results: Vec<(QueryResult, Observed)>,
    /// R10, if the batch keeps.
    pub release: Option<Release>,
}

/// What the shell has to do after a batch.
#[derive(Debug)]
pub struct Done<W> {
    /// To be told first.
    pub news: Vec<Invalidation<W>>,
    /// To be told to their sessions.
    pub told: Vec<Told<W>>,
    /// Executions that nobody holds.
    pub unregister: Vec<Sub>,
    /// Something waits to be executed.
    pub more: bool,
    /// Something is to be executed then, as [`Asked::Later`] says.
    pub later: Option<Millis>,
    /// Results that were given to a session beyond the first.
    pub shared: u64,
}

impl<W: Asker> Sharing<W> {
    /// What is to be executed next. `heavy_too`: whether it may take long.
    pub fn next_batch(&mut self, now: Millis, owner: Owner, heavy_too: bool) -> Option<Batch<W>> {
        while let Some(id) = self.queue.pop_delayed(now) {
            if let Some(unit) = self.units.get_mut(&id)
                && matches!(unit.state, State::Delayed)
            {
                unit.state = self.queue.push(id, Lane::Rerun, now);
            }
        }
        let mut batch = self.new_batch();
        let (mut units, mut known) = (Vec::new(), HashMap::new());
        let mut expected_ms = 0.0;
        while units.len() < BATCH_UNITS && expected_ms < BATCH_MS {
            let Some((id, lane)) = self.queue.pop(now, heavy_too) else {
                break;
            };
            let Some(cost) = self.make_ready(id, lane, &mut batch) else {
                continue;
            };
            let alone = self.is_alone(id);
            if !units.is_empty() && (alone || expected_ms + cost > 2.0 * BATCH_MS) {
                if let Some(unit) = self.units.get_mut(&id) {
                    let since = match unit.state {
                        State::Queued { since, .. } => since,
                        State::Delayed | State::Running { .. } | State::Done(_) => now,
                    };
                    unit.state = self.queue.push_front(id, lane, since);
                }
                break;
            }
            expected_ms += cost;
            batch.is_heavy |= lane == Lane::Heavy;
            self.add_to(&mut batch, id, (owner, now), &mut known);
            units.push(id);
            if alone {
                batch.alone = self.first_asker(id);
                break;
            }
        }
        if units.is_empty() && batch.failed.is_empty() {
            return None;
        }
        self.batches.insert(batch.number, units);
        Some(batch)
    }

    fn new_batch(&mut self) -> Batch<W> {
        self.last += 1;
        Batch {
            number: self.last,
            calls: Vec::new(),
            keeps: false,
            alone: None,
            is_heavy: false,
            failed: Vec::new(),
        }
    }

    /// A batch of one unit.
    pub(super) fn batch_of(&mut self, now: Millis, owner: Owner, id: UnitId) -> Batch<W> {
        let mut batch = self.new_batch();
        batch.alone = self.first_asker(id);
        self.add_to(&mut batch, id, (owner, now), &mut HashMap::new());
        self.batches.insert(batch.number, vec![id]);
        batch
    }

    /// Whether a unit that was taken from a lane is to be executed, and what that is expected to take. Those of its
    /// sessions that have gone are not waited for.
    fn make_ready(&mut self, id: UnitId, from: Lane, batch: &mut Batch<W>) -> Option<f64> {
        let unit = self.units.get_mut(&id)?;
        if !matches!(unit.state, State::Queued { lane, .. } if lane == from) {
            return None;
        }
        let gone = unit
            .waiting
            .extract_if(.., |waiting| waiting.ask.asker.is_gone());
        batch
            .failed
            .extend(gone.map(|it| Told::failed(it.ask.asker, it.ask.run.number)));
        if unit.waiting.is_empty() && unit.stale.is_none() {
            let questions = Arc::clone(&unit.questions);
            self.units.remove(&id);
            if let Some(slot) = self.slots.get_mut(&questions) {
                slot.unit.take_if(|known| *known == id);
            }
            return None;
        }
        let questions = unit.questions.iter();
        Some(
            questions
                .map(|question| self.queue.cost(&question.path))
                .sum(),
        )
    }

    fn is_alone(&self, id: UnitId) -> bool {
        let alone = |waiting: &Waiting<W>| waiting.ask.alone;
        self.units
            .get(&id)
            .is_some_and(|unit| unit.waiting.iter().any(alone))
    }

    fn first_asker(&self, id: UnitId) -> Option<W> {
        let unit = self.units.get(&id)?;
        Some(unit.waiting.first()?.ask.asker.clone())
    }

    /// Puts the questions of a unit into a batch, each once.
    fn add_to(
        &mut self,
        batch: &mut Batch<W>,
        id: UnitId,
        (owner, now): (Owner, Millis),
        known: &mut HashMap<Question, Sub>,
    ) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        unit.state = State::Running { owner };
        batch.keeps |= unit.keeps;
        let identity = match unit.waiting.first() {
            Some(first) => first.ask.run.identity.clone(),
            None => unit.identity.clone(),
        };
        for question in unit.questions.iter() {
            if let Some(sub) = known.get(question) {
                if let Some(execution) = self.executions.get_mut(sub)
                    && execution.units.last() != Some(&id)
                {
                    execution.units.push(id);
                }
                continue;
            }
            self.last += 1;
            let sub = self.last.cast_signed();
            known.insert(question.clone(), sub);
            batch.calls.push(Call {
                sub,
                path: Arc::clone(&question.path),
                args: Arc::clone(&question.args),
                journal: question.journal.clone(),
                identity: identity.clone(),
            });
            self.executions.insert(
                sub,
                Execution {
                    identity: identity.clone(),
                    units: vec![id],
                    answer: None,
                    invalidated: None,
                    holders: HashMap::new(),
                },
            );
        }
        if let Some(slot) = self.slots.get_mut(&unit.questions) {
            slot.pace.begin(now);
        }
    }

    /// A batch was executed. `took_ms`: all of it.
    pub fn done(
        &mut self,
        now: Millis,
        batch: &Batch<W>,
        outcome: Outcome,
        took_ms: f64,
    ) -> Done<W> {
        let Outcome {
            moment,
            results,
            release,
        } = outcome;
        let each_ms = took_ms / f64::from(u32::try_from(results.len().max(1)).unwrap_or(u32::MAX));
        let mut observed = HashMap::new();
        let mut answers = HashMap::new();
        for (call, (result, saw)) in batch.calls.iter().zip(results) {
            self.queue.learn(&call.path, each_ms);
            if saw.identity {
                self.note_personal(&call.path);
            }
            observed.insert(call.sub, saw);
            let answer = Answer::from(result);
            if let Some(execution) = self.executions.get_mut(&call.sub) {
                execution.answer = Some(answer.clone());
            }
            answers.insert(call.sub, answer);
        }
        let news = match release {
            Some(_) => self.all_news(),
            None => Vec::new(),
        };
        let mut done = Done {
            news,
            told: Vec::new(),
            unregister: Vec::new(),
            more: false,
            later: None,
            shared: 0,
        };
        let shown = Shown {
            moment,
            release,
            observed: &observed,
            answers: &answers,
            now,
        };
        let by_question = self.by_question(batch);
        for id in self.batches.remove(&batch.number).unwrap_or_default() {
            self.finish_unit(id, &by_question, &shown, &mut done);
        }
        for call in &batch.calls {
            let unheld = |execution: &Execution<W>| {
                execution.holders.is_empty() || execution.invalidated.is_some()
            };
            if self.executions.get(&call.sub).is_some_and(unheld) {
                done.unregister.extend(self.drop_execution(now, call.sub));
            }
        }
        done.more |= self.waiting() > 0;
        done
    }

    /// The executions of a batch by their question.
    fn by_question(&self, batch: &Batch<W>) -> HashMap<Question, Sub> {
        let mut subs = batch.calls.iter().map(|call| call.sub);
        let mut by_question = HashMap::new();
        for id in self.batches.get(&batch.number).into_iter().flatten() {
            let questions = self.units.get(id).map(|unit| Arc::clone(&unit.questions));
            for question in questions.iter().flat_map(|questions| questions.iter()) {
                if !by_question.contains_key(question)
                    && let Some(sub) = subs.next()
                {
                    by_question.insert(question.clone(), sub);
                }
            }
        }
        by_question
    }

    /// Answers everyone who waits for a unit, and keeps its results for those who will ask soon.
    fn finish_unit(
        &mut self,
        id: UnitId,
        by_question: &HashMap<Question, Sub>,
        shown: &Shown<'_>,
        done: &mut Done<W>,
    ) {
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let owner = match unit.state {
            State::Running { owner } => owner,
            State::Queued { .. } | State::Delayed | State::Done(_) => return,
        };
        let waiting = std::mem::take(&mut unit.waiting);
        let stale = unit.stale.take();
        let questions = Arc::clone(&unit.questions);
        let executions: Vec<Sub> = questions
            .iter()
            .filter_map(|question| by_question.get(question).copied())
            .collect();
        let saw = |sub: &Sub| shown.observed.get(sub).copied().unwrap_or_default();
        let is_personal = executions.iter().any(|sub| saw(sub).identity);
        let by_clock = executions.iter().any(|sub| saw(sub).clock);
        let in_force = |sub: &Sub| self.executions.get(sub).is_some_and(Execution::is_in_force);
        let all_in_force = executions.iter().all(in_force);
        if let Some(slot) = self.slots.get_mut(&questions) {
            slot.pace.end(shown.now);
        }
        let until = if by_clock {
            shown.now + CLOCK_SHARED
        } else {
            Millis::MAX
        };
        unit.state = State::Done(Results {
            owner,
            moment: shown.moment,
            executions: executions.clone(),
            release: shown.release,
            until,
        });
        let mut given = 0;
        for Waiting { ask, joined_late } in waiting {
            // While the invalidator is not up there is no order, and the session waits a little.
            let too_old = joined_late && shown.moment.boot != 0 && shown.moment < ask.run.min;
            if too_old || (is_personal && self.is_of_another(&executions, &ask)) {
                self.ask_again(shown.now, owner, ask, done);
                continue;
            }
            given += 1;
            done.told.push(self.tell(&executions, shown, &ask));
        }
        done.shared += u64::max(given, 1) - 1;
        // What was found to be personal is asked for under another question from now on.
        let misnamed = is_personal && questions.iter().any(|question| question.who == Who::Anyone);
        self.forget_ahead(id);
        let is_to_be_had = all_in_force && !misnamed;
        let next = shown.next(&questions, &executions, (owner, until));
        self.tell_of(stale, next.filter(|_| is_to_be_had), &mut done.news);
        if !all_in_force || misnamed {
            let late = !misnamed && !all_in_force;
            self.units.remove(&id);
            if let Some(slot) = self.slots.get_mut(&questions) {
                slot.unit.take_if(|known| *known == id);
                if late {
                    slot.pace.invalidated(shown.now, true);
                }
            }
        }
    }

    /// Whether an execution was made for somebody else, and may give another result to who asks.
    fn is_of_another(&self, executions: &[Sub], ask: &Ask<W>) -> bool {
        let mut executions = executions.iter().filter_map(|sub| self.executions.get(sub));
        executions.any(|execution| execution.identity != ask.run.identity)
    }

    /// A run that could not take part after all.
    fn ask_again(&mut self, now: Millis, owner: Owner, ask: Ask<W>, done: &mut Done<W>) {
        match self.ask(now, Some(owner), ask) {
            Asked::Served(told) => done.told.push(told),
            Asked::Queued => done.more = true,
            Asked::Later(at) => done.later = Some(done.later.map_or(at, |other| other.min(at))),
            Asked::Joined => {}
        }
    }

    /// What a session is told: it holds the results from here on.
    fn tell(&mut self, executions: &[Sub], shown: &Shown<'_>, ask: &Ask<W>) -> Told<W> {
        let results = executions
            .iter()
            .filter_map(|sub| shown.answers.get(sub).cloned());
        let answers = answers(&ask.run, results);
        let (holds, invalidated) = self.hold_all(executions, ask);
        Told {
            asker: ask.asker.clone(),
            run: ask.run.number,
            moment: Some(shown.moment),
            answers,
            release: shown.release.filter(|_| ask.run.keeps),
            holds,
            invalidated,
        }
    }

    fn hold_all(&mut self, executions: &[Sub], ask: &Ask<W>) -> (Vec<Hold>, Vec<(Sub, Moment)>) {
        let (mut holds, mut invalidated) = (Vec::new(), Vec::new());
        for (query, execution) in ask.run.queries.iter().zip(executions) {
            let (hold, out_of_date) =
                self.hold(*execution, query.sub, (ask.run.number, &ask.asker));
            holds.extend(hold);
            invalidated.extend(out_of_date);
        }
        (holds, invalidated)
    }

    /// Gives a run the results of a unit that was executed before; `None` if they do not hold any more.
    pub(super) fn serve(&mut self, id: UnitId, ask: &Ask<W>) -> Option<Asked<W>> {
        let unit = self.units.get(&id)?;
        let State::Done(Results {
            moment,
            executions,
            release,
            ..
        }) = &unit.state
        else {
            return None;
        };
        debug_assert!(*moment >= ask.run.min, "R9, R12");
        let (moment, release, executions) = (*moment, *release, executions.clone());
        let found = executions.iter().map(|sub| {
            let execution = self.executions.get(sub)?;
            execution.answer.clone().filter(|_| execution.is_in_force())
        });
        let found: Option<Vec<Answer>> = found.collect();
        let answers = answers(&ask.run, found?.into_iter());
        let (holds, invalidated) = self.hold_all(&executions, ask);
        Some(Asked::Served(Told {
            asker: ask.asker.clone(),
            run: ask.run.number,
            moment: Some(moment),
            answers,
            release: release.filter(|_| ask.run.keeps),
            holds,
            invalidated,
        }))
    }

    /// Takes all units out of a batch but those that want this call; they are executed in another one.
    /// What to unregister.
    pub fn split(&mut self, now: Millis, batch: &mut Batch<W>, culprit: usize) -> Vec<Sub> {
        let Some(call) = batch.calls.get(culprit).map(|call| call.sub) else {
            return Vec::new();
        };
        let guilty = self
            .executions
            .get(&call)
            .map(|execution| execution.units.clone());
        let guilty = guilty.unwrap_or_default();
        let units = self.batches.remove(&batch.number).unwrap_or_default();
        let (guilty, others): (Vec<UnitId>, Vec<UnitId>) =
            units.into_iter().partition(|id| guilty.contains(id));
        let begun = self.forget_calls(batch);
        for id in others.into_iter().rev() {
            if let Some(unit) = self.units.get_mut(&id) {
                unit.state = self.queue.push_front(id, Lane::Rerun, now);
            }
        }
        let owner = guilty
            .first()
            .and_then(|id| match self.units.get(id)?.state {
                State::Running { owner } => Some(owner),
                State::Queued { .. } | State::Delayed | State::Done(_) => None,
            });
        batch.calls.clear();
        let mut known = HashMap::new();
        for id in &guilty {
            self.add_to(batch, *id, (owner.unwrap_or(0), now), &mut known);
        }
        self.batches.insert(batch.number, guilty);
        begun
    }

    /// The executions of a batch come to nothing. Some may have been registered.
    fn forget_calls(&mut self, batch: &Batch<W>) -> Vec<Sub> {
        let subs = batch.calls.iter().map(|call| call.sub);
        let subs: Vec<Sub> = subs.collect();
        for sub in &subs {
            self.executions.remove(sub);
        }
        subs
    }

    /// The same batch is executed under another owner.
    pub fn move_to(&mut self, batch: &Batch<W>, owner: Owner) {
        for id in self.batches.get(&batch.number).into_iter().flatten() {
            if let Some(unit) = self.units.get_mut(id)
                && matches!(unit.state, State::Running { .. })
            {
                unit.state = State::Running { owner };
            }
        }
    }

    /// The runs of sessions that have gone, as far as their execution has not begun: they come to nothing now, as there
    /// may be no connection for long.
    pub fn give_up(&mut self) -> Vec<Told<W>> {
        if self.waiting() == 0 {
            return Vec::new();
        }
        let queued = |unit: &&mut Unit<W>| matches!(unit.state, State::Queued { .. });
        let given_up = self.units.values_mut().filter(queued).flat_map(|unit| {
            unit.waiting
                .extract_if(.., |waiting| waiting.ask.asker.is_gone())
        });
        given_up
            .map(|it| Told::failed(it.ask.asker, it.ask.run.number))
            .collect()
    }

    /// A batch came to nothing: its sessions try again.
    pub fn failed(&mut self, batch: &Batch<W>) -> Done<W> {
        let (mut told, mut news) = (Vec::new(), Vec::new());
        for id in self.batches.remove(&batch.number).unwrap_or_default() {
            self.forget_ahead(id);
            let Some(unit) = self.units.remove(&id) else {
                continue;
            };
            if let Some(slot) = self.slots.get_mut(&unit.questions) {
                slot.unit.take_if(|known| *known == id);
            }
            news.extend(unit.stale.into_iter().flat_map(Stale::told));
            let waiting = unit.waiting.into_iter();
            told.extend(waiting.map(|it| Told::failed(it.ask.asker, it.ask.run.number)));
        }
        Done {
            news,
            told,
            unregister: self.forget_calls(batch),
            more: self.waiting() > 0,
            later: None,
            shared: 0,
        }
    }
}

/// What a batch has shown.
struct Shown<'a> {
    moment: Moment,
    release: Option<Release>,
    observed: &'a HashMap<Sub, Observed>,
    answers: &'a HashMap<Sub, Answer>,
    now: Millis,
}

impl Shown<'_> {
    /// What can be kept for those who show an earlier result of a single question.
    fn next(
        &self,
        questions: &[Question],
        executions: &[Sub],
        (owner, until): (Owner, Millis),
    ) -> Option<Next> {
        let ([question], [execution]) = (questions, executions) else {
            return None;
        };
        Some(Next {
            execution: *execution,
            question: question.clone(),
            owner,
            moment: self.moment,
            answer: self.answers.get(execution)?.clone(),
            until,
        })
    }
}
