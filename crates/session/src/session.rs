//! The session: what it keeps, and how it takes in events.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Clock;
use crate::mutations::{Acknowledged, Acknowledgements, MutationQueue};
use crate::query_set::QuerySet;
use crate::transitions::{Finished, Running};
use crate::{
    Authentication, ClientMessage, Command, Counts, Event, Failure, Millis, Moment, Mutation,
    MutationOutcome, RequestId, RunNumber, ServerMessage, Sub, Version,
};

/// Bounds of one session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Live queries of one client.
    pub queries: usize,
    /// Transitions that have not left yet; at that number no run is started, so that a slow client
    /// gets the newest state and not all states.
    pub unsent_transitions: usize,
    /// R10: results are kept if at least so many can be. Fewer are executed sooner than a record of
    /// the invalidator is there.
    pub keep_from: usize,
    /// Unsent messages, and waiting mutations, from which on no more messages are accepted.
    pub backlog: usize,
}

impl Limits {
    /// Those of a relay.
    pub const DEFAULT: Self = Self {
        queries: 16_384,
        unsent_transitions: 2,
        keep_from: 4,
        backlog: 256,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for `Connect`.
    New,
    /// Serves the client.
    Open,
    /// Told the shell to close the socket.
    Closing,
    /// The socket is gone; waits for what is under way.
    Gone,
    /// Nothing is under way or registered any more.
    Finished,
}

/// The state machine of one client session. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct Session {
    pub(crate) limits: Limits,
    pub(crate) phase: Phase,
    pub(crate) session_id: String,
    pub(crate) clock: Clock,
    pub(crate) queries: QuerySet,
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) identity_version: u32,
    /// When the user's token ends.
    pub(crate) identity_ends: Option<Millis>,
    /// The version that the client has.
    pub(crate) sent: Version,
    /// The snapshot that the client's results are valid at; zero before the first.
    pub(crate) shown: Moment,
    /// Grows when no result before counts any more: another identity, or registrations were lost.
    pub(crate) epoch: u64,
    /// A snapshot from here on is needed (R9, R13).
    pub(crate) required: Moment,
    pub(crate) runs: RunNumber,
    pub(crate) running: Option<Running>,
    /// R13: a result that may see the mutation in flight, kept until that is answered.
    pub(crate) held: Option<Finished>,
    /// No run starts before.
    pub(crate) not_before: Millis,
    /// Runs in a row that came to nothing.
    pub(crate) failures: u32,
    /// When results that could not be registered are to be run again.
    pub(crate) rerun_at: Option<Millis>,
    /// Runs in a row with such a result.
    pub(crate) unregistered_runs: u32,
    pub(crate) mutations: MutationQueue,
    pub(crate) acknowledgements: Acknowledgements,
    /// A failed mutation was answered: a transition is to follow, even if it says nothing. The clients of Rust and
    /// Python take up the answer with data only then.
    pub(crate) owes_transition: bool,
    /// Unsent messages; true: a transition.
    pub(crate) unsent: VecDeque<bool>,
    pub(crate) counts: Counts,
}

impl Session {
    /// A session of a socket that has just opened. `number` (below 2^31) is different from that of
    /// every other session of the relay: the ids of its queries are made of it.
    pub fn new(number: u32, limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::New,
            session_id: String::new(),
            clock: Clock::default(),
            queries: QuerySet::new(number, limits.queries),
            identity: None,
            identity_version: 0,
            identity_ends: None,
            sent: Version::default(),
            shown: Moment::default(),
            epoch: 0,
            required: Moment::default(),
            runs: 0,
            running: None,
            held: None,
            not_before: 0,
            failures: 0,
            rerun_at: None,
            unregistered_runs: 0,
            mutations: MutationQueue::default(),
            acknowledgements: Acknowledgements::default(),
            owes_transition: false,
            unsent: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes in one event; returns what the shell has to do, in this order.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::Message(message) if self.is_serving() => self.on_message(now, message, &mut out),
            Event::Malformed(error) if self.is_serving() => self.fatal(error, &mut out),
            Event::Message(_) | Event::Malformed(_) | Event::Timer => {}
            Event::RunFinished {
                run,
                moment,
                results,
                release,
            } => {
                self.on_run_finished(now, run, moment, results, release, &mut out);
            }
            Event::RunFailed { run } => self.on_run_failed(now, run),
            Event::MutationFinished {
                request_id,
                outcome,
            } => {
                self.on_mutation_finished(request_id, outcome, &mut out);
            }
            Event::Invalidated {
                sub,
                generation,
                moment,
            } => {
                self.on_invalidated(sub, generation, moment);
            }
            Event::RegistrationsLost => self.start_epoch(),
            // A new connection starts from what there is.
            Event::HistoryLost if self.is_serving() => {
                self.close(1011, "InternalServerError", &mut out);
            }
            Event::HistoryLost => {}
            Event::Sent => {
                self.unsent.pop_front();
            }
            Event::Disconnected => self.on_disconnected(),
        }
        self.advance(now, &mut out);
        out
    }

    /// When [`Event::Timer`] is due, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Millis> {
        if !self.may_start_run() {
            return None;
        }
        let waiting = self.wants_run().then_some(self.not_before);
        [waiting, self.rerun_at].into_iter().flatten().min()
    }

    /// Whether the shell may read another message of the client. Bounds what a client can make the
    /// relay keep for it.
    pub fn accepts_messages(&self) -> bool {
        self.unsent.len() < self.limits.backlog && self.mutations.waiting() < self.limits.backlog
    }

    /// Whether a mutation of the client is still to be run, answered or shown. Who closes the connection before
    /// loses the answer, and a client that comes back under another name has the mutation done twice.
    pub fn owes_answers(&self) -> bool {
        self.is_serving()
            && (self.mutations.in_flight()
                || self.mutations.waiting() > 0
                || self.owes_transition
                || !self.acknowledgements.is_empty())
    }

    /// How many queries the client has.
    pub fn live_queries(&self) -> usize {
        self.queries.live()
    }

    /// The socket is gone, nothing is under way and everything is unregistered.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// What the session did since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::New | Phase::Open)
    }

    pub(crate) fn send(&mut self, message: ServerMessage, out: &mut Vec<Command>) {
        self.unsent
            .push_back(matches!(message, ServerMessage::Transition(_)));
        out.push(Command::Send(message));
    }

    /// Ends the session because of its token; the client comes back with another one.
    fn refuse(&mut self, message: String, update_attempted: bool, out: &mut Vec<Command>) {
        let base_version = self.identity_version;
        self.send(
            ServerMessage::AuthError {
                message,
                update_attempted,
                base_version,
            },
            out,
        );
        self.close(1000, "Unauthenticated", out);
    }

    /// Whether the user's token has ended and something is to be run with it.
    pub(crate) fn needs_new_token(&self, now: Millis) -> bool {
        self.identity_ends.is_some_and(|end| now >= end)
            && (self.wants_run() || self.mutations.waiting() > 0)
    }

    /// Ends the session because the user's token has ended.
    pub(crate) fn refuse_ended_token(&mut self, out: &mut Vec<Command>) {
        self.refuse("TokenExpired: the token has expired".into(), false, out);
    }

    /// Ends the session because the client broke the protocol.
    fn fatal(&mut self, message: String, out: &mut Vec<Command>) {
        self.send(ServerMessage::FatalError { message }, out);
        self.close(1000, "BadRequest", out);
    }

    pub(crate) fn close(&mut self, code: u16, reason: &'static str, out: &mut Vec<Command>) {
        self.phase = Phase::Closing;
        self.mutations.drop_waiting();
        self.held = None;
        out.push(Command::Close { code, reason });
    }

    fn on_message(&mut self, now: Millis, message: ClientMessage, out: &mut Vec<Command>) {
        let is_connect = matches!(message, ClientMessage::Connect { .. });
        if is_connect != (self.phase == Phase::New) {
            return self.fatal(
                "Connect must be the first message, and only that".into(),
                out,
            );
        }
        match message {
            ClientMessage::Connect {
                session_id,
                max_observed_timestamp,
            } => {
                self.phase = Phase::Open;
                self.session_id = session_id;
                self.clock.connect(max_observed_timestamp.unwrap_or(0));
            }
            ClientMessage::ModifyQuerySet {
                base_version,
                new_version,
                modifications,
            } => {
                let modified = self
                    .queries
                    .modify(base_version, new_version, modifications);
                if let Err(message) = modified {
                    self.fatal(message, out);
                }
            }
            ClientMessage::Mutation {
                request_id,
                path,
                args,
            } => {
                let (session_id, identity) = (self.session_id.clone(), self.identity.clone());
                self.mutations.push(Mutation {
                    session_id,
                    request_id,
                    path,
                    args,
                    identity,
                });
            }
            ClientMessage::Action { request_id } => {
                let message = "Actions are not available yet: use a query or a mutation".into();
                let failure = Failure {
                    message,
                    data: None,
                };
                self.send(
                    ServerMessage::ActionResponse {
                        request_id,
                        failure,
                    },
                    out,
                );
            }
            ClientMessage::Authenticate {
                base_version,
                authentication,
            } => {
                self.on_authenticate(now, base_version, authentication, out);
            }
            ClientMessage::Event => {}
        }
    }

    fn on_authenticate(
        &mut self,
        now: Millis,
        base: u32,
        token: Authentication,
        out: &mut Vec<Command>,
    ) {
        if base != self.identity_version {
            let current = self.identity_version;
            let message = format!(
                "BaseVersionMismatch: the identity is at version {current}, but a token for \
                 version {base} arrived"
            );
            return self.fatal(message, out);
        }
        (self.identity, self.identity_ends) = match token {
            Authentication::Anonymous => (None, None),
            Authentication::Admin { acting_as } => (acting_as.map(Arc::from), None),
            Authentication::User { identity, lasts_ms } => {
                (Some(identity.into()), Some(now.saturating_add(lasts_ms)))
            }
            Authentication::Refused { message } => return self.refuse(message, true, out),
        };
        self.identity_version += 1;
        self.start_epoch();
    }

    fn on_mutation_finished(
        &mut self,
        request_id: RequestId,
        outcome: MutationOutcome,
        out: &mut Vec<Command>,
    ) {
        if !self.mutations.finish(request_id) || !self.is_serving() {
            return;
        }
        let (result, log_lines) = match outcome {
            MutationOutcome::Committed {
                moment,
                value,
                log_lines,
            } => {
                let seen = moment <= self.shown;
                let ts = self.clock.of_mutation(moment, seen);
                self.acknowledgements.push(Acknowledged { moment, ts });
                if !seen {
                    // R13: a transition that sees it must follow. A run under way may be that one.
                    self.required = self.required.max(moment);
                }
                (Ok((value, ts)), log_lines)
            }
            MutationOutcome::Failed { failure, log_lines } => {
                self.owes_transition |= failure.data.is_some();
                (Err(failure), log_lines)
            }
        };
        self.send(
            ServerMessage::MutationResponse {
                request_id,
                result,
                log_lines,
            },
            out,
        );
    }

    /// R9: the shown result, or that of the run under way, needs a newer snapshot.
    fn on_invalidated(&mut self, sub: Sub, generation: RunNumber, moment: Moment) {
        let replaced = self.is_under_way(sub) && Some(generation) < self.under_way();
        let Some(query) = self.queries.get_mut(sub) else {
            return;
        };
        if generation < query.generation {
            return; // A later run registered anew, and was checked against this change there (R6).
        }
        self.required = self.required.max(moment);
        if replaced {
            return; // By a result that is checked against this change when it is registered (R6).
        }
        // The result is in force, or it is that of the run under way, which is shown before.
        if generation == query.generation {
            query.invalidated = true;
        }
        if self.queries.make_due(sub) {
            self.counts.invalidations += 1;
        }
    }

    /// R8: whatever is shown or under way may have missed an invalidation. Another identity: all of
    /// it may be another's.
    fn start_epoch(&mut self) {
        self.epoch += 1;
        self.queries.make_all_due();
    }

    fn on_disconnected(&mut self) {
        if self.phase != Phase::Finished {
            self.phase = Phase::Gone;
            self.mutations.drop_waiting();
            self.held = None;
            self.unsent.clear();
        }
    }
}
