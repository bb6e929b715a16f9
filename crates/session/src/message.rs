//! Messages of the sync protocol as the session sees them: values stay encoded JSON text.

use crate::{Answer, Millis, QueryId, RequestId};

/// A message of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// Must be the first message, and only that.
    Connect {
        /// Fixed for the client's lifetime, over reconnects; keys the outcomes of mutations (R14).
        session_id: String,
        /// Greatest timestamp that the client saw on an earlier connection.
        max_observed_timestamp: Option<u64>,
    },
    /// Changes the set of live queries.
    ModifyQuerySet {
        /// Must be the version of the last accepted change.
        base_version: u32,
        /// Must be `base_version + 1`.
        new_version: u32,
        /// Applied in order.
        modifications: Vec<Modification>,
    },
    /// Runs a mutation, after all earlier ones of this session.
    Mutation {
        /// Grows within a session; keys the outcome (R14).
        request_id: RequestId,
        /// `dir/module:function`.
        path: String,
        /// JSON array with one object.
        args: String,
    },
    /// Runs an action.
    Action {
        /// Shares its counter with mutations.
        request_id: RequestId,
    },
    /// Changes the identity of everything that follows.
    Authenticate {
        /// Must be the current identity version.
        base_version: u32,
        /// The token, already checked by the shell.
        authentication: Authentication,
    },
    /// Telemetry; ignored.
    Event,
}

/// The verdict of the shell on a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Logged out.
    Anonymous,
    /// A user with a valid token.
    User {
        /// What queries and mutations are told of the user, JSON.
        identity: String,
        /// From now on; after that nothing is run with it.
        lasts_ms: Millis,
    },
    /// A valid administrator's key.
    Admin {
        /// JSON object of the user to act as, if any.
        acting_as: Option<String>,
    },
    /// Not accepted.
    Refused {
        /// What the client is told.
        message: String,
    },
}

/// One change of the query set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modification {
    /// Adds a query.
    Add {
        /// Not in the set yet.
        query_id: QueryId,
        /// `dir/module:function`.
        path: String,
        /// JSON array with one object.
        args: String,
        /// What the client was sent with the last result of this query, on an earlier connection.
        journal: Option<String>,
    },
    /// Removes a query.
    Remove {
        /// In the set.
        query_id: QueryId,
    },
}

/// What a client knows: the version of its query set and identity that the results belong to, and
/// the timestamp of their snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Version {
    /// Last applied `ModifyQuerySet`.
    pub query_set: u32,
    /// Number of accepted `Authenticate`s.
    pub identity: u32,
    /// R13.
    pub ts: u64,
}

/// An error of a function, or of calling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Message and stack, without the request's prefix.
    pub message: String,
    /// Encoded JSON of a `ConvexError`'s data; `None` for any other error.
    pub data: Option<String>,
}

/// A message to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// One atomic step to a newer state.
    Transition(Transition),
    /// Outcome of a mutation.
    MutationResponse {
        /// Of the request.
        request_id: RequestId,
        /// Encoded JSON value and the timestamp from which on transitions see it.
        result: Result<(String, u64), Failure>,
        /// `console` output.
        log_lines: Vec<String>,
    },
    /// Outcome of an action: always an error so far.
    ActionResponse {
        /// Of the request.
        request_id: RequestId,
        /// What the client is told.
        failure: Failure,
    },
    /// The token was not accepted, or is not good any more.
    AuthError {
        /// What the client is told.
        message: String,
        /// Whether it is about a token that has just come.
        update_attempted: bool,
        /// The identity version that stays in force.
        base_version: u32,
    },
    /// The client broke the protocol; it gives up for good.
    FatalError {
        /// What the client is told.
        message: String,
    },
}

/// One atomic step of a session: all results in it belong to one snapshot, and everything that is
/// not in it is unchanged at that snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Equal to the `end` of the transition before.
    pub start: Version,
    /// Timestamps never fall.
    pub end: Version,
    /// Removals first, then changed results.
    pub modifications: Vec<StateModification>,
}

/// One change of the client's results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateModification {
    /// A query has a new result.
    Updated {
        /// Of the query.
        query_id: QueryId,
        /// Value or error, and `console` output.
        answer: Answer,
        /// Bounds of pages, given back by the client when it reconnects.
        journal: Option<String>,
    },
    /// A query is no longer in the set.
    Removed {
        /// Of the query.
        query_id: QueryId,
    },
}
