//! Where a run reads: on a replica that is in time, or on the primary.
//!
//! A run on a replica has a [`Ticket`] that was given after the run was asked for. That alone keeps
//! a session from going back when it moves between replicas, or from the primary to one (R12). The
//! other way, a replica may have shown what the primary still holds back (a commit is in the log
//! before it is visible there, F6): the primary is waited for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep;
use tokio_postgres::types::ToSql;
use tracing::debug;

use super::Relay;
use super::link::{Link, Registration, Ticket, Unlinked};
use super::metrics::Metrics;
use super::pool::{Stopping, Taken};
use super::replica::Replica;
use super::sql_error::describe;

/// How long one statement waits for the primary to show what a replica has shown.
const CATCH_UP_MS: i64 = 1_000;
/// Before a session that could read nowhere looks again.
const PAUSE: Duration = Duration::from_millis(50);
/// So many runs in a row that a replica broke off (it must replay what they are in the way of), and
/// the session reads on the primary for a while.
const PATIENT_RUNS: u32 = 3;
/// How long a session stays away from replicas after one could not do what it needs.
const AWAY: Duration = Duration::from_secs(30);

/// All servers that execute queries.
pub(crate) struct Nodes {
    pub(crate) link: Arc<Link>,
    pub(crate) replicas: Vec<Arc<Replica>>,
    turn: AtomicUsize,
}

/// Where one session reads, and what it has seen there.
#[derive(Default)]
pub(crate) struct Seat {
    seated: Mutex<Seated>,
}

#[derive(Default)]
struct Seated {
    /// Number of its replica.
    replica: Option<usize>,
    /// What it was shown last by a replica and the primary may not show yet.
    ahead: Option<Ahead>,
    broken_runs: u32,
    away_until: Option<Instant>,
}

/// A snapshot of a replica, of a timeline.
#[derive(Clone)]
struct Ahead {
    snapshot: Vec<u8>,
    timeline: i64,
}

/// A connection to run queries on, all of them in the next transaction.
pub(crate) struct Reading {
    pub(crate) connection: Taken,
    /// To register with; 0 if nothing is to be registered.
    pub(crate) owner: i64,
    /// Of a replica: the moment that its results count as.
    pub(crate) ticket: Option<Ticket>,
}

/// What a replica returned with a result, to be registered as (sub, generation).
pub(crate) struct Carried {
    pub(crate) sub: i64,
    pub(crate) generation: i64,
    pub(crate) snapshot: Vec<u8>,
    pub(crate) reads: Vec<u8>,
}

impl Seat {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seated> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run on a replica came to nothing there.
    pub(crate) fn broken_off(&self) {
        let mut seated = self.lock();
        seated.broken_runs += 1;
        if seated.broken_runs >= PATIENT_RUNS {
            seated.broken_runs = 0;
            seated.away_until = Some(Instant::now() + AWAY);
        }
    }

    /// A replica cannot do what the session asks for: the primary is asked from now on.
    pub(crate) fn stay_away(&self) {
        self.lock().away_until = Some(Instant::now() + AWAY);
    }
}

impl Nodes {
    pub(crate) fn new(link: Arc<Link>, replicas: Vec<Arc<Replica>>) -> Self {
        Self {
            link,
            replicas,
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn has_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// Finds a place to run queries. What it sees is not older than what the seat has seen.
    pub(crate) async fn open(
        &self,
        relay: &Relay,
        seat: &Seat,
        live: bool,
    ) -> Result<Reading, Stopping> {
        loop {
            if live {
                tokio::select! {
                    () = relay.shutdown.cancelled() => return Err(Stopping),
                    () = relay.control.attached() => {}
                }
            }
            let opened = match self.on_replica(relay, seat).await {
                Some(opened) => Some(opened),
                None => self.on_primary(relay, seat).await?,
            };
            let Some((connection, ticket)) = opened else {
                sleep(PAUSE).await;
                continue;
            };
            // Read after the connection is there, since waiting for it may outlast an owner (R8).
            let owner = if live { relay.control.owner() } else { Some(0) };
            if let Some(owner) = owner {
                return Ok(Reading {
                    connection,
                    owner,
                    ticket,
                });
            }
            connection.give_back();
        }
    }

    /// A connection to a replica that is in time, if there is one.
    async fn on_replica(&self, relay: &Relay, seat: &Seat) -> Option<(Taken, Option<Ticket>)> {
        let mut tried = Vec::new();
        while let Some(number) = self.choose(seat, &tried) {
            // Given after the run was asked for: it counts as new.
            let ticket = self.link.ticket().await.filter(|ticket| ticket.boot != 0)?;
            let replica = self.replicas.get(number)?;
            let max_lag = relay.config.replica_max_lag;
            if let Some(taken) = replica.take(&ticket, max_lag).await {
                relay.metrics.replica_runs.add(1);
                seat.lock().replica = Some(number);
                return Some((taken, Some(ticket)));
            }
            relay.metrics.replica_misses.add(1);
            self.count_usable(&relay.metrics);
            tried.push(number);
        }
        None
    }

    /// The seat's replica if it is usable, else the next one that is.
    fn choose(&self, seat: &Seat, tried: &[usize]) -> Option<usize> {
        let usable = |number: &usize| {
            !tried.contains(number) && self.replicas.get(*number).is_some_and(|r| r.is_usable())
        };
        let mut seated = seat.lock();
        if seated
            .away_until
            .is_some_and(|until| until > Instant::now())
        {
            return None;
        }
        seated.away_until = None;
        if let Some(own) = seated.replica.filter(usable) {
            return Some(own);
        }
        let count = self.replicas.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..count)
            .map(|n| turn.wrapping_add(n) % count)
            .find(usable)
    }

    /// A connection to the primary, once it shows all that the seat has seen. `None`: not yet.
    async fn on_primary(
        &self,
        relay: &Relay,
        seat: &Seat,
    ) -> Result<Option<(Taken, Option<Ticket>)>, Stopping> {
        let connection = relay.database.queries.take().await?;
        let ahead = seat.lock().ahead.clone();
        let Some(Ahead { snapshot, timeline }) = ahead else {
            return Ok(Some((connection, None)));
        };
        let parameters: [&(dyn ToSql + Sync); 3] = [&snapshot, &timeline, &CATCH_UP_MS];
        let caught_up = connection.one(&connection.catch_up, &parameters);
        match caught_up.await.and_then(|row| row.try_get(0)) {
            Ok(true) => {
                seat.lock().ahead = None;
                Ok(Some((connection, None)))
            }
            Ok(false) => {
                debug!("the primary does not show yet what a replica has shown");
                connection.give_back();
                Ok(None)
            }
            Err(error) => {
                debug!(error = describe(&error), "the primary was lost");
                Ok(None)
            }
        }
    }

    /// Registers on the primary what a replica has computed; the positions behind the
    /// registrations, in the order of the results. `None` of one: it is not registered.
    ///
    /// Only then may the results be shown: R17 is checked there too.
    pub(crate) async fn settle(
        &self,
        seat: &Seat,
        (owner, ticket): (i64, Ticket),
        results: &[Carried],
    ) -> Result<Vec<Option<u64>>, Unlinked> {
        let registered = try_join_all(results.iter().map(|result| {
            self.link.register(Registration {
                owner,
                sub: result.sub,
                generation: result.generation,
                ticket,
                snapshot: &result.snapshot,
                reads: &result.reads,
            })
        }));
        let registered = registered.await?;
        let mut seated = seat.lock();
        seated.broken_runs = 0;
        if let Some(result) = results.first() {
            seated.ahead = Some(Ahead {
                snapshot: result.snapshot.clone(),
                timeline: ticket.timeline,
            });
        }
        Ok(registered)
    }

    pub(crate) fn count_usable(&self, metrics: &Metrics) {
        let usable = self.replicas.iter().filter(|r| r.is_usable()).count();
        metrics.replicas_usable.set(usable as u64);
    }
}
