//! What can go wrong in `pg-live dev`, and what to do about it.

use std::path::{Path, PathBuf};

use crate::deploy;

/// Why the development server did not start or went down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The app or its first deploy.
    #[error(transparent)]
    Deploy(#[from] deploy::Error),
    /// A file or folder of ours.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another run has the same folder.
    #[error(
        "a development server already runs for this folder (process {pid}, {}): use it, or end it with \
         `pg-live stop {} --dir {}`", home.display(), app.display(), home.display()
    )]
    Running {
        /// Its process.
        pid: String,
        /// The folder of the cluster.
        home: PathBuf,
        /// The app.
        app: PathBuf,
    },
    /// The clients' port belongs to someone else.
    #[error(
        "port {port} on 127.0.0.1 is taken: end the program that uses it (`ss -ltnp | grep {port}` \
         shows it; another app's `pg-live dev`?) or choose another with --port"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// No Postgres of the right version.
    #[error(
        "the programs of Postgres {version} were not found ({}). Install them (Debian: \
         apt-get install postgresql-{version}), then run `make build`", tried.join(", ")
    )]
    NoServer {
        /// Major version.
        version: u32,
        /// Where they were looked for.
        tried: Vec<String>,
    },
    /// Postgres without the extension.
    #[error(
        "Postgres in {} has no extension pg_live: run `make build` (a private copy for \
         `pg-live dev`) or `make install` (into that server)", server.display()
    )]
    NoExtensionFiles {
        /// Folder of its programs.
        server: PathBuf,
    },
    /// As root, the cluster's own user cannot reach the folder.
    #[error(
        "user {user}, who runs the cluster, cannot reach {}: choose another folder with --dir, or \
         remove this one if its data is not needed", path.display()
    )]
    Unreachable {
        /// The system user.
        user: String,
        /// The folder.
        path: PathBuf,
    },
    /// A program of ours failed.
    #[error("{program} failed:\n{output}")]
    Program {
        /// Its name.
        program: String,
        /// What it wrote.
        output: String,
    },
    /// The cluster's extension is of another build.
    #[error(
        "the database in {} was made by another build of this version of pg_live, and there is no upgrade between \
         builds. To begin with an empty one: `pg-live dev --fresh` (in a clone: `make run FRESH=1`); the old data is \
         then moved to {}/data.old-<time>. To keep it, go back to that build and save it by `pg-live backup`",
        home.display(), home.display()
    )]
    OtherBuild {
        /// The folder of the cluster.
        home: PathBuf,
    },
    /// The passwords of an existing cluster are lost.
    #[error(
        "{} is missing or broken, and with it the passwords of the cluster beside it. Restore the \
         file, or remove the folder to start with an empty database", path.display()
    )]
    NoSecrets {
        /// The file.
        path: PathBuf,
    },
    /// The server does not come up.
    #[error("Postgres did not start; the end of {}:\n{tail}", log.display())]
    Start {
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A statement of the set-up.
    #[error("cannot set up the database ({step}): {reason}")]
    Setup {
        /// What we were about to do.
        step: &'static str,
        /// The server's words.
        reason: String,
    },
    /// The functions folder cannot be watched.
    #[error(
        "cannot watch {}: {error}. If there are too many watches, raise the limit: \
         sysctl fs.inotify.max_user_watches=524288", path.display()
    )]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: notify::Error,
    },
    /// The relay ended.
    #[error("the relay ended: {0}")]
    Relay(String),
    /// The background run ended before it was ready.
    #[error("the development server ended before it was ready; its output is in {}", log.display())]
    Detached {
        /// Its log.
        log: PathBuf,
    },
    /// A run that does not end.
    #[error("process {pid} does not end: look at it, then `kill -9 {pid}`")]
    Stuck {
        /// The process.
        pid: String,
    },
}

/// For `map_err`: an error of the operating system with the path it is about.
pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |source| Error::Io {
        path: path.to_path_buf(),
        source,
    }
}
