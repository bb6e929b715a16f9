//! Runs of queries on a pooled connection, each in one transaction.

use std::collections::BTreeSet;

use pg_live_invalidation::{Owner, Position, Registration, Xid};
use pg_live_readset::RelId;
use pg_live_session::sharing::{Observed, Outcome};
use pg_live_session::{QueryResult, Release, Run, RunQuery};
use pg_live_shared::{Fates, Suspects};
use rand::Rng;
use rand::rngs::StdRng;

use crate::bug::Bug;
use crate::coverage::State;
use crate::database::{Database, Snap};
use crate::faults::Faults;
use crate::history::{DEPLOYMENT, History, Pk};
use crate::query::{Query, Read, join};
use crate::relay::Control;
use crate::server::Server;
use crate::standby::Standby;

/// What a job needs besides itself.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a mut Server,
    pub(crate) rng: &'a mut StdRng,
    pub(crate) faults: &'a Faults,
    pub(crate) bug: Option<Bug>,
    /// Other transactions write the keys below.
    pub(crate) pks: Pk,
}

/// Where queries are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Primary,
    Standby,
}

/// How a run of queries ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done(Outcome),
    /// 40001, or the connection was lost.
    Failed,
}

/// The queries of a batch in one REPEATABLE READ READ ONLY transaction.
#[derive(Debug)]
pub(crate) struct RunJob {
    node: Node,
    run: Run,
    stage: Progress,
}

#[derive(Debug)]
enum Progress {
    Start,
    /// For a standby: what the primary had reached, as far as that is known.
    Asking {
        c: Option<u64>,
        lsn: Option<usize>,
    },
    Reading(Reading),
}

#[derive(Debug)]
struct Reading {
    snap: Snap,
    /// For whom results are registered; `None` while no control connection is attached.
    owner: Option<Owner>,
    /// What the statements of the current query have given.
    parts: Vec<String>,
    /// For `Bug::R17First`.
    early: Option<Suspects>,
    /// Tables whose locks the transaction holds.
    locked: BTreeSet<RelId>,
    /// R2: boot and position, read after the snapshot was taken.
    place: Option<(u64, Position)>,
    /// R10: W and N of the record that clears the snapshot.
    mark: Option<(Position, u64)>,
    results: Vec<QueryResult>,
}

/// How a step of a query went.
enum Step {
    Waits,
    Goes,
    /// 40001, or the table is not captured: nothing is shown, and the run is tried again.
    Discarded,
}

impl RunJob {
    pub(crate) fn new(node: Node, run: Run) -> Self {
        RunJob {
            node,
            run,
            stage: Progress::Start,
        }
    }

    /// Begins, or goes on with a query, or ends with an event.
    pub(crate) fn step(
        &mut self,
        owner: Option<Owner>,
        control: Option<Control>,
        cx: &mut Context<'_>,
    ) -> Option<Ended> {
        if cx.rng.random_bool(cx.faults.run_failure) {
            return Some(Ended::Failed);
        }
        match &mut self.stage {
            Progress::Start => {
                self.stage = match self.node {
                    Node::Primary => Reading::at(cx.server.db.snapshot(), owner),
                    Node::Standby => Progress::Asking { c: None, lsn: None },
                };
                None
            }
            Progress::Asking { c, lsn } => {
                if let Some(snap) = ask(c, lsn, cx) {
                    self.stage = Reading::at(snap, owner);
                }
                None
            }
            Progress::Reading(reading) => match self.run.queries.get(reading.results.len()) {
                Some(query) => {
                    if cx.bug == Some(Bug::SnapshotPerQuery) && self.node == Node::Primary {
                        reading.snap = cx.server.db.snapshot();
                    }
                    match reading.step(query, self.run.number, self.node, cx) {
                        Step::Waits | Step::Goes => None,
                        Step::Discarded => Some(Ended::Failed),
                    }
                }
                None if self.run.keeps && self.node == Node::Primary => {
                    let release = reading.release(control, cx);
                    let given_up = release.is_none() && cx.rng.random_bool(0.1);
                    (release.is_some() || given_up).then(|| self.finished(release, cx))
                }
                None => Some(self.finished(None, cx)),
            },
        }
    }

    /// R11: other queries at the same snapshot.
    pub(crate) fn extended(&self, run: Run) -> Self {
        RunJob {
            node: self.node,
            run,
            stage: match &self.stage {
                Progress::Reading(reading) => Progress::Reading(reading.extended()),
                Progress::Start | Progress::Asking { .. } => Progress::Start,
            },
        }
    }

    /// For whom its results are registered.
    pub(crate) fn owner(&self) -> Option<Owner> {
        match &self.stage {
            Progress::Reading(reading) => reading.owner,
            Progress::Start | Progress::Asking { .. } => None,
        }
    }

    fn finished(&mut self, release: Option<Release>, cx: &mut Context<'_>) -> Ended {
        let (mut c, mut results) = (0, Vec::new());
        if let Progress::Reading(reading) = &mut self.stage {
            c = reading.snap.snapshot.completed;
            results = std::mem::take(&mut reading.results);
        }
        if cx.bug == Some(Bug::CountOfNow) {
            c = cx.server.db.completion_count();
        }
        let results = results.into_iter();
        Ended::Done(Outcome {
            moment: cx.server.moment_of_snapshot(c),
            results: results.map(|it| (it, Observed::default())).collect(),
            release,
        })
    }

    /// Whether it holds the lock of a table on that node.
    pub(crate) fn reads(&self, node: Node, rel: RelId) -> bool {
        match &self.stage {
            Progress::Reading(reading) => self.node == node && reading.locked.contains(&rel),
            Progress::Start | Progress::Asking { .. } => false,
        }
    }
}

/// Before a standby's snapshot: the count of the primary, then the end of its WAL, then the replay
/// of that.
fn ask(c: &mut Option<u64>, lsn: &mut Option<usize>, cx: &mut Context<'_>) -> Option<Snap> {
    let db = &cx.server.db;
    let backwards = cx.bug == Some(Bug::StandbyLsnFirst);
    if c.is_none() && (!backwards || lsn.is_some()) {
        *c = Some(db.completion_count());
        return None;
    }
    let end = *lsn.get_or_insert(db.wal.len());
    let count = (*c)?;
    if cx.server.standby.replayed < end && cx.bug != Some(Bug::StandbyNoWait) {
        cx.server.coverage.reach(State::StandbyWaited);
        return None;
    }
    let count = match cx.bug {
        Some(Bug::StandbyCountLast) => db.completion_count(),
        _ => count,
    };
    let snap = cx
        .server
        .standby
        .snapshot(cx.faults.first_xid, count, cx.bug);
    let mut live = db.live.keys();
    if live.any(|xid| cx.server.standby.has_replayed(*xid)) {
        cx.server.coverage.reach(State::StandbyAhead);
    }
    Some(snap)
}

impl Reading {
    fn at(snap: Snap, owner: Option<Owner>) -> Progress {
        Progress::Reading(Reading {
            snap,
            owner,
            parts: Vec::new(),
            early: None,
            locked: BTreeSet::new(),
            place: None,
            mark: None,
            results: Vec::new(),
        })
    }

    /// The same transaction, for other queries.
    fn extended(&self) -> Reading {
        Reading {
            snap: self.snap.clone(),
            owner: self.owner,
            parts: Vec::new(),
            early: None,
            locked: self.locked.clone(),
            place: self.place,
            mark: self.mark,
            results: Vec::new(),
        }
    }

    /// R10: a record that clears the snapshot, once all batches that it names were received.
    fn release(&mut self, control: Option<Control>, cx: &mut Context<'_>) -> Option<Release> {
        let ring = &cx.server.ring;
        let (boot, position) = *self
            .place
            .get_or_insert((ring.boot_of_snapshot(), ring.written));
        let control = control.filter(|c| Some(c.owner) == self.owner && c.boot == boot)?;
        if self.mark.is_none() {
            let record = cx.server.record.as_ref().filter(|r| r.boot == boot)?;
            let clear = match cx.bug {
                Some(Bug::KeptWithoutU) => record.w >= position,
                Some(Bug::KeptBehind) => record.clears(0, &self.snap.snapshot),
                _ => record.clears(position, &self.snap.snapshot),
            };
            let n = record.emitted.get(&control.owner).copied();
            self.mark = clear.then_some((record.w, n.unwrap_or(0)));
        }
        let (w, n) = self.mark?;
        if control.after < n && cx.bug != Some(Bug::KeptBeforeBatch) {
            return None;
        }
        let w = match cx.bug {
            Some(Bug::KeptUnregistered) => Position::MAX,
            _ => w,
        };
        Some(Release {
            boot,
            w,
            clear: true,
        })
    }

    /// The next statement of a query; after the last one its result.
    fn step(&mut self, asked: &RunQuery, run: i64, node: Node, cx: &mut Context<'_>) -> Step {
        let Some(query) = Query::parse(&asked.path) else {
            return Step::Discarded;
        };
        if self.parts.is_empty() && cx.bug == Some(Bug::R17First) {
            self.early = Some(self.suspects(query, cx.server));
        }
        if let Some(read) = query.reads().get(self.parts.len()) {
            return self.read(*read, node, cx);
        }
        let captured = match cx.bug {
            Some(Bug::UncapturedAccepted) => true,
            Some(Bug::CapturedNow) => {
                let history = history(cx.server, node);
                query
                    .rels()
                    .iter()
                    .all(|rel| history.is_captured(*rel, history.now))
            }
            _ => {
                let history = history(cx.server, node);
                query
                    .rels()
                    .iter()
                    .all(|rel| history.is_captured(*rel, self.snap.at))
            }
        };
        if !captured {
            // R18: R17 knows nothing of such a table either, so the result is not even shown.
            cx.server.coverage.reach(State::Uncaptured);
            cx.server.capture_wanted = true;
            return Step::Discarded;
        }
        if self.is_contradicted(query, node, cx) {
            cx.server.coverage.reach(State::RedefinitionConflict);
            return Step::Discarded;
        }
        let parts = std::mem::take(&mut self.parts);
        let registered = self.register(query, asked.sub, run, cx);
        let result = QueryResult {
            outcome: Ok(join(&parts)),
            log_lines: Vec::new(),
            journal: None,
            registered: match cx.bug {
                Some(Bug::ClaimsRegistered) => registered.or(Some(0)),
                _ => registered,
            },
            not_live: None,
        };
        if registered.is_none() {
            cx.server.coverage.reach(State::Unregistered);
        }
        self.results.push(result);
        Step::Goes
    }

    fn read(&mut self, read: Read, node: Node, cx: &mut Context<'_>) -> Step {
        if node == Node::Primary && cx.server.db.is_barred(read.rel()) {
            return Step::Waits;
        }
        self.locked.insert(read.rel());
        let history = history(cx.server, node);
        let at = match cx.bug {
            Some(Bug::SnapshotPerRead) => history.now,
            Some(Bug::DeploymentOfNow) if read.rel() == DEPLOYMENT => history.now,
            _ => self.snap.at,
        };
        self.parts.push(read.result(history.read(at)));
        Step::Goes
    }

    fn suspects(&self, query: Query, server: &Server) -> Suspects {
        server
            .redefinitions
            .suspects(&self.snap.snapshot, &query.rels())
    }

    /// R17: whether a redefinition that the snapshot does not see may have been read.
    fn is_contradicted(&mut self, query: Query, node: Node, cx: &mut Context<'_>) -> bool {
        let suspects = match cx.bug {
            Some(Bug::NoR17) => return false,
            _ => self
                .early
                .take()
                .unwrap_or_else(|| self.suspects(query, cx.server)),
        };
        match node {
            Node::Standby if cx.bug != Some(Bug::StandbyR17) => suspects.any_committed(&Replayed {
                db: &cx.server.db,
                standby: &cx.server.standby,
            }),
            Node::Standby | Node::Primary => suspects.any_committed(&cx.server.db),
        }
    }

    /// The position behind the registration.
    fn register(&self, query: Query, sub: i64, run: i64, cx: &mut Context<'_>) -> Option<Position> {
        let owner = self.owner?;
        // R2: the boot is read after the snapshot was taken.
        let registration = Registration {
            owner,
            sub,
            generation: run,
            boot: cx.server.ring.boot_of_snapshot(),
            snapshot: self.snap.snapshot.clone(),
            read_set: query.read_set(cx.bug),
        };
        cx.server.register(registration)
    }
}

fn history(server: &Server, node: Node) -> &History {
    match node {
        Node::Primary => &server.db.history,
        Node::Standby => &server.standby.history,
    }
}

/// R17 on a standby: what counts is what the standby has replayed. The primary may be behind it.
struct Replayed<'a> {
    db: &'a Database,
    standby: &'a Standby,
}

impl Fates for Replayed<'_> {
    fn in_progress(&self, xid: Xid) -> bool {
        !self.standby.has_replayed(xid)
    }

    fn committed(&self, xid: Xid) -> bool {
        self.db.in_clog(xid)
    }

    fn completion_count(&self) -> u64 {
        self.db.completion_count()
    }
}
