//! Errors of the extension: one type, each variant with its SQLSTATE, message, detail and hint.
//!
//! A Postgres ERROR raised by SQL that we run travels as a Rust panic (pgrx) and keeps its own
//! SQLSTATE; this type is for what we raise ourselves. `docs/errors.md` lists the codes.

use thiserror::Error;

use crate::pg::catch::PgError;

/// A result whose error is [`Error`].
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What the extension itself reports to SQL.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The library is not in `shared_preload_libraries`.
    #[error("pg_live is not preloaded")]
    NotPreloaded,
    /// No free slot for this database.
    #[error("no free pg_live slot for this database")]
    NoDatabaseSlot,
    /// As many relays as there are places for.
    #[error("too many relays are attached to this database")]
    TooManyOwners,
    /// Nothing has been deployed yet.
    #[error("nothing is deployed in this database")]
    NothingDeployed,
    /// A deploy was refused; the text says why and where.
    #[error("{0}")]
    DeployRefused(String),
    /// Batches that a relay asked for are gone.
    #[error("invalidations after batch {after} of boot {boot} are no longer held")]
    Gap {
        /// The boot that was asked for.
        boot: i64,
        /// The batch after which the caller wanted more.
        after: i64,
    },
    /// The completion count of the transaction's snapshot is not known.
    #[error("the position of this transaction's snapshot is not known")]
    SnapshotUnknown,
    /// A function that needs another kind of transaction.
    #[error("{0}")]
    WrongTransaction(String),
    /// The function (JavaScript) failed: message with stack, and data of a `ConvexError`.
    #[error("{message}")]
    Function {
        /// `Uncaught Error: ...` with the mapped stack.
        message: String,
        /// JSON of the data of a `ConvexError`.
        data: Option<String>,
    },
    /// The caller lacks a right.
    #[error("{0}")]
    NotAllowed(String),
    /// No worker serves the database in time.
    #[error("the worker of this database is not up")]
    NoWorker,
    /// A user mistake in arguments of an SQL function.
    #[error("{0}")]
    InvalidParameter(String),
    /// The function ran past its time limit.
    #[error("Function execution timed out (maximum duration: {}s)", .0.as_secs_f64())]
    TimedOut(std::time::Duration),
    /// The function ran past its memory limit.
    #[error("function ran out of memory")]
    OutOfMemory,
    /// Calls of functions by SQL by functions nest too deeply.
    #[error("stack depth limit exceeded")]
    StackDepth,
    /// A value that Postgres cannot hold.
    #[error("{0}")]
    Untranslatable(String),
    /// A row that is not a document of its table's schema.
    #[error("{0}")]
    DocumentRefused(String),
    /// A deploy could not have a lock for the moment that it needs it; the text says who holds it.
    #[error("the switch needs the tables that change for a moment and could not have them: {0}")]
    Busy(String),
    /// Another deploy has finished since this one was staged.
    #[error("another deploy has finished since deployment {0} was staged; start it anew")]
    DeployOvertaken(i64),
    /// Another transaction changed a relation's definition after the snapshot.
    #[error("a table read by the function was redefined meanwhile")]
    Redefined,
    /// A ticket for a standby was given in another life of the worker.
    #[error("the worker was restarted since the ticket was given")]
    TicketExpired,
    /// The catalog of the extension holds something it must not.
    #[error("pg_live catalog is inconsistent: {0}")]
    Catalog(String),
    /// A panic of our own code.
    #[error("pg_live met a defect of its own: {0}")]
    Defect(String),
    /// V8 failed in a way that no user code explains.
    #[error("JavaScript engine: {0}")]
    Engine(String),
    /// An ERROR of Postgres on its way, as it was raised.
    #[error("{0}")]
    Postgres(#[from] PgError),
    /// What a function in LANGUAGE js threw, or what is wrong with its body.
    #[error("{}", .0.message)]
    Script(Box<Script>),
    /// A value of another type than the one that is needed.
    #[error("{0}")]
    DatatypeMismatch(String),
    /// A definition that Postgres takes and LANGUAGE js does not.
    #[error("{0}")]
    InvalidDefinition(String),
    /// Something that LANGUAGE js does not do.
    #[error("{0}")]
    FeatureNotSupported(String),
    /// An array that is no rectangle.
    #[error("nested arrays must all have the same length to become an SQL array")]
    ArraySubscript,
    /// A statement's text is not one statement.
    #[error("{0}")]
    NotOneStatement(String),
    /// A parameter whose type is unknown.
    #[error("{0}")]
    IndeterminateDatatype(String),
    /// A statement of a function that would change the session.
    #[error("{0} cannot be used in a function of LANGUAGE js: it outlives the transaction")]
    OutlivesTransaction(String),
}

/// An error of the code of a function in LANGUAGE js.
#[derive(Debug)]
pub(crate) struct Script {
    /// What was thrown.
    pub(crate) message: String,
    /// Its SQLSTATE.
    pub(crate) sqlstate: SqlState,
    /// DETAIL.
    pub(crate) detail: Option<String>,
    /// HINT.
    pub(crate) hint: Option<String>,
    /// CONTEXT: the function, and where in it.
    pub(crate) context: Option<String>,
    /// For errors of syntax: the body, and the character in it, counted from 1.
    pub(crate) position: Option<(String, i32)>,
}

/// Five characters of SQLSTATE.
pub(crate) type SqlState = [u8; 5];

impl Error {
    /// The SQLSTATE: own class `LV` for our own states, standard codes for user mistakes.
    pub(crate) fn sqlstate(&self) -> SqlState {
        *match self {
            Error::Script(script) => return script.sqlstate,
            Error::Postgres(error) => return unpack(error.code()),
            Error::DatatypeMismatch(_) => b"42804",
            Error::FeatureNotSupported(_) | Error::OutlivesTransaction(_) => b"0A000",
            Error::InvalidDefinition(_) => b"42P13",
            Error::ArraySubscript => b"2202E",
            Error::NotOneStatement(_) => b"42601",
            Error::IndeterminateDatatype(_) => b"42P18",
            Error::NotPreloaded => b"LV001",
            Error::NoDatabaseSlot => b"LV002",
            Error::TooManyOwners => b"53400",
            Error::NothingDeployed => b"LV003",
            Error::DeployRefused(_) => b"LV004",
            Error::DeployOvertaken(_) => b"LV012",
            Error::Gap { .. } => b"LV005",
            Error::SnapshotUnknown => b"LV006",
            Error::Function { .. } => b"LV007",
            Error::Engine(_) => b"LV008",
            Error::Catalog(_) => b"LV009",
            Error::Defect(_) => b"XX000",
            Error::WrongTransaction(_) => b"25001",
            Error::NotAllowed(_) => b"42501",
            Error::NoWorker => b"57P03",
            Error::InvalidParameter(_) => b"22023",
            Error::TimedOut(_) => b"57014",
            Error::OutOfMemory => b"53200",
            Error::StackDepth => b"54001",
            Error::Untranslatable(_) => b"22021",
            Error::DocumentRefused(_) => b"23514",
            Error::Busy(_) => b"55P03",
            Error::Redefined | Error::TicketExpired => b"40001",
        }
    }

    /// What goes to DETAIL.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Error::Function {
                data: Some(data), ..
            } => Some(format!("data: {data}")),
            Error::Script(script) => script.detail.clone(),
            Error::Function { data: None, .. }
            | Error::Postgres(_)
            | Error::DatatypeMismatch(_)
            | Error::InvalidDefinition(_)
            | Error::FeatureNotSupported(_)
            | Error::OutlivesTransaction(_)
            | Error::ArraySubscript
            | Error::NotOneStatement(_)
            | Error::IndeterminateDatatype(_)
            | Error::NotPreloaded
            | Error::NoDatabaseSlot
            | Error::TooManyOwners
            | Error::NothingDeployed
            | Error::DeployRefused(_)
            | Error::DeployOvertaken(_)
            | Error::Gap { .. }
            | Error::SnapshotUnknown
            | Error::WrongTransaction(_)
            | Error::NotAllowed(_)
            | Error::NoWorker
            | Error::InvalidParameter(_)
            | Error::TimedOut(_)
            | Error::OutOfMemory
            | Error::StackDepth
            | Error::Untranslatable(_)
            | Error::DocumentRefused(_)
            | Error::Busy(_)
            | Error::Redefined
            | Error::TicketExpired
            | Error::Catalog(_)
            | Error::Defect(_)
            | Error::Engine(_) => None,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Error::NotPreloaded => Some(
                "Add pg_live to shared_preload_libraries in postgresql.conf and restart the server.",
            ),
            Error::NoDatabaseSlot => {
                Some("Raise pg_live.max_databases in postgresql.conf and restart the server.")
            }
            Error::TooManyOwners => {
                Some("End some relays: live.status() shows who is attached. 256 can be.")
            }
            Error::NoWorker => Some(
                "Try again. If it stays so, look into the server's log, and at max_worker_processes.",
            ),
            Error::NothingDeployed => {
                Some("Deploy functions with `pg-live deploy <app dir>` or live.deploy().")
            }
            Error::Gap { .. } => {
                Some("Attach again with live.attach() and register every query anew.")
            }
            Error::SnapshotUnknown => Some(
                "Call live.prepare_connection() once per connection, outside of a transaction; of a pooler, at the start \
                 of each of its sessions (connect_query of PgBouncer).",
            ),
            Error::OutOfMemory => Some("Read less at once, or raise pg_live.heap_size_mb."),
            Error::StackDepth => Some("Make functions and SQL call each other less deeply."),
            Error::TimedOut(_) => Some("Do less per call, or raise pg_live.user_time_ms."),
            Error::Busy(_) => Some(
                "Deploy again when they have ended, or end them with pg_terminate_backend(). What ran before keeps running.",
            ),
            Error::Redefined | Error::TicketExpired => Some("Run the query again."),
            Error::Script(script) => script.hint.as_deref(),
            Error::OutlivesTransaction(_) => Some(
                "Use what ends with the transaction: SET LOCAL, set_config(..., true), \
                 pg_advisory_xact_lock, ON COMMIT DROP.",
            ),
            Error::Postgres(_)
            | Error::DatatypeMismatch(_)
            | Error::InvalidDefinition(_)
            | Error::FeatureNotSupported(_)
            | Error::ArraySubscript
            | Error::NotOneStatement(_)
            | Error::IndeterminateDatatype(_)
            | Error::DeployRefused(_)
            | Error::DeployOvertaken(_)
            | Error::WrongTransaction(_)
            | Error::NotAllowed(_)
            | Error::Function { .. }
            | Error::InvalidParameter(_)
            | Error::Untranslatable(_)
            | Error::DocumentRefused(_)
            | Error::Catalog(_)
            | Error::Defect(_)
            | Error::Engine(_) => None,
        }
    }
}

/// Postgres packs six bits per character.
fn unpack(code: i32) -> SqlState {
    let mut state = *b"00000";
    for (index, character) in state.iter_mut().enumerate() {
        *character = b'0' + ((code >> (6 * index)) & 0x3f) as u8;
    }
    state
}
