//! A seeded simulator that drives the invalidator and the sessions against a model database.
//!
//! The state machines are the product's own: [`pg_live_invalidation::Invalidator`] and
//! [`pg_live_session::Session`], and what executes a query once for several of those,
//! [`pg_live_session::sharing::Sharing`]. Around them is a model of everything else: transactions that
//! publish, commit, are prepared and become visible in steps; a log that overflows; a worker, a
//! server and a relay that die; hints that are lost or come twice; clients that come and go. One
//! seed decides everything, so that a failure can be repeated.
//!
//! The clients are the oracle. What a client is shown must be the results of all its queries at one
//! moment of the model's history, never an older one than before; a mutation must be seen exactly
//! from its timestamp on and be applied exactly once; when all is quiet, everything must be current.
//! [`Bug`] holds mistakes that can be planted to see that the oracle notices them.
//!
//! Also modelled: TRUNCATE and redefinitions that older snapshots see (R17), a table that is captured
//! once it is read (R18), deployments as rows (R19), rolled back subtransactions, ids that pass 2^32,
//! several relays, capture from the WAL by a decoder, and a standby that replays WAL in its own order. `tests/seeds.rs` asserts that the
//! interesting [`State`]s were reached, `tests/bugs.rs` that each [`Bug`] is noticed.
#![forbid(unsafe_code)]

mod bug;
mod client;
mod columns;
mod coverage;
mod database;
mod decoder;
mod faults;
mod history;
mod mutation_job;
mod query;
mod relay;
mod ring;
mod run_job;
mod server;
mod sharing;
mod simulation;
mod standby;

pub use bug::Bug;
pub use coverage::{Coverage, State};
pub use simulation::{Report, Violation};

/// Runs one seed to its end, with a planted mistake or none.
///
/// # Errors
/// The first rule that was seen broken.
pub fn run(seed: u64, bug: Option<Bug>) -> Result<Report, Violation> {
    simulation::Simulation::new(seed, bug)
        .run()
        .map_err(|(step, what)| Violation { seed, step, what })
}
