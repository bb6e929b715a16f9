//! The relay's state machine of one client: query set, versions, transitions, clock.
//!
//! [`Session`] is the whole logic of one WebSocket and does no I/O. Its owner, the *shell*, feeds it
//! [`Event`]s through [`Session::handle`] and carries out the [`Command`]s that come back, in their
//! order. The session implements rules R8 to R15 of the consistency protocol: all queries of a
//! session move together from one snapshot to a newer one, and only changed results are sent. Results
//! that no commit has touched since are kept without being executed (R10).
//!
//! # What the shell owes the session
//!
//! - Results may be those of an execution that another session has asked for: of the same query with the same
//!   arguments and journal, by a caller for whom it gives the same. Then all results of the run are of that one
//!   snapshot, it is registered while this session is told its invalidations, and if the run is [`Run::fresh`] the
//!   snapshot was taken after the command.
//! - Every [`Command::Run`] and [`Command::Extend`] is answered exactly once, by [`Event::RunFinished`] or
//!   [`Event::RunFailed`]; every [`Command::Mutate`] exactly once by [`Event::MutationFinished`];
//!   every [`Command::Send`] by [`Event::Sent`] when the message has left.
//! - All queries of a run are executed at one snapshot, in REPEATABLE READ READ ONLY, and registered as
//!   `(sub, generation = run.number)`, while the owner's connection is attached.
//! - A run that keeps is answered with a [`Release`] only after all invalidations of the batches that
//!   the record names were passed on. Its snapshot lives until [`Session::handle`] has returned, and
//!   on through a [`Command::Extend`] that came of it.
//! - Invalidations of the owner are passed on as [`Event::Invalidated`], also those that arrive before
//!   the result of the run that registered them. When they may have been lost, because of a new boot,
//!   a gap or a lost connection, it says [`Event::RegistrationsLost`] *after* new runs register with
//!   the new owner (R8).
//! - `handle` is also called with [`Event::Timer`] at [`Session::wake_at`].
//! - When the socket is gone, or after [`Command::Close`], it says [`Event::Disconnected`], and goes
//!   on until [`Session::is_finished`], so that nothing stays registered.
//!
//! `sub` ids are `number << 32 | count`: unique within the owner if every session of a relay has its
//! own `number`. The generation is the number of the run, which grows.
//!
//! ```
//! use pg_live_session::*;
//! let mut session = Session::new(1, Limits::default());
//! let connect = ClientMessage::Connect { session_id: "s".into(), max_observed_timestamp: None };
//! session.handle(0, Event::Message(connect));
//! let (path, args) = ("messages:list".into(), "[{}]".into());
//! let add = Modification::Add { query_id: 0, path, args, journal: None };
//! let commands = session.handle(0, Event::Message(ClientMessage::ModifyQuerySet {
//!     base_version: 0, new_version: 1, modifications: vec![add],
//! }));
//! let [Command::Run(run)] = &commands[..] else { panic!("{commands:?}") };
//! let result = QueryResult {
//!     outcome: Ok("[]".into()), log_lines: vec![], journal: None, registered: Some(1), not_live: None,
//! };
//! let commands = session.handle(5, Event::RunFinished {
//!     run: run.number, moment: Moment { boot: 1, c: 7 }, results: vec![(run.queries[0].sub, result.into())],
//!     release: None,
//! });
//! assert!(matches!(&commands[..], [Command::Send(ServerMessage::Transition(_))]));
//! ```

#![forbid(unsafe_code)]

mod answer;
mod clock;
mod event;
mod message;
mod mutations;
mod query_set;
mod session;
pub mod sharing;
mod transitions;

pub use answer::{Answer, QueryResult};
pub use clock::Moment;
pub use event::{Command, Counts, Event, Mutation, MutationOutcome, Release, Run, RunQuery};
pub use message::{
    Authentication, ClientMessage, Failure, Modification, ServerMessage, StateModification,
    Transition, Version,
};
pub use session::{Limits, Session};

/// Number of a query within its client's query set.
pub type QueryId = u32;
/// Number of a mutation or action within its client's session; grows.
pub type RequestId = u32;
/// A registered query, unique within the owner.
pub type Sub = i64;
/// Number of a run of a session; the generation of everything the run registers.
pub type RunNumber = i64;
/// A position in the invalidator's log; ascending within a boot.
pub type Position = u64;
/// Milliseconds of any monotonic clock of the shell.
pub type Millis = u64;
