//! The command line of `pg-live`: one file for each command.

mod backup;
mod codegen;
mod database;
mod deploy;
mod dev;
mod env;
mod exit;
mod explain;
mod indexes;
mod init;
mod key_text;
mod logs;
mod run;
mod serve;
mod sql;
mod sql_functions;
mod status;
mod tables;
pub(crate) mod terminal;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::serve::LogFormat;
use exit::Failure;

/// Ends the list of commands.
const START_HERE: &str = "\
Start here:
  pg-live init my-app && cd my-app && npm install && pg-live dev
It runs a private Postgres for the app, deploys its convex/ folder, serves clients and deploys again
whenever a file changes. Ctrl-C ends everything that it started.
`pg-live dev examples/chat` does so with an example; `pg-live help <command>` says more.

Exit codes: 0 done; 1 refused or failed, the message says why; 2 the command line is wrong;
3 the database cannot be reached; 4 `status` found something that does not work.";

/// Live queries on PostgreSQL: the relay, the development server and the deploy tool.
#[derive(Parser)]
#[command(name = "pg-live", version, arg_required_else_help = true, after_help = START_HERE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Output for machines: JSON, one value a line; errors as {"error", "code"} on standard error
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Begin a project: a chat with React, or functions over tables of an existing database
    ///
    /// Examples:
    ///   pg-live init my-app
    ///   pg-live init live --template existing --url postgres://me@db/shop --table orders
    #[command(verbatim_doc_comment)]
    Init(init::InitArgs),
    /// Run an app for development: private Postgres, deploy, relay, watch
    ///
    /// What it does, in this order:
    ///   1. starts a Postgres cluster of its own in <app dir>/.pg-live (made at the first start;
    ///      an existing server is never touched), on 127.0.0.1 and a free port
    ///   2. creates database `app` and the extension pg_live
    ///   3. bundles <app dir>/convex with the app's own esbuild and deploys it
    ///   4. serves clients on --port (WebSocket and HTTP)
    ///   5. runs the script `dev:frontend` of package.json, if there is one
    ///   6. redeploys when a file in convex/ changes; a failed deploy leaves the old one running
    ///
    /// Connection data is written to <app dir>/.pg-live/env; use it with
    ///   . .pg-live/env && psql "$DATABASE_URL"
    #[command(verbatim_doc_comment)]
    Dev(dev::DevArgs),
    /// Stop a development server that runs in the background (`dev --detach`) or elsewhere
    Stop(dev::StopArgs),
    /// Bundle the app's convex/ folder and deploy it to a database once
    ///
    /// The database must have the extension:
    ///   CREATE EXTENSION pg_live; SELECT live.setup('<role that owns the deployment>');
    /// If convex/ has a tsconfig.json and the app has TypeScript, types are checked first.
    /// Without --url the database of `pg-live dev` for this app is used (<app dir>/.pg-live/env).
    #[command(verbatim_doc_comment)]
    Deploy(deploy::DeployArgs),
    /// Show who deployed what and when
    Deployments(deploy::DeploymentsArgs),
    /// Go back to an earlier deployment: its code and its schema, together
    ///
    /// It becomes a new deployment, so that going forward again is a rollback, too. Documents stay as
    /// they are: if one does not fit the old schema, nothing changes and the message names it.
    #[command(verbatim_doc_comment)]
    Rollback(deploy::RollbackArgs),
    /// Call a query or a mutation and print its result
    ///
    /// Examples:
    ///   pg-live run messages:list
    ///   pg-live run messages:send '{"author": "me", "body": "hi"}'
    ///   pg-live run messages:send '{"body": "hi"}' --identity '{"name": "Grace"}'
    /// What the function logs goes to standard error. Without --identity it runs as nobody.
    #[command(verbatim_doc_comment)]
    Run(run::RunArgs),
    /// Show what functions logged; -f goes on with what they log from now on
    Logs(logs::LogsArgs),
    /// Look at everything that a deployment needs, and say what to fix
    ///
    /// Server and encoding, preload, versions, roles, workers, lag, relays, capture, wal_level, slots,
    /// standbys, pending indexes. Exit code 4 if something does not work.
    #[command(verbatim_doc_comment)]
    Status(status::StatusArgs),
    /// Show what a query read: it runs again when that changes
    ///
    /// Example:
    ///   pg-live explain messages:list '{"channel": "general"}'
    /// For deployed queries, and SQL functions: pg-live explain sql/api:orders '{"customer": 5}'
    #[command(verbatim_doc_comment)]
    Explain(explain::ExplainArgs),
    /// Open psql on the database, or run it with arguments: `pg-live sql -- -c "SELECT 1"`
    Sql(sql::SqlArgs),
    /// Environment variables of the deployment: functions find them in process.env
    ///
    /// Without --url the database of `pg-live dev` for this app is used (<app dir>/.pg-live/env).
    /// A change runs all live queries again.
    #[command(verbatim_doc_comment)]
    Env(env::EnvArgs),
    /// Show indexes that are pending, and build them beside readers and writers
    Indexes(indexes::IndexesArgs),
    /// Write the database to a file, by pg_dump
    Backup(backup::BackupArgs),
    /// Restore a file into an empty or new database, by pg_restore
    ///
    /// Example:
    ///   pg-live restore backup.dump --into app_copy
    /// The roles must exist, and the server must have pg_live in shared_preload_libraries.
    #[command(verbatim_doc_comment)]
    Restore(backup::RestoreArgs),
    /// Write convex/_generated, and types of the database's tables to convex/sql.d.ts
    ///
    /// sql.d.ts has a type for each table and view, as the npm package `pg` gives their rows, and one
    /// for the SQL functions that clients query: (anyApi as unknown as Api).sql.api.orders. It is beside
    /// _generated, which the npm tool empties of files that it does not know.
    #[command(verbatim_doc_comment)]
    Codegen(codegen::CodegenArgs),
    /// Serve clients of an existing database: the relay alone, as in production
    ///
    /// Any number of relays may serve one database. The role in --url must be a member of
    /// live_relay:
    ///   CREATE ROLE relay LOGIN PASSWORD '...' IN ROLE live_relay;
    #[command(verbatim_doc_comment)]
    Serve(Box<crate::serve::Settings>),
    /// Print a script that completes commands and options in a shell
    ///
    /// For bash, in ~/.bashrc:  . <(pg-live completions bash)
    /// For zsh, in ~/.zshrc:    . <(pg-live completions zsh)
    /// For fish:                pg-live completions fish > ~/.config/fish/completions/pg-live.fish
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

/// Runs the command of this process's command line.
pub fn main() -> ExitCode {
    let mut cli = Cli::parse();
    let json = cli.json;
    if let Command::Serve(settings) = &mut cli.command {
        match std::mem::take(settings.as_mut()).with_file() {
            Ok(complete) => **settings = complete,
            Err(error) => return Failure::from(error).end(json),
        }
    }
    set_up_log(&cli.command);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).end(json),
    };
    let result = runtime.block_on(dispatch(cli.command, json));
    // Tasks that still wait for a peer are not waited for.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(failure) => failure.end(json),
    }
}

/// Logs go to stderr; RUST_LOG chooses more or less than the command's usual.
fn set_up_log(command: &Command) {
    let mut format = LogFormat::Text;
    let usual = match command {
        Command::Serve(settings) => {
            format = settings.log_format();
            "info"
        }
        _ => "warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

async fn dispatch(command: Command, json: bool) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => init::run(args, json).await?,
        Command::Dev(args) => dev::run(args).await?,
        Command::Stop(args) => dev::stop(args).await?,
        Command::Deploy(args) => deploy::run(args, json).await?,
        Command::Deployments(args) => deploy::list(args, json).await?,
        Command::Rollback(args) => deploy::rollback(args, json).await?,
        Command::Run(args) => run::run(args, json).await?,
        Command::Logs(args) => logs::run(args, json).await?,
        Command::Status(args) => return status::run(args, json).await,
        Command::Explain(args) => explain::run(args, json).await?,
        Command::Sql(args) => sql::run(args)?,
        Command::Env(args) => env::run(args, json).await?,
        Command::Indexes(args) => indexes::run(args, json).await?,
        Command::Backup(args) => backup::backup(args, json).await?,
        Command::Restore(args) => backup::restore(args, json).await?,
        Command::Codegen(args) => codegen::run(args, json).await?,
        Command::Serve(settings) => serve::run(*settings).await?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pg-live", &mut script);
            terminal::print_line(&String::from_utf8_lossy(&script));
        }
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            if json {
                terminal::print_line(&serde_json::json!({"version": version}).to_string());
            } else {
                terminal::print_line(&format!("pg-live {version}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
