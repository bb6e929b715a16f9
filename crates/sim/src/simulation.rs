//! The scheduler: who takes the next step, and when all is said.

use pg_live_session::{Event, Millis};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bug::Bug;
use crate::client::Client;
use crate::database::{Stage, Tx};
use crate::faults::{Faults, pick};
use crate::job::Context;
use crate::query::{Images, Query, write_set};
use crate::relay::Relay;
use crate::server::Server;

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {what}; run again with PG_LIVE_SIM_SEED={seed}")]
pub struct Violation {
    /// Repeats the run.
    pub seed: u64,
    /// How many steps had been taken.
    pub step: u32,
    /// What was wrong.
    pub what: String,
}

/// What a run has seen, so that a test can tell that it saw something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Transitions that clients took in and judged.
    pub transitions: u64,
    /// Transactions that completed.
    pub completed: u64,
    /// Runs of queries that were started.
    pub runs: u64,
    /// Mutations of clients that were applied.
    pub mutations: u64,
    /// Invalidations of the last boot.
    pub invalidated: u64,
    /// Boots after the first.
    pub boots: u64,
    /// Overflows of the log.
    pub overflows: u64,
    /// Crashes of the server.
    pub crashes: u64,
    /// Deaths of the relay.
    pub relay_deaths: u64,
}

/// Iterations of the end without anything happening after which all is quiet: longer than the
/// relay's poll and every pause of a session.
const QUIET: u32 = 70;
/// Iterations after which it never will be.
const NEVER: u32 = 1_500;

pub(crate) struct Simulation {
    rng: StdRng,
    now: Millis,
    step: u32,
    faults: Faults,
    server: Server,
    relay: Relay,
    clients: Vec<Client>,
    bug: Option<Bug>,
    /// For `Bug::LatePublish`: what has left unpublished.
    late: Vec<(u64, Tx)>,
    report: Report,
}

impl Simulation {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults::draw(&mut rng);
        let server = Server::new(faults.ring, faults.limits, faults.keep, bug);
        Simulation {
            rng,
            now: 0,
            step: 0,
            server,
            relay: Relay::new(bug),
            clients: (0..faults.clients).map(Client::new).collect(),
            faults,
            bug,
            late: Vec::new(),
            report: Report::default(),
        }
    }

    /// Runs to the end. The error says what went wrong, and at which step.
    pub(crate) fn run(mut self) -> Result<Report, (u32, String)> {
        self.all().map_err(|what| (self.step, what))?;
        self.report.transitions = self.clients.iter().map(|client| client.transitions).sum();
        self.report.completed = self.server.now();
        self.report.runs = self.relay.runs_started;
        self.report.mutations = self.server.db.applied.len() as u64;
        self.report.invalidated = self.server.invalidated();
        self.report.boots = self.server.ring.boot - 1;
        Ok(self.report)
    }

    fn all(&mut self) -> Result<(), String> {
        while self.step < self.faults.steps {
            self.step += 1;
            self.now += self.rng.random_range(0..20);
            self.fault();
            self.any()?;
            self.server.check()?;
        }
        // What is prepared may stay so for days, and all must be quiet nevertheless.
        self.faults = self.faults.calmed();
        self.settle(false)?;
        self.settle(true)
    }

    /// One step of one actor.
    fn any(&mut self) -> Result<(), String> {
        let (worker, relay) = (self.faults.worker_share, self.faults.relay_share);
        let chosen = self.rng.random_range(0..6 + worker + relay);
        match chosen {
            0..5 => self.transaction(),
            5 => self.client_acts(),
            _ if chosen < 6 + worker => self.worker(),
            _ => return self.relay_acts(),
        }
        Ok(())
    }

    fn fault(&mut self) {
        let faults = self.faults.clone();
        if self.rng.random_bool(faults.worker_death) {
            self.server.stop_worker();
        }
        if self.rng.random_bool(faults.crash) {
            self.report.crashes += 1;
            self.late.clear();
            self.server.crash();
            self.relay.server_crashed(self.now, &mut self.server);
        }
        if self.rng.random_bool(faults.control_loss) {
            self.relay.lose_control(self.now, &mut self.server);
        }
        if self.rng.random_bool(faults.relay_death) {
            self.report.relay_deaths += 1;
            let (relay, mut cx) = self.parts();
            relay.die(&mut cx);
            self.clients.iter_mut().for_each(Client::disconnect);
        }
        if self.rng.random_bool(faults.client_loss) {
            let client = self.rng.random_range(0..self.clients.len());
            self.disconnect(client);
        }
    }

    fn disconnect(&mut self, client: usize) {
        if let Some(session) = self.clients[client].connected {
            self.clients[client].disconnect();
            self.relay.disconnect(session, self.now, &mut self.server);
        }
    }

    fn parts(&mut self) -> (&mut Relay, Context<'_>) {
        let cx = Context {
            server: &mut self.server,
            rng: &mut self.rng,
            faults: &self.faults,
            bug: self.bug,
            pks: self.faults.pks,
        };
        (&mut self.relay, cx)
    }

    /// A transaction of somebody who knows nothing of the relay.
    fn transaction(&mut self) {
        let db = &mut self.server.db;
        if db.live.len() < 5 && self.rng.random_bool(0.3) {
            let xid = db.begin();
            if let Some(tx) = db.live.get_mut(&xid) {
                tx.doomed = self.rng.random_bool(self.faults.doomed);
                tx.two_phase = self.rng.random_bool(self.faults.two_phase);
            }
            return;
        }
        let free = db.live.iter().filter(|(_, tx)| !tx.driven);
        let free: Vec<u64> = free.map(|(xid, _)| *xid).collect();
        if free.is_empty() {
            self.publish_late();
            return;
        }
        let xid = *pick(&mut self.rng, &free);
        let stage = db.live.get(&xid).map(|tx| tx.stage);
        match stage {
            Some(Stage::Prepared) if self.rng.random_bool(0.8) => {}
            Some(Stage::Working | Stage::Published) if self.rng.random_bool(0.4) => {
                self.write(xid);
            }
            Some(_) => self.advance(xid),
            None => {}
        }
    }

    fn write(&mut self, xid: u64) {
        let pk = self.rng.random_range(0..self.faults.pks);
        let new = self.rng.random_bool(0.8);
        let new = new.then(|| self.rng.random_range(0..8));
        let db = &mut self.server.db;
        let published = db
            .live
            .get(&xid)
            .is_some_and(|tx| tx.stage == Stage::Published);
        // After the publication another callback may still write; it publishes that at once.
        if db.write(xid, pk, new) && published && self.bug != Some(Bug::NoLateCapture) {
            self.server.publish(xid, Images::Both);
        }
    }

    /// A transaction's next stage (F1, F4).
    fn advance(&mut self, xid: u64) {
        let Some(tx) = self.server.db.live.get(&xid) else {
            return;
        };
        match tx.stage {
            Stage::Working if tx.writes.is_empty() => {
                self.server.db.leave(xid);
            }
            Stage::Working if self.bug == Some(Bug::LatePublish) && !tx.two_phase => {
                self.server.db.enter_clog(xid);
            }
            Stage::Working => {
                let images = [
                    Images::Both,
                    Images::Both,
                    Images::WithoutKeys,
                    Images::Table,
                ];
                let images = match self.bug {
                    Some(Bug::NewImageOnly) => Images::New,
                    _ => *pick(&mut self.rng, &images),
                };
                self.server.publish(xid, images);
            }
            Stage::Published | Stage::Prepared if tx.doomed => {
                self.server.db.leave(xid);
            }
            Stage::Published if tx.two_phase => {
                if let Some(tx) = self.server.db.live.get_mut(&xid) {
                    tx.stage = Stage::Prepared;
                }
            }
            Stage::Published | Stage::Prepared => self.server.db.enter_clog(xid),
            Stage::InClog => {
                if let Some(tx) = self.server.db.leave(xid)
                    && self.bug == Some(Bug::LatePublish)
                {
                    self.late.push((xid, tx));
                }
            }
        }
    }

    fn publish_late(&mut self) {
        // A backend may also end in between.
        let ends = self.rng.random_bool(0.5);
        if let Some((xid, tx)) = self.late.pop()
            && !ends
        {
            let rest = write_set(&tx.writes[tx.published..], Images::Both);
            self.server.push_writes(xid, rest);
        }
    }

    fn worker(&mut self) {
        let overflowed = self.server.ring.overflowed;
        match self.rng.random_range(0..8) {
            0 if overflowed => {
                self.report.overflows += 1;
                self.server.notice_overflow();
            }
            0 | 1 => self.server.start_worker(),
            2 => self.server.resolve(),
            3 => self.server.emit(),
            4 => self.server.announce_departure(),
            _ => {
                self.server.process();
            }
        }
    }

    fn client_acts(&mut self) {
        let client = self.rng.random_range(0..self.clients.len());
        let chosen = self.rng.random_range(0..5 + self.faults.mutations);
        let query = self.draw_query();
        let client = &mut self.clients[client];
        let Some(session) = client.connected else {
            return self.connect_clients();
        };
        let message = match chosen {
            0..3 if client.queries() < 4 => Some(client.add(query)),
            0..4 => client.remove_oldest(),
            4 => None,
            _ => Some(client.mutate()),
        };
        if let Some(message) = message {
            self.relay.post(session, message);
        }
    }

    fn draw_query(&mut self) -> Query {
        match self.rng.random_range(0..5) {
            0 | 1 => Query::Row(self.rng.random_range(0..self.faults.pks)),
            2 | 3 => {
                let lower = self.rng.random_range(0..8);
                Query::Between(lower, self.rng.random_range(lower..=8))
            }
            _ => Query::All,
        }
    }

    fn connect_clients(&mut self) {
        for client in &mut self.clients {
            if client.connected.is_none() {
                let session = self.relay.open(Vec::new());
                for message in client.connect(session) {
                    self.relay.post(session, message);
                }
            }
        }
    }

    fn relay_acts(&mut self) -> Result<(), String> {
        let client = self.rng.random_range(0..self.clients.len());
        match self.rng.random_range(0..12) {
            0 => self.relay.attach(self.now, &mut self.server),
            1 => {
                self.relay.wake(self.now, &mut self.server);
            }
            2 => self.deliver_hint(),
            3 | 4 => {
                if let Some(session) = self.clients[client].connected {
                    self.relay.take_in(session, self.now, &mut self.server);
                }
            }
            5 | 6 => {
                self.deliver(client)?;
            }
            chosen => self.work(chosen < 10),
        }
        Ok(())
    }

    fn deliver_hint(&mut self) {
        if self.server.hints.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.server.hints.len());
        let owner = match self.rng.random_bool(0.2) {
            true => self.server.hints[at], // It will come twice.
            false => self.server.hints.swap_remove(at),
        };
        if !self.rng.random_bool(self.faults.hint_loss) {
            self.relay.hint(owner, self.now, &mut self.server);
        }
    }

    /// One message to a client. Whether there was one.
    fn deliver(&mut self, client: usize) -> Result<bool, String> {
        let Some(session) = self.clients[client].connected else {
            return Ok(false);
        };
        let message = self.relay.send_out(session, self.now, &mut self.server);
        let delivered = message.is_some();
        if let Some(message) = message {
            self.clients[client].receive(message, &self.server.db)?;
        }
        if self.relay.has_closed(session) {
            self.disconnect(client);
        }
        Ok(delivered)
    }

    /// A step of some job of the pool.
    fn work(&mut self, run: bool) {
        let now = self.now;
        let (relay, mut cx) = self.parts();
        if !relay.orphans.is_empty() && cx.rng.random_bool(0.3) {
            let at = cx.rng.random_range(0..relay.orphans.len());
            let (owner, job) = &mut relay.orphans[at];
            if job.step(*owner, &mut cx).is_some() {
                relay.orphans.swap_remove(at);
            }
        } else if run && !relay.runs.is_empty() {
            let at = cx.rng.random_range(0..relay.runs.len());
            let owner = relay.owner();
            if let Some(event) = relay.runs[at].step(owner, &mut cx) {
                let session = relay.runs.swap_remove(at).session;
                self.finish(session, event, now);
            }
        } else if !relay.mutations.is_empty() {
            let at = cx.rng.random_range(0..relay.mutations.len());
            if let Some(event) = relay.mutations[at].step(&mut cx) {
                let session = relay.mutations.swap_remove(at).session;
                self.finish(session, event, now);
            }
        }
    }

    fn finish(&mut self, session: u32, event: Event, now: Millis) {
        self.relay.handle(session, event, now, &mut self.server);
    }

    /// Lets everything come to rest, and checks that it is right then.
    fn settle(&mut self, prepared: bool) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..NEVER {
            self.step += 1;
            self.now += 100;
            self.server.check()?;
            quiet = if self.calm_round(prepared)? {
                0
            } else {
                quiet + 1
            };
            if quiet > QUIET {
                let db = &self.server.db;
                return self.clients.iter().try_for_each(|c| c.check_current(db));
            }
        }
        Err("does not come to rest".into())
    }

    /// One round in which everybody does all that can be done. Whether anything was done.
    fn calm_round(&mut self, prepared: bool) -> Result<bool, String> {
        self.connect_clients();
        let free = self
            .server
            .db
            .live
            .iter()
            .filter(|(_, tx)| !tx.driven && (prepared || !tx.two_phase));
        let free: Vec<u64> = free.map(|(xid, _)| *xid).collect();
        let mut busy = !free.is_empty() || !self.late.is_empty();
        for xid in free {
            self.advance(xid);
        }
        self.publish_late();
        busy |= !self.server.is_idle();
        self.server.notice_overflow();
        self.server.start_worker();
        while self.server.process() {}
        self.server.resolve();
        self.server.emit();
        self.server.announce_departure();
        self.relay.attach(self.now, &mut self.server);
        while !self.server.hints.is_empty() {
            self.deliver_hint();
        }
        busy |= self.relay.wake(self.now, &mut self.server);
        for _ in 0..8 {
            let relay = &self.relay;
            busy |= !(relay.runs.is_empty() && relay.mutations.is_empty());
            self.work(true);
            self.work(false);
            while self.server.process() {}
        }
        for client in 0..self.clients.len() {
            while self.deliver(client)? {
                busy = true;
            }
            if let Some(session) = self.clients[client].connected {
                busy |= self.relay.take_in(session, self.now, &mut self.server);
            }
        }
        Ok(busy)
    }
}
