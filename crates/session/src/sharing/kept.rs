//! What one session holds, and what it is answered of that without asking.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ask, Asker, Hold, Owner, Question, Told, Who};
use crate::{Answer, Event, Millis, Moment, RunNumber, Sub};

/// That a result that a session holds is out of date.
#[derive(Clone, Debug)]
#[must_use]
pub struct OutOfDate {
    /// What the result is of.
    pub sub: Sub,
    /// The run that it was given to; the session may show it as that of a later one ([`Holds`]).
    pub run: RunNumber,
    pub(super) execution: Sub,
    /// A snapshot from here on sees why.
    pub moment: Moment,
    /// The next result is there, and kept for the session until it has asked.
    pub(super) anew: Option<Anew>,
}

/// The result of an execution that took the place of one that many sessions show.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) execution: Sub,
    pub(super) question: Question,
    pub(super) owner: Owner,
    pub(super) moment: Moment,
    pub(super) answer: Answer,
    /// Nobody is to be given it from then on.
    pub(super) until: Millis,
}

/// The same for all sessions that it is kept for.
#[derive(Clone, Debug)]
pub(super) struct Anew(Arc<Next>);

impl From<Next> for Anew {
    fn from(next: Next) -> Self {
        Self(Arc::new(next))
    }
}

impl OutOfDate {
    /// Whether the next result is kept for the session.
    pub fn is_kept_anew(&self) -> bool {
        self.anew.is_some()
    }

    /// The session cannot be told any more: what is to be given back.
    pub fn refused(&self) -> Option<Hold> {
        self.anew.as_ref().map(|anew| self.next_hold(anew))
    }

    /// That of the next result, which takes the place of the one that is out of date.
    fn next_hold(&self, anew: &Anew) -> Hold {
        Hold {
            sub: self.sub,
            run: self.run,
            execution: anew.0.execution,
        }
    }
}

/// A result that is kept for a session: the answer to the run that it asks for when it is told.
#[derive(Clone, Debug)]
pub struct Kept {
    anew: Anew,
    hold: Hold,
}

impl Kept {
    /// The answer to a run that wants this result and nothing else. `owner`: under which the relay is attached now.
    pub fn serve<W: Asker>(
        &self,
        now: Millis,
        owner: Option<Owner>,
        ask: &Ask<W>,
    ) -> Option<Told<W>> {
        let next = &self.anew.0;
        let Question {
            path,
            args,
            journal,
            is_admin,
            who,
        } = &next.question;
        let [query] = &ask.run.queries[..] else {
            return None;
        };
        let is_for = match who {
            Who::Anyone => true,
            Who::This(identity) => *identity == ask.run.identity,
            Who::Alone(_) => false,
        };
        let is_asked = query.sub == self.hold.sub
            && (&query.path, &query.args, &query.journal) == (path, args, journal)
            && ask.is_admin == *is_admin
            && is_for;
        // As of what the table has: R9, R10, R12.
        let is_usable = !ask.run.fresh
            && !ask.run.keeps
            && !ask.alone
            && Some(next.owner) == owner
            && now < next.until
            && next.moment >= ask.run.min;
        (is_asked && is_usable).then(|| Told {
            asker: ask.asker.clone(),
            run: ask.run.number,
            moment: Some(next.moment),
            answers: vec![(query.sub, next.answer.clone())],
            release: None,
            holds: vec![self.hold],
            invalidated: Vec::new(),
        })
    }
}

/// The results that a session shows, or is about to show. Its shell keeps them.
#[derive(Debug, Default)]
pub struct Holds(BTreeMap<Sub, Held>);

#[derive(Debug)]
struct Held {
    hold: Hold,
    /// The run of the session that shows it: a later one than that of the hold if the result was kept for it.
    run: RunNumber,
}

/// What a session does with the news that a result is out of date.
#[derive(Debug)]
pub struct Outdated {
    /// For the session.
    pub event: Event,
    /// What its next run may be answered with, if it asks for it now.
    pub kept: Option<Kept>,
    /// To be given back.
    pub release: Option<Hold>,
}

impl Holds {
    /// Takes in what the session is told. Nobody holds an execution that is out of date, so its hold is void; if the
    /// next result is kept for the session, that takes its place.
    pub fn out_of_date(&mut self, news: &OutOfDate) -> Outdated {
        let is_void =
            |held: &Held| (held.hold.run, held.hold.execution) == (news.run, news.execution);
        let void = self.0.get(&news.sub).filter(|held| is_void(held));
        let run = void.map(|held| held.run);
        let event = Event::Invalidated {
            sub: news.sub,
            generation: run.unwrap_or(news.run),
            moment: news.moment,
        };
        let (mut kept, mut release) = (None, None);
        match (&news.anew, run) {
            (Some(anew), Some(run)) => {
                let hold = news.next_hold(anew);
                self.0.insert(news.sub, Held { hold, run });
                let anew = anew.clone();
                kept = Some(Kept { anew, hold });
            }
            // It shows something newer by now, or nothing.
            (Some(anew), None) => release = Some(news.next_hold(anew)),
            (None, Some(_)) => {
                self.0.remove(&news.sub);
            }
            (None, None) => {}
        }
        Outdated {
            event,
            kept,
            release,
        }
    }

    /// Takes over what the session is told of its run; what is to be given back once the session has taken it in.
    pub fn take_over<W>(&mut self, told: &mut Told<W>) -> Vec<Hold> {
        let run = told.run;
        let holds = std::mem::take(&mut told.holds).into_iter();
        let older = holds.filter_map(|hold| {
            let older = self.0.insert(hold.sub, Held { hold, run })?.hold;
            (older.execution != hold.execution).then_some(older)
        });
        older.collect()
    }

    /// The session does not show these any more; what is to be given back.
    pub fn forget(&mut self, subs: &[Sub]) -> Vec<Hold> {
        let held = subs.iter().filter_map(|sub| self.0.remove(sub));
        held.map(|held| held.hold).collect()
    }

    /// The session is over; what is to be given back.
    pub fn take_all(&mut self) -> impl Iterator<Item = Hold> + use<> {
        let held = std::mem::take(&mut self.0).into_values();
        held.map(|held| held.hold)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
