//! The SQL interface of the extension: statements, rows, and the two pools that call it.

use std::sync::Arc;

use pg_live_session::sharing::Observed;
use pg_live_session::{Failure, Moment, QueryResult};
use serde_json::value::RawValue;
use tokio_postgres::{Error, Row};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::metrics::Metrics;
use super::pool::{Connection, Connector, Pool};
use crate::postgres::Target;

/// The statements that the relay sends.
pub(crate) mod sql {
    use tokio_postgres::types::Type;

    use crate::serve::pool::Text;

    pub(crate) const PREPARE_CONNECTION: &str = "SELECT live.prepare_connection()";
    /// For connections whose single statements are mutations. A session in which that is changed is not clean.
    pub(crate) const PREPARE_FOR_MUTATIONS: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION \
        ISOLATION LEVEL SERIALIZABLE; SELECT live.prepare_connection()";
    pub(crate) const BEGIN_QUERY: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    pub(crate) const BEGIN_MUTATION: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    pub(crate) static RUN_QUERY: Text = Text {
        sql: "SELECT ok, value::text, error, error_data::text, \
        log_lines, journal, c, boot, pos, registered, not_live, snapshot, reads, \
        used_identity, used_clock \
        FROM live.run_query($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $6::bigint, \
        $7::text)",
        types: &[
            Type::TEXT,
            Type::TEXT,
            Type::TEXT,
            Type::INT8,
            Type::INT8,
            Type::INT8,
            Type::TEXT,
        ],
    };
    /// The same for several queries; `n` counts them from 1.
    pub(crate) static RUN_QUERIES: Text = Text {
        sql: "SELECT n, ok, value::text, error, error_data::text, \
        log_lines, result.journal, c, boot, pos, registered, not_live, snapshot, reads, \
        used_identity, used_clock \
        FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), \
        pg_catalog.unnest($3::text[]), pg_catalog.unnest($5::bigint[]), pg_catalog.unnest($6::bigint[]), \
        pg_catalog.unnest($7::text[])) WITH ORDINALITY \
        AS call (path, args, identity, sub, generation, journal, n) CROSS JOIN LATERAL \
        live.run_query(call.path, call.args, call.identity, $4::bigint, call.sub, call.generation, \
        call.journal) AS result",
        types: &[
            Type::TEXT_ARRAY,
            Type::TEXT_ARRAY,
            Type::TEXT_ARRAY,
            Type::INT8,
            Type::INT8_ARRAY,
            Type::INT8_ARRAY,
            Type::TEXT_ARRAY,
        ],
    };
    pub(crate) static RUN_MUTATION: Text = Text {
        sql: "SELECT ok, value::text, error, error_data::text, \
        log_lines, replayed \
        FROM live.run_mutation($1::text, $2::text, $3::text, $4::text, $5::bigint)",
        types: &[Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8],
    };
    pub(crate) static LAST_COMMIT: Text = Text {
        sql: "SELECT boot, c, clean FROM live.last_commit()",
        types: &[],
    };
    pub(crate) static CLOCK: Text = Text {
        sql: "SELECT boot, c FROM live.clock()",
        types: &[],
    };
    pub(crate) static WATERMARK: Text = Text {
        sql: "SELECT boot, c, w, n, clear \
        FROM live.watermark($1::bigint, $2::integer)",
        types: &[Type::INT8, Type::INT4],
    };
    pub(crate) const EXPORT_SNAPSHOT: &str = "SELECT pg_catalog.pg_export_snapshot()";
    pub(crate) const REPLICA_TICKET: &str =
        "SELECT boot, c, lsn, timeline, system FROM live.replica_ticket()";
    pub(crate) static WAIT_FOR_REPLAY: Text = Text {
        sql: "SELECT lsn, timeline, system FROM live.wait_for_replay($1::pg_lsn, $2::bigint)",
        types: &[Type::PG_LSN, Type::INT8],
    };
    pub(crate) const REGISTER: &str = "SELECT live.register($1::bigint, $2::bigint, $3::bigint, \
        $4::bigint, $5::bigint, $6::bytea, $7::bytea)";
    pub(crate) static CATCH_UP: Text = Text {
        sql: "SELECT live.catch_up($1::bytea, $2::bigint, $3::bigint)",
        types: &[Type::BYTEA, Type::INT8, Type::INT8],
    };
    pub(crate) const ATTACH: &str = "SELECT live.attach($1::bigint)";
    pub(crate) const NEXT: &str = "SELECT boot, n, c, sub, generation \
        FROM live.next($1::bigint, $2::bigint, $3::bigint) ORDER BY n";
    pub(crate) const AUTH_CONFIG: &str = "SELECT live.auth_config()::text";
    pub(crate) const UNREGISTER: &str = "SELECT live.unregister($1::bigint, $2::bigint[])";
}

/// The database, as the relay uses it.
pub(crate) struct Database {
    pub(crate) connector: Arc<Connector>,
    pub(crate) queries: Arc<Pool>,
    pub(crate) mutations: Arc<Pool>,
    /// For mutations that take turns: others wait for them, so they do not wait in line with all the rest.
    pub(crate) turns: Arc<Pool>,
}

impl Database {
    pub(crate) fn new(
        url: Target,
        query_url: Option<Target>,
        config: &Config,
        shutdown: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Self {
        let querying = query_url.map(|url| {
            Arc::new(Connector::by_pooler(
                url,
                shutdown.clone(),
                Arc::clone(&metrics),
            ))
        });
        let connector = Arc::new(Connector::new(url, shutdown, metrics));
        let querying = querying.unwrap_or_else(|| Arc::clone(&connector));
        Self {
            queries: Arc::new(Pool::new(
                querying,
                config.query_connections,
                sql::PREPARE_CONNECTION,
            )),
            mutations: Arc::new(Pool::new(
                Arc::clone(&connector),
                config.mutation_connections,
                sql::PREPARE_FOR_MUTATIONS,
            )),
            turns: Arc::new(Pool::new(
                Arc::clone(&connector),
                config.mutation_connections.div_ceil(4),
                sql::PREPARE_FOR_MUTATIONS,
            )),
            connector,
        }
    }
}

/// What a function returned or threw.
#[derive(Debug)]
pub(crate) struct FunctionResult {
    /// Encoded JSON value, or the error.
    pub(crate) outcome: Result<String, Failure>,
    pub(crate) log_lines: Vec<String>,
}

impl FunctionResult {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let outcome = if row.try_get("ok")? {
            let value: Option<String> = row.try_get("value")?;
            json(value.unwrap_or_else(|| "null".to_owned()))
        } else {
            let message = row.try_get::<_, Option<_>>("error")?;
            Err(Failure {
                message: message.unwrap_or_else(|| "the function failed".to_owned()),
                data: row.try_get("error_data")?,
            })
        };
        let log_lines = row
            .try_get::<_, Option<_>>("log_lines")?
            .unwrap_or_default();
        Ok(Self { outcome, log_lines })
    }
}

/// A value of a function: looked at once, then written as it is to whoever is sent it.
fn json(value: String) -> Result<String, Failure> {
    match serde_json::from_str::<&RawValue>(&value) {
        Ok(_) => Ok(value),
        Err(error) => Err(Failure {
            message: format!("a value of the database is not JSON: {error}"),
            data: None,
        }),
    }
}

/// A row of `live.run_query`.
pub(crate) struct QueryRow {
    /// Of no meaning on a replica.
    pub(crate) moment: Moment,
    pub(crate) result: QueryResult,
    /// What the function looked at besides the database.
    pub(crate) observed: Observed,
    /// From a replica: snapshot and read-set, to be registered on the primary.
    pub(crate) carried: Option<(Vec<u8>, Vec<u8>)>,
}

impl QueryRow {
    pub(crate) fn from_row(row: &Row) -> Result<Self, Error> {
        let FunctionResult { outcome, log_lines } = FunctionResult::from_row(row)?;
        let result = QueryResult {
            outcome,
            log_lines,
            journal: row.try_get("journal")?,
            registered: position(row)?,
            not_live: row.try_get("not_live")?,
        };
        let snapshot: Option<Vec<u8>> = row.try_get("snapshot")?;
        Ok(Self {
            moment: moment(row)?,
            result,
            observed: Observed {
                identity: row.try_get("used_identity")?,
                clock: row.try_get("used_clock")?,
            },
            carried: snapshot.zip(row.try_get("reads")?),
        })
    }
}

/// A row of `live.run_mutation`.
pub(crate) struct MutationRow {
    pub(crate) result: FunctionResult,
    pub(crate) replayed: bool,
}

impl MutationRow {
    pub(crate) fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            result: FunctionResult::from_row(row)?,
            replayed: row.try_get("replayed")?,
        })
    }
}

/// The position behind a registration, if one was made.
fn position(row: &Row) -> Result<Option<u64>, Error> {
    if !row.try_get::<_, bool>("registered")? {
        return Ok(None);
    }
    // A call that asked for no registration has none.
    let position = row.try_get::<_, Option<i64>>("pos")?;
    Ok(position.and_then(|position| u64::try_from(position).ok()))
}

/// The columns `boot` and `c`.
pub(crate) fn moment(row: &Row) -> Result<Moment, Error> {
    Ok(Moment {
        boot: unsigned(row, "boot")?,
        c: unsigned(row, "c")?,
    })
}

/// A bigint that is never negative.
pub(crate) fn unsigned(row: &Row, column: &str) -> Result<u64, Error> {
    row.try_get::<_, i64>(column)
        .map(|value| u64::try_from(value).unwrap_or(0))
}

impl Connection {
    /// Now; boot is 0 while the invalidator is not up.
    pub(crate) async fn now(&self) -> Result<Moment, Error> {
        moment(&self.one(&self.clock, &[]).await?)
    }
}
