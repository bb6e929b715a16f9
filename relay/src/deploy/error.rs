//! What can go wrong in a deploy, and what to do about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Message;

/// Why a deploy did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The app's folder is not there.
    #[error("cannot open the app's folder {}: {source}", path.display())]
    NoApp {
        /// As it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder has no functions.
    #[error(
        "there is no folder {}: an app keeps its functions there (convex.json may name another \
         folder). Is the app's folder right?", path.display()
    )]
    NoFunctions {
        /// Where it should be.
        path: PathBuf,
    },
    /// npm packages are not installed.
    #[error("npm package {package} is not installed in {0}: run `npm install` in {0}", dir.display())]
    NoPackages {
        /// The app's folder.
        dir: PathBuf,
        /// What is missing.
        package: &'static str,
    },
    /// Node.js cannot be run.
    #[error("cannot run `node` to bundle the functions: {0}. Install Node.js 20 or newer")]
    NoNode(std::io::Error),
    /// Modules that do not compile.
    #[error("the functions do not compile:\n{}", lines(errors))]
    Compile {
        /// What the bundler said.
        errors: Vec<Message>,
    },
    /// The bundler broke.
    #[error("the bundler failed:\n{output}")]
    Bundler {
        /// What it wrote.
        output: String,
    },
    /// A file where only the bundler may write.
    #[error("{file}: folder _deps is reserved for what modules share: move the file elsewhere")]
    Reserved {
        /// Relative to the app's folder.
        file: String,
    },
    /// `"use node"` where it cannot be.
    #[error("{file}: this file cannot have the directive \"use node\": remove it")]
    UseNode {
        /// Relative to the app's folder.
        file: String,
    },
    /// A file name that is not Unicode.
    #[error("{}: the name is not valid Unicode: rename the file", path.display())]
    NotUnicode {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A settings file is not JSON.
    #[error("{}: {source}", path.display())]
    BadJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A request that cannot be written as JSON.
    #[error("cannot encode the bundle: {0}")]
    Encode(serde_json::Error),
    /// The extension speaks another language.
    #[error(
        "the extension's answer is not understood: {0}. Are pg-live and the extension of the same \
         version? (`pg-live version`, `SELECT extversion FROM pg_extension`)"
    )]
    Decode(serde_json::Error),
    /// The URL of the database has a mistake.
    #[error("the database URL is not valid: {0}")]
    Url(#[source] crate::postgres::Error),
    /// The database cannot be reached.
    #[error("cannot connect to the database: {}. Is it running, and is the URL right?", connect_reason(.0))]
    Connect(tokio_postgres::Error),
    /// The database has another encoding.
    #[error(
        "database {database} has encoding {encoding}: pg_live needs UTF8. Make another one: \
         CREATE DATABASE app ENCODING 'UTF8' TEMPLATE template0"
    )]
    NotUtf8 {
        /// Its name.
        database: String,
        /// Its encoding.
        encoding: String,
    },
    /// The extension is not there.
    #[error(
        "database {database} does not have the extension: as a superuser, run there \
         CREATE EXTENSION pg_live; SELECT live.setup('<role that deploys>')"
    )]
    NoExtension {
        /// Its name.
        database: String,
    },
    /// The connection was lost on the way.
    #[error(
        "the connection to the database was lost: {}. What ran before runs on, unless the deploy was just ending: \
         `pg-live deployments` shows what is in force. Deploying again finishes the work",
        connect_reason(.0)
    )]
    Lost(tokio_postgres::Error),
    /// The database refused a statement.
    #[error("{}", sql_reason(.0))]
    Sql(tokio_postgres::Error),
    /// Nobody said where to deploy to.
    #[error(
        "no database is known: give --url, set {variable} or start `pg-live dev {}` first",
        app.display()
    )]
    NoTarget {
        /// The app's folder.
        app: PathBuf,
        /// The variable that may name it.
        variable: &'static str,
    },
}

impl Error {
    pub(super) fn sql(error: tokio_postgres::Error) -> Self {
        if is_lost(&error) {
            Self::Lost(error)
        } else {
            Self::Sql(error)
        }
    }
}

fn is_lost(error: &tokio_postgres::Error) -> bool {
    use std::error::Error as _;
    let source = error.source();
    error.is_closed() || source.is_some_and(|source| source.is::<std::io::Error>())
}

fn lines(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|m| format!("  {m}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The server's words if it answered, else those of the operating system.
fn connect_reason(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match (error.as_db_error(), error.source()) {
        (Some(db), _) => db.message().to_owned(),
        (None, Some(source)) => source.to_string(),
        (None, None) => error.to_string(),
    }
}

/// Message, SQLSTATE, detail and hint of a failed statement.
pub(crate) fn sql_reason(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return format!("the database did not answer: {}", connect_reason(error));
    };
    let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
    for (what, more) in [("detail", db.detail()), ("hint", db.hint())] {
        if let Some(more) = more {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {what}: {more}");
        }
    }
    text
}
