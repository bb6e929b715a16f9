//! What goes into a session and what comes out of it, besides the client's messages.

use std::sync::Arc;

use crate::{
    Answer, ClientMessage, Failure, Moment, Position, RequestId, RunNumber, ServerMessage, Sub,
};

/// Something that happened to a session.
#[derive(Clone, Debug)]
pub enum Event {
    /// The client sent a message.
    Message(ClientMessage),
    /// The client sent something that is not a message of the protocol; the text says why.
    Malformed(String),
    /// All queries of a run were executed at one snapshot.
    RunFinished {
        /// Of [`Run::number`].
        run: RunNumber,
        /// The snapshot's boot and c(S).
        moment: Moment,
        /// One for each query of the run, in any order.
        results: Vec<(Sub, Answer)>,
        /// R10, for a run that keeps: what the invalidator had worked off. `None` if that did not
        /// become known in time: what was to be kept is executed, too.
        release: Option<Release>,
    },
    /// A run came to nothing (lost connection, serialization failure); it is tried again.
    RunFailed {
        /// Of [`Run::number`].
        run: RunNumber,
    },
    /// A mutation is over.
    MutationFinished {
        /// Of [`Mutation::request_id`].
        request_id: RequestId,
        /// How it ended.
        outcome: MutationOutcome,
    },
    /// The result that run `generation` registered for `sub` is out of date.
    Invalidated {
        /// Any sub of this session; unknown ones are ignored.
        sub: Sub,
        /// The run that registered it.
        generation: RunNumber,
        /// A snapshot from here on sees the change.
        moment: Moment,
    },
    /// R8: invalidations may have been lost. Runs that start from now on register anew.
    RegistrationsLost,
    /// The database is another one than before, and moments of the two cannot be compared (R12): a standby was
    /// promoted that had not got the last boot of the old primary.
    HistoryLost,
    /// The oldest message that is not acknowledged yet has left.
    Sent,
    /// The time of [`Session::wake_at`](crate::Session::wake_at) has come.
    Timer,
    /// The socket is gone.
    Disconnected,
}

/// Something that the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Execute and register queries.
    Run(Run),
    /// R11: these queries, too, at the snapshot of the run that has just finished and has the same
    /// number. The shell answers as for a run; if the snapshot is gone, the run has failed.
    Extend(Run),
    /// Run a mutation. Never two at once for one session.
    Mutate(Mutation),
    /// Forget these registrations. No run that could register them again is under way.
    Unregister(Vec<Sub>),
    /// Send a message.
    Send(ServerMessage),
    /// Close the socket once all messages have left.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Short code word, the close reason.
        reason: &'static str,
    },
}

/// A run of the live queries of a session, all at one snapshot (R11): of all of them, or of those
/// whose results cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Grows; the generation of all registrations of this run.
    pub number: RunNumber,
    /// The snapshot must not be older (R9, R12). An older one is thrown away and taken again.
    pub min: Moment,
    /// The client has asked for something new, or the last attempt came to nothing: the snapshot must also be taken
    /// after this command. So it sees whatever the client has learned elsewhere.
    pub fresh: bool,
    /// JSON of the identity, if any.
    pub identity: Option<Arc<str>>,
    /// In the order in which they were added. May be empty if the run keeps.
    pub queries: Vec<RunQuery>,
    /// R10: results of other queries are to be kept. The shell reads the invalidator's record after
    /// the snapshot was taken, and holds the snapshot until the session has taken in the results.
    pub keeps: bool,
}

/// R10: what the invalidator had worked off, as of one record that was read after the run's snapshot
/// was taken, and after the session was given every invalidation of the batches that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The boot of the record.
    pub boot: u64,
    /// W: registrations before this position were taken in.
    pub w: Position,
    /// Whether W has passed the snapshot's position and no unresolved writer is visible in the
    /// snapshot.
    pub clear: bool,
}

/// One query of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunQuery {
    /// What to register it as.
    pub sub: Sub,
    /// `dir/module:function`.
    pub path: Arc<str>,
    /// JSON array with one object.
    pub args: Arc<str>,
    /// That of the result that is shown: pages end where they did.
    pub journal: Option<String>,
}

/// A mutation to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The client's session id: together with `request_id` it keys the stored outcome (R14).
    pub session_id: String,
    /// Grows within a session.
    pub request_id: RequestId,
    /// `dir/module:function`.
    pub path: String,
    /// JSON array with one object.
    pub args: String,
    /// JSON of the identity, if any.
    pub identity: Option<Arc<str>>,
}

/// How a mutation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MutationOutcome {
    /// It committed, now or when it was first sent (R14).
    Committed {
        /// From its COMMIT, or of the snapshot that found the stored outcome; boot is not 0.
        moment: Moment,
        /// Encoded JSON value.
        value: String,
        /// `console` output.
        log_lines: Vec<String>,
    },
    /// It changed nothing.
    Failed {
        /// What the client is told.
        failure: Failure,
        /// `console` output.
        log_lines: Vec<String>,
    },
}

/// What a session did, for metrics. See [`Session::take_counts`](crate::Session::take_counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transitions sent.
    pub transitions: u64,
    /// Results sent in them.
    pub results_sent: u64,
    /// Results that were executed and found unchanged (R15).
    pub results_unchanged: u64,
    /// Results that were kept without being executed (R10).
    pub results_kept: u64,
    /// Results that were to be kept and had to be executed after all.
    pub keeps_failed: u64,
    /// Runs whose snapshot was too old (R9, R12).
    pub runs_discarded: u64,
    /// Invalidations that made a run necessary.
    pub invalidations: u64,
}
