//! `pg-live run`: one call of a function.

use std::io::Read as _;

use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};

use super::database::Target;
use super::exit::Failure;
use super::terminal::{self, note, print_line};
use crate::{deploy, serve};

/// How often a mutation that loses against others is tried.
const TRIES: u32 = 5;

#[derive(clap::Args, Debug)]
pub(super) struct RunArgs {
    /// The function: module and export, as messages:list
    function: String,
    /// Its arguments, as JSON; - reads them from standard input
    #[arg(default_value = "{}", value_name = "ARGS")]
    arguments: String,
    /// Call it as this user: JSON, what ctx.auth.getUserIdentity() is to give
    #[arg(long, value_name = "JSON")]
    identity: Option<String>,
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
    let is_query = is_query(&client, &path).await?;
    let value = match &args.identity {
        Some(user) => call_as(&client, &path, is_query, &arguments, user).await?,
        None => {
            let statement = match is_query {
                true => "SELECT live.query($1, $2::json)::text",
                false => "SELECT live.mutation($1, $2::json)::text",
            };
            let result = client
                .query_one(statement, &[&path, &Json(arguments)])
                .await;
            // What the function logged arrived before its result.
            while let Ok(notice) = notices.try_recv() {
                note(notice.message());
            }
            let row = result.map_err(deploy::Error::Sql)?;
            row.get::<_, Option<String>>(0)
        }
    };
    let value = value.unwrap_or_else(|| "null".to_owned());
    if !json && terminal::is_terminal() {
        let value: serde_json::Value = serde_json::from_str(&value)?;
        print_line(&serde_json::to_string_pretty(&value)?);
    } else {
        print_line(&value);
    }
    Ok(())
}

/// Whether the function at `path` is a query; an error if it is no mutation either.
async fn is_query(client: &Client, path: &str) -> Result<bool, Failure> {
    // SQL functions are queries.
    if path.starts_with("sql/") {
        return Ok(true);
    }
    match kind(client, path).await?.as_str() {
        "Query" => Ok(true),
        "Mutation" => Ok(false),
        other => Err(Failure::new(format!(
            "{path} is of kind {other}, which cannot run yet: see LIMITATIONS.md"
        ))),
    }
}

/// Calls a function as a user, as relays do.
async fn call_as(
    client: &Client,
    path: &str,
    is_query: bool,
    arguments: &serde_json::Value,
    user: &str,
) -> Result<Option<String>, Failure> {
    let wrong = |reason: String| {
        Failure::new(format!(
            "--identity: {reason}. Write it as '{{\"name\": \"Grace\"}}'"
        ))
    };
    let user = serde_json::from_str(user).map_err(|error| wrong(error.to_string()))?;
    let identity = serve::acting_as(complete(user)).map_err(wrong)?;
    let (begin, call) = match is_query {
        true => (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            "SELECT ok, value::text, error, log_lines FROM live.run_query($1, $2, $3, 0, 0, 0)",
        ),
        false => (
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "SELECT ok, value::text, error, log_lines FROM live.run_mutation($1, $2, $3, NULL, NULL)",
        ),
    };
    client
        .batch_execute("SELECT live.prepare_connection()")
        .await
        .map_err(deploy::Error::Sql)?;
    let arguments = arguments.to_string();
    let mut tries = 0;
    let row = loop {
        tries += 1;
        match transact(client, begin, call, &[path, &arguments, &identity]).await {
            Ok(row) => break row,
            Err(error)
                if tries < TRIES && error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) =>
            {
                client
                    .batch_execute("ROLLBACK")
                    .await
                    .map_err(deploy::Error::Sql)?;
            }
            Err(error) => return Err(deploy::Error::Sql(error).into()),
        }
    };
    let lines: Option<Vec<String>> = row.get(3);
    lines.unwrap_or_default().iter().for_each(|line| note(line));
    match row.get(0) {
        true => Ok(row.get(1)),
        false => Err(Failure::new(
            row.get::<_, Option<String>>(2).unwrap_or_default(),
        )),
    }
}

/// A user with subject and issuer, which each has; given ones stay. The same user has the same ones each time, those of
/// `npx convex run` as far as its issuer goes.
fn complete(mut user: serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
    let text = serde_json::Value::Object(user.clone()).to_string();
    let digest = Sha256::digest(text);
    let subject: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    user.entry("subject").or_insert_with(|| subject.into());
    user.entry("issuer")
        .or_insert_with(|| "https://convex.test".into());
    user.into()
}

async fn transact(
    client: &Client,
    begin: &str,
    call: &str,
    parameters: &[&str; 3],
) -> Result<Row, tokio_postgres::Error> {
    client.batch_execute(begin).await?;
    let [path, arguments, identity] = parameters;
    let row = client.query_one(call, &[path, arguments, identity]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(row)
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
        instead(&names, path)
    )))
}

/// What there is instead of `path`: first functions of its module, and not all of a large app.
fn instead(names: &[&str], path: &str) -> String {
    const SHOWN: usize = 20;
    let module = |path| str::split(path, ':').next();
    let (near, far): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| module(name) == module(path));
    let mut shown: Vec<&str> = near.into_iter().chain(far).take(SHOWN).collect();
    let more = format!("and {} more", names.len().saturating_sub(SHOWN));
    if names.len() > SHOWN {
        shown.push(&more);
    }
    shown.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::{canonical, complete, instead};

    #[test]
    fn functions_of_the_same_module_are_told_first() {
        assert_eq!(instead(&["a:x", "b:y", "b:z"], "b:q"), "b:y\n  b:z\n  a:x");
        let many: Vec<String> = (0..30).map(|n| format!("m:f{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(instead(&many, "n:f").ends_with("m:f19\n  and 10 more"));
    }

    #[test]
    fn a_user_is_completed() {
        let user = |text| complete(serde_json::from_str(text).unwrap());
        let grace = user("{\"name\": \"Grace\"}");
        assert_eq!(grace["issuer"], "https://convex.test");
        assert_eq!(grace, user("{\"name\": \"Grace\"}"));
        assert_ne!(grace["subject"], user("{\"name\": \"Ada\"}")["subject"]);
        assert_eq!(
            user("{\"subject\": \"s\", \"issuer\": \"i\"}")["subject"],
            "s"
        );
    }

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
