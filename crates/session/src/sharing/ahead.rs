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

use std::sync::Arc;

use super::hold::Execution;
use super::{Asker, Hold, Question, Sharing, State, Unit, UnitId, Who};
use crate::{Millis, Moment, RunNumber, Sub};

/// So many sessions are a crowd: for fewer it is not worth it.
pub(super) const CROWD: usize = 16;

/// That a result that a session shows is out of date.
#[derive(Debug)]
#[must_use]
pub struct Invalidation<W> {
    /// The session.
    pub asker: W,
    /// What the result is of.
    pub sub: Sub,
    /// The run that it was given to.
    pub run: RunNumber,
    /// A snapshot from here on sees why.
    pub moment: Moment,
    /// The next result is there, and kept for the session until it has asked.
    pub anew: Option<Anew>,
}

/// The execution whose result is kept for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Anew(Sub);

impl Anew {
    /// The hold that comes with it: it takes the place of that of the result that is out of date. If the session does
    /// not have that any more it is given back.
    pub fn hold(self, sub: Sub, run: RunNumber) -> Hold {
        Hold {
            sub,
            run,
            execution: self.0,
        }
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
        let holders = touched.holders.into_iter();
        let news = holders.map(|(sub, (run, asker))| Invalidation {
            asker,
            sub,
            run,
            moment,
            anew: None,
        });
        let news = news.collect();
        let Some((questions, keeps)) = ahead else {
            return Invalidated {
                told: news,
                wanted: None,
            };
        };
        let unit = Unit {
            questions,
            identity: touched.identity,
            waiting: Vec::new(),
            news,
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

    /// What the sessions of a unit that has ended are told. If its result is to be had, it is kept for them.
    pub(super) fn news_of(
        &mut self,
        news: Vec<Invalidation<W>>,
        executions: &[Sub],
        to_be_had: bool,
    ) -> impl Iterator<Item = Invalidation<W>> {
        let execution = executions.first().filter(|_| to_be_had);
        let mut next = execution.and_then(|sub| Some((*sub, self.executions.get_mut(sub)?)));
        news.into_iter().map(move |mut told| {
            if let Some((execution, next)) = &mut next
                && !told.asker.is_gone()
                && !next.holders.contains_key(&told.sub)
            {
                let holder = (told.run, told.asker.clone());
                next.holders.insert(told.sub, holder);
                told.anew = Some(Anew(*execution));
            }
            told
        })
    }

    /// R10: whatever is known by now is told before somebody is given a release.
    pub(super) fn all_news(&mut self) -> Vec<Invalidation<W>> {
        let ahead = std::mem::take(&mut self.ahead);
        let units = ahead.into_iter();
        let news = units.filter_map(|id| Some(std::mem::take(&mut self.units.get_mut(&id)?.news)));
        news.flatten().collect()
    }

    /// The unit is over or gone.
    pub(super) fn forget_ahead(&mut self, id: UnitId) {
        self.ahead.remove(&id);
    }
}
