//! The `pg-live` command.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pg_live_relay::{deploy, dev, serve};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Ends the list of commands.
const START_HERE: &str = "\
Start here:  pg-live dev examples/chat
It runs a private Postgres for the app, deploys its convex/ folder, serves clients and deploys again
whenever a file changes. Ctrl-C ends everything that it started.
`pg-live help <command>` says more.";

/// Live queries on PostgreSQL: the relay, the development server and the deploy tool.
#[derive(Parser)]
#[command(name = "pg-live", version, arg_required_else_help = true, after_help = START_HERE)]
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
    /// Environment variables of the deployment: functions find them in process.env
    ///
    /// Without --url the database of `pg-live dev` for this app is used (<app dir>/.pg-live/env).
    /// A change runs all live queries again.
    #[command(verbatim_doc_comment)]
    Env(EnvArgs),
    /// Serve clients of an existing database: the relay alone, as in production
    ///
    /// Any number of relays may serve one database. The role in --url must be a member of
    /// live_relay:
    ///   CREATE ROLE relay LOGIN PASSWORD '...' IN ROLE live_relay;
    #[command(verbatim_doc_comment)]
    Serve(Box<serve::Settings>),
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
    /// Do not run the script `dev:frontend` of package.json
    #[arg(long)]
    no_frontend: bool,
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
    /// Deploy nothing: print what would be sent (the argument of live.deploy) as JSON
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
struct EnvArgs {
    #[command(subcommand)]
    action: EnvAction,
    /// Folder of the app
    #[arg(long, default_value = ".", value_name = "DIR", global = true)]
    app_dir: PathBuf,
    /// Database of the deployment, as the role that owns it
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    url: Option<String>,
}

#[derive(Subcommand)]
enum EnvAction {
    /// Print all variables, one NAME=value a line
    List,
    /// Print the value of a variable
    Get {
        /// Its name
        name: String,
    },
    /// Set a variable; without a value it is read from standard input
    Set {
        /// Letters, digits and underscores
        name: String,
        /// At most 8 KiB
        value: Option<String>,
    },
    /// Remove a variable
    Remove {
        /// Its name
        name: String,
    },
}

fn main() -> ExitCode {
    let mut command = Cli::parse().command;
    if let Command::Serve(settings) = &mut command {
        match std::mem::take(settings.as_mut()).with_file() {
            Ok(complete) => **settings = complete,
            Err(error) => return fail(&error),
        }
    }
    set_up_log(&command);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(run(command));
    // Tasks that still wait for a peer are not waited for.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref()),
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("pg-live: {error}");
    ExitCode::FAILURE
}

/// Prints a line; that nobody reads on (`| head`) is not an error.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Logs go to stderr; RUST_LOG chooses more or less than the command's usual.
fn set_up_log(command: &Command) {
    let mut format = serve::LogFormat::Text;
    let usual = match command {
        Command::Serve(settings) => {
            format = settings.log_format();
            "info"
        }
        Command::Dev(_)
        | Command::Stop(_)
        | Command::Deploy(_)
        | Command::Env(_)
        | Command::Version => "warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        serve::LogFormat::Text => log.init(),
        serve::LogFormat::Json => log.json().init(),
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Dev(args) => {
            let options = dev::Options {
                app_dir: args.app_dir,
                dir: args.dir,
                port: args.port,
                frontend: !args.no_frontend,
            };
            if args.detach {
                dev::detach(&options).await?;
            } else {
                dev::run(&options).await?;
            }
        }
        Command::Stop(args) => dev::stop(&args.app_dir, args.dir.as_deref()).await?,
        Command::Deploy(args) => run_deploy(args).await?,
        Command::Env(args) => run_env(args).await?,
        Command::Serve(settings) => run_serve(*settings).await?,
        Command::Version => print_line(&format!("pg-live {}", env!("CARGO_PKG_VERSION"))),
    }
    Ok(())
}

async fn run_deploy(args: DeployArgs) -> Result<(), Box<dyn Error>> {
    let app = deploy::App::open(&args.app_dir)?;
    let prepared = deploy::prepare(&app).await?;
    for note in &prepared.notes {
        eprintln!("{note}");
    }
    if args.dry_run {
        print_line(&serde_json::to_string(&prepared.source)?);
        return Ok(());
    }
    let url = target(args.url, args.app_dir, &app.dir)?;
    print_line(&deploy::deploy(&prepared.source, &url).await?.summary());
    Ok(())
}

/// The database that was named, else that of `pg-live dev` for the app.
fn target(url: Option<String>, given: PathBuf, dir: &Path) -> Result<String, deploy::Error> {
    url.or_else(|| dev::known_database_url(dir))
        .ok_or(deploy::Error::NoTarget { app: given })
}

async fn run_env(args: EnvArgs) -> Result<(), Box<dyn Error>> {
    let dir = args.app_dir.clone();
    let url = target(args.url, args.app_dir, &dir)?;
    match args.action {
        EnvAction::List => {
            for (name, value) in deploy::variables(&url).await? {
                print_line(&format!("{name}={value}"));
            }
        }
        EnvAction::Get { name } => {
            let variables = deploy::variables(&url).await?;
            match variables.into_iter().find(|(known, _)| *known == name) {
                Some((_, value)) => print_line(&value),
                None => return Err(format!("environment variable {name} is not set").into()),
            }
        }
        EnvAction::Set { name, value } => {
            let value = match value {
                Some(value) => value,
                None => std::io::read_to_string(std::io::stdin())?
                    .trim_end_matches('\n')
                    .to_owned(),
            };
            deploy::set_variable(&url, &name, Some(&value)).await?;
        }
        EnvAction::Remove { name } => deploy::set_variable(&url, &name, None).await?,
    }
    Ok(())
}

async fn run_serve(settings: serve::Settings) -> Result<(), Box<dyn Error>> {
    let config = settings.into_config()?;
    match deploy::check_database(&config.database_url).await {
        // A server that is not up yet is waited for.
        Ok(()) | Err(deploy::Error::Connect(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        asked.cancel();
        // Who asks again does not want to wait.
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(1);
    });
    serve::run(config, stop).await?;
    Ok(())
}
