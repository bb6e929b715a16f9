//! One execution for all sessions that want the same query.
//!
//! The shell puts every run of a session ([`Ask`]) here instead of executing it. Runs that ask for the same are
//! one [`unit`](Unit); units that wait at the same time are executed together, at one snapshot, as a [`Batch`], in
//! which each distinct query is executed and registered once. Whoever holds a result is told its invalidation.
//!
//! What keeps each session moving from one snapshot to a newer one (R9 to R13):
//!
//! - A run is answered with results of *one* batch, whose snapshot is its S* (R11); its moment goes with them, and
//!   the session judges it as if it were alone (R9, R12, R13).
//! - A run may take the results of a batch that had begun before only if they are registered for the same owner and
//!   have not been invalidated, and if the run does not need a snapshot that is taken after it was asked for. If the
//!   batch's snapshot then turns out to be older than the run may be given, the run waits for another batch.
//! - From the moment at which a session is given a result it is among the holders of its execution; that, and the
//!   look whether the execution was invalidated before, are one step. So an invalidation reaches every session that
//!   was given the result: before the result, with it or after it. The session copes with each of these orders.
//! - A registration belongs to its execution and not to a query: a newer execution never takes the place of an
//!   older one that somebody still holds.
//! - The release of a batch (R10) is for the batch's snapshot. Invalidations of the batches that it names were
//!   passed on before it is known, to all who hold results. A session takes in what it was told in that order, the
//!   answer to its run last: so it has them all when it judges what it keeps.

mod ahead;
mod batch;
mod hold;
mod kept;
mod pace;
mod queue;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use ahead::{Invalidated, Invalidation};
pub use batch::{Batch, Call, Done, Observed, Outcome};
pub use hold::{Hold, Told};
pub use kept::{Holds, Kept, OutOfDate, Outdated};

use ahead::Stale;
use hold::Execution;
use pace::Pace;
use queue::{Lane, Queue};

use crate::{Answer, Millis, Moment, Release, Run, Sub};

/// Number under which a relay is attached.
pub type Owner = i64;
/// Results of functions that looked at the clock or at random numbers are taken over for so long.
const CLOCK_SHARED: Millis = 1_000;
/// Between two looks for what is not asked any more.
const SWEEP: Millis = 2_000;
/// Paths that are known to ask who the caller is; beyond that they are learned again.
const PERSONAL_PATHS: usize = 10_000;

/// Who asks: the shell's way to a session.
pub trait Asker: Clone {
    /// Nobody listens to the answer any more.
    fn is_gone(&self) -> bool;
}

/// A run of a session that wants to be executed.
#[derive(Clone, Debug)]
pub struct Ask<W> {
    /// The session.
    pub asker: W,
    /// What it wants.
    pub run: Run,
    /// The caller may call internal functions.
    pub is_admin: bool,
    /// Executed for this session only, in a transaction of its own.
    pub alone: bool,
}

/// What becomes of an ask.
#[derive(Debug)]
pub enum Asked<W> {
    /// Here is the answer. If it has a release, the session takes it in after everything that it was told before.
    Served(Told<W>),
    /// It waits to be executed: the shell asks for a batch as soon as it can execute one.
    Queued,
    /// It waits for an execution that is waited for or under way.
    Joined,
    /// It is to be executed then and not before: the query is never up to date for long.
    Later(Millis),
}

/// What decides the result of a query at a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    path: Arc<str>,
    args: Arc<str>,
    journal: Option<String>,
    is_admin: bool,
    who: Who,
}

/// For whom a result holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// As far as is known the function does not ask who the caller is.
    Anyone,
    This(Option<Arc<str>>),
    /// One session.
    Alone(u64),
}

type UnitId = u64;

/// Runs that want the same.
#[derive(Debug)]
struct Unit<W> {
    questions: Arc<[Question]>,
    /// For whom it is executed if nobody waits for it.
    identity: Option<Arc<str>>,
    /// They wait for the answer.
    waiting: Vec<Waiting<W>>,
    /// They are told that what they show is out of date when this has been executed.
    stale: Option<Stale<W>>,
    state: State,
    /// The record of the invalidator is wanted (R10).
    keeps: bool,
}

#[derive(Debug)]
struct Waiting<W> {
    ask: Ask<W>,
    /// The snapshot may be older than what it needs.
    joined_late: bool,
}

#[derive(Debug)]
enum State {
    /// Waits for its turn.
    Queued { lane: Lane, since: Millis },
    /// Must not be executed before.
    Delayed,
    /// In a batch of this owner.
    Running { owner: Owner },
    /// Its executions are all in force.
    Done(Results),
}

/// What a unit gave.
#[derive(Debug)]
struct Results {
    owner: Owner,
    moment: Moment,
    executions: Vec<Sub>,
    release: Option<Release>,
    /// Nobody else is to be given them from then on.
    until: Millis,
}

/// The newest unit of some questions, and how often they were executed.
#[derive(Debug)]
struct Slot {
    unit: Option<UnitId>,
    pace: Pace,
}

/// All runs of all sessions of a relay.
#[derive(Debug)]
pub struct Sharing<W> {
    slots: HashMap<Arc<[Question]>, Slot>,
    units: HashMap<UnitId, Unit<W>>,
    executions: HashMap<Sub, Execution<W>>,
    batches: HashMap<u64, Vec<UnitId>>,
    /// Units with news.
    ahead: HashSet<UnitId>,
    /// So many sessions that show the same result are a crowd.
    crowd: usize,
    queue: Queue,
    /// Functions that ask who the caller is.
    personal: HashSet<Arc<str>>,
    /// Last number that was given to a unit, a batch or an execution.
    last: u64,
    swept: Millis,
}

impl<W> Default for Sharing<W> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            units: HashMap::new(),
            executions: HashMap::new(),
            batches: HashMap::new(),
            ahead: HashSet::new(),
            crowd: ahead::CROWD,
            queue: Queue::default(),
            personal: HashSet::new(),
            last: 0,
            swept: 0,
        }
    }
}

impl<W: Asker> Sharing<W> {
    /// As the default, but with so many sessions for a crowd.
    pub fn with_crowd(crowd: usize) -> Self {
        Self {
            crowd,
            ..Self::default()
        }
    }

    /// Takes in a run. `owner`: under which the relay is attached now.
    pub fn ask(&mut self, now: Millis, owner: Option<Owner>, ask: Ask<W>) -> Asked<W> {
        let questions = self.questions(&ask);
        let known = self.slots.get(&questions[..]).and_then(|slot| slot.unit);
        if let Some(id) = known
            && let Some(asked) = self.join(now, owner, id, &ask)
        {
            return asked;
        }
        let fresh = ask.run.fresh;
        let unit = Unit {
            questions,
            identity: ask.run.identity.clone(),
            keeps: ask.run.keeps,
            waiting: vec![Waiting {
                ask,
                joined_late: false,
            }],
            stale: None,
            state: State::Delayed,
        };
        match self.enqueue(now, unit, fresh) {
            at if at > now => Asked::Later(at),
            _ => Asked::Queued,
        }
    }

    /// The questions of a run, in its order.
    fn questions(&mut self, ask: &Ask<W>) -> Arc<[Question]> {
        let who = |path: &Arc<str>, alone: Option<u64>| match alone {
            Some(number) => Who::Alone(number),
            // What an SQL function may see depends on the caller's rights, whether it asks or not.
            None if path.starts_with("sql/") || self.personal.contains(path) => {
                Who::This(ask.run.identity.clone())
            }
            None => Who::Anyone,
        };
        let alone = ask.alone.then_some(self.last + 1);
        let queries = ask.run.queries.iter().map(|query| Question {
            path: Arc::clone(&query.path),
            args: Arc::clone(&query.args),
            journal: query.journal.clone(),
            is_admin: ask.is_admin,
            who: who(&query.path, alone),
        });
        queries.collect()
    }

    /// Takes a run into a unit that was there before, if that can answer it.
    fn join(
        &mut self,
        now: Millis,
        owner: Option<Owner>,
        id: UnitId,
        ask: &Ask<W>,
    ) -> Option<Asked<W>> {
        let unit = self.units.get_mut(&id)?;
        let fresh = ask.run.fresh;
        let (joined_late, asked) = match &unit.state {
            // A first result does not wait in line with those that are run again.
            State::Queued {
                lane: Lane::Rerun, ..
            }
            | State::Delayed
                if fresh =>
            {
                unit.state = self.queue.push(id, Lane::First, now);
                (false, Asked::Queued)
            }
            State::Queued { .. } | State::Delayed => (false, Asked::Joined),
            State::Running { owner: of, .. } => {
                if fresh || Some(*of) != owner || (ask.run.keeps && !unit.keeps) {
                    return None;
                }
                (true, Asked::Joined)
            }
            State::Done(results) => {
                let usable = !fresh
                    && Some(results.owner) == owner
                    && now < results.until
                    && results.moment >= ask.run.min
                    && (!ask.run.keeps || results.release.is_some());
                return usable.then(|| self.serve(id, ask)).flatten();
            }
        };
        unit.keeps |= ask.run.keeps;
        unit.waiting.push(Waiting {
            ask: ask.clone(),
            joined_late,
        });
        Some(asked)
    }

    /// Puts a unit in line; when it may be executed.
    fn enqueue(&mut self, now: Millis, mut unit: Unit<W>, fresh: bool) -> Millis {
        self.sweep(now);
        self.last += 1;
        let id = self.last;
        let slot = self.slots.entry(Arc::clone(&unit.questions));
        let slot = slot.or_insert(Slot {
            unit: None,
            pace: Pace::default(),
        });
        slot.unit = Some(id);
        let until = slot.pace.earliest();
        let at = if until > now && !fresh {
            unit.state = self.queue.delay(id, until);
            until
        } else {
            let paths = unit.questions.iter().map(|question| &question.path);
            let lane = self.queue.lane(paths, fresh);
            unit.state = self.queue.push(id, lane, now);
            now
        };
        if unit.stale.is_some() {
            self.ahead.insert(id);
        }
        self.units.insert(id, unit);
        at
    }

    /// How many units wait to be executed.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A run whose snapshot the shell has: its queries are a batch of their own.
    pub fn extension(&mut self, now: Millis, owner: Owner, ask: Ask<W>) -> Batch<W> {
        let ask = Ask { alone: true, ..ask };
        let questions = self.questions(&ask);
        self.last += 1;
        let id = self.last;
        let unit = Unit {
            questions,
            identity: ask.run.identity.clone(),
            keeps: ask.run.keeps,
            waiting: vec![Waiting {
                ask,
                joined_late: false,
            }],
            stale: None,
            state: State::Delayed,
        };
        self.units.insert(id, unit);
        self.batch_of(now, owner, id)
    }

    /// R8: nothing that is registered counts any more. The sessions are told by the shell.
    pub fn forget_registrations(&mut self) {
        let is_over = |unit: &Unit<W>| matches!(unit.state, State::Done(_));
        let over = self.units.extract_if(|_, unit| is_over(unit));
        for (id, unit) in over {
            if let Some(slot) = self.slots.get_mut(&unit.questions)
                && slot.unit == Some(id)
            {
                slot.unit = None;
            }
        }
        self.executions.retain(|_, execution| !execution.is_over());
    }

    /// Removes what is known of questions that nobody asks any more, now and then.
    fn sweep(&mut self, now: Millis) {
        if now >= self.swept + SWEEP {
            self.swept = now;
            self.slots
                .retain(|_, slot| slot.unit.is_some() || slot.pace.counts(now));
        }
    }

    /// A function was seen to ask who the caller is.
    fn note_personal(&mut self, path: &Arc<str>) {
        if self.personal.len() >= PERSONAL_PATHS {
            self.personal.clear();
        }
        self.personal.insert(Arc::clone(path));
    }
}

/// Results with what a session must know of them.
fn answers(run: &Run, answers: impl Iterator<Item = Answer>) -> Vec<(Sub, Answer)> {
    run.queries
        .iter()
        .map(|query| query.sub)
        .zip(answers)
        .collect()
}
