//! Running the query of a subscription so that its result can be registered.

use std::time::{Duration, Instant};

use pg_live_invalidation::Snapshot;
use pg_live_readset::{ReadSet, ReadSetBuilder};
use pgrx::pg_sys;

use crate::api::functions::report_log_lines;
use crate::api::relay::run_contained;
use crate::capture;
use crate::documents::catalog::FunctionKind;
use crate::error::{Error, Result};
use crate::functions::run::{self, Caller, Request};
use crate::js::JsError;
use crate::pg::latch;
use crate::pg::session::{self, Setting, SettingsGuard, UserGuard};
use crate::pg::shmem;
use crate::pg::snapshot;
use crate::pg::spi::{self, Access, Param};
use crate::pg::xact::{self, Isolation};
use crate::reads;

/// How long a first result waits for its tables to be captured. Then it is stale from the start.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// What a subscription runs.
#[derive(Clone, Debug)]
pub(super) enum Query {
    /// A query of the deployment or a function of SQL.
    Function {
        /// `messages:list`, `sql/api:orders`
        path: String,
        /// JSON.
        args: String,
    },
    /// Any query.
    Text {
        text: String,
        /// As whom it runs.
        role: pg_sys::Oid,
        /// Where it looks names up.
        search_path: String,
    },
}

/// What is needed to register a result.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) snapshot: Snapshot,
    /// R2: read after the snapshot was taken.
    pub(super) boot: u64,
    pub(super) reads: ReadSet,
}

/// What a run gave.
pub(super) struct Answer {
    /// JSON, or the error that the query ended with.
    pub(super) result: std::result::Result<String, JsError>,
    /// Why its changes cannot be seen.
    pub(super) not_live: Option<String>,
    /// `None`: nobody can tell when it changes, not yet.
    pub(super) registration: Option<Registration>,
}

/// Whoever may run a query may subscribe: functions of SQL have rights of their own.
pub(super) fn check_right(path: &str) -> Result<()> {
    if run::is_sql_function(path)? {
        return Ok(());
    }
    let may = session::as_superuser(|| {
        let role = i64::from(session::outer_user().to_u32());
        spi::query_one(
            "SELECT live.may_query($1::pg_catalog.oid, $2)",
            &[Param::Int8(role), Param::Text(path)],
            Access::Read,
            |row| row.need::<bool>(0),
        )
    })?;
    if may == Some(true) {
        return Ok(());
    }
    Err(Error::NotAllowed(format!(
        "permission denied to subscribe to {path}: it needs EXECUTE on live.query(text, json), or on the function that \
         the deploy made for it"
    )))
}

impl Query {
    /// Its name.
    pub(super) fn name(&self) -> String {
        match self {
            Query::Function { path, args } => format!("{path} {args}"),
            Query::Text { text, .. } => text.clone(),
        }
    }

    /// Why it is not a subscription.
    pub(super) fn refusal(&self, reason: &str) -> String {
        let name = match self {
            Query::Function { path, .. } => path.as_str(),
            Query::Text { .. } => "this",
        };
        format!("{name} cannot be a live query: {reason}")
    }

    /// Runs it. In READ COMMITTED at a snapshot of its own, and again if that is of use.
    pub(super) fn run(&self) -> Result<Answer> {
        let begun = Instant::now();
        loop {
            let again = xact::isolation() == Isolation::ReadCommitted && begun.elapsed() < PATIENCE;
            match snapshot::with_known(|snapshot| self.attempt(snapshot)) {
                Ok(Answer {
                    registration: None,
                    not_live: None,
                    ..
                })
                | Err(Error::Redefined)
                    if again =>
                {
                    latch::check_for_interrupts();
                    latch::wait(PAUSE);
                }
                ended => return ended,
            }
        }
    }

    fn attempt(&self, snapshot: Snapshot) -> Result<Answer> {
        let slot = shmem::own_slot();
        let boot = slot.and_then(|slot| slot.place()).map(|place| place.boot);
        let (result, reads, not_live) = match self {
            Query::Function { path, args } => function(path, args)?,
            Query::Text {
                text,
                role,
                search_path,
            } => statement(text, *role, search_path)?,
        };
        if capture::ddl_conflict(&snapshot, &reads) {
            return Err(Error::Redefined); // R17
        }
        // R18
        let is_captured = capture::may_register(&reads)?;
        let registration = boot.filter(|_| is_captured).map(|boot| Registration {
            snapshot,
            boot,
            reads,
        });
        Ok(Answer {
            result,
            not_live,
            registration,
        })
    }
}

type Outcome = (
    std::result::Result<String, JsError>,
    ReadSet,
    Option<String>,
);

fn function(path: &str, args: &str) -> Result<Outcome> {
    reads::forget_lost();
    let request = Request {
        path,
        args,
        identity: None,
        kind: FunctionKind::Query,
        caller: Caller::Sql,
        journal: None,
    };
    let response = run_contained(&request, false)?;
    report_log_lines(&response.log_lines);
    Ok((response.result, response.reads, response.not_live))
}

fn statement(text: &str, role: pg_sys::Oid, search_path: &str) -> Result<Outcome> {
    let _settings = SettingsGuard::with(&[Setting {
        name: c"search_path",
        value: search_path,
    }]);
    let _user = UserGuard::become_user(role);
    let (outcome, sources) = reads::run(text, &[], true)?;
    let result = match outcome {
        Ok(rows) => Ok(reads::rows_to_value(rows)?.to_encoded()),
        Err(failed) => Err(JsError::plain(failed.message)),
    };
    let mut reads = ReadSetBuilder::default();
    sources.add_to(&mut reads);
    Ok((result, reads.build(), sources.not_live))
}
