//! Many sessions whose runs are shared, in random orders, against a model of the database and of the invalidator.
//! Each client checks that what it shows is always of one snapshot, never of an older one than before, and is the
//! newest state when all is quiet.
//!
//! A failing case prints its list of numbers for [`World::step`].

#![allow(clippy::unwrap_used)]

mod rules;

use std::collections::{BTreeMap, VecDeque};

use pg_live_session::sharing::{
    Ask, Asked, Asker, Batch, Call, Hold, Holds, Invalidation, Kept, Observed, OutOfDate, Outcome,
    Owner, Sharing, Told,
};
use pg_live_session::*;
use proptest::prelude::*;

const SESSIONS: usize = 3;
/// Queries read one of these keys, writes change one or two.
const KEYS: u64 = 3;

/// The number of a session.
#[derive(Clone, Debug)]
struct To(usize);

impl Asker for To {
    fn is_gone(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct Database {
    c: u64,
    /// (keys, c), ascending.
    writes: Vec<(Vec<u64>, u64)>,
}

impl Database {
    fn read(&self, key: u64, snapshot: u64) -> u64 {
        let visible = |w: &&(Vec<u64>, u64)| w.0.contains(&key) && w.1 <= snapshot;
        self.writes.iter().rev().find(visible).map_or(0, |w| w.1)
    }
}

struct UnderWay {
    batch: Batch<To>,
    snapshot: Option<u64>,
    positions: Option<Vec<Option<Position>>>,
}

/// Something that a session is told, in this order.
enum News {
    Event(Event),
    OutOfDate(OutOfDate),
    Run(Told<To>),
}

struct Client {
    session: Session,
    inbox: VecDeque<News>,
    holds: Holds,
    query_set: u32,
    next_query: QueryId,
    live: BTreeMap<QueryId, u64>,
    results: BTreeMap<QueryId, u64>,
    version: Version,
    at_least: u64,
    unsent: usize,
}

struct World {
    now: Millis,
    database: Database,
    sharing: Sharing<To>,
    owner: Owner,
    clients: Vec<Client>,
    under_way: Vec<UnderWay>,
    /// By execution: key and snapshot.
    registered: BTreeMap<Sub, (u64, u64)>,
    invalidations: VecDeque<(Sub, Moment)>,
    position: Position,
    executed: u64,
    /// When the shell was told to look for a batch; it looks at no other time.
    wanted: Vec<Millis>,
}

const fn at(c: u64) -> Moment {
    Moment { boot: 1, c }
}

/// The number in a path or in a value; a personal query's value has its reader behind it.
fn number(text: &str) -> u64 {
    text.split('@').next().unwrap().parse().unwrap()
}

impl World {
    fn new() -> Self {
        Self::with_crowd(SESSIONS + 1)
    }

    /// So many sessions are executed for before they are told.
    fn with_crowd(crowd: usize) -> Self {
        let client = |n: usize| Client {
            session: Session::new(
                u32::try_from(n).unwrap(),
                Limits {
                    keep_from: 1,
                    ..Limits::default()
                },
            ),
            inbox: VecDeque::new(),
            holds: Holds::default(),
            query_set: 0,
            next_query: 0,
            live: BTreeMap::new(),
            results: BTreeMap::new(),
            version: Version::default(),
            at_least: 0,
            unsent: 0,
        };
        let mut world = Self {
            now: 0,
            database: Database {
                c: 1,
                writes: Vec::new(),
            },
            sharing: Sharing::with_crowd(crowd),
            owner: 1,
            clients: (1..=SESSIONS).map(client).collect(),
            under_way: Vec::new(),
            registered: BTreeMap::new(),
            invalidations: VecDeque::new(),
            position: 0,
            executed: 0,
            wanted: Vec::new(),
        };
        for n in 0..SESSIONS {
            world.handle(
                n,
                Event::Message(ClientMessage::Connect {
                    session_id: n.to_string(),
                    max_observed_timestamp: None,
                }),
            );
            let identity = format!("user {n}");
            world.handle(
                n,
                Event::Message(ClientMessage::Authenticate {
                    base_version: 0,
                    authentication: Authentication::User {
                        identity,
                        lasts_ms: Millis::MAX,
                    },
                }),
            );
        }
        world
    }

    fn handle(&mut self, n: usize, event: Event) {
        self.handle_with(n, event, None);
    }

    /// `kept`: what a run may be answered with.
    fn handle_with(&mut self, n: usize, event: Event, kept: Option<&Kept>) {
        let commands = self.clients[n].session.handle(self.now, event);
        let mut served = None;
        for command in commands {
            match command {
                Command::Run(run) => {
                    let ask = Ask {
                        asker: To(n),
                        run,
                        is_admin: false,
                        alone: false,
                    };
                    let owner = Some(self.owner);
                    let at_once = kept.and_then(|kept| kept.serve(self.now, owner, &ask));
                    if at_once.is_some() {
                        served = at_once;
                        continue;
                    }
                    match self.sharing.ask(self.now, owner, ask) {
                        Asked::Served(told) => served = Some(told),
                        Asked::Queued => self.wanted.push(self.now),
                        Asked::Later(at) => self.wanted.push(at),
                        Asked::Joined => {}
                    }
                }
                Command::Extend(run) => {
                    // The snapshot is gone.
                    self.clients[n]
                        .inbox
                        .push_back(News::Event(Event::RunFailed { run: run.number }));
                }
                Command::Unregister(subs) => {
                    for hold in self.clients[n].holds.forget(&subs) {
                        self.release(hold);
                    }
                }
                Command::Send(message) => {
                    self.clients[n].unsent += 1;
                    self.clients[n].receive(n, &message, &self.database);
                }
                Command::Mutate(_) | Command::Close { .. } => panic!("nobody asked for it"),
            }
        }
        if let Some(told) = served {
            self.finish(n, told);
        }
    }

    fn release(&mut self, hold: Hold) {
        if let Some(execution) = self.sharing.release(self.now, hold) {
            self.registered.remove(&execution);
        }
    }

    fn spread(&mut self, news: Vec<Invalidation<To>>) {
        for Invalidation { asker, news } in news {
            self.clients[asker.0].inbox.push_back(News::OutOfDate(news));
        }
    }

    /// An answer goes through the same queue as invalidations.
    fn tell(&mut self, told: Vec<Told<To>>) {
        for told in told {
            self.clients[told.asker.0].inbox.push_back(News::Run(told));
        }
    }

    fn finish(&mut self, n: usize, mut told: Told<To>) {
        let older = self.clients[n].holds.take_over(&mut told);
        for event in told.events() {
            self.handle(n, event);
        }
        for hold in older {
            self.release(hold);
        }
    }

    fn deliver(&mut self, n: usize) -> bool {
        match self.clients[n].inbox.pop_front() {
            None => return false,
            Some(News::Event(event)) => self.handle(n, event),
            Some(News::Run(told)) => self.finish(n, told),
            Some(News::OutOfDate(news)) => {
                let outdated = self.clients[n].holds.out_of_date(&news);
                if let Some(hold) = outdated.release {
                    self.release(hold);
                }
                self.handle_with(n, outdated.event, outdated.kept.as_ref());
            }
        }
        true
    }

    fn write(&mut self, keys: Vec<u64>) {
        self.database.c += 1;
        let c = self.database.c;
        let touched = |entry: &(&Sub, &(u64, u64))| keys.contains(&entry.1.0);
        let hit: Vec<Sub> = self
            .registered
            .iter()
            .filter(touched)
            .map(|(sub, _)| *sub)
            .collect();
        self.database.writes.push((keys, c));
        for execution in hit {
            self.registered.remove(&execution);
            self.invalidations.push_back((execution, at(c)));
        }
    }

    fn step(&mut self, choice: u32) -> bool {
        let (what, detail) = (choice % 16, choice / 16);
        let n = detail as usize % SESSIONS;
        let key = u64::from(detail) % KEYS;
        match what {
            0 => self.write(vec![key]),
            1 => self.write(vec![key, (key + 1) % KEYS]),
            2 | 3 => self.modify(n, Some(u64::from(detail / 3) % KEYS)),
            4 => self.modify(n, None),
            5 | 6 => return self.begin(),
            7 => return self.take_snapshot(detail),
            8 => return self.register(detail.is_multiple_of(5)),
            9 | 10 => return self.end(detail),
            11 => return self.fail(detail),
            12 | 13 => return self.invalidate(),
            14 => return self.deliver(n),
            _ => return self.pass_time(n, detail),
        }
        true
    }

    fn modify(&mut self, n: usize, add: Option<u64>) {
        let client = &mut self.clients[n];
        let modification = match (add, client.live.first_key_value()) {
            (None, None) => return,
            (None, Some((query_id, _))) => {
                let query_id = *query_id;
                client.live.remove(&query_id);
                Modification::Remove { query_id }
            }
            (Some(key), _) => {
                let query_id = client.next_query;
                client.next_query += 1;
                client.live.insert(query_id, key);
                Modification::Add {
                    query_id,
                    // Every second one asks who is calling.
                    path: format!("{key}{}", if query_id.is_multiple_of(2) { "" } else { "@" }),
                    args: "[{}]".into(),
                    journal: None,
                }
            }
        };
        let base_version = client.query_set;
        client.query_set += 1;
        self.handle(
            n,
            Event::Message(ClientMessage::ModifyQuerySet {
                base_version,
                new_version: base_version + 1,
                modifications: vec![modification],
            }),
        );
    }

    fn begin(&mut self) -> bool {
        let now = self.now;
        if !self.wanted.iter().any(|at| *at <= now) {
            return false;
        }
        let Some(batch) = self.sharing.next_batch(now, self.owner, true) else {
            self.wanted.retain(|at| *at > now);
            return false;
        };
        let distinct = |call: &Call| (call.path.clone(), call.identity.clone());
        let mut calls: Vec<_> = batch.calls.iter().map(distinct).collect();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), batch.calls.len(), "each query once in a batch");
        self.executed += batch.calls.len() as u64;
        self.under_way.push(UnderWay {
            batch,
            snapshot: None,
            positions: None,
        });
        true
    }

    fn take_snapshot(&mut self, age: u32) -> bool {
        let c = self.database.c.saturating_sub(u64::from(age % 2)).max(1);
        let waiting = self.under_way.iter_mut().find(|it| it.snapshot.is_none());
        let Some(under_way) = waiting else {
            return false;
        };
        // An older snapshot than the present one: the transaction began some time ago.
        under_way.snapshot = Some(c);
        true
    }

    /// R6, as the invalidator does it.
    fn register(&mut self, one_fails: bool) -> bool {
        let database = &self.database;
        let ready = |it: &&mut UnderWay| it.snapshot.is_some() && it.positions.is_none();
        let Some(under_way) = self.under_way.iter_mut().find(ready) else {
            return false;
        };
        let (snapshot, now) = (under_way.snapshot.unwrap(), database.c);
        let mut positions = Vec::new();
        for (n, call) in under_way.batch.calls.iter().enumerate() {
            self.position += 1;
            let ok = !(one_fails && n == 0);
            positions.push(ok.then_some(self.position));
            let key = number(&call.path);
            if ok && database.read(key, snapshot) != database.read(key, now) {
                self.invalidations.push_back((call.sub, at(now)));
            } else if ok {
                self.registered.insert(call.sub, (key, snapshot));
            }
        }
        under_way.positions = Some(positions);
        true
    }

    fn end(&mut self, which: u32) -> bool {
        let ready = |it: &UnderWay| it.positions.is_some();
        let ready: Vec<usize> = (0..self.under_way.len())
            .filter(|n| ready(&self.under_way[*n]))
            .collect();
        if ready.is_empty() {
            return false;
        }
        // R10: everything that a record tells of was passed on before.
        let release = if which.is_multiple_of(3) {
            None
        } else {
            while self.invalidate() {}
            Some(Release {
                boot: 1,
                w: self.position.saturating_sub(u64::from(which % 2)),
                clear: true,
            })
        };
        let done = self.under_way.remove(ready[which as usize % ready.len()]);
        let (snapshot, positions) = (done.snapshot.unwrap(), done.positions.unwrap());
        let result = |(call, registered): (&Call, Option<Position>)| {
            let personal = call.path.ends_with('@');
            let value = self.database.read(number(&call.path), snapshot);
            let reader = call.identity.as_deref().filter(|_| personal);
            let result = QueryResult {
                outcome: Ok(format!("{value}@{}", reader.unwrap_or(""))),
                log_lines: vec![],
                journal: None,
                registered,
                not_live: None,
            };
            let observed = Observed {
                identity: personal,
                clock: false,
            };
            (result, observed)
        };
        let results = done.batch.calls.iter().zip(positions).map(result);
        let outcome = Outcome {
            moment: at(snapshot),
            results: results.collect(),
            release: release.filter(|_| done.batch.keeps),
        };
        let done = self.sharing.done(self.now, &done.batch, outcome, 1.0);
        self.wanted.extend(done.later);
        if done.more {
            self.wanted.push(self.now);
        }
        for execution in done.unregister {
            self.registered.remove(&execution);
        }
        self.spread(done.news);
        self.tell(done.told);
        true
    }

    fn fail(&mut self, which: u32) -> bool {
        if self.under_way.is_empty() {
            return false;
        }
        let which = which as usize % self.under_way.len();
        let calls = self.under_way[which].batch.calls.len();
        if self.under_way[which].positions.is_none() && calls > 1 {
            // One of its queries is to blame.
            let batch = &mut self.under_way[which].batch;
            for execution in self.sharing.split(self.now, batch, 0) {
                self.registered.remove(&execution);
            }
            self.wanted.push(self.now);
            self.under_way[which].snapshot = None;
            return true;
        }
        let failed = self.under_way.remove(which);
        let done = self.sharing.failed(&failed.batch);
        if done.more {
            self.wanted.push(self.now);
        }
        for execution in done.unregister {
            self.registered.remove(&execution);
        }
        self.spread(done.news);
        self.tell(done.told);
        true
    }

    fn invalidate(&mut self) -> bool {
        let Some((execution, moment)) = self.invalidations.pop_front() else {
            return false;
        };
        let invalidated = self.sharing.invalidated(self.now, execution, moment);
        self.spread(invalidated.told);
        self.wanted.extend(invalidated.wanted);
        true
    }

    fn pass_time(&mut self, n: usize, detail: u32) -> bool {
        if self.clients[n].unsent > 0 {
            self.clients[n].unsent -= 1;
            self.handle(n, Event::Sent);
            return true;
        }
        if detail.is_multiple_of(40) {
            // R8
            self.owner += 1;
            self.registered.clear();
            self.invalidations.clear();
            self.sharing.forget_registrations();
            for n in 0..SESSIONS {
                self.clients[n]
                    .inbox
                    .push_back(News::Event(Event::RegistrationsLost));
            }
            return true;
        }
        self.now += 5;
        let due = self.clients[n].session.wake_at();
        if due.is_some_and(|at| at <= self.now) {
            self.handle(n, Event::Timer);
            return true;
        }
        false
    }

    /// Lets everything come to an end, and checks that nothing was forgotten.
    fn settle(&mut self) {
        // What is slowed down has its turn after a while.
        let mut quiet = 0;
        for _ in 0..20_000 {
            let mut busy = self.invalidate() || self.begin();
            while let Some(it) = self.under_way.iter_mut().find(|it| it.snapshot.is_none()) {
                it.snapshot = Some(self.database.c);
            }
            while self.register(false) {}
            busy |= self.end(1);
            for n in 0..SESSIONS {
                busy |= self.deliver(n);
                while self.clients[n].unsent > 0 {
                    self.clients[n].unsent -= 1;
                    self.handle(n, Event::Sent);
                }
                busy |= self.clients[n].session.wake_at().is_some();
                self.now += 100;
                // At no other time: whoever is to be woken must say so.
                if self.clients[n]
                    .session
                    .wake_at()
                    .is_some_and(|at| at <= self.now)
                {
                    self.handle(n, Event::Timer);
                }
            }
            busy |= !self.wanted.is_empty();
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 3 {
                return self.check_end();
            }
        }
        panic!("it never becomes quiet");
    }

    fn check_end(&self) {
        for (n, client) in self.clients.iter().enumerate() {
            assert_eq!(client.version.query_set, client.query_set);
            for (id, key) in &client.live {
                let newest = self.database.read(*key, self.database.c);
                assert_eq!(
                    client.results.get(id),
                    Some(&newest),
                    "client {n}, query {id}"
                );
            }
            assert_eq!(client.results.len(), client.live.len());
        }
        let held: usize = self.clients.iter().map(|client| client.holds.len()).sum();
        assert!(
            self.registered.len() <= held,
            "what nobody holds is unregistered"
        );
    }
}

impl Client {
    fn receive(&mut self, n: usize, message: &ServerMessage, database: &Database) {
        let ServerMessage::Transition(transition) = message else {
            panic!("unexpected {message:?}");
        };
        assert_eq!(transition.start, self.version, "versions form a chain");
        assert!(transition.end.ts >= self.version.ts);
        self.version = transition.end;
        for modification in &transition.modifications {
            match modification {
                StateModification::Updated {
                    query_id, answer, ..
                } => {
                    let text = answer.outcome.as_ref().unwrap();
                    let reader = text.split('@').nth(1).unwrap();
                    let expected = if query_id.is_multiple_of(2) {
                        String::new()
                    } else {
                        format!("user {n}")
                    };
                    assert_eq!(reader, expected, "the result of another user");
                    self.results.insert(*query_id, number(text));
                }
                StateModification::Removed { query_id } => {
                    self.results.remove(query_id);
                }
            }
        }
        let fits = |snapshot: &u64| {
            let mut shown = self
                .results
                .iter()
                .filter_map(|(id, v)| Some((self.live.get(id)?, v)));
            shown.all(|(key, value)| database.read(*key, *snapshot) == *value)
        };
        let snapshot = (self.at_least..=database.c).find(fits);
        self.at_least = snapshot.unwrap_or_else(|| {
            panic!(
                "client {n}: no snapshot from {} on has {:?} of {:?} ({:?})",
                self.at_least, self.results, self.live, database.writes
            )
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn every_session_moves_from_one_snapshot_to_a_newer_one(
        crowd in 1..=SESSIONS + 1,
        choices in prop::collection::vec(any::<u32>(), 0..250),
    ) {
        let mut world = World::with_crowd(crowd);
        for choice in choices {
            world.step(choice);
        }
        world.settle();
    }
}
