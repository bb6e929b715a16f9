//! A client, and the oracle that it is: what it is shown must have been true, all at once, and
//! never older than what it was shown before.

use std::collections::BTreeMap;

use pg_live_session::{
    ClientMessage, Modification, QueryId, RequestId, ServerMessage, StateModification, Transition,
    Version,
};

use crate::database::{Database, Request, Time};
use crate::query::Query;

/// A mutation that is not answered.
#[derive(Debug)]
struct Unanswered {
    /// Whether an earlier connection sent it already.
    resent: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    session_id: String,
    pub(crate) connected: Option<u32>,
    wanted: BTreeMap<QueryId, Query>,
    next_query: QueryId,
    next_request: RequestId,
    unanswered: BTreeMap<RequestId, Unanswered>,
    /// Timestamps of mutations answered on this connection.
    answered: BTreeMap<RequestId, u64>,
    /// The query set at each of its versions.
    sets: Vec<BTreeMap<QueryId, Query>>,
    version: Version,
    results: BTreeMap<QueryId, String>,
    /// The earliest time at which all that was shown can have been true.
    at: Time,
    observed: Option<u64>,
    pub(crate) transitions: u64,
}

impl Client {
    pub(crate) fn new(number: usize) -> Self {
        Client {
            session_id: format!("client {number}"),
            connected: None,
            wanted: BTreeMap::new(),
            next_query: 0,
            next_request: 0,
            unanswered: BTreeMap::new(),
            answered: BTreeMap::new(),
            sets: vec![BTreeMap::new()],
            version: Version::default(),
            results: BTreeMap::new(),
            at: 0,
            observed: None,
            transitions: 0,
        }
    }

    /// Opens a connection: says everything anew, and what was not answered again (R14).
    pub(crate) fn connect(&mut self, session: u32) -> Vec<ClientMessage> {
        self.connected = Some(session);
        self.version = Version::default();
        self.results.clear();
        self.answered.clear();
        self.sets = vec![BTreeMap::new()];
        let mut messages = vec![ClientMessage::Connect {
            session_id: self.session_id.clone(),
            max_observed_timestamp: self.observed,
        }];
        if !self.wanted.is_empty() {
            let added = self.wanted.iter().map(|(id, query)| add(*id, *query));
            let added = added.collect();
            messages.push(self.modify(added));
        }
        for (request_id, unanswered) in &mut self.unanswered {
            unanswered.resent = true;
            messages.push(mutation(*request_id));
        }
        messages
    }

    pub(crate) fn disconnect(&mut self) {
        self.connected = None;
    }

    pub(crate) fn add(&mut self, query: Query) -> ClientMessage {
        let id = self.next_query;
        self.next_query += 1;
        self.wanted.insert(id, query);
        self.modify(vec![add(id, query)])
    }

    pub(crate) fn remove_oldest(&mut self) -> Option<ClientMessage> {
        let (query_id, _) = self.wanted.pop_first()?;
        Some(self.modify(vec![Modification::Remove { query_id }]))
    }

    pub(crate) fn mutate(&mut self) -> ClientMessage {
        let request_id = self.next_request;
        self.next_request += 1;
        let unanswered = Unanswered { resent: false };
        self.unanswered.insert(request_id, unanswered);
        mutation(request_id)
    }

    pub(crate) fn queries(&self) -> usize {
        self.wanted.len()
    }

    fn modify(&mut self, modifications: Vec<Modification>) -> ClientMessage {
        self.sets.push(self.wanted.clone());
        let new_version = u32::try_from(self.sets.len() - 1).expect("few changes");
        ClientMessage::ModifyQuerySet {
            base_version: new_version - 1,
            new_version,
            modifications,
        }
    }

    /// Takes in a message. The error says what is wrong with it.
    pub(crate) fn receive(&mut self, message: ServerMessage, db: &Database) -> Result<(), String> {
        match message {
            ServerMessage::Transition(transition) => self.show(transition, db),
            ServerMessage::MutationResponse {
                request_id, result, ..
            } => self.answer(request_id, result.map(|(_, ts)| ts).ok(), db),
            ServerMessage::ActionResponse { .. }
            | ServerMessage::AuthError { .. }
            | ServerMessage::FatalError { .. } => Err(format!("unexpected {message:?}")),
        }
    }

    /// R14: an answered mutation was applied once, a refused one never.
    fn answer(&mut self, id: RequestId, ts: Option<u64>, db: &Database) -> Result<(), String> {
        let known = self.unanswered.remove(&id).is_some();
        let applied = db.applied.get(&self.request(id)).map_or(0, Vec::len);
        if !known || applied != usize::from(ts.is_some()) {
            return Err(format!(
                "R14: mutation {id} answered with {ts:?}, awaited: {known}, applied {applied} times"
            ));
        }
        if let Some(ts) = ts {
            self.answered.insert(id, ts);
        }
        Ok(())
    }

    fn show(&mut self, transition: Transition, db: &Database) -> Result<(), String> {
        let Transition {
            start,
            end,
            modifications,
        } = transition;
        if start != self.version || end.ts < start.ts || end.query_set < start.query_set {
            return Err(format!("{start:?} to {end:?} after {:?}", self.version));
        }
        if self.observed > Some(end.ts) {
            return Err(format!("R13: {} after {:?}", end.ts, self.observed));
        }
        for modification in modifications {
            match modification {
                StateModification::Updated {
                    query_id, outcome, ..
                } => {
                    let value = outcome.map_err(|failure| failure.message)?;
                    if self.results.get(&query_id) == Some(&value) {
                        return Err(format!("R15: query {query_id} is unchanged"));
                    }
                    self.results.insert(query_id, value);
                }
                StateModification::Removed { query_id } => {
                    self.results.remove(&query_id);
                }
            }
        }
        self.version = end;
        self.observed = Some(end.ts);
        self.transitions += 1;
        self.at = self.earliest(db)?;
        Ok(())
    }

    /// R11, R12, R13: the earliest time, not before the last one, at which all results were true
    /// and exactly those mutations were visible that may be.
    fn earliest(&self, db: &Database) -> Result<Time, String> {
        let set = self
            .sets
            .get(self.version.query_set as usize)
            .ok_or("a query set from the future")?;
        if !set.keys().eq(self.results.keys()) {
            return Err(format!("results {:?} for {set:?}", self.results));
        }
        let (mut from, mut before) = (self.at, db.now + 1);
        for (id, ts) in &self.answered {
            let Some(applied) = self.applied(*id, db) else {
                continue;
            };
            if *ts <= self.version.ts {
                from = from.max(applied);
            } else if !db.answered_late.contains(&self.request(*id)) {
                before = before.min(applied);
            }
        }
        let first_sent = self.unanswered.iter().filter(|(_, sent)| !sent.resent);
        for applied in first_sent.filter_map(|(id, _)| self.applied(*id, db)) {
            before = before.min(applied);
        }
        let holds = |at: &Time| {
            set.iter()
                .all(|(id, query)| self.results.get(id) == Some(&query.result(db, *at)))
        };
        if set.is_empty() {
            return Ok(self.at);
        }
        (from..before).find(holds).ok_or_else(|| {
            let held: Vec<Time> = (0..=db.now).filter(holds).collect();
            format!(
                "torn, backwards or too early: {:?} for {set:?} at {:?} must hold in \
                 {from}..{before} and holds at {held:?}; answered {:?}, applied {:?}, shown {}",
                self.results, self.version, self.answered, db.applied, self.at
            )
        })
    }

    fn applied(&self, id: RequestId, db: &Database) -> Option<Time> {
        let times = db.applied.get(&self.request(id))?;
        times.first().copied()
    }

    fn request(&self, id: RequestId) -> Request {
        (self.session_id.clone(), id)
    }

    /// Once all is quiet: everything wanted is shown as it is now, and every mutation was answered,
    /// and was shown in a transition.
    pub(crate) fn check_current(&self, db: &Database) -> Result<(), String> {
        if self.connected.is_none() {
            return Err("a client is left without a connection".into());
        }
        for (id, query) in &self.wanted {
            let now = query.result(db, db.now);
            let shown = self.results.get(id);
            if shown != Some(&now) {
                return Err(format!(
                    "stale: query {id} ({query}) shows {shown:?}, is {now}"
                ));
            }
        }
        if let Some((id, _)) = self.unanswered.first_key_value() {
            return Err(format!("mutation {id} was never answered"));
        }
        if let Some((id, ts)) = self.answered.iter().find(|(_, ts)| **ts > self.version.ts) {
            let shown = self.version.ts;
            return Err(format!(
                "R13: mutation {id} at {ts}, last transition at {shown}"
            ));
        }
        Ok(())
    }
}

fn add(query_id: QueryId, query: Query) -> Modification {
    Modification::Add {
        query_id,
        path: query.to_string(),
        args: "[{}]".into(),
        journal: None,
    }
}

fn mutation(request_id: RequestId) -> ClientMessage {
    ClientMessage::Mutation {
        request_id,
        path: "increment".into(),
        args: "[{}]".into(),
    }
}
