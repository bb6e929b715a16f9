//! `pg-live backup` and `pg-live restore`: pg_dump and pg_restore with what a deployment needs around them.

use std::path::PathBuf;
use std::process::Command;

use super::database::{AdminTarget, with_database};
use super::exit::Failure;
use super::sql::program;
use super::terminal::{note, print_line};
use crate::deploy;

#[derive(clap::Args, Debug)]
pub(super) struct BackupArgs {
    /// File to write; pg_dump's custom format
    #[arg(default_value = "backup.dump")]
    file: PathBuf,
    #[command(flatten)]
    target: AdminTarget,
}

#[derive(clap::Args, Debug)]
pub(super) struct RestoreArgs {
    /// File that `pg-live backup` wrote
    file: PathBuf,
    /// Make a new database of this name on the server of --url, and restore into it
    #[arg(long, value_name = "DATABASE")]
    into: Option<String>,
    #[command(flatten)]
    target: AdminTarget,
}

pub(super) async fn backup(args: BackupArgs, json: bool) -> Result<(), Failure> {
    let url = args.target.url()?;
    // Says what is wrong better than pg_dump would.
    deploy::check_database(&url).await?;
    let mut command = program("pg_dump", &url)?;
    command.arg("--format=custom").arg("--file").arg(&args.file);
    end_well(&mut command)?;
    let bytes = std::fs::metadata(&args.file)?.len();
    if json {
        let file = args.file.display().to_string();
        print_line(&serde_json::json!({"file": file, "bytes": bytes}).to_string());
    } else {
        print_line(&format!("{}: {bytes} bytes", args.file.display()));
        note(
            "it holds code, documents, settings and environment variables, not roles and their passwords",
        );
    }
    Ok(())
}

pub(super) async fn restore(args: RestoreArgs, json: bool) -> Result<(), Failure> {
    if !args.file.is_file() {
        return Err(Failure::new(format!(
            "{}: there is no such file",
            args.file.display()
        )));
    }
    let mut url = args.target.url()?;
    if let Some(name) = &args.into {
        url = make_database(&url, name).await?;
    }
    check_is_empty(&url).await?;
    let mut command = program("pg_restore", &url)?;
    command
        .args(["--exit-on-error", "--single-transaction"])
        .arg(&args.file);
    end_well(&mut command)?;
    let client = deploy::connect(&url).await?;
    let row = client
        .query_one(
            "SELECT pg_catalog.current_database()::text, (SELECT value FROM live.settings WHERE name = 'owner'),
                 (SELECT count(*) FROM live.functions AS f JOIN live.active AS a ON a.deployment = f.deployment)",
            &[],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let (database, owner, functions): (String, Option<String>, i64) =
        (row.get(0), row.get(1), row.get(2));
    if json {
        let text =
            serde_json::json!({"database": database, "owner": owner, "functions": functions});
        print_line(&text.to_string());
    } else {
        print_line(&format!(
            "restored into database {database}: {functions} functions, owned by {}",
            owner.unwrap_or_else(|| "nobody".to_owned())
        ));
        note("point relays at it: pg-live serve --url postgres://<relay>@<host>/<this database>");
    }
    Ok(())
}

/// Runs a program to its end; what it says goes to standard error as it is.
fn end_well(command: &mut Command) -> Result<(), Failure> {
    let name = PathBuf::from(command.get_program());
    let name = name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{name} ended with {status}: see its message above"
    )))
}

/// Makes a database on the server of `url`; returns its URL.
async fn make_database(url: &str, name: &str) -> Result<String, Failure> {
    let target = with_database(url, name).ok_or_else(|| {
        Failure::new("--into needs a URL of the form postgres://user@host/database")
    })?;
    let client = deploy::connect_anywhere(url).await?;
    let quoted = name.replace('"', "\"\"");
    client
        .batch_execute(&format!(
            "CREATE DATABASE \"{quoted}\" ENCODING 'UTF8' TEMPLATE template0"
        ))
        .await
        .map_err(deploy::Error::Sql)?;
    Ok(target)
}

/// A restore into a database that is in use would mix two deployments.
async fn check_is_empty(url: &str) -> Result<(), Failure> {
    let client = deploy::connect_anywhere(url).await?;
    let row = client
        .query_one(
            "SELECT pg_catalog.current_database()::text,
                 (SELECT count(*) FROM pg_catalog.pg_class AS c
                  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\\_%'
                      AND n.nspname <> 'information_schema')",
            &[],
        )
        .await
        .map_err(deploy::Error::Sql)?;
    let (database, relations): (String, i64) = (row.get(0), row.get(1));
    if relations == 0 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "database {database} is not empty, and a restore would mix two deployments: name a new database with --into, \
         or an empty one with --url"
    )))
}
