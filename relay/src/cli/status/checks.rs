//! The checks of `pg-live status`, each a statement and what its answer means.

use serde_json::Value;
use tokio_postgres::{Client, Error};

use super::Finding;

/// The major version of Postgres that the extension is built for.
const MAJOR: i32 = 15;
/// WAL that a slot may hold back before somebody should look, in bytes.
const SLOT_BYTES: i64 = 1 << 30;
/// A worker or a standby that is so far behind, in milliseconds.
const LAG_MS: f64 = 10_000.0;

type Result<T = Finding> = std::result::Result<T, Error>;

pub(super) async fn server(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT pg_catalog.current_setting('server_version_num')::int / 10000,
                 pg_catalog.current_setting('server_version'), current_database()::text, current_user::text",
            &[],
        )
        .await?;
    let (major, version): (i32, String) = (row.get(0), row.get(1));
    let (database, user): (String, String) = (row.get(2), row.get(3));
    let found = format!("PostgreSQL {version}, database {database} as {user}");
    Ok(if major == MAJOR {
        Finding::good("server", found)
    } else {
        let fix =
            format!("pg_live runs on PostgreSQL {MAJOR} only: move the database there by pg_dump");
        Finding::broken("server", found, fix)
    })
}

pub(super) async fn encoding(client: &Client) -> Result {
    let row = client
        .query_one("SELECT pg_catalog.current_setting('server_encoding')", &[])
        .await?;
    let encoding: String = row.get(0);
    Ok(if encoding == "UTF8" {
        Finding::good("encoding", encoding)
    } else {
        let fix = "CREATE DATABASE app ENCODING 'UTF8' TEMPLATE template0";
        Finding::broken("encoding", encoding, fix)
    })
}

pub(super) async fn preload(client: &Client) -> Result {
    // shared_preload_libraries itself is for superusers; a setting of ours with this context is there only if loaded.
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_settings
                 WHERE name = 'pg_live.max_databases' AND context = 'postmaster')",
            &[],
        )
        .await?;
    Ok(if row.get(0) {
        Finding::good("preload", "the library was loaded at the server's start")
    } else {
        Finding::broken(
            "preload",
            "the server was started without the library",
            "ALTER SYSTEM SET shared_preload_libraries = 'pg_live' (keep what is in it), then restart the server",
        )
    })
}

pub(super) async fn extension(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'pg_live'),
                 (SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'pg_live')",
            &[],
        )
        .await?;
    let (installed, available): (Option<String>, Option<String>) = (row.get(0), row.get(1));
    let ours = env!("CARGO_PKG_VERSION");
    Ok(match (installed, available) {
        (None, None) => Finding::broken(
            "extension",
            "its files are not on the server",
            "install them on the server: `make install`, or the package",
        ),
        (None, Some(_)) => Finding::broken(
            "extension",
            "not in this database",
            "as a superuser: CREATE EXTENSION pg_live; SELECT live.setup('<role that deploys>')",
        ),
        (Some(installed), _) if installed != ours => Finding::broken(
            "extension",
            format!("version {installed}, pg-live is {ours}"),
            "use both of one version: ALTER EXTENSION pg_live UPDATE, or the pg-live of that version",
        ),
        (Some(installed), _) => Finding::good("extension", format!("version {installed}")),
    })
}

pub(super) async fn owner(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT s.value, r.rolname IS NOT NULL, coalesce(r.rolsuper, false),
                 coalesce(pg_catalog.has_schema_privilege(r.oid, n.nspname, 'CREATE'), false), n.nspname::text
             FROM (VALUES (1)) AS one LEFT JOIN live.settings AS s ON s.name = 'owner'
             LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = s.value
             LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname =
                 coalesce((SELECT value FROM live.settings WHERE name = 'schema'), 'public')",
            &[],
        )
        .await?;
    let (owner, exists, superuser, creates): (Option<String>, bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let schema: Option<String> = row.get(4);
    let fix = "as a superuser: SELECT live.setup('<role that deploys>')";
    Ok(match owner {
        None => Finding::broken("owner", "the deployment has no owner yet", fix),
        Some(owner) if !exists => Finding::broken(
            "owner",
            format!("role {owner} does not exist"),
            format!("CREATE ROLE {owner} LOGIN"),
        ),
        Some(owner) if superuser => Finding::broken(
            "owner",
            format!("role {owner} is a superuser"),
            format!("ALTER ROLE {owner} NOSUPERUSER"),
        ),
        Some(owner) if !creates => {
            let schema = schema.unwrap_or_else(|| "public".to_owned());
            let found = format!("role {owner} may not create tables in schema {schema}");
            Finding::broken(
                "owner",
                found,
                format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner}"),
            )
        }
        Some(owner) => Finding::good("owner", owner),
    })
}

pub(super) async fn deployment(client: &Client) -> Result {
    let row = client
        .query_opt(
            "SELECT d.id, d.author::text, pg_catalog.to_char(d.finished_at, 'YYYY-MM-DD HH24:MI'),
                 (SELECT count(*) FROM live.functions AS f WHERE f.deployment = d.id)
             FROM live.active AS a JOIN live.deployments AS d ON d.id = a.deployment WHERE a.component = ''",
            &[],
        )
        .await?;
    Ok(match row {
        None => Finding::look(
            "deployment",
            "nothing is deployed",
            "pg-live deploy <app dir> --url <this database>",
        ),
        Some(row) => {
            let (id, author, at): (i64, String, Option<String>) =
                (row.get(0), row.get(1), row.get(2));
            let functions: i64 = row.get(3);
            let at = at.unwrap_or_default();
            Finding::good(
                "deployment",
                format!("{id}: {functions} functions, by {author} at {at}"),
            )
        }
    })
}

pub(super) async fn relay_role(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT coalesce(pg_catalog.string_agg(r.rolname, ', ' ORDER BY r.rolname), '')
             FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
             JOIN pg_catalog.pg_roles AS r ON r.oid = m.member
             WHERE g.rolname = 'live_relay' AND r.rolcanlogin",
            &[],
        )
        .await?;
    let roles: String = row.get(0);
    Ok(if roles.is_empty() {
        Finding::broken(
            "relay role",
            "no role that can log in is a member of live_relay",
            "CREATE ROLE relay LOGIN PASSWORD '...' IN ROLE live_relay",
        )
    } else {
        Finding::good("relay role", roles)
    })
}

pub(super) async fn workers(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT pg_catalog.current_setting('max_worker_processes')::int,
                 pg_catalog.current_setting('max_parallel_workers')::int",
            &[],
        )
        .await?;
    let (processes, parallel): (i32, i32) = (row.get(0), row.get(1));
    let found = format!("max_worker_processes = {processes}");
    Ok(if processes < 3 {
        let fix = "raise it: one for the server and two for each database with live queries, then restart";
        Finding::broken("workers", found, fix)
    } else if processes < parallel + 3 {
        let found = format!("{found}, and parallel queries may take {parallel} of them");
        let fix = format!(
            "max_worker_processes = {}, then restart: workers of pg_live then find room",
            parallel + 4
        );
        Finding::look("workers", found, fix)
    } else {
        Finding::good("workers", found)
    })
}

async fn live_status(client: &Client) -> Result<Value> {
    let row = client.query_one("SELECT live.status()", &[]).await?;
    Ok(row.get(0))
}

pub(super) async fn worker(client: &Client) -> Result {
    let status = live_status(client).await?;
    if status["attached"] != Value::Bool(true) || status["worker_pid"].as_i64().unwrap_or(0) == 0 {
        return Ok(Finding::look(
            "worker",
            "does not run: no relay has attached since the server's start",
            "start a relay: pg-live serve --url <this database, as a member of live_relay>",
        ));
    }
    let lag = status["log"]["lag_ms"].as_f64().unwrap_or(0.0);
    let queries = status["live_queries"].as_i64().unwrap_or(0);
    let found = format!("{queries} live queries, {lag:.0} ms behind");
    if status["refusing"] == Value::Bool(true) {
        let fix = "raise pg_live.max_read_set_memory and reload";
        return Ok(Finding::broken(
            "worker",
            format!("{found}; takes no more live queries"),
            fix,
        ));
    }
    if status["overflow"] == Value::Bool(true) {
        let fix = "if it happens again, raise pg_live.ring_size_kb and restart";
        return Ok(Finding::look(
            "worker",
            format!("{found}; the log was full"),
            fix,
        ));
    }
    if lag > LAG_MS {
        let fix = "look at the server's load; live.status() says what is not worked off";
        return Ok(Finding::look("worker", found, fix));
    }
    Ok(Finding::good("worker", found))
}

pub(super) async fn relays(client: &Client) -> Result {
    let status = live_status(client).await?;
    let count = status["owners"].as_object().map_or(0, serde_json::Map::len);
    Ok(if count == 0 {
        Finding::look(
            "relays",
            "none is attached: clients get no updates",
            "pg-live serve --url <...>",
        )
    } else {
        Finding::good("relays", format!("{count} attached"))
    })
}

pub(super) async fn capture(client: &Client) -> Result {
    let status = live_status(client).await?;
    let captured = &status["captured"];
    let relations = captured["relations"].as_i64().unwrap_or(0);
    if captured["event_triggers"] == Value::Bool(false) {
        let fix = "as a superuser: ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS; the same for pg_live_drop and \
                   pg_live_detach";
        return Ok(Finding::broken(
            "capture",
            "event triggers of pg_live are disabled",
            fix,
        ));
    }
    if let Some(incomplete) = captured["incomplete"]
        .as_object()
        .filter(|tables| !tables.is_empty())
    {
        let tables: Vec<String> = incomplete
            .iter()
            .map(|(table, state)| format!("{table}: {}", state.as_str().unwrap_or_default()))
            .collect();
        let fix = "as a superuser: SELECT live.capture_table('<table>')";
        return Ok(Finding::broken("capture", tables.join("; "), fix));
    }
    Ok(Finding::good("capture", format!("{relations} tables")))
}

pub(super) async fn wal_level(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('pg_live.capture', true)",
            &[],
        )
        .await?;
    let (level, capture): (String, Option<String>) = (row.get(0), row.get(1));
    Ok(if level != "logical" && capture.as_deref() == Some("wal") {
        Finding::look(
            "wal_level",
            format!("{level}, but pg_live.capture = wal: tables are captured by triggers"),
            "ALTER SYSTEM SET wal_level = 'logical', then restart",
        )
    } else {
        Finding::good("wal_level", level)
    })
}

pub(super) async fn slots(client: &Client) -> Result {
    let rows = client
        .query(
            "SELECT slot_name::text, active, coalesce(wal_status, ''), coalesce(pg_catalog.pg_wal_lsn_diff(
                 CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                      ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn), 0)::int8
             FROM pg_catalog.pg_replication_slots ORDER BY slot_name",
            &[],
        )
        .await?;
    let mut bad = Vec::new();
    for row in &rows {
        let (name, active): (String, bool) = (row.get(0), row.get(1));
        let (status, bytes): (String, i64) = (row.get(2), row.get(3));
        if status == "lost" {
            bad.push(format!("{name} is lost"));
        } else if !active && bytes > SLOT_BYTES {
            bad.push(format!(
                "{name} is not used and holds {} MB of WAL back",
                bytes >> 20
            ));
        }
    }
    Ok(if bad.is_empty() {
        Finding::good("slots", format!("{} replication slots", rows.len()))
    } else {
        let fix =
            "start what reads it, or as a superuser: SELECT pg_drop_replication_slot('<slot>')";
        Finding::look("slots", bad.join("; "), fix)
    })
}

pub(super) async fn standbys(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT count(*), coalesce(max(extract(epoch FROM replay_lag)) * 1000, 0)::float8
             FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'",
            &[],
        )
        .await?;
    let (count, lag): (i64, f64) = (row.get(0), row.get(1));
    if count == 0 {
        return Ok(Finding::good("standbys", "none streams from here"));
    }
    let found = format!("{count}, the slowest {lag:.0} ms behind");
    Ok(if lag > LAG_MS {
        Finding::look(
            "standbys",
            found,
            "relays leave it out (--replica-max-lag); look at its load",
        )
    } else {
        Finding::good("standbys", found)
    })
}

pub(super) async fn indexes(client: &Client) -> Result {
    let row = client
        .query_one(
            "SELECT count(*), coalesce(pg_catalog.string_agg(\"table\" || '.' || index || ' (' || state || ')', ', '), '')
             FROM live.pending_indexes",
            &[],
        )
        .await?;
    let (count, names): (i64, String) = (row.get(0), row.get(1));
    Ok(if count == 0 {
        Finding::good("indexes", "none is pending")
    } else {
        Finding::look(
            "indexes",
            format!("pending: {names}"),
            "pg-live indexes build",
        )
    })
}
