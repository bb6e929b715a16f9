//! The scheduler: who takes the next step, and when all is said.

use pg_live_invalidation::{Owner, Xid};
use pg_live_readset::RelId;
use pg_live_session::{Event, Millis};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bug::Bug;
use crate::client::Client;
use crate::columns::Scan;
use crate::coverage::{Coverage, State};
use crate::database::{Stage, Tx};
use crate::faults::{Faults, pick};
use crate::history::{Change, DEPLOYMENT, DOCUMENTS, PLAIN};
use crate::query::{Images, Query, write_set};
use crate::relay::Relay;
use crate::run_job::{Context, Node};
use crate::server::{Hint, Server};

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed}, step {step}: {what}; run again with PG_LIVE_SIM_SEED={seed} cargo test --release -p pg_live_sim --test seeds"
)]
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
    /// Steps of all actors.
    pub steps: u64,
    /// What was reached.
    pub coverage: Coverage,
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
    relays: Vec<Relay>,
    clients: Vec<Client>,
    bug: Option<Bug>,
    /// For `Bug::LatePublish` and `Bug::R17Late`: what has left unpublished.
    late: Vec<(Xid, Tx)>,
    /// The transaction that adds triggers.
    capturing: Option<Xid>,
    /// What was prepared when the server crashed.
    recovered: Vec<Xid>,
    report: Report,
}

impl Simulation {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults::draw(&mut rng);
        let relays = 0..faults.relays;
        let relays = relays.map(|place| {
            let last = place + 1 == faults.relays;
            let node = match faults.standby && last {
                true => Node::Standby,
                false => Node::Primary,
            };
            let owner = |n: usize| Owner::try_from(n).expect("few relays");
            let owners = (owner(1 + place), owner(faults.relays));
            Relay::new(node, owners, faults.crowd, bug)
        });
        Simulation {
            rng,
            now: 0,
            step: 0,
            server: Server::new(&faults, bug),
            relays: relays.collect(),
            clients: (0..faults.clients).map(Client::new).collect(),
            faults,
            bug,
            late: Vec::new(),
            capturing: None,
            recovered: Vec::new(),
            report: Report::default(),
        }
    }

    /// Runs to the end. The error says what went wrong, and at which step.
    pub(crate) fn run(mut self) -> Result<Report, (u32, String)> {
        self.all().map_err(|what| (self.step, what))?;
        self.report.transitions = self.clients.iter().map(|client| client.transitions).sum();
        self.report.completed = self.server.db.now();
        self.report.runs = self.relays.iter().map(|relay| relay.runs_started).sum();
        self.report.mutations = self.server.db.history.applied.len() as u64;
        self.report.invalidated = self.server.invalidated();
        self.report.steps = self.step.into();
        if self.server.db.next_xid() >> 32 > self.faults.first_xid >> 32 {
            self.server.coverage.reach(State::Wrap);
        }
        for _ in 0..self.clients.iter().map(|client| client.clocks_raised).sum() {
            self.server.coverage.reach(State::ClockBehindClient);
        }
        self.report.coverage = self.server.coverage;
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
            5 if self.faults.standby && self.rng.random_bool(0.7) => {
                self.replay();
            }
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
            self.crash();
        }
        if self.rng.random_bool(faults.decoder_death) {
            self.server.stop_decoder();
        }
        let relay = self.rng.random_range(0..self.relays.len());
        if self.rng.random_bool(faults.control_loss) {
            self.relays[relay].lose_control(&mut self.server);
        }
        if self.rng.random_bool(faults.relay_death) {
            self.server.coverage.reach(State::RelayDeath);
            let (relays, mut cx) = self.parts();
            relays[relay].die(&mut cx);
            let lost = |client: &&mut Client| client.connected.is_some_and(|(of, _)| of == relay);
            self.clients
                .iter_mut()
                .filter(lost)
                .for_each(Client::disconnect);
        }
        if self.rng.random_bool(faults.client_loss) {
            let client = self.rng.random_range(0..self.clients.len());
            self.disconnect(client);
        }
    }

    fn crash(&mut self) {
        self.late.clear();
        let prepared = self.server.db.live.iter();
        let prepared = prepared.filter(|(_, tx)| tx.stage == Stage::Prepared);
        self.recovered = prepared.map(|(xid, _)| *xid).collect();
        self.server.crash();
        for relay in &mut self.relays {
            relay.server_crashed(self.now, &mut self.server);
        }
    }

    fn disconnect(&mut self, client: usize) {
        if let Some((relay, session)) = self.clients[client].connected {
            self.clients[client].disconnect();
            self.relays[relay].disconnect(session, self.now, &mut self.server);
        }
    }

    fn parts(&mut self) -> (&mut [Relay], Context<'_>) {
        let cx = Context {
            server: &mut self.server,
            rng: &mut self.rng,
            faults: &self.faults,
            bug: self.bug,
            pks: self.faults.pks,
        };
        (&mut self.relays, cx)
    }

    /// Whether a query of that node holds the table's lock.
    fn is_read(&self, node: Node, rel: RelId) -> bool {
        self.relays.iter().any(|relay| relay.reads(node, rel))
    }

    fn replay(&mut self) -> bool {
        let relays = &self.relays;
        self.server
            .replay(|rel| relays.iter().any(|relay| relay.reads(Node::Standby, rel)))
    }

    /// A transaction of somebody who knows nothing of the relay.
    fn transaction(&mut self) {
        let db = &mut self.server.db;
        if db.live.len() < 5 && self.rng.random_bool(0.3) {
            let xid = db.begin();
            if let Some(tx) = db.live.get_mut(&xid) {
                tx.doomed = self.rng.random_bool(self.faults.doomed);
                tx.two_phase = self.rng.random_bool(self.faults.two_phase);
                tx.in_wal = self.rng.random_bool(self.faults.wal);
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
            Some(Stage::Prepared) if self.rng.random_bool(0.9) => {}
            Some(Stage::InClog) if self.rng.random_bool(self.faults.sync_wait) => {}
            Some(Stage::Working | Stage::Published) if self.rng.random_bool(0.4) => {
                self.write(xid);
            }
            Some(_) => self.advance(xid),
            None => {}
        }
    }

    /// A statement.
    fn write(&mut self, xid: Xid) {
        let db = &mut self.server.db;
        let Some(tx) = db.live.get(&xid) else { return };
        let published = tx.stage == Stage::Published;
        match (self.rng.random_range(0..8), tx.savepoint) {
            (0, None) if !published => return db.savepoint(xid),
            (0 | 1, Some(_)) if !published => return db.rollback_to(xid),
            _ => {}
        }
        let rel = match self.rng.random_bool(self.faults.plain) {
            true => PLAIN,
            false if self.rng.random_bool(0.04) => DEPLOYMENT,
            false => DOCUMENTS,
        };
        let pk = match rel {
            DEPLOYMENT => 0,
            _ => self.rng.random_range(0..self.faults.pks),
        };
        let written = if rel != DEPLOYMENT && self.rng.random_bool(self.faults.redefinitions) {
            self.redefine(xid, rel)
        } else {
            let new = self.rng.random_bool(0.8);
            let new = new.then(|| self.rng.random_range(0..8));
            self.server.db.write(xid, rel, pk, new)
        };
        // After the publication another callback may still write; it publishes that at once.
        if written && published && self.bug != Some(Bug::NoLateCapture) {
            self.server.publish(xid, Images::Both);
        }
    }

    /// TRUNCATE or ALTER TABLE, if nobody else has the table in hand.
    fn redefine(&mut self, xid: Xid, rel: RelId) -> bool {
        let free = self.server.db.has_alone(xid, rel) && !self.is_read(Node::Primary, rel);
        if free {
            let change = match self.rng.random_bool(0.6) {
                true => Change::Truncate { rel },
                false => Change::Reshape { rel },
            };
            self.server.db.add(xid, change);
        }
        free
    }

    /// A transaction's next stage (F1, F4).
    fn advance(&mut self, xid: Xid) {
        let Some(tx) = self.server.db.live.get(&xid) else {
            return;
        };
        match tx.stage {
            Stage::Working if tx.done.is_empty() => {
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
            Stage::InClog => self.leave(xid),
        }
    }

    /// A committed transaction becomes visible.
    fn leave(&mut self, xid: Xid) {
        let Some(tx) = self.server.db.leave(xid) else {
            return;
        };
        let coverage = &mut self.server.coverage;
        let recovered = self.recovered.contains(&xid);
        if recovered {
            coverage.reach(State::PreparedOverCrash);
        }
        if tx.aborted_sub.is_some() {
            coverage.reach(State::Savepoint);
        }
        if tx.locks_readers() {
            coverage.reach(State::Redefinition);
            if recovered {
                coverage.reach(State::RedefinitionOverCrash);
            }
        }
        for change in tx.changes() {
            match change {
                Change::Capture { .. } => coverage.reach(State::Captured),
                Change::Row { rel, .. } if rel == DEPLOYMENT => coverage.reach(State::Deployment),
                Change::Row { .. } | Change::Truncate { .. } | Change::Reshape { .. } => {}
            }
        }
        if [Some(Bug::LatePublish), Some(Bug::R17Late)].contains(&self.bug) {
            self.late.push((xid, tx));
        }
    }

    /// R18: the worker adds the triggers of the table that a query has read.
    fn capture(&mut self) {
        if let Some(xid) = self.capturing
            && self.server.db.live.contains_key(&xid)
        {
            return;
        }
        self.capturing = None;
        let db = &mut self.server.db;
        if !self.server.capture_wanted || db.history.is_captured(PLAIN, db.now()) {
            return;
        }
        let xid = db.begin();
        if db.has_alone(xid, PLAIN) || self.bug == Some(Bug::CaptureWithoutLock) {
            db.add(xid, Change::Capture { rel: PLAIN });
            self.capturing = Some(xid);
        } else {
            db.leave(xid);
        }
    }

    fn publish_late(&mut self) {
        // A backend may also end in between.
        let ends = self.rng.random_bool(0.5);
        if let Some((xid, tx)) = self.late.pop()
            && !ends
        {
            if self.bug == Some(Bug::R17Late) {
                self.server.publish_redefinitions(xid, &tx.done);
                return;
            }
            let (rest, watched) = (&tx.done[tx.published..], &self.server.watched_columns);
            let rest = write_set(rest, Images::Both, watched, self.bug);
            self.server.push_writes(xid, rest);
        }
    }

    fn worker(&mut self) {
        match self.rng.random_range(0..10) {
            6 if self.faults.wal > 0.0 => {
                self.server.decode();
            }
            0 if self.server.ring.overflowed => self.server.notice_overflow(),
            0 | 1 => self.server.start_worker(),
            2 => self.server.resolve(),
            3 => self.server.emit(),
            4 => self.server.announce_departure(),
            5 => self.capture(),
            _ => {
                self.server.process();
            }
        }
    }

    fn client_acts(&mut self) {
        let client = self.rng.random_range(0..self.clients.len());
        let chosen = self.rng.random_range(0..5 + self.faults.mutations);
        let others = self.clients.iter().flat_map(Client::wanted);
        let others: Vec<Query> = others.collect();
        let query = match self.rng.random_bool(self.faults.alike) {
            true if !others.is_empty() => *pick(&mut self.rng, &others),
            _ => self.draw_query(),
        };
        let client = &mut self.clients[client];
        let Some((relay, session)) = client.connected else {
            return self.connect_clients();
        };
        let message = match chosen {
            0..3 if client.queries() < 4 => Some(client.add(query)),
            0..4 => client.remove_oldest(),
            4 => None,
            _ => Some(client.mutate()),
        };
        if let Some(message) = message {
            self.relays[relay].post(session, message);
        }
    }

    fn draw_query(&mut self) -> Query {
        let rel = match self.rng.random_bool(self.faults.plain) {
            true => PLAIN,
            false => DOCUMENTS,
        };
        match self.rng.random_range(0..8) {
            6 | 7 => Query::Scan(Scan::draw(rel, &mut self.rng)),
            0 | 1 => Query::Row(rel, self.rng.random_range(0..self.faults.pks)),
            2 | 3 => {
                let lower = self.rng.random_range(0..8);
                Query::Between(rel, lower, self.rng.random_range(lower..=8))
            }
            4 if self.faults.plain > 0.0 => Query::Both,
            _ => Query::All(rel),
        }
    }

    fn connect_clients(&mut self) {
        for client in &mut self.clients {
            if client.connected.is_none() {
                let place = self.rng.random_range(0..self.relays.len());
                let relay = &mut self.relays[place];
                let session = relay.open();
                let node = relay.node;
                for message in client.connect((place, session), node, &mut self.server) {
                    relay.post(session, message);
                }
            }
        }
    }

    fn relay_acts(&mut self) -> Result<(), String> {
        let client = self.rng.random_range(0..self.clients.len());
        let relay = self.rng.random_range(0..self.relays.len());
        match self.rng.random_range(0..14) {
            12 | 13 => {
                if let Some((relay, session)) = self.clients[client].connected {
                    self.relays[relay].hear(session, self.now, &mut self.server);
                }
            }
            0 => self.relays[relay].attach(&mut self.server),
            1 => {
                self.relays[relay].wake(self.now, &mut self.server);
            }
            2 => self.deliver_hint(),
            3 | 4 => {
                if let Some((relay, session)) = self.clients[client].connected {
                    self.relays[relay].take_in(session, self.now, &mut self.server);
                }
            }
            5 | 6 => {
                self.deliver(client)?;
            }
            chosen => self.work(relay, chosen < 10),
        }
        Ok(())
    }

    fn deliver_hint(&mut self) {
        if self.rng.random_bool(self.faults.forgery) {
            self.server.coverage.reach(State::ForgedHint);
            let hint = Hint {
                owner: self.rng.random_range(1..8),
                n: self.rng.random_range(1..20),
            };
            return self.give_hint(hint);
        }
        if self.server.hints.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.server.hints.len());
        let hint = match self.rng.random_bool(0.2) {
            true => self.server.hints[at], // It will come twice.
            false => self.server.hints.swap_remove(at),
        };
        if !self.rng.random_bool(self.faults.hint_loss) {
            self.give_hint(hint);
        }
    }

    fn give_hint(&mut self, hint: Hint) {
        for relay in &mut self.relays {
            relay.hint(hint, self.now, &mut self.server);
        }
    }

    /// One message to a client. Whether there was one.
    fn deliver(&mut self, client: usize) -> Result<bool, String> {
        let Some((relay, session)) = self.clients[client].connected else {
            return Ok(false);
        };
        let relay = &mut self.relays[relay];
        let message = relay.send_out(session, self.now, &mut self.server);
        let closed = relay.has_closed(session);
        let delivered = message.is_some();
        if let Some(message) = message {
            self.clients[client].receive(message, &self.server)?;
        }
        if closed {
            self.disconnect(client);
        }
        Ok(delivered)
    }

    /// A step of some job of a relay's pool.
    fn work(&mut self, place: usize, run: bool) {
        let now = self.now;
        let (relays, mut cx) = self.parts();
        let relay = &mut relays[place];
        if !relay.orphans.is_empty() && cx.rng.random_bool(0.3) {
            let at = cx.rng.random_range(0..relay.orphans.len());
            let (owner, job) = &mut relay.orphans[at];
            if job.step(*owner, None, &mut cx).is_some() {
                relay.orphans.swap_remove(at);
            }
        } else if run && cx.rng.random_bool(0.3) && relay.begin_batch(now) {
            // That is all for now.
        } else if run && !relay.executions.jobs.is_empty() {
            let at = cx.rng.random_range(0..relay.executions.jobs.len());
            relay.work(at, now, &mut cx);
        } else if !relay.mutations.is_empty() {
            let at = cx.rng.random_range(0..relay.mutations.len());
            if let Some(event) = relay.mutations[at].step(&mut cx) {
                let session = relay.mutations.swap_remove(at).session;
                self.finish(place, session, event, now);
            }
        }
    }

    fn finish(&mut self, place: usize, session: u32, event: Event, now: Millis) {
        self.relays[place].handle(session, event, now, &mut self.server);
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
                let server = &self.server;
                return self
                    .clients
                    .iter()
                    .try_for_each(|c| c.check_current(server));
            }
        }
        Err("does not come to rest".into())
    }

    /// One round in which everybody does all that can be done. Whether anything was done.
    fn calm_round(&mut self, prepared: bool) -> Result<bool, String> {
        self.connect_clients();
        // A prepared one that keeps readers waiting, or triggers from being added, is decided soon.
        let decided = |tx: &Tx| {
            let holds_up = tx.locks_readers() || tx.done.iter().any(|done| !done.captured);
            prepared || !tx.two_phase || tx.stage == Stage::InClog || holds_up
        };
        let free = self.server.db.live.iter();
        let free = free.filter(|(_, tx)| !tx.driven && decided(tx));
        let free: Vec<Xid> = free.map(|(xid, _)| *xid).collect();
        let mut busy = !free.is_empty() || !self.late.is_empty();
        for xid in free {
            self.advance(xid);
        }
        self.publish_late();
        busy |= !self.server.is_idle();
        self.server.notice_overflow();
        self.server.start_worker();
        while self.server.process() {}
        while self.faults.wal > 0.0 && self.server.decode() {
            busy = true;
            while self.server.process() {}
        }
        self.server.resolve();
        self.server.emit();
        self.server.announce_departure();
        self.capture();
        while self.faults.standby && self.replay() {
            busy = true;
        }
        for relay in &mut self.relays {
            relay.attach(&mut self.server);
        }
        while !self.server.hints.is_empty() {
            self.deliver_hint();
        }
        for place in 0..self.relays.len() {
            busy |= self.relays[place].wake(self.now, &mut self.server);
            for _ in 0..8 {
                let relay = &self.relays[place];
                busy |= !(relay.executions.is_idle() && relay.mutations.is_empty());
                self.relays[place].begin_batch(self.now);
                self.work(place, true);
                self.work(place, false);
                while self.server.process() {}
            }
        }
        for relay in &mut self.relays {
            for session in relay.sessions.keys().copied().collect::<Vec<u32>>() {
                while relay.hear(session, self.now, &mut self.server) {
                    busy = true;
                }
            }
        }
        for client in 0..self.clients.len() {
            while self.deliver(client)? {
                busy = true;
            }
            if let Some((relay, session)) = self.clients[client].connected {
                busy |= self.relays[relay].take_in(session, self.now, &mut self.server);
            }
        }
        Ok(busy)
    }
}
