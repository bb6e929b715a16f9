//! The files that tell people and tools how to connect.

use std::fs;
use std::path::Path;

use super::Error;
use super::error::io;
use super::home::Home;
use super::secrets::{Secrets, write_private};

/// How to reach a running development server.
pub(super) struct Addresses<'a> {
    /// Port of the cluster.
    pub(super) postgres: u16,
    /// Base URL of the relay.
    pub(super) relay: &'a str,
    /// The cluster's passwords.
    pub(super) secrets: &'a Secrets,
}

impl Addresses<'_> {
    /// URL of the app's database for its owner.
    pub(super) fn app_url(&self) -> String {
        self.url("app", &self.secrets.app, "app")
    }

    /// URL of the app's database for the relay.
    pub(super) fn relay_url(&self) -> String {
        self.url("relay", &self.secrets.relay, "app")
    }

    /// URL of a database for the superuser.
    pub(super) fn superuser_url(&self, database: &str) -> String {
        self.url("postgres", &self.secrets.superuser, database)
    }

    fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!(
            "postgres://{role}:{password}@127.0.0.1:{}/{database}",
            self.postgres
        )
    }

    /// Writes `.pg-live/env`, which a shell can read.
    pub(super) fn write_env(&self, home: &Home) -> Result<(), Error> {
        let text = shell_form(&[
            ("DATABASE_URL", &self.app_url()),
            ("PG_LIVE_ADMIN_URL", &self.superuser_url("app")),
            ("PG_LIVE_RELAY_URL", &self.relay_url()),
            ("PG_LIVE_URL", self.relay),
            ("CONVEX_SELF_HOSTED_URL", self.relay),
            ("CONVEX_SELF_HOSTED_ADMIN_KEY", &self.secrets.admin_key),
        ]);
        write_private(&home.env(), &text)
    }

    /// Sets the relay's URL in the app's `.env.local`, where the page's tools look for it.
    pub(super) fn write_env_local(&self, app_dir: &Path) -> Result<(), Error> {
        let path = app_dir.join(".env.local");
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let pairs = [("CONVEX_URL", self.relay), ("VITE_CONVEX_URL", self.relay)];
        let new = with_values(&old, &pairs);
        if new == old {
            Ok(())
        } else {
            fs::write(&path, new).map_err(io(&path))
        }
    }
}

/// The value of a variable in a file that [`Addresses::write_env`] wrote.
pub(super) fn read_env(path: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let start = format!("export {name}=");
    let quoted = text.lines().find_map(|line| line.strip_prefix(&start))?;
    Some(quoted.trim_matches('\'').to_owned())
}

/// Lines that a shell reads; no value may hold a single quote.
fn shell_form(pairs: &[(&str, &str)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| {
            assert!(!value.contains('\''), "{name} cannot be quoted");
            format!("export {name}='{value}'\n")
        })
        .collect()
}

/// `text` with the given variables set; every other line stays as it is.
fn with_values(text: &str, pairs: &[(&str, &str)]) -> String {
    // Whatever ends a line before its newline stays with it.
    let mut lines: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
    for (name, value) in pairs {
        let line = format!("{name}={value}");
        let start = format!("{name}=");
        match lines
            .iter_mut()
            .find(|line| line.trim_start().starts_with(&start))
        {
            Some(old) if old.ends_with('\r') => *old = line + "\r",
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }
    lines.join("\n") + "\n"
}

/// Any text as an app's `.env.local`: set twice it is as set once.
pub(super) fn parse_anything(text: &str) {
    let pairs = [("CONVEX_URL", "http://a"), ("VITE_CONVEX_URL", "http://a")];
    let once = with_values(text, &pairs);
    assert_eq!(with_values(&once, &pairs), once);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_of_env_local_stay() {
        let old = "# mine\nCONVEX_URL=http://old\nSECRET=1";
        let new = with_values(
            old,
            &[
                ("CONVEX_URL", "http://new"),
                ("VITE_CONVEX_URL", "http://new"),
            ],
        );
        assert_eq!(
            new,
            "# mine\nCONVEX_URL=http://new\nSECRET=1\nVITE_CONVEX_URL=http://new\n"
        );
        assert_eq!(with_values(&new, &[("CONVEX_URL", "http://new")]), new);
    }

    #[test]
    fn lines_keep_their_ends() {
        let pairs = [("CONVEX_URL", "http://new")];
        let new = with_values("A=1\r\r\nCONVEX_URL=http://old\r\nB=2\r\n", &pairs);
        assert_eq!(new, "A=1\r\r\nCONVEX_URL=http://new\r\nB=2\r\n");
        assert_eq!(with_values(&new, &pairs), new);
    }

    #[test]
    fn the_env_file_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        let secrets = Secrets::load(&home).unwrap();
        let addresses = Addresses {
            postgres: 5555,
            relay: "http://127.0.0.1:3210",
            secrets: &secrets,
        };
        addresses.write_env(&home).unwrap();
        assert_eq!(
            read_env(&home.env(), "DATABASE_URL"),
            Some(addresses.app_url())
        );
        assert_eq!(
            read_env(&home.env(), "CONVEX_SELF_HOSTED_ADMIN_KEY"),
            Some(secrets.admin_key.clone())
        );
        assert_eq!(read_env(&home.env(), "NOTHING"), None);
    }
}
