//! Random orders of everything that can happen around a session, against a model of the database,
//! the invalidator and the client. The model's client checks each message; at the end everything
//! under way is finished, and the client must then have the newest state.
//!
//! A failing case prints its seed; the shrunk case is a list of numbers for [`World::step`].

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};

use pg_live_session::*;
use proptest::prelude::*;

/// Queries read one of these keys, mutations write one.
const KEYS: u64 = 3;

/// Value of a key: the completion count of its last write.
#[derive(Default)]
struct Database {
    boot: u64,
    /// No snapshot of this boot is older.
    oldest: u64,
    c: u64,
    /// (key, c), ascending.
    writes: Vec<(u64, u64)>,
}

impl Database {
    fn write(&mut self, key: u64) -> u64 {
        self.c += 1;
        self.writes.push((key, self.c));
        self.c
    }

    fn read(&self, key: u64, snapshot: u64) -> u64 {
        let visible = |w: &&(u64, u64)| w.0 == key && w.1 <= snapshot;
        self.writes.iter().rev().find(visible).map_or(0, |w| w.1)
    }
}

struct RunUnderWay {
    run: Run,
    snapshot: Option<Moment>,
    /// Positions of the registrations that were made.
    registered: Option<Vec<Option<Position>>>,
}

/// What the shell learns of the invalidator while it executes a run that keeps.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    /// Something visible is unresolved.
    NotClear,
    /// A record from before the newest registrations.
    Behind,
    All,
}

struct MutationUnderWay {
    mutation: Mutation,
    committed: Option<Moment>,
}

#[derive(Default)]
struct Client {
    version: Version,
    next_query: QueryId,
    next_request: RequestId,
    query_set: u32,
    identity: u32,
    live: BTreeMap<QueryId, u64>,
    results: BTreeMap<QueryId, u64>,
    /// Snapshot that the results belong to: at least.
    at_least: u64,
    /// Committed mutations: c and, once answered, the timestamp.
    mutations: BTreeMap<RequestId, (u64, Option<u64>)>,
}

struct World {
    now: Millis,
    session: Session,
    database: Database,
    registrations: BTreeMap<Sub, (RunNumber, u64, Moment)>,
    position: Position,
    invalidations: Vec<(Sub, RunNumber, Moment)>,
    run: Option<RunUnderWay>,
    mutation: Option<MutationUnderWay>,
    unsent: VecDeque<ServerMessage>,
    client: Client,
    closed: bool,
}

fn key_of(text: &str) -> u64 {
    text.parse().unwrap()
}

impl World {
    fn new(observed: Option<u64>, keep_from: usize) -> Self {
        let limits = Limits {
            keep_from,
            ..Limits::default()
        };
        let mut world = Self {
            now: 0,
            session: Session::new(7, limits),
            position: 0,
            database: Database {
                boot: 1,
                oldest: 1,
                c: 1,
                ..Database::default()
            },
            registrations: BTreeMap::new(),
            invalidations: Vec::new(),
            run: None,
            mutation: None,
            unsent: VecDeque::new(),
            client: Client::default(),
            closed: false,
        };
        world.message(ClientMessage::Connect {
            session_id: "s".into(),
            max_observed_timestamp: observed,
        });
        world
    }

    fn message(&mut self, message: ClientMessage) {
        self.event(Event::Message(message));
    }

    fn event(&mut self, event: Event) {
        for command in self.session.handle(self.now, event) {
            match command {
                Command::Run(run) => {
                    assert!(self.run.is_none(), "one run at a time");
                    self.run = Some(RunUnderWay {
                        run,
                        snapshot: None,
                        registered: None,
                    });
                }
                Command::Extend(run) => {
                    assert!(self.run.is_none(), "one run at a time");
                    self.run = Some(RunUnderWay {
                        snapshot: Some(run.min),
                        run,
                        registered: None,
                    });
                }
                Command::Mutate(mutation) => {
                    assert!(self.mutation.is_none(), "one mutation in flight");
                    self.mutation = Some(MutationUnderWay {
                        mutation,
                        committed: None,
                    });
                }
                Command::Unregister(subs) => {
                    for sub in subs {
                        let running = self
                            .run
                            .as_ref()
                            .is_some_and(|r| r.run.queries.iter().any(|q| q.sub == sub));
                        assert!(
                            !running,
                            "unregistered before the run that registers it is over"
                        );
                        self.registrations.remove(&sub);
                    }
                }
                Command::Send(message) => {
                    self.client.receive(&message, &self.database);
                    self.unsent.push_back(message);
                }
                Command::Close { .. } => self.closed = true,
            }
        }
    }

    fn write(&mut self, key: u64) -> Moment {
        let c = self.database.write(key);
        let moment = Moment {
            boot: self.database.boot,
            c,
        };
        let hit: Vec<_> = self
            .registrations
            .iter()
            .filter(|(_, r)| r.1 == key)
            .map(|(s, r)| (*s, r.0))
            .collect();
        for (sub, generation) in hit {
            self.registrations.remove(&sub);
            self.invalidations.push((sub, generation, moment));
        }
        moment
    }

    /// One thing happens, chosen by `choice`; false if it was not possible.
    fn step(&mut self, choice: u32) -> bool {
        let (what, detail) = (choice % 20, choice / 20);
        let key = u64::from(detail) % KEYS;
        match what {
            0 | 1 => {
                self.write(key);
            }
            2 => self.modify(Some(key)),
            3 => self.modify(None),
            4 => self.mutate(key),
            5 => return self.take_snapshot(detail % 4),
            6 => return self.register(detail.is_multiple_of(3)),
            7 => {
                return self.finish_run(match detail % 8 {
                    0 => Known::Nothing,
                    2 => Known::NotClear,
                    4 => Known::Behind,
                    _ => Known::All,
                });
            }
            8 => return self.fail_run(),
            9 | 10 => return self.invalidate(detail as usize),
            11 => return self.commit(detail.is_multiple_of(8)),
            12 => return self.answer(),
            13 | 14 => return self.sent(),
            15 => return self.wait(),
            16 => self.lose_registrations(detail.is_multiple_of(2)),
            17 => self.authenticate(),
            18 => return self.take_snapshot(0),
            _ => return self.invalidate(0),
        }
        true
    }

    fn modify(&mut self, add: Option<u64>) {
        let modification = match (add, self.client.live.first_key_value()) {
            (None, None) => return,
            (None, Some((query_id, _))) => Modification::Remove {
                query_id: *query_id,
            },
            (Some(key), _) => Modification::Add {
                query_id: self.client.next_query,
                path: key.to_string(),
                args: "[{}]".into(),
                journal: None,
            },
        };
        match (&modification, add) {
            (Modification::Remove { query_id }, _) => {
                self.client.live.remove(query_id);
            }
            (Modification::Add { query_id, .. }, Some(key)) => {
                self.client.live.insert(*query_id, key);
                self.client.next_query += 1;
            }
            (Modification::Add { .. }, None) => unreachable!("adds have a key"),
        }
        let base_version = self.client.query_set;
        self.client.query_set += 1;
        self.message(ClientMessage::ModifyQuerySet {
            base_version,
            new_version: base_version + 1,
            modifications: vec![modification],
        });
    }

    fn mutate(&mut self, key: u64) {
        let request_id = self.client.next_request;
        self.client.next_request += 1;
        let (path, args) = (key.to_string(), "[{}]".into());
        self.message(ClientMessage::Mutation {
            request_id,
            path,
            args,
        });
    }

    fn authenticate(&mut self) {
        let base_version = self.client.identity;
        self.client.identity += 1;
        let authentication = Authentication::Admin { acting_as: None };
        self.message(ClientMessage::Authenticate {
            base_version,
            authentication,
        });
    }

    fn take_snapshot(&mut self, age: u32) -> bool {
        let Some(run) = self.run.as_mut().filter(|r| r.snapshot.is_none()) else {
            return false;
        };
        let c = self
            .database
            .c
            .saturating_sub(age.into())
            .max(self.database.oldest);
        run.snapshot = Some(Moment {
            boot: self.database.boot,
            c,
        });
        true
    }

    /// R6, as the invalidator does it.
    fn register(&mut self, one_fails: bool) -> bool {
        let Some(run) = self.run.as_mut().filter(|r| r.registered.is_none()) else {
            return false;
        };
        let Some(snapshot) = run.snapshot else {
            return false;
        };
        let mut registered = Vec::new();
        for (n, query) in run.run.queries.iter().enumerate() {
            let ok = !(one_fails && n == 0);
            self.position += 1;
            registered.push(ok.then_some(self.position));
            self.registrations.remove(&query.sub);
            if !ok {
                continue;
            }
            let (key, now) = (key_of(&query.path), self.database.c);
            let moment = Moment {
                boot: self.database.boot,
                c: now,
            };
            if snapshot.boot != self.database.boot
                || self.database.read(key, snapshot.c) != self.database.read(key, now)
            {
                self.invalidations.push((query.sub, run.run.number, moment));
            } else {
                self.registrations
                    .insert(query.sub, (run.run.number, key, snapshot));
            }
        }
        run.registered = Some(registered);
        true
    }

    /// R10: everything that a record tells of was passed on before.
    fn release(&mut self, known: Known) -> Option<Release> {
        let (clear, behind) = match known {
            Known::Nothing => return None,
            Known::NotClear => (false, 0),
            Known::Behind => (true, 2),
            Known::All => (true, 0),
        };
        let w = self.position.saturating_sub(behind);
        while self.invalidate(0) {}
        let boot = self.database.boot;
        Some(Release { boot, w, clear })
    }

    fn finish_run(&mut self, known: Known) -> bool {
        if self.run.as_ref().is_none_or(|r| r.registered.is_none()) {
            return false;
        }
        let release = match &self.run {
            Some(under_way) if under_way.run.keeps => self.release(known),
            _ => None,
        };
        let Some(RunUnderWay {
            run,
            snapshot: Some(moment),
            registered: Some(ok),
        }) = self.run.take_if(|r| r.registered.is_some())
        else {
            return false;
        };
        let read = |(query, registered): (&RunQuery, Option<Position>)| {
            let value = self
                .database
                .read(key_of(&query.path), moment.c)
                .to_string();
            let result = QueryResult {
                outcome: Ok(value),
                log_lines: vec![],
                journal: None,
                registered,
                not_live: None,
            };
            (query.sub, result.into())
        };
        let results = run.queries.iter().zip(ok).map(read).rev().collect();
        self.event(Event::RunFinished {
            run: run.number,
            moment,
            results,
            release,
        });
        true
    }

    fn fail_run(&mut self) -> bool {
        let Some(failed) = self.run.take() else {
            return false;
        };
        self.event(Event::RunFailed {
            run: failed.run.number,
        });
        true
    }

    fn invalidate(&mut self, which: usize) -> bool {
        if self.invalidations.is_empty() {
            return false;
        }
        let which = which % self.invalidations.len();
        let (sub, generation, moment) = self.invalidations.swap_remove(which);
        self.event(Event::Invalidated {
            sub,
            generation,
            moment,
        });
        true
    }

    fn commit(&mut self, fails: bool) -> bool {
        let waiting = self.mutation.as_ref().filter(|m| m.committed.is_none());
        let Some(mutation) = waiting.map(|m| m.mutation.clone()) else {
            return false;
        };
        let request_id = mutation.request_id;
        if fails {
            self.mutation = None;
            let failure = Failure {
                message: "no".into(),
                data: None,
            };
            let outcome = MutationOutcome::Failed {
                failure,
                log_lines: vec![],
            };
            self.event(Event::MutationFinished {
                request_id,
                outcome,
            });
            return true;
        }
        let moment = self.write(key_of(&mutation.path));
        self.client.mutations.insert(request_id, (moment.c, None));
        self.mutation = Some(MutationUnderWay {
            mutation,
            committed: Some(moment),
        });
        true
    }

    fn answer(&mut self) -> bool {
        let Some(MutationUnderWay {
            mutation,
            committed: Some(moment),
        }) = self.mutation.take_if(|m| m.committed.is_some())
        else {
            return false;
        };
        let outcome = MutationOutcome::Committed {
            moment,
            value: "null".into(),
            log_lines: vec![],
        };
        self.event(Event::MutationFinished {
            request_id: mutation.request_id,
            outcome,
        });
        true
    }

    fn sent(&mut self) -> bool {
        let some = self.unsent.pop_front().is_some();
        if some {
            self.event(Event::Sent);
        }
        some
    }

    fn wait(&mut self) -> bool {
        let Some(at) = self.session.wake_at() else {
            return false;
        };
        assert!(at > self.now, "a timer must lie ahead, or the shell spins");
        self.now = at;
        self.event(Event::Timer);
        true
    }

    fn lose_registrations(&mut self, new_boot: bool) {
        if new_boot {
            self.database.boot += 1;
            self.database.c += 1;
            self.database.oldest = self.database.c;
        }
        self.registrations.clear();
        self.invalidations.clear();
        self.event(Event::RegistrationsLost);
    }

    /// Lets everything come to an end, and checks that nothing was forgotten.
    fn settle(&mut self) {
        let mut steps = 0;
        while [6, 18, 7, 11, 12, 13, 19, 15]
            .iter()
            .any(|what| self.step(20 + what))
        {
            steps += 1;
            assert!(steps < 10_000, "the session does not come to rest");
        }
        let client = &self.client;
        assert_eq!(client.version.query_set, client.query_set);
        assert_eq!(client.version.identity, client.identity);
        for (id, key) in &client.live {
            let newest = self.database.read(*key, self.database.c);
            assert_eq!(
                client.results.get(id),
                Some(&newest),
                "query {id}: a lost invalidation"
            );
        }
        for (id, (_, ts)) in &client.mutations {
            let ts = ts.expect("every mutation is answered");
            assert!(
                client.version.ts >= ts,
                "mutation {id} is never shown as applied"
            );
        }
        assert_eq!(
            self.registrations.len(),
            client.live.len(),
            "all live queries, and only those"
        );
    }
}

impl Client {
    fn receive(&mut self, message: &ServerMessage, database: &Database) {
        match message {
            ServerMessage::Transition(transition) => self.transit(transition, database),
            ServerMessage::MutationResponse {
                request_id, result, ..
            } => {
                if let Ok((_, ts)) = result {
                    let (_, answered) = self.mutations.get_mut(request_id).unwrap();
                    assert_eq!(answered.replace(*ts), None, "answered once");
                }
            }
            ServerMessage::ActionResponse { .. }
            | ServerMessage::AuthError { .. }
            | ServerMessage::FatalError { .. } => panic!("unexpected {message:?}"),
        }
    }

    fn transit(&mut self, transition: &Transition, database: &Database) {
        assert_eq!(transition.start, self.version, "versions form a chain");
        assert!(transition.end.ts >= self.version.ts && transition.end != Version::default());
        self.version = transition.end;
        for modification in &transition.modifications {
            match modification {
                StateModification::Updated {
                    query_id, answer, ..
                } => {
                    let value = answer.outcome.as_ref().unwrap().parse().unwrap();
                    assert_ne!(self.results.insert(*query_id, value), Some(value), "R15");
                }
                StateModification::Removed { query_id } => {
                    self.results.remove(query_id);
                }
            }
        }
        self.check_snapshot(database);
    }

    /// R11, R12, R13: all results belong to one snapshot, not older than the one before, that sees
    /// a mutation only if it was answered, and surely if the timestamp says so.
    fn check_snapshot(&mut self, database: &Database) {
        let mut oldest = self.at_least;
        for (c, ts) in self.mutations.values() {
            match ts {
                Some(ts) if self.version.ts >= *ts => oldest = oldest.max(*c),
                Some(_) => {}
                None => {
                    let seen = self.results.values().any(|value| value >= c);
                    assert!(!seen, "a mutation's effect is shown before its response");
                }
            }
        }
        let keys: BTreeMap<_, _> = self.live.iter().collect();
        let fits = |snapshot: &u64| {
            let mut shown = self
                .results
                .iter()
                .filter_map(|(id, v)| Some((keys.get(id)?, v)));
            shown.all(|(key, value)| database.read(**key, *snapshot) == *value)
        };
        let snapshot = (oldest..=database.c).find(fits);
        self.at_least = snapshot.unwrap_or_else(|| {
            panic!(
                "no snapshot from {oldest} on has {:?} ({:?})",
                self.results, database.writes
            )
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_torn_or_early(
        observed in prop_oneof![Just(None), (0u64..(4 << 44)).prop_map(Some)],
        keep_from in 1usize..5,
        choices in proptest::collection::vec(any::<u32>(), 0..300),
    ) {
        let mut world = World::new(observed, keep_from);
        for choice in choices {
            world.step(choice);
        }
        prop_assert!(!world.closed);
        world.settle();
    }

    #[test]
    fn after_the_client_left_nothing_stays_registered(
        keep_from in 1usize..5,
        choices in proptest::collection::vec(any::<u32>(), 0..200),
    ) {
        let mut world = World::new(None, keep_from);
        for choice in choices {
            world.step(choice);
        }
        world.event(Event::Disconnected);
        for what in [18, 6, 7, 11, 12] {
            world.step(20 + what);
        }
        prop_assert!(world.session.is_finished());
        prop_assert!(world.registrations.is_empty());
    }
}
