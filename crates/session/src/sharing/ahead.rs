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

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::hold::Execution;
use super::{Asker, OutOfDate, Question, Sharing, State, Unit, UnitId, Who};
use crate::sharing::kept::{Anew, Next};
use crate::{Millis, Moment, Sub};

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
        let news = holders.map(|(sub, (run, asker))| {
            let news = OutOfDate {
                sub,
                run,
                execution,
                moment,
                anew: None,
            };
            Invalidation { asker, news }
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

    /// What the sessions of a unit that has ended are told. The next result is kept for them, if it is to be had.
    pub(super) fn news_of(
        &mut self,
        news: Vec<Invalidation<W>>,
        next: Option<Next>,
    ) -> impl Iterator<Item = Invalidation<W>> {
        let mut kept = next.and_then(|next| {
            let holders = &mut self.executions.get_mut(&next.execution)?.holders;
            holders.reserve(news.len());
            Some((holders, Anew::from(next)))
        });
        news.into_iter().map(move |mut told| {
            if let Some((holders, anew)) = &mut kept
                && !told.asker.is_gone()
                && let Entry::Vacant(place) = holders.entry(told.news.sub)
            {
                place.insert((told.news.run, told.asker.clone()));
                told.news.anew = Some(anew.clone());
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
