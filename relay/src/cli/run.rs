//! `pg-live run`: one call of a function.

use std::io::Read as _;

use tokio_postgres::Client;

use super::database::Target;
use super::exit::Failure;
use super::terminal::{self, note, print_line};
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct RunArgs {
    /// The function: module and export, as messages:list
    function: String,
    /// Its arguments, as JSON; - reads them from standard input
    #[arg(default_value = "{}", value_name = "ARGS")]
    arguments: String,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: RunArgs, json: bool) -> Result<(), Failure> {
    let mut text = args.arguments;
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    let arguments: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!(
            "the arguments are not JSON: {error}. Write them as '{{\"channel\": \"general\"}}'"
        ))
    })?;
    let (client, mut notices) = deploy::connect_with_notices(&args.target.url()?).await?;
    let path = canonical(&args.function);
    let statement = match kind(&client, &path).await?.as_str() {
        "Query" => "SELECT live.query($1, $2::json)::text",
        "Mutation" => "SELECT live.mutation($1, $2::json)::text",
        other => {
            return Err(Failure::new(format!(
                "{path} is of kind {other}, which cannot run yet: see LIMITATIONS.md"
            )));
        }
    };
    let result = client
        .query_one(statement, &[&path, &tokio_postgres::types::Json(arguments)])
        .await;
    // What the function logged arrived before its result.
    while let Ok(notice) = notices.try_recv() {
        note(notice.message());
    }
    let row = result.map_err(deploy::Error::Sql)?;
    let value: Option<String> = row.get(0);
    let value = value.unwrap_or_else(|| "null".to_owned());
    if !json && terminal::is_terminal() {
        let value: serde_json::Value = serde_json::from_str(&value)?;
        print_line(&serde_json::to_string_pretty(&value)?);
    } else {
        print_line(&value);
    }
    Ok(())
}

/// The path as the catalog has it: `messages.ts:list` and `api.messages.list` are `messages:list`.
pub(super) fn canonical(given: &str) -> String {
    let named = given
        .strip_prefix("api.")
        .or_else(|| given.strip_prefix("internal."));
    if let Some((module, export)) = named.and_then(|path| path.rsplit_once('.')) {
        return format!("{}:{export}", module.replace('.', "/"));
    }
    let (module, export) = given.split_once(':').unwrap_or((given, "default"));
    let module = [".ts", ".js"]
        .iter()
        .find_map(|ending| module.strip_suffix(ending))
        .unwrap_or(module);
    format!(
        "{}:{export}",
        module.strip_prefix("convex/").unwrap_or(module)
    )
}

/// The kind of a function in force; an error that names others if there is none.
pub(super) async fn kind(client: &Client, path: &str) -> Result<String, Failure> {
    let rows = client
        .query(
            "SELECT pg_catalog.regexp_replace(f.module, '\\.js$', '') || ':' || f.name, f.kind
             FROM live.functions AS f JOIN live.active AS a
                 ON a.deployment = f.deployment AND a.component = f.component
             WHERE f.component = '' ORDER BY 1",
            &[],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let all: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    if let Some((_, kind)) = all.iter().find(|(known, _)| known == path) {
        return Ok(kind.clone());
    }
    if all.is_empty() {
        return Err(Failure::new(
            "nothing is deployed in this database: deploy an app by `pg-live deploy <app dir>`",
        ));
    }
    let names: Vec<&str> = all.iter().map(|(path, _)| path.as_str()).collect();
    Err(Failure::new(format!(
        "there is no function {path}. The deployment in force has:\n  {}",
        names.join("\n  ")
    )))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn paths_are_understood_in_all_their_forms() {
        for (given, wanted) in [
            ("messages:list", "messages:list"),
            ("messages.ts:list", "messages:list"),
            ("convex/a/b.js:list", "a/b:list"),
            ("api.a.b.list", "a/b:list"),
            ("internal.jobs.run", "jobs:run"),
            ("messages", "messages:default"),
        ] {
            assert_eq!(canonical(given), wanted);
        }
    }
}
