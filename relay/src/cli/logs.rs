//! `pg-live logs`: what functions logged, from `live.logs`.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::{Client, Row};

use super::database::Target;
use super::exit::Failure;
use super::terminal::{BAD, DIM, STRONG, WARN, note, print_line};
use crate::deploy;

/// How often new lines are looked for.
const POLL: Duration = Duration::from_millis(300);

#[derive(clap::Args, Debug)]
pub(super) struct LogsArgs {
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// So many of the newest lines
    #[arg(long, short = 'n', default_value_t = 50, value_name = "LINES")]
    lines: i64,
    /// Only lines of this function, as messages:send
    #[arg(long, value_name = "PATH")]
    function: Option<String>,
    /// Only errors that calls ended with, and lines of console.error
    #[arg(long)]
    errors: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: LogsArgs, json: bool) -> Result<(), Failure> {
    let client = args.target.connect().await?;
    let function = args.function.as_deref().map(super::run::canonical);
    let read = async |client: &Client, after: i64, limit: i64| {
        client
            .query(
                "SELECT id, pg_catalog.to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                     function, kind, level, line, outcome, duration_ms
                 FROM (SELECT * FROM live.logs WHERE id > $1 AND ($2::text IS NULL OR function = $2)
                     AND (NOT $3 OR level = 'ERROR') ORDER BY id DESC LIMIT $4) AS newest ORDER BY id",
                &[&after, &function, &args.errors, &limit],
            )
            .await
            .map_err(deploy::Error::Sql)
    };
    let mut last = 0;
    let rows = read(&client, 0, args.lines).await?;
    if rows.is_empty() && !args.follow && !json {
        note("no function has logged anything yet");
    }
    for row in rows {
        last = show(&row, json);
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(POLL).await;
        for row in read(&client, last, i64::MAX).await? {
            last = show(&row, json);
        }
    }
}

/// Prints a line; returns its number.
fn show(row: &Row, json: bool) -> i64 {
    let (id, at): (i64, String) = (row.get(0), row.get(1));
    let (function, kind, level): (String, String, String) = (row.get(2), row.get(3), row.get(4));
    let (line, outcome, ms): (String, String, f64) = (row.get(5), row.get(6), row.get(7));
    if json {
        let text = json!({"id": id, "at": at, "function": function, "kind": kind, "level": level,
            "line": line, "outcome": outcome, "durationMs": ms});
        print_line(&text.to_string());
    } else {
        let style = match level.as_str() {
            "ERROR" => BAD,
            "WARN" => WARN,
            _ => DIM,
        };
        print_line(&format!(
            "{DIM}{at}{DIM:#} {STRONG}{function}{STRONG:#} {style}{level}{style:#} {line}"
        ));
    }
    id
}
