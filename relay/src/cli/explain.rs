//! `pg-live explain`: what a query read, in words.

use serde_json::json;

use super::database::Target;
use super::exit::Failure;
use super::key_text::{describe_lower, describe_upper};
use super::terminal::{self, DIM, print_line};
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct ExplainArgs {
    /// The query: module and export, as messages:list
    function: String,
    /// Its arguments, as JSON
    #[arg(default_value = "{}", value_name = "ARGS")]
    arguments: String,
    #[command(flatten)]
    target: Target,
}

/// One thing that the result depends on.
struct Read {
    kind: String,
    table: Option<String>,
    index: Option<String>,
    lower: Option<String>,
    upper: Option<String>,
}

pub(super) async fn run(args: ExplainArgs, json: bool) -> Result<(), Failure> {
    let client = args.target.connect().await?;
    let path = super::run::canonical(&args.function);
    let kind = super::run::kind(&client, &path).await?;
    if kind != "Query" {
        return Err(Failure::new(format!(
            "{path} is of kind {kind}: only queries have a read-set"
        )));
    }
    let arguments: serde_json::Value = serde_json::from_str(&args.arguments)
        .map_err(|error| Failure::new(format!("the arguments are not JSON: {error}")))?;
    let rows = client
        .query(
            "SELECT kind, \"table\", index, lower, upper FROM live.explain($1, $2::json)",
            &[&path, &tokio_postgres::types::Json(arguments)],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let reads: Vec<Read> = rows
        .iter()
        .map(|row| Read {
            kind: row.get(0),
            table: row.get(1),
            index: row.get(2),
            lower: row.get(3),
            upper: row.get(4),
        })
        .collect();
    if json {
        for read in &reads {
            print_line(
                &json!({"kind": read.kind, "table": read.table, "index": read.index, "lower": read.lower,
                    "upper": read.upper, "meaning": meaning(read)})
                .to_string(),
            );
        }
        return Ok(());
    }
    print_line(&format!("{path} runs again when a commit changes:"));
    let cells = reads.iter().filter(|read| !is_outside(read)).map(|read| {
        let table = read.table.clone().unwrap_or_default();
        vec![format!("  {table}"), read.kind.clone(), meaning(read)]
    });
    let headings = ["  table", "what", "which"];
    print_line(&terminal::table(&headings, &cells.collect::<Vec<_>>()));
    for read in reads.iter().filter(|read| is_outside(read)) {
        print_line(&format!("{DIM}{}{DIM:#}", meaning(read)));
    }
    Ok(())
}

fn is_outside(read: &Read) -> bool {
    matches!(read.kind.as_str(), "clock" | "randomness" | "identity")
}

/// What an entry of the read-set means.
fn meaning(read: &Read) -> String {
    match read.kind.as_str() {
        "key" => format!("the document {}", read.lower.as_deref().unwrap_or_default()),
        "table" if read.table.as_deref() == Some("live.active") => {
            "the deployment and its environment".to_owned()
        }
        "table" => "any document of the table".to_owned(),
        "range" => {
            let index = read.index.as_deref().unwrap_or("an index that is gone");
            let bytes = |hex: &Option<String>| hex.as_deref().and_then(|hex| hex::decode(hex).ok());
            let from = bytes(&read.lower).map_or(String::new(), |key| describe_lower(&key));
            let to = bytes(&read.upper).map_or(String::new(), |key| describe_upper(&key));
            match (from.is_empty(), to.is_empty()) {
                (true, true) => format!("all of index {index}"),
                (true, false) => format!("index {index} {to}"),
                (false, true) => format!("index {index} {from}"),
                (false, false) => format!("index {index} {from} {to}"),
            }
        }
        "clock" => "it looked at the clock: the time alone does not run it again".to_owned(),
        "randomness" => "it drew random numbers: these do not run it again".to_owned(),
        "identity" => "it looked at who asks: each caller has a result of its own".to_owned(),
        other => other.to_owned(),
    }
}
