//! Bundles an app's functions folder and deploys it.

mod app;
mod bundle;
mod codegen;
mod entry_points;
mod environment;
mod error;
mod push;
mod types;

pub use app::App;
pub use bundle::{Message, Module, Source};
pub use entry_points::EntryPoints;
pub use environment::{set_variable, variables};
pub use error::Error;
pub use push::{Changes, Deployed};
pub use types::{Types, check_types};

pub(crate) use codegen::write_if_changed;
pub(crate) use error::sql_reason;
pub(crate) use push::{SETTINGS, connect, connect_anywhere, connect_with_notices};

/// A bundle with what a person should hear about it.
#[derive(Debug)]
pub struct Prepared {
    /// What to deploy.
    pub source: Source,
    /// One line each: warnings of the bundler, files that were left out.
    pub notes: Vec<String>,
}

/// Writes `_generated` and bundles the functions of `app`.
///
/// # Errors
/// When the folder breaks a rule, a module does not compile or packages are missing.
pub async fn prepare(app: &App) -> Result<Prepared, Error> {
    let entries = EntryPoints::find(app)?;
    codegen::write(app, &entries)?;
    let (source, warnings) = bundle::bundle(app, &entries).await?;
    let mut notes: Vec<String> = warnings.iter().map(|w| format!("warning: {w}")).collect();
    notes.extend(entries.node.iter().map(|file| {
        format!(
            "{}{file}: left out, files with \"use node\" cannot run here yet",
            app.functions
        )
    }));
    Ok(Prepared { source, notes })
}

/// Writes `_generated`; returns how many files changed.
///
/// # Errors
/// When the folder breaks a rule or a file cannot be written.
pub fn write_generated(app: &App) -> Result<usize, Error> {
    codegen::write(app, &EntryPoints::find(app)?)
}

/// Puts a staged deployment into force whose indexes are built.
///
/// # Errors
/// When it is not staged any more, or an index is missing.
pub async fn finish(client: &tokio_postgres::Client, push: i64) -> Result<Deployed, Error> {
    push::finish(client, push).await
}

/// Goes back to an earlier deployment; large tables are indexed beside those who use them.
///
/// # Errors
/// When it is not kept, or documents do not fit its schema; what runs keeps running.
pub async fn rollback(client: &tokio_postgres::Client, deployment: i64) -> Result<Deployed, Error> {
    push::rollback(client, deployment).await
}

/// Deploys a prepared bundle to the database of `url`.
///
/// # Errors
/// When the database cannot be reached or refuses the deploy; what ran before keeps running.
pub async fn deploy(source: &Source, url: &str) -> Result<Deployed, Error> {
    let client = push::connect(url).await?;
    push::push(&client, source).await
}

/// Checks that functions can be deployed to and served from the database of `url`.
///
/// # Errors
/// When it cannot be reached, is not UTF8 or does not have the extension.
pub async fn check_database(url: &str) -> Result<(), Error> {
    push::connect(url).await.map(drop)
}

impl Deployed {
    /// One line on what changed, without a full stop.
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("{} functions", self.functions.len())];
        for (what, names) in [
            ("new tables", &self.tables.added),
            ("new indexes", &self.indexes.added),
            ("dropped tables", &self.tables.removed),
            ("dropped indexes", &self.indexes.removed),
        ] {
            if !names.is_empty() {
                parts.push(format!("{what}: {}", names.join(", ")));
            }
        }
        let state = if self.unchanged {
            "unchanged"
        } else {
            "deployed"
        };
        format!("{state}: {}", parts.join("; "))
    }
}
