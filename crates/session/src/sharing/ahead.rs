//! Results that are out of date, and queries that are executed again before anyone has asked.
//!
//! When many sessions show the same result, all of them will ask for the next one as soon as they know that it is out
//! of date. So the query is executed first, and they are told together with its end: each has one thing to do instead of
//! two. They ask as they always do, and are served at once.
//!
//! What makes it right to tell them later:
//!
//! - To a session it is as if the news had taken longer. It is told in any case: when the execution has ended, when it
//!   has come to nothing, or when somebody is given a release (R10), before that: a release says that all earlier
//!   invalidations were passed on.
//! - The next result must not be forgotten before they ask. So each is among its holders from the moment at which it is
//!   told, in the place of the result that it shows; the hold goes with the news, and is given back like any other.
//! - A session that asks for just that when it is told is answered with what came with the news ([`Kept`](super::Kept)).
//!   It is among the holders, so an invalidation is on its way to it, or will be.

use std::sync::Arc;

use super::hold::{Execution, Holders};
use super::{Asker, OutOfDate, Question, Sharing, State, Unit, UnitId, Who};
use crate::sharing::kept::{Anew, Next};
use crate::{Millis, Moment, RunNumber, Sub};

/// So many sessions are a crowd: for fewer it is not worth it.
pub(super) const CROWD: usize = 16;

/// That a session is to be told that a result is out of date.
#[derive(Debug)]
#[must_use]
pub struct Invalidation<W> {
    /// The session.
    pub asker: W,
    /// What it is told.
    pub news: OutOfDate,
}

/// Those who hold a result that is out of date.
#[derive(Debug)]
pub(super) struct Stale<W> {
    execution: Sub,
    /// A snapshot from here on sees why.
    moment: Moment,
    holders: Holders<W>,
}

impl<W> Stale<W> {
    fn of(&self, (sub, run): (Sub, RunNumber), asker: W, anew: Option<Anew>) -> Invalidation<W> {
        let (execution, moment) = (self.execution, self.moment);
        let news = OutOfDate {
            sub,
            run,
            execution,
            moment,
            anew,
        };
        Invalidation { asker, news }
    }

    /// What they are told if nothing is kept for them.
    pub(super) fn told(mut self) -> impl Iterator<Item = Invalidation<W>> {
        let holders = std::mem::take(&mut self.holders).into_iter();
        holders.map(move |(sub, (run, asker))| self.of((sub, run), asker, None))
    }
}

/// What becomes of the news that an execution is out of date.
#[derive(Debug)]
pub struct Invalidated<W> {
    /// To be told now.
    pub told: Vec<Invalidation<W>>,
    /// Others are told later; until then something is to be executed, from this time on.
    pub wanted: Option<Millis>,
}

impl<W: Asker> Sharing<W> {
    /// The owner's registration of an execution is out of date.
    pub fn invalidated(&mut self, now: Millis, execution: Sub, moment: Moment) -> Invalidated<W> {
        let nothing = Invalidated {
            told: Vec::new(),
            wanted: None,
        };
        let Some(touched) = self.executions.get_mut(&execution) else {
            return nothing;
        };
        touched.invalidated = Some(moment);
        if !touched.is_over() {
            // Whoever is given the result is told then.
            return nothing;
        }
        let Some(touched) = self.executions.remove(&execution) else {
            return nothing;
        };
        let ahead = self.worth_executing_ahead(&touched);
        for unit in &touched.units {
            self.retire(now, *unit, false);
        }
        let stale = Stale {
            execution,
            moment,
            holders: touched.holders,
        };
        let Some((questions, keeps)) = ahead else {
            return Invalidated {
                told: stale.told().collect(),
                wanted: None,
            };
        };
        let unit = Unit {
            questions,
            identity: touched.identity,
            waiting: Vec::new(),
            stale: Some(stale),
            state: State::Delayed,
            keeps,
        };
        let at = self.enqueue(now, unit, false);
        Invalidated {
            told: Vec::new(),
            wanted: Some(at),
        }
    }

    /// The questions of the unit whose only execution this was, if a crowd shows it and nobody asks anew already. And
    /// whether its sessions want the invalidator's record.
    fn worth_executing_ahead(&self, touched: &Execution<W>) -> Option<(Arc<[Question]>, bool)> {
        let [id] = touched.units[..] else {
            return None;
        };
        let unit = self.units.get(&id)?;
        let [question] = &unit.questions[..] else {
            return None;
        };
        let is_newest = self.slots.get(&unit.questions)?.unit == Some(id);
        let is_shared = !matches!(question.who, Who::Alone(_));
        let worth = is_newest && is_shared && touched.holders.len() >= self.crowd;
        worth.then(|| (Arc::clone(&unit.questions), unit.keeps))
    }

    /// What those are told who show the result before that of a unit that has ended. The next one is kept for them, if it
    /// is to be had.
    pub(super) fn tell_of(
        &mut self,
        stale: Option<Stale<W>>,
        next: Option<Next>,
        told: &mut Vec<Invalidation<W>>,
    ) {
        let Some(stale) = stale else {
            return;
        };
        let kept = next.and_then(|next| {
            let execution = self.executions.get_mut(&next.execution)?;
            Some((execution, Anew::from(next)))
        });
        let Some((execution, anew)) = kept else {
            return told.extend(stale.told());
        };
        // Who has asked meanwhile was given it already.
        let others = std::mem::take(&mut execution.holders);
        told.extend(stale.holders.iter().map(|(sub, (run, asker))| {
            let anew = (!others.contains_key(sub)).then(|| anew.clone());
            stale.of((*sub, *run), asker.clone(), anew)
        }));
        execution.holders = stale.holders;
        execution.holders.extend(others);
    }

    /// R10: whatever is known by now is told before somebody is given a release.
    pub(super) fn all_news(&mut self) -> Vec<Invalidation<W>> {
        let ahead = std::mem::take(&mut self.ahead);
        let units = ahead.into_iter();
        let stale = units.filter_map(|id| self.units.get_mut(&id)?.stale.take());
        stale.flat_map(Stale::told).collect()
    }

    /// The unit is over or gone.
    pub(super) fn forget_ahead(&mut self, id: UnitId) {
        self.ahead.remove(&id);
    }
}
