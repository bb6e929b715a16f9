//! The `pg-live` command.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Live queries on PostgreSQL: the relay, the development server and the deploy tool.
///
/// Start here:  pg-live dev examples/chat
/// That runs a private Postgres for the app, deploys its convex/ folder, serves clients and
/// redeploys whenever a file changes. Everything it starts ends with Ctrl-C.
#[derive(Parser)]
#[command(name = "pg-live", version, verbatim_doc_comment, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
    Dev(DevArgs),
    /// Stop a development server that runs in the background (`dev --detach`) or elsewhere
    Stop(StopArgs),
    /// Bundle the app's convex/ folder and deploy it to a database once
    ///
    /// The database must have the extension:
    ///   CREATE EXTENSION pg_live; SELECT live.setup('<role that owns the deployment>');
    /// Without --url the database of `pg-live dev` for this app is used (<app dir>/.pg-live/env).
    #[command(verbatim_doc_comment)]
    Deploy(DeployArgs),
    /// Serve clients of an existing database: the relay alone, as in production
    ///
    /// Any number of relays may serve one database. The role in --url must be a member of
    /// pg_live_relay:
    ///   CREATE ROLE relay LOGIN PASSWORD '...' IN ROLE pg_live_relay;
    #[command(verbatim_doc_comment)]
    Serve(ServeArgs),
    /// Print the version
    Version,
}

#[derive(clap::Args)]
struct DevArgs {
    /// Folder of the app: the one that holds package.json and convex/
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// Where the private cluster lives [default: <app dir>/.pg-live]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port for clients of the relay
    #[arg(long, default_value_t = 3210)]
    port: u16,
    /// Run in the background: return once the app is ready (log: <dir>/dev.log)
    #[arg(long)]
    detach: bool,
}

#[derive(clap::Args)]
struct StopArgs {
    /// Folder of the app
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// The --dir given to `pg-live dev`, if any
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct DeployArgs {
    /// Folder of the app: the one that holds package.json and convex/
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// Database to deploy to, as the role that owns the deployment
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    url: Option<String>,
}

#[derive(clap::Args)]
struct ServeArgs {
    /// Database to serve, as a member of pg_live_relay
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    url: String,
    /// Address for clients
    #[arg(long, default_value = "127.0.0.1:3210", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Key that gives a client administrator rights; without one there are none
    #[arg(long, env = "PG_LIVE_ADMIN_KEY", value_name = "KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// Folder of static files served at / (the built page of the app)
    #[arg(long, value_name = "DIR")]
    static_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Dev(_) | Command::Stop(_) | Command::Deploy(_) | Command::Serve(_) => {
            eprintln!("pg-live: not there yet");
            ExitCode::FAILURE
        }
        Command::Version => {
            println!("pg-live {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}
