//! `pg-live dev` and `pg-live stop`.

use std::path::PathBuf;

use super::exit::Failure;
use crate::dev;

#[derive(clap::Args, Debug)]
pub(super) struct DevArgs {
    /// Folder of the app: the one that holds package.json and convex/
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// Where the private cluster lives [default: <app dir>/.pg-live]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Port for clients of the relay
    #[arg(long, default_value_t = 3210)]
    port: u16,
    /// Begin with an empty database: data that is there is moved aside
    #[arg(long)]
    fresh: bool,
    /// Run in the background: return once the app is ready (log: <dir>/dev.log)
    #[arg(long)]
    detach: bool,
    /// Do not run the script `dev:frontend` of package.json
    #[arg(long)]
    no_frontend: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct StopArgs {
    /// Folder of the app
    #[arg(default_value = ".")]
    app_dir: PathBuf,
    /// The --dir given to `pg-live dev`, if any
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn run(args: DevArgs) -> Result<(), Failure> {
    let options = dev::Options {
        app_dir: args.app_dir,
        dir: args.dir,
        port: args.port,
        frontend: !args.no_frontend,
        fresh: args.fresh,
    };
    if args.detach {
        dev::detach(&options).await?;
    } else {
        dev::run(&options).await?;
    }
    Ok(())
}

pub(super) async fn stop(args: StopArgs) -> Result<(), Failure> {
    Ok(dev::stop(&args.app_dir, args.dir.as_deref()).await?)
}
