//! The query set of a session, its versions, and what the client last saw of each query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::answer::Fingerprint;
use crate::{Answer, Modification, Position, QueryId, Release, RunNumber, RunQuery, Sub};

/// One query that the client has, or had until it was told of the removal.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) id: QueryId,
    path: Arc<str>,
    args: Arc<str>,
    /// Of the last result that was shown, here or on an earlier connection.
    pub(crate) journal: Option<String>,
    /// Version of the change that removed it.
    removed_in: Option<u32>,
    /// The run whose result is in force; 0 before the first.
    pub(crate) generation: RunNumber,
    /// Boot and position of the registration of that result, if invalidations of it will come.
    pub(crate) registration: Option<(u64, Position)>,
    /// A commit has touched the result in force.
    pub(crate) invalidated: bool,
    /// It is not registered because it never can be.
    pub(crate) never_live: bool,
    /// Of the result that the client has.
    pub(crate) sent: Option<Fingerprint>,
}

/// All queries of a session.
#[derive(Debug)]
pub(crate) struct QuerySet {
    queries: BTreeMap<Sub, Query>,
    /// Those that are not removed.
    live: BTreeMap<QueryId, Sub>,
    /// Those of the live ones that make a run necessary: new, or possibly out of date.
    due: BTreeSet<Sub>,
    /// Version of the last accepted change.
    pub(crate) accepted: u32,
    first_sub: Sub,
    added: u32,
    limit: usize,
}

impl QuerySet {
    pub(crate) fn new(session_number: u32, limit: usize) -> Self {
        Self {
            queries: BTreeMap::new(),
            live: BTreeMap::new(),
            due: BTreeSet::new(),
            accepted: 0,
            first_sub: Sub::from(session_number & i32::MAX.cast_unsigned()) << 32,
            added: 0,
            limit,
        }
    }

    /// Takes over a `ModifyQuerySet`; on error the session cannot go on.
    pub(crate) fn modify(
        &mut self,
        base: u32,
        new: u32,
        modifications: Vec<Modification>,
    ) -> Result<(), String> {
        if base != self.accepted || Some(new) != base.checked_add(1) {
            return Err(format!(
                "BaseVersionMismatch: the query set is at version {}, but a change from version \
                 {base} to {new} arrived",
                self.accepted
            ));
        }
        for modification in modifications {
            match modification {
                Modification::Add {
                    query_id,
                    path,
                    args,
                    journal,
                } => self.add(query_id, path, args, journal)?,
                Modification::Remove { query_id } => self.remove(query_id, new)?,
            }
        }
        self.accepted = new;
        Ok(())
    }

    fn add(
        &mut self,
        id: QueryId,
        path: String,
        args: String,
        journal: Option<String>,
    ) -> Result<(), String> {
        if self.live.contains_key(&id) {
            return Err(format!("Query {id} was added twice"));
        }
        if self.queries.len() >= self.limit {
            return Err(format!(
                "TooManyQueries: a client may have {} live queries",
                self.limit
            ));
        }
        self.added = self
            .added
            .checked_add(1)
            .ok_or("Too many queries in one connection")?;
        let sub = self.first_sub + Sub::from(self.added);
        let query = Query {
            id,
            path: path.into(),
            args: args.into(),
            journal,
            removed_in: None,
            generation: 0,
            registration: None,
            invalidated: false,
            never_live: false,
            sent: None,
        };
        self.queries.insert(sub, query);
        self.live.insert(id, sub);
        self.due.insert(sub);
        Ok(())
    }

    fn remove(&mut self, id: QueryId, version: u32) -> Result<(), String> {
        let missing = || format!("Query {id} was removed but is not in the set");
        let sub = self.live.remove(&id).ok_or_else(missing)?;
        self.due.remove(&sub);
        self.queries.get_mut(&sub).ok_or_else(missing)?.removed_in = Some(version);
        Ok(())
    }

    /// Whether a run would have something to do.
    pub(crate) fn has_live(&self) -> bool {
        !self.live.is_empty()
    }

    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }

    /// Whether a query makes a run necessary.
    pub(crate) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Makes a run of the query necessary, if it is live. Whether it was not already.
    pub(crate) fn make_due(&mut self, sub: Sub) -> bool {
        let live = self.get(sub).is_some_and(|q| q.removed_in.is_none());
        live && self.due.insert(sub)
    }

    /// Makes a run of all live queries necessary.
    pub(crate) fn make_all_due(&mut self) {
        self.due.extend(self.live.values());
    }

    /// Makes a run of the queries necessary that wait for a registration.
    pub(crate) fn make_unregistered_due(&mut self) {
        let queries = &self.queries;
        let waits = |sub: &&Sub| {
            let query = queries.get(*sub);
            query.is_some_and(|q| q.registration.is_none() && !q.never_live)
        };
        self.due.extend(self.live.values().filter(waits));
    }

    /// The live queries, ascending: those that a run must execute, and those whose results may be
    /// kept.
    pub(crate) fn split(&self) -> (Vec<Sub>, Vec<Sub>) {
        let live = self.queries.iter().filter(|(_, q)| q.removed_in.is_none());
        let mut parts = (Vec::new(), Vec::new());
        for (sub, query) in live {
            if query.registration.is_none() || self.due.contains(sub) {
                parts.0.push(*sub);
            } else {
                parts.1.push(*sub);
            }
        }
        parts
    }

    /// Whether one of these queries has no result yet.
    pub(crate) fn any_new(&self, subs: &[Sub]) -> bool {
        let mut queries = subs.iter().filter_map(|sub| self.get(*sub));
        queries.any(|query| query.generation == 0)
    }

    /// A run of these queries begins.
    pub(crate) fn start(&mut self, subs: &[Sub]) -> Vec<RunQuery> {
        for sub in subs {
            self.due.remove(sub);
        }
        let queries = subs.iter().filter_map(|sub| Some((sub, self.get(*sub)?)));
        queries
            .map(|(sub, q)| RunQuery {
                sub: *sub,
                path: Arc::clone(&q.path),
                args: Arc::clone(&q.args),
                journal: q.journal.clone(),
            })
            .collect()
    }

    /// R10: whether the result in force is that of the release's snapshot, too. Every commit that
    /// the snapshot sees was matched with it, and none of them has touched it.
    pub(crate) fn is_kept(&self, sub: Sub, release: Option<Release>) -> bool {
        let query = self.get(sub).filter(|query| !query.invalidated);
        let registration = query.and_then(|query| query.registration);
        let (Some(release), Some((boot, position))) = (release, registration) else {
            return false;
        };
        release.clear && release.boot == boot && release.w >= position
    }

    pub(crate) fn get(&self, sub: Sub) -> Option<&Query> {
        self.queries.get(&sub)
    }

    pub(crate) fn get_mut(&mut self, sub: Sub) -> Option<&mut Query> {
        self.queries.get_mut(&sub)
    }

    /// Takes out the queries whose removal the client is about to be told of.
    pub(crate) fn take_removed(&mut self, up_to: u32) -> Vec<(Sub, Query)> {
        self.queries
            .extract_if(.., |_, q| q.removed_in.is_some_and(|v| v <= up_to))
            .collect()
    }

    /// Takes out everything: the session is over.
    pub(crate) fn take_all(&mut self) -> Vec<Sub> {
        self.live.clear();
        self.due.clear();
        std::mem::take(&mut self.queries).into_keys().collect()
    }
}

impl Query {
    /// The result of a run takes the place of the one before. Whether the client must be told (R15).
    pub(crate) fn replace(&mut self, run: RunNumber, boot: u64, answer: &Answer) -> bool {
        self.generation = run;
        self.registration = answer.registered.map(|position| (boot, position));
        self.invalidated = false;
        self.never_live = answer.not_live.is_some();
        let moved = self.remember_journal(answer);
        let sent = self.sent.replace(answer.fingerprint());
        moved || sent != Some(answer.fingerprint())
    }

    /// Takes over the journal of a new result; whether it is another one. An error that came before any page was
    /// read says nothing about pages: they keep their ends, and the client is told those.
    fn remember_journal(&mut self, answer: &Answer) -> bool {
        if (answer.outcome.is_err() && answer.journal.is_none()) || self.journal == answer.journal {
            return false;
        }
        self.journal.clone_from(&answer.journal);
        true
    }
}
