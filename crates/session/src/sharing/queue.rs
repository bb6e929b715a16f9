//! In which order units are executed: first results, then re-runs, then what takes long.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::{State, UnitId};
use crate::Millis;

/// Whoever has waited so long goes first, so that no lane starves.
const LONG_WAIT: Millis = 250;
/// What is expected of a function that has never run, in milliseconds.
const UNKNOWN_MS: f64 = 2.0;
/// Units that are expected to take longer may not use all connections.
const HEAVY_MS: f64 = 50.0;
/// Weight of the newest figure.
const NEWEST: f64 = 0.2;
/// Functions whose time is known; beyond that it is learned again.
const KNOWN_PATHS: usize = 10_000;

/// Where a unit waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Somebody sees nothing yet.
    First,
    Rerun,
    /// Takes long.
    Heavy,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    first: VecDeque<(UnitId, Millis)>,
    rerun: VecDeque<(UnitId, Millis)>,
    heavy: VecDeque<(UnitId, Millis)>,
    delayed: BTreeSet<(Millis, UnitId)>,
    /// Milliseconds of one execution, by function.
    costs: HashMap<Arc<str>, f64>,
}

impl Queue {
    /// The state of the unit that now waits here.
    pub(super) fn push(&mut self, id: UnitId, lane: Lane, since: Millis) -> State {
        self.line(lane).push_back((id, since));
        State::Queued { lane, since }
    }

    /// Puts a unit back to where it was taken from.
    pub(super) fn push_front(&mut self, id: UnitId, lane: Lane, since: Millis) -> State {
        self.line(lane).push_front((id, since));
        State::Queued { lane, since }
    }

    /// The same of a unit that must not be executed before.
    pub(super) fn delay(&mut self, id: UnitId, until: Millis) -> State {
        self.delayed.insert((until, id));
        State::Delayed
    }

    /// The next delayed unit whose time has come.
    pub(super) fn pop_delayed(&mut self, now: Millis) -> Option<UnitId> {
        let (until, _) = self.delayed.first()?;
        if *until > now {
            return None;
        }
        self.delayed.pop_first().map(|(_, id)| id)
    }

    /// The next unit in the order; it may have been taken out by another way.
    pub(super) fn pop(&mut self, now: Millis, heavy_too: bool) -> Option<(UnitId, Lane)> {
        let waits_long = |line: &VecDeque<(UnitId, Millis)>| {
            line.front()
                .is_some_and(|(_, since)| since + LONG_WAIT <= now)
        };
        let lane = if waits_long(&self.rerun) {
            Lane::Rerun
        } else if heavy_too && waits_long(&self.heavy) {
            Lane::Heavy
        } else if !self.first.is_empty() {
            Lane::First
        } else if !self.rerun.is_empty() {
            Lane::Rerun
        } else if heavy_too {
            Lane::Heavy
        } else {
            return None;
        };
        Some((self.line(lane).pop_front()?.0, lane))
    }

    /// Where executions of these functions wait.
    pub(super) fn lane<'a>(&self, paths: impl Iterator<Item = &'a Arc<str>>, fresh: bool) -> Lane {
        if paths.map(|path| self.cost(path)).sum::<f64>() > HEAVY_MS {
            Lane::Heavy
        } else if fresh {
            Lane::First
        } else {
            Lane::Rerun
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rerun.len() + self.heavy.len()
    }

    /// What one execution is expected to take, in milliseconds.
    pub(super) fn cost(&self, path: &str) -> f64 {
        self.costs.get(path).copied().unwrap_or(UNKNOWN_MS)
    }

    /// What an execution has taken.
    pub(super) fn learn(&mut self, path: &Arc<str>, ms: f64) {
        if let Some(known) = self.costs.get_mut(path) {
            *known += (ms - *known) * NEWEST;
            return;
        }
        if self.costs.len() >= KNOWN_PATHS {
            self.costs.clear();
        }
        self.costs.insert(Arc::clone(path), ms);
    }

    fn line(&mut self, lane: Lane) -> &mut VecDeque<(UnitId, Millis)> {
        match lane {
            Lane::First => &mut self.first,
            Lane::Rerun => &mut self.rerun,
            Lane::Heavy => &mut self.heavy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_results_come_first_unless_others_have_waited_long() {
        let mut queue = Queue::default();
        queue.push(1, Lane::Rerun, 100);
        queue.push(2, Lane::First, 120);
        queue.push(3, Lane::First, 121);
        queue.push(4, Lane::Heavy, 90);
        assert_eq!(queue.pop(130, true), Some((2, Lane::First)));
        assert_eq!(queue.pop(350, true), Some((1, Lane::Rerun)));
        assert_eq!(queue.pop(350, false), Some((3, Lane::First)));
        assert_eq!(queue.pop(350, false), None);
        assert_eq!(queue.pop(350, true), Some((4, Lane::Heavy)));
    }

    #[test]
    fn what_has_taken_long_is_heavy() {
        let mut queue = Queue::default();
        let path: Arc<str> = "m:f".into();
        assert_eq!(queue.lane([&path].into_iter(), false), Lane::Rerun);
        queue.learn(&path, 80.0);
        assert_eq!(queue.lane([&path].into_iter(), true), Lane::Heavy);
        for _ in 0..20 {
            queue.learn(&path, 1.0);
        }
        assert_eq!(queue.lane([&path].into_iter(), false), Lane::Rerun);
    }
}
