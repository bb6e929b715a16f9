//! `pg-live sql`: psql with the right connection.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use super::database::{AdminTarget, Target, without_password};
use super::exit::Failure;
use crate::dev;

#[derive(clap::Args, Debug)]
pub(super) struct SqlArgs {
    /// As superuser (PG_LIVE_ADMIN_URL) instead of the owner of the deployment
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    target: Target,
    /// Arguments of psql, after --: `pg-live sql -- -c "SELECT 1"`
    #[arg(last = true, value_name = "PSQL ARGS")]
    arguments: Vec<String>,
}

pub(super) fn run(args: SqlArgs) -> Result<(), Failure> {
    let url = if args.admin && args.target.url.is_none() {
        let admin = AdminTarget {
            app_dir: args.target.app_dir,
            url: std::env::var("PG_LIVE_ADMIN_URL").ok(),
        };
        admin.url()?
    } else {
        args.target.url()?
    };
    let mut command = program("psql", &url)?;
    let error = command.args(&args.arguments).exec();
    Err(Failure::new(format!("cannot run psql: {error}")))
}

/// A program of Postgres' clients that connects to `url`; the password is in its environment.
pub(super) fn program(name: &str, url: &str) -> Result<std::process::Command, Failure> {
    let path = find(name).ok_or_else(|| {
        Failure::new(format!(
            "{name} was not found: install the clients of Postgres (Debian: apt-get install postgresql-client-15)"
        ))
    })?;
    let (url, password) = without_password(url);
    let mut command = std::process::Command::new(path);
    command.arg(format!("--dbname={url}"));
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    Ok(command)
}

/// The program that belongs to the server, else the one on the PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    dev::server_program(name).or_else(|| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    })
}
