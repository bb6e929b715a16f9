//! Mutations of a session: strictly in order, one in flight (R14), and the answered ones that no
//! transition has shown yet (R13).

use std::collections::VecDeque;

use crate::{Moment, Mutation, RequestId};

/// Waiting and running mutations.
#[derive(Debug, Default)]
pub(crate) struct MutationQueue {
    waiting: VecDeque<Mutation>,
    in_flight: Option<RequestId>,
}

impl MutationQueue {
    pub(crate) fn push(&mut self, mutation: Mutation) {
        self.waiting.push_back(mutation);
    }

    pub(crate) fn in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next mutation to run, if none is running.
    pub(crate) fn start(&mut self) -> Option<Mutation> {
        if self.in_flight() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.in_flight = Some(next.request_id);
        Some(next)
    }

    /// Returns whether this was the mutation in flight.
    pub(crate) fn finish(&mut self, request_id: RequestId) -> bool {
        self.in_flight.take_if(|id| *id == request_id).is_some()
    }

    /// Forgets what was not started: the client sends it again when it is back.
    pub(crate) fn drop_waiting(&mut self) {
        self.waiting.clear();
    }
}

/// A mutation that was answered with `ts` and waits for a transition that sees `moment`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) moment: Moment,
    pub(crate) ts: u64,
}

/// Answered mutations that no transition has covered yet.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements(Vec<Acknowledged>);

impl Acknowledgements {
    pub(crate) fn push(&mut self, acknowledged: Acknowledged) {
        self.0.push(acknowledged);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest moment among them.
    pub(crate) fn latest(&self) -> Option<Moment> {
        self.0.iter().map(|a| a.moment).max()
    }

    /// The greatest timestamp of those that a snapshot at `shown` sees; 0 if it sees none.
    pub(crate) fn seen_ts(&self, shown: Moment) -> u64 {
        self.0
            .iter()
            .filter(|a| a.moment <= shown)
            .map(|a| a.ts)
            .max()
            .unwrap_or(0)
    }

    /// A transition at `shown` with timestamp `ts` is sent: drops what it covers.
    pub(crate) fn cover(&mut self, shown: Moment, ts: u64) {
        // R13: a transition that does not see a mutation stays below the mutation's timestamp.
        debug_assert!(
            self.0.iter().all(|a| (a.moment <= shown) == (a.ts <= ts)),
            "transition at {shown:?} with ts {ts} against {self:?}"
        );
        self.0.retain(|a| a.moment > shown);
    }
}
