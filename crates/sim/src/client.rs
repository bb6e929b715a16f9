//! A client, and the oracle that it is: what it is shown must have been true, all at once, and
//! never older than what it was shown before.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_session::{
    ClientMessage, Modification, QueryId, RequestId, ServerMessage, StateModification, Transition,
    Version,
};

use crate::coverage::State;
use crate::history::{History, Request, Time};
use crate::query::Query;
use crate::run_job::Node;
use crate::server::Server;

/// A mutation that is not answered.
#[derive(Debug)]
struct Unanswered {
    /// Whether an earlier connection sent it already.
    resent: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    session_id: String,
    /// The relay and the session there.
    pub(crate) connected: Option<(usize, u32)>,
    /// Where what it is shown comes from.
    node: Node,
    wanted: BTreeMap<QueryId, Query>,
    next_query: QueryId,
    next_request: RequestId,
    unanswered: BTreeMap<RequestId, Unanswered>,
    /// Timestamps of mutations answered on this connection.
    answered: BTreeMap<RequestId, u64>,
    /// Mutations answered on earlier ones.
    answered_before: BTreeSet<RequestId>,
    /// The query set at each of its versions.
    sets: Vec<BTreeMap<QueryId, Query>>,
    version: Version,
    results: BTreeMap<QueryId, String>,
    /// The earliest time at which all that was shown can have been true.
    at: Time,
    /// Likewise of the primary, if that was before the client came to the standby.
    carried: Time,
    observed: Option<u64>,
    pub(crate) transitions: u64,
    /// Connections whose clock was behind what the client had seen (R13).
    pub(crate) clocks_raised: u64,
}

impl Client {
    pub(crate) fn new(number: usize) -> Self {
        Client {
            session_id: format!("client {number}"),
            connected: None,
            node: Node::Primary,
            wanted: BTreeMap::new(),
            next_query: 0,
            next_request: 0,
            unanswered: BTreeMap::new(),
            answered: BTreeMap::new(),
            answered_before: BTreeSet::new(),
            sets: vec![BTreeMap::new()],
            version: Version::default(),
            results: BTreeMap::new(),
            at: 0,
            carried: 0,
            observed: None,
            transitions: 0,
            clocks_raised: 0,
        }
    }

    /// Opens a connection: says everything anew, and what was not answered again (R14).
    pub(crate) fn connect(
        &mut self,
        (relay, session): (usize, u32),
        node: Node,
        server: &mut Server,
    ) -> Vec<ClientMessage> {
        self.move_to(node, server);
        self.connected = Some((relay, session));
        self.version = Version::default();
        self.results.clear();
        let answered = std::mem::take(&mut self.answered);
        self.answered_before.extend(answered.into_keys());
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

    /// R12: another node shows at least what this one has shown. The other way round the client may
    /// miss for a moment what a standby showed before the primary did: a stated limit.
    fn move_to(&mut self, node: Node, server: &mut Server) {
        if node == self.node {
            return;
        }
        server.coverage.reach(State::NodeChanged);
        self.carried = match node {
            Node::Primary => 0,
            Node::Standby => self.at,
        };
        self.at = 0;
        self.node = node;
    }

    /// What it has asked for.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = Query> {
        self.wanted.values().copied()
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
    pub(crate) fn receive(
        &mut self,
        message: ServerMessage,
        server: &Server,
    ) -> Result<(), String> {
        match message {
            ServerMessage::Transition(transition) => self.show(transition, server),
            ServerMessage::MutationResponse {
                request_id, result, ..
            } => self.answer(request_id, result.map(|(_, ts)| ts).ok(), server),
            ServerMessage::ActionResponse { .. }
            | ServerMessage::AuthError { .. }
            | ServerMessage::FatalError { .. } => Err(format!("unexpected {message:?}")),
        }
    }

    /// R14: an answered mutation was applied once, a refused one never; unless an earlier connection sent it, too: the
    /// attempt of that one may come after the refusal (a stated limit).
    fn answer(&mut self, id: RequestId, ts: Option<u64>, server: &Server) -> Result<(), String> {
        let unanswered = self.unanswered.remove(&id);
        let known = unanswered.is_some();
        let applied = &server.db.history.applied;
        let applied = applied.get(&self.request(id)).map_or(0, Vec::len);
        let outrun = ts.is_none() && unanswered.is_some_and(|it| it.resent) && applied == 1;
        if !known || (applied != usize::from(ts.is_some()) && !outrun) {
            return Err(format!(
                "R14: mutation {id} answered with {ts:?}, awaited: {known}, applied {applied} times"
            ));
        }
        if let Some(ts) = ts {
            self.answered.insert(id, ts);
        }
        Ok(())
    }

    fn show(&mut self, transition: Transition, server: &Server) -> Result<(), String> {
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
                    query_id, answer, ..
                } => {
                    let value = answer.outcome.clone().map_err(|failure| failure.message)?;
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
        let is_first = start == Version::default();
        self.clocks_raised += u64::from(is_first && self.observed == Some(end.ts));
        self.version = end;
        self.observed = Some(end.ts);
        self.transitions += 1;
        self.at = self.earliest(server)?;
        Ok(())
    }

    /// R11, R12, R13: the earliest time, not before the last one, at which all results were true
    /// and exactly those mutations were visible that may be.
    fn earliest(&self, server: &Server) -> Result<Time, String> {
        let set = self
            .sets
            .get(self.version.query_set as usize)
            .ok_or("a query set from the future")?;
        if !set.keys().eq(self.results.keys()) {
            return Err(format!("results {:?} for {set:?}", self.results));
        }
        if set.is_empty() {
            return Ok(self.at);
        }
        let history = self.history(server);
        let (from, before) = self.bounds(server);
        let holds = |at: &Time| {
            set.iter()
                .all(|(id, query)| self.results.get(id) == Some(&query.result(history.truth(*at))))
        };
        (from..before).find(holds).ok_or_else(|| {
            let held: Vec<Time> = (0..=history.now).filter(holds).collect();
            format!(
                "torn, backwards or too early: {:?} for {set:?} at {:?} on the {:?} must hold in \
                 {from}..{before} and holds at {held:?}; answered {:?}, applied {:?}, shown {}",
                self.results, self.version, self.node, self.answered, history.applied, self.at
            )
        })
    }

    /// The times of which one may be shown.
    fn bounds(&self, server: &Server) -> (Time, Time) {
        let history = self.history(server);
        let never = history.now + 1;
        let carried = history.time_of(&server.db.history, self.carried);
        let (mut from, mut before) = (self.at.max(carried.unwrap_or(never)), never);
        for id in &self.answered_before {
            from = from.max(self.applied(*id, history).unwrap_or(never));
        }
        for (id, ts) in &self.answered {
            let applied = self.applied(*id, history);
            let exact = !server.db.answered_late.contains(&self.request(*id));
            if *ts <= self.version.ts {
                from = from.max(applied.unwrap_or(never));
            } else if exact && self.node == Node::Primary {
                // A standby may show it before the primary does (F6), so before its timestamp.
                before = before.min(applied.unwrap_or(never));
            }
        }
        let first_sent = self.unanswered.iter().filter(|(_, sent)| !sent.resent);
        for applied in first_sent.filter_map(|(id, _)| self.applied(*id, history)) {
            before = before.min(applied);
        }
        (from, before)
    }

    fn history<'a>(&self, server: &'a Server) -> &'a History {
        match self.node {
            Node::Primary => &server.db.history,
            Node::Standby => &server.standby.history,
        }
    }

    fn applied(&self, id: RequestId, history: &History) -> Option<Time> {
        let times = history.applied.get(&self.request(id))?;
        times.first().copied()
    }

    fn request(&self, id: RequestId) -> Request {
        (self.session_id.clone(), id)
    }

    /// Once all is quiet: everything wanted is shown as it is now, and every mutation was answered,
    /// and was shown in a transition.
    pub(crate) fn check_current(&self, server: &Server) -> Result<(), String> {
        if self.connected.is_none() {
            return Err("a client is left without a connection".into());
        }
        for (id, query) in &self.wanted {
            let history = &server.db.history;
            let now = query.result(history.truth(history.now));
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
