//! The query set of a session, its versions, and what the client last saw of each query.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::{Modification, QueryId, QueryResult, RunNumber, RunQuery, Sub};

/// Hash of everything of a result that a client can see.
pub(crate) type Fingerprint = [u8; 32];

/// One query that the client has, or had until it was told of the removal.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) id: QueryId,
    path: String,
    args: String,
    /// Of the last result that was shown, here or on an earlier connection.
    journal: Option<String>,
    /// Version of the change that removed it.
    removed_in: Option<u32>,
    /// The run whose result is in force; 0 before the first.
    pub(crate) generation: RunNumber,
    /// Of the result that the client has.
    pub(crate) sent: Option<Fingerprint>,
}

/// All queries of a session.
#[derive(Debug)]
pub(crate) struct QuerySet {
    queries: BTreeMap<Sub, Query>,
    /// Those that are not removed.
    live: BTreeMap<QueryId, Sub>,
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
            accepted: 0,
            first_sub: Sub::from(session_number & i32::MAX.cast_unsigned()) << 32,
            added: 0,
            limit,
        }
    }

    /// Takes over a `ModifyQuerySet`; on error the session cannot go on.
    ///
    /// Returns whether a query was added.
    pub(crate) fn modify(
        &mut self,
        base: u32,
        new: u32,
        modifications: Vec<Modification>,
    ) -> Result<bool, String> {
        if base != self.accepted || Some(new) != base.checked_add(1) {
            return Err(format!(
                "BaseVersionMismatch: the query set is at version {}, but a change from version \
                 {base} to {new} arrived",
                self.accepted
            ));
        }
        let mut added = false;
        for modification in modifications {
            match modification {
                Modification::Add {
                    query_id,
                    path,
                    args,
                    journal,
                } => {
                    self.add(query_id, path, args, journal)?;
                    added = true;
                }
                Modification::Remove { query_id } => self.remove(query_id, new)?,
            }
        }
        self.accepted = new;
        Ok(added)
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
            path,
            args,
            journal,
            removed_in: None,
            generation: 0,
            sent: None,
        };
        self.queries.insert(sub, query);
        self.live.insert(id, sub);
        Ok(())
    }

    fn remove(&mut self, id: QueryId, version: u32) -> Result<(), String> {
        let query = self
            .live
            .remove(&id)
            .and_then(|sub| self.queries.get_mut(&sub));
        query
            .ok_or_else(|| format!("Query {id} was removed but is not in the set"))?
            .removed_in = Some(version);
        Ok(())
    }

    /// Whether a run would have something to do.
    pub(crate) fn has_live(&self) -> bool {
        !self.live.is_empty()
    }

    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }

    /// The live queries, for a run.
    pub(crate) fn to_run(&self) -> Vec<RunQuery> {
        let live = self.queries.iter().filter(|(_, q)| q.removed_in.is_none());
        live.map(|(sub, q)| RunQuery {
            sub: *sub,
            path: q.path.clone(),
            args: q.args.clone(),
            journal: q.journal.clone(),
        })
        .collect()
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
        std::mem::take(&mut self.queries).into_keys().collect()
    }
}

impl Query {
    /// Takes over the journal of a new result. An error that came before any page was read says
    /// nothing about pages: they keep their ends, and the client is told those.
    pub(crate) fn remember_journal(&mut self, result: &mut QueryResult) {
        if result.outcome.is_err() && result.journal.is_none() {
            result.journal.clone_from(&self.journal);
        }
        self.journal.clone_from(&result.journal);
    }
}

/// R15: results with the same fingerprint are identical to the client.
pub(crate) fn fingerprint(result: &QueryResult) -> Fingerprint {
    fn part(hash: &mut Sha256, text: &str) {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    fn optional(hash: &mut Sha256, text: Option<&String>) {
        hash.update([u8::from(text.is_some())]);
        part(hash, text.map_or("", String::as_str));
    }
    let mut hash = Sha256::new();
    hash.update([u8::from(result.outcome.is_ok())]);
    match &result.outcome {
        Ok(value) => part(&mut hash, value),
        Err(failure) => {
            part(&mut hash, &failure.message);
            optional(&mut hash, failure.data.as_ref());
        }
    }
    hash.update(result.log_lines.len().to_le_bytes());
    result
        .log_lines
        .iter()
        .for_each(|line| part(&mut hash, line));
    optional(&mut hash, result.journal.as_ref());
    hash.finalize().into()
}
