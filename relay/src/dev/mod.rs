//! `pg-live dev`: a private Postgres, the deployed app and the relay, in one command.

mod account;
mod background;
mod cluster;
mod database;
mod env_files;
mod error;
mod frontend;
mod home;
mod run;
mod say;
mod secrets;
mod server_files;
mod supervise;
mod watcher;

use std::path::{Path, PathBuf};

pub use background::{detach, stop};
pub use error::Error;
pub use run::run;

/// What to run and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The app's folder.
    pub app_dir: PathBuf,
    /// Where the cluster lives; `.pg-live` in the app's folder if not given.
    pub dir: Option<PathBuf>,
    /// Port of the relay on 127.0.0.1.
    pub port: u16,
    /// Whether to run the script `dev:frontend`, if there is one.
    pub frontend: bool,
    /// Whether to begin with an empty database.
    pub fresh: bool,
}

/// A URL of the app's database, as the last `pg-live dev` of this app wrote it under this name.
pub fn known_url(app_dir: &Path, name: &str) -> Option<String> {
    env_files::read_env(&app_dir.join(".pg-live/env"), name)
}

/// Any text as an app's `.env.local`, for `serve::parse_any_settings`.
pub(crate) fn parse_any_env_file(text: &str) {
    env_files::parse_anything(text);
}

/// A program of the server that `pg-live dev` runs.
pub fn server_program(name: &str) -> Option<PathBuf> {
    server_files::program(name)
}
