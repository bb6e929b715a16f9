//! Which database a command talks to, and connections to it.

use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use super::exit::Failure;
use crate::{deploy, dev};

/// Options of commands that talk to the database of a deployment.
#[derive(clap::Args, Debug)]
pub(super) struct Target {
    /// Folder of the app, to find the database of its `pg-live dev`
    #[arg(long, default_value = ".", value_name = "DIR", global = true)]
    pub(super) app_dir: PathBuf,
    /// Database of the deployment, as the role that owns it [default: that of `pg-live dev`]
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub(super) url: Option<String>,
}

impl Target {
    /// The database that was named, else that of `pg-live dev` for the app.
    pub(super) fn url(&self) -> Result<String, deploy::Error> {
        resolve(self.url.as_deref(), &self.app_dir)
    }

    /// Connects as the owner of the deployment.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        Ok(deploy::connect(&self.url()?).await?)
    }
}

/// Options of commands that need a superuser.
#[derive(clap::Args, Debug)]
pub(super) struct AdminTarget {
    /// Folder of the app, to find the database of its `pg-live dev`
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(super) app_dir: PathBuf,
    /// The database, as a superuser [default: that of `pg-live dev`]
    #[arg(
        long,
        env = "PG_LIVE_ADMIN_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(super) url: Option<String>,
}

impl AdminTarget {
    /// The database that was named, else that of `pg-live dev` for the app.
    pub(super) fn url(&self) -> Result<String, deploy::Error> {
        let known = || dev::known_url(&self.app_dir, "PG_LIVE_ADMIN_URL");
        self.url
            .clone()
            .or_else(known)
            .ok_or_else(|| deploy::Error::NoTarget {
                app: self.app_dir.clone(),
                variable: "PG_LIVE_ADMIN_URL",
            })
    }
}

/// The database that was named, else that of `pg-live dev` for the app in `dir`.
pub(super) fn resolve(url: Option<&str>, dir: &Path) -> Result<String, deploy::Error> {
    url.map(str::to_owned)
        .or_else(|| dev::known_url(dir, "DATABASE_URL"))
        .ok_or_else(|| deploy::Error::NoTarget {
            app: dir.to_path_buf(),
            variable: "DATABASE_URL",
        })
}

/// A connection URL without its password, and the password: command lines are seen by everybody.
pub(super) fn without_password(url: &str) -> (String, Option<String>) {
    if let Some((scheme, rest)) = url.split_once("://") {
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        let Some((account, host)) = authority.rsplit_once('@') else {
            return (url.to_owned(), None);
        };
        let Some((user, password)) = account.split_once(':') else {
            return (url.to_owned(), None);
        };
        let password = percent_encoding::percent_decode_str(password)
            .decode_utf8_lossy()
            .into_owned();
        return (format!("{scheme}://{user}@{host}{tail}"), Some(password));
    }
    // A password with spaces or quotes stays: libpq's own syntax is not for us to take apart.
    let plain = |word: &&str| word.starts_with("password=") && !word.contains(['\'', '\\']);
    let Some(word) = url.split_whitespace().find(plain) else {
        return (url.to_owned(), None);
    };
    let password = word.trim_start_matches("password=").to_owned();
    (url.replacen(word, "", 1), Some(password))
}

/// `url` with another database.
pub(super) fn with_database(url: &str, database: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (head, query) = match rest.split_once('?') {
        Some((head, query)) => (head, format!("?{query}")),
        None => (rest, String::new()),
    };
    let authority = head.split('/').next().unwrap_or(head);
    let name = percent_encoding::utf8_percent_encode(database, percent_encoding::NON_ALPHANUMERIC);
    Some(format!("{scheme}://{authority}/{name}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_the_command_line() {
        let (url, password) =
            without_password("postgres://app:s%40cret@db:5433/app?sslmode=require");
        assert_eq!(url, "postgres://app@db:5433/app?sslmode=require");
        assert_eq!(password.as_deref(), Some("s@cret"));
        let (url, password) = without_password("host=db user=app password=x dbname=app");
        assert!(!url.contains("password"), "{url}");
        assert_eq!(password.as_deref(), Some("x"));
        for url in ["postgres://app@db/app", "host=db", "postgres://db/a:b@c"] {
            assert_eq!(without_password(url), (url.to_owned(), None));
        }
    }

    #[test]
    fn another_database_of_the_same_server() {
        assert_eq!(
            with_database("postgres://a:b@h:1/app?x=1", "new").as_deref(),
            Some("postgres://a:b@h:1/new?x=1")
        );
        assert_eq!(
            with_database("postgres://h", "n").as_deref(),
            Some("postgres://h/n")
        );
        assert_eq!(with_database("host=db", "n"), None);
    }
}
