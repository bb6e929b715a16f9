//! What every row was at each moment of one node's history, and what a statement reads.

use std::collections::{BTreeMap, BTreeSet};

use pg_live_invalidation::Xid;
use pg_live_readset::RelId;

/// A primary key.
pub(crate) type Pk = u8;
/// The indexed value of a row; `None` if there is no such row.
pub(crate) type Value = Option<u8>;
/// How many transactions have completed on this node, over all lives of the server.
pub(crate) type Time = u64;
/// A client's mutation: its session id and its request id.
pub(crate) type Request = (String, u32);

/// A table that has been captured from the beginning.
pub(crate) const DOCUMENTS: RelId = 1;
/// A table of the app's own, captured once a query has read it (R18).
pub(crate) const PLAIN: RelId = 2;
/// One row, which says what deployment is in force (R19).
pub(crate) const DEPLOYMENT: RelId = 3;

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A row becomes another one.
    Row {
        rel: RelId,
        pk: Pk,
        old: Value,
        new: Value,
    },
    /// All rows go. Older snapshots see that too (F7).
    Truncate { rel: RelId },
    /// The table's definition becomes another one; so do they see that.
    Reshape { rel: RelId },
    /// The table gets its triggers (R18).
    Capture { rel: RelId },
}

impl Change {
    pub(crate) fn rel(self) -> RelId {
        match self {
            Change::Row { rel, .. }
            | Change::Truncate { rel }
            | Change::Reshape { rel }
            | Change::Capture { rel } => rel,
        }
    }

    /// Whether older snapshots see it, and readers wait for its lock.
    pub(crate) fn is_redefinition(self) -> bool {
        match self {
            Change::Truncate { .. } | Change::Reshape { .. } => true,
            Change::Row { .. } | Change::Capture { .. } => false,
        }
    }
}

/// Every version of everything.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) now: Time,
    /// Who completed, in order: the transaction of time 1 comes first.
    order: Vec<Xid>,
    rows: BTreeMap<(RelId, Pk), Vec<(Time, Value)>>,
    truncated: Vec<(Time, RelId)>,
    reshaped: Vec<(Time, RelId)>,
    captured: BTreeMap<RelId, Time>,
    /// When the transactions of a mutation became visible; more than one is a violation of R14.
    pub(crate) applied: BTreeMap<Request, Vec<Time>>,
}

impl History {
    /// A transaction has completed; without changes if it was rolled back.
    pub(crate) fn complete(&mut self, xid: Xid, changes: &[Change], request: Option<&Request>) {
        self.now += 1;
        self.order.push(xid);
        let now = self.now;
        for change in changes {
            match *change {
                Change::Row { rel, pk, new, .. } => {
                    self.rows.entry((rel, pk)).or_default().push((now, new));
                }
                Change::Truncate { rel } => {
                    self.truncated.push((now, rel));
                    for (_, versions) in self.rows.range_mut((rel, Pk::MIN)..=(rel, Pk::MAX)) {
                        versions.push((now, None));
                    }
                }
                Change::Reshape { rel } => self.reshaped.push((now, rel)),
                Change::Capture { rel } => {
                    self.captured.entry(rel).or_insert(now);
                }
            }
        }
        if let Some(request) = request {
            self.applied.entry(request.clone()).or_default().push(now);
        }
    }

    /// Whether the table has its triggers at that time.
    pub(crate) fn is_captured(&self, rel: RelId, at: Time) -> bool {
        rel != PLAIN || self.captured.get(&rel).is_some_and(|since| *since <= at)
    }

    pub(crate) fn value(&self, rel: RelId, pk: Pk, at: Time) -> Value {
        let versions = self.rows.get(&(rel, pk))?;
        let seen = versions.partition_point(|(time, _)| *time <= at);
        versions[..seen].last().and_then(|(_, value)| *value)
    }

    /// The first time at which all is there that was at that time of the other history; `None` if
    /// that is still to come.
    pub(crate) fn time_of(&self, other: &History, at: Time) -> Option<Time> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let needed: BTreeSet<&Xid> = other.order.iter().take(at).collect();
        let mut missing = needed.len();
        if missing == 0 {
            return Some(0);
        }
        let mut times = (1..).zip(&self.order);
        times.find_map(|(time, xid)| {
            missing -= usize::from(needed.contains(xid));
            (missing == 0).then_some(time)
        })
    }

    /// What was true at that time.
    pub(crate) fn truth(&self, at: Time) -> View<'_> {
        View {
            history: self,
            at,
            read_at: at,
        }
    }

    /// What a statement reads now with a snapshot of that time.
    pub(crate) fn read(&self, at: Time) -> View<'_> {
        View {
            history: self,
            at,
            read_at: self.now,
        }
    }
}

/// The tables as they look from somewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    history: &'a History,
    at: Time,
    /// F7: redefinitions until then show.
    read_at: Time,
}

impl View<'_> {
    pub(crate) fn value(self, rel: RelId, pk: Pk) -> Value {
        if self.is_emptied(rel) {
            return None;
        }
        self.history.value(rel, pk, self.at)
    }

    /// All rows that exist.
    pub(crate) fn rows(self, rel: RelId) -> Vec<(Pk, u8)> {
        let keys = self
            .history
            .rows
            .range((rel, Pk::MIN)..=(rel, Pk::MAX))
            .map(|((_, pk), _)| *pk);
        keys.filter_map(|pk| self.value(rel, pk).map(|value| (pk, value)))
            .collect()
    }

    /// How often the table was redefined.
    pub(crate) fn shape(self, rel: RelId) -> usize {
        let seen = |(time, of): &&(Time, RelId)| *of == rel && *time <= self.read_at;
        self.history.reshaped.iter().filter(seen).count()
    }

    /// Whether the rows are gone that the snapshot should see.
    fn is_emptied(self, rel: RelId) -> bool {
        let hit =
            |(time, of): &(Time, RelId)| *of == rel && (self.at + 1..=self.read_at).contains(time);
        self.history.truncated.iter().any(hit)
    }
}
