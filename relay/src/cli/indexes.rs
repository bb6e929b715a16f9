//! `pg-live indexes`: indexes that are pending, and building them beside readers and writers.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use super::database::Target;
use super::exit::Failure;
use super::terminal::{self, Progress, note, print_line};
use crate::deploy;

/// How often the progress of a build is looked at.
const POLL: Duration = Duration::from_millis(250);

#[derive(clap::Args, Debug)]
pub(super) struct IndexesArgs {
    #[command(subcommand)]
    action: Option<IndexesAction>,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Subcommand, Debug, Clone, Copy)]
enum IndexesAction {
    /// Show what is pending (the default)
    List,
    /// Build what is to be built and drop what is to be dropped, each CONCURRENTLY
    Build {
        /// Then put the deployment into force that waited for them
        #[arg(long)]
        finish: bool,
    },
}

/// A row of `live.pending_indexes`.
struct Pending {
    table: String,
    index: String,
    state: String,
    phase: Option<String>,
    percent: Option<f64>,
    deployment: Option<i64>,
    statement: Option<String>,
    error: Option<String>,
}

pub(super) async fn run(args: IndexesArgs, json: bool) -> Result<(), Failure> {
    let client = args.target.connect().await?;
    match args.action.unwrap_or(IndexesAction::List) {
        IndexesAction::List => list(&client, json).await,
        IndexesAction::Build { finish } => {
            let watcher = args.target.connect().await?;
            build(&client, &watcher, finish, json).await
        }
    }
}

async fn pending(client: &Client) -> Result<Vec<Pending>, Failure> {
    let rows = client
        .query(
            "SELECT \"table\", index, state, phase, percent::float8, deployment, statement, error
             FROM live.pending_indexes ORDER BY deployment, \"table\", index",
            &[],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let read = |row: &tokio_postgres::Row| Pending {
        table: row.get(0),
        index: row.get(1),
        state: row.get(2),
        phase: row.get(3),
        percent: row.get(4),
        deployment: row.get(5),
        statement: row.get(6),
        error: row.get(7),
    };
    Ok(rows.iter().map(read).collect())
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let pending = pending(client).await?;
    if json {
        for index in &pending {
            print_line(
                &json!({"table": index.table, "index": index.index, "state": index.state, "phase": index.phase,
                    "percent": index.percent, "deployment": index.deployment, "statement": index.statement,
                    "error": index.error})
                .to_string(),
            );
        }
        return Ok(());
    }
    if pending.is_empty() {
        print_line("no index is pending");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = pending
        .iter()
        .map(|index| {
            let percent = index
                .percent
                .map_or(String::new(), |part| format!("{part:.1} %"));
            let name = format!("{}.{}", index.table, index.index);
            vec![
                name,
                index.state.clone(),
                percent,
                index.statement.clone().unwrap_or_default(),
            ]
        })
        .collect();
    print_line(&terminal::table(
        &["index", "state", "", "statement"],
        &rows,
    ));
    note("`pg-live indexes build` runs these statements");
    Ok(())
}

async fn build(client: &Client, watcher: &Client, finish: bool, json: bool) -> Result<(), Failure> {
    // An index that is invalid is dropped and then built: its second statement shows up after the first.
    let mut done = Vec::new();
    loop {
        let all = pending(client).await?;
        let next = all
            .into_iter()
            .find_map(|index| index.statement.clone().map(|statement| (index, statement)));
        let Some((index, statement)) = next else {
            break;
        };
        if done.contains(&statement) {
            return Err(Failure::new(format!(
                "{}.{} is still {} after: {statement}",
                index.table, index.index, index.state
            )));
        }
        run_statement(client, watcher, &index, &statement).await?;
        if !json {
            print_line(&format!("done: {statement}"));
        }
        done.push(statement);
    }
    let waiting = client
        .query_opt(
            "SELECT d.id FROM live.deployments AS d JOIN live.index_builds AS b ON b.deployment = d.id
             WHERE d.finished_at IS NULL ORDER BY d.id DESC LIMIT 1",
            &[],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let waiting: Option<i64> = waiting.map(|row| row.get(0));
    if let (Some(push), true) = (waiting, finish) {
        let deployed = deploy::finish(client, push).await?;
        let text = if json {
            serde_json::to_string(&deployed)?
        } else {
            deployed.summary()
        };
        print_line(&text);
    } else if json {
        print_line(&json!({"statements": done, "waiting": waiting}).to_string());
    } else if let Some(push) = waiting {
        note(&format!(
            "deployment {push} waits for them: SELECT live.deploy_finish({push}), or `pg-live indexes build --finish`"
        ));
    } else if done.is_empty() {
        print_line("no index is pending");
    }
    Ok(())
}

/// Runs a statement and shows how far it is, as the server tells another session.
async fn run_statement(
    client: &Client,
    watcher: &Client,
    index: &Pending,
    statement: &str,
) -> Result<(), Failure> {
    let name = format!("{}.{}", index.table, index.index);
    let bar = Progress::start(&name);
    let work = client.batch_execute(statement);
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(POLL) => {
                // Only for show: if it cannot be told, the bar stands still.
                if let Ok(all) = pending(watcher).await
                    && let Some(now) = all.iter().find(|now| now.table == index.table && now.index == index.index)
                {
                    let phase = now.phase.as_deref().unwrap_or_default();
                    bar.at(now.percent.unwrap_or(0.0), &format!("{name}: {phase}"));
                }
            }
        }
    };
    bar.end();
    result.map_err(deploy::Error::Sql)?;
    Ok(())
}
