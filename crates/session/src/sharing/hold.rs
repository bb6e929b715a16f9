//! Executions, and who holds their results.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Asker, Sharing, UnitId};
use crate::{Answer, Event, Moment, Release, RunNumber, Sub};

/// One execution of a query, registered under its own number, once for all who hold it.
#[derive(Debug)]
pub(super) struct Execution<W> {
    /// For whom it was executed.
    pub(super) identity: Option<Arc<str>>,
    /// The units that it is in.
    pub(super) units: Vec<UnitId>,
    /// `None` while it is under way.
    pub(super) answer: Option<Answer>,
    /// A commit has touched it.
    pub(super) invalidated: Option<Moment>,
    pub(super) holders: Holders<W>,
}

/// Who holds a result, by the sub of the session: the run that it was given to.
pub(super) type Holders<W> = HashMap<Sub, (RunNumber, W)>;

impl<W> Execution<W> {
    pub(super) fn is_over(&self) -> bool {
        self.answer.is_some()
    }

    /// Whether another session can be given it.
    pub(super) fn is_in_force(&self) -> bool {
        let registered = |answer: &Answer| answer.registered.is_some();
        self.invalidated.is_none() && self.answer.as_ref().is_some_and(registered)
    }
}

/// That a session holds the result of an execution. The shell gives it back with [`Sharing::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Hold {
    /// Of the session.
    pub sub: Sub,
    /// The run that it was given to.
    pub(super) run: RunNumber,
    pub(super) execution: Sub,
}

/// What a session is told of its run.
#[derive(Debug)]
pub struct Told<W> {
    /// The session.
    pub asker: W,
    /// Its run.
    pub run: RunNumber,
    /// Of the snapshot that all results are of. `None`: the run came to nothing.
    pub moment: Option<Moment>,
    /// In the order of the run.
    pub answers: Vec<(Sub, Answer)>,
    /// R10, if the run keeps.
    pub release: Option<Release>,
    /// For each answer that is registered.
    pub holds: Vec<Hold>,
    /// Results that are out of date already, with the moment from which snapshots see why.
    pub invalidated: Vec<(Sub, Moment)>,
}

impl<W> Told<W> {
    /// A run that came to nothing.
    pub(super) fn failed(asker: W, run: RunNumber) -> Self {
        Self {
            asker,
            run,
            moment: None,
            answers: Vec::new(),
            release: None,
            holds: Vec::new(),
            invalidated: Vec::new(),
        }
    }

    /// The events of the session, in their order.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + use<W> {
        let run = self.run;
        let answers = std::mem::take(&mut self.answers);
        let finished = match self.moment {
            Some(moment) => Event::RunFinished {
                run,
                moment,
                results: answers,
                release: self.release,
            },
            None => Event::RunFailed { run },
        };
        let invalidated = std::mem::take(&mut self.invalidated).into_iter();
        let invalidated = invalidated.map(move |(sub, moment)| Event::Invalidated {
            sub,
            generation: run,
            moment,
        });
        std::iter::once(finished).chain(invalidated)
    }
}

impl<W: Asker> Sharing<W> {
    /// A session is about to be given the result of an execution: from now on it is told of its invalidation. What
    /// it must be told at once, if the execution was invalidated before.
    pub(super) fn hold(
        &mut self,
        execution: Sub,
        sub: Sub,
        (run, asker): (RunNumber, &W),
    ) -> (Option<Hold>, Option<(Sub, Moment)>) {
        let Some(held) = self.executions.get_mut(&execution) else {
            return (None, None);
        };
        if let Some(moment) = held.invalidated {
            return (None, Some((sub, moment)));
        }
        held.holders.insert(sub, (run, asker.clone()));
        let hold = Hold {
            sub,
            run,
            execution,
        };
        (Some(hold), None)
    }

    /// A session no longer shows a result. The execution to unregister if nobody does.
    pub fn release(&mut self, now: crate::Millis, hold: Hold) -> Option<Sub> {
        let held = self.executions.get_mut(&hold.execution)?;
        if held.holders.get(&hold.sub)?.0 != hold.run {
            return None; // It was given the same again.
        }
        held.holders.remove(&hold.sub);
        if !held.holders.is_empty() {
            return None;
        }
        self.drop_execution(now, hold.execution)
    }

    /// Forgets an execution that nobody holds; what to unregister.
    pub(super) fn drop_execution(&mut self, now: crate::Millis, execution: Sub) -> Option<Sub> {
        let dropped = self.executions.remove(&execution)?;
        for unit in &dropped.units {
            self.retire(now, *unit, true);
        }
        dropped.is_in_force().then_some(execution)
    }

    /// Nobody is given the results of a unit any more.
    pub(super) fn retire(&mut self, now: crate::Millis, id: UnitId, unwanted: bool) {
        let Some(unit) = self.units.remove(&id) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(&unit.questions) {
            if slot.unit == Some(id) {
                slot.unit = None;
            }
            if !unwanted {
                slot.pace.invalidated(now, false);
            }
        }
    }
}
