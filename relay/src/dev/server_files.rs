//! Finds the programs of Postgres that have the extension.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::Error;
use super::account::{Account, SYSTEM_HOME, run};
use super::error::io;
use super::home::short_hash;

/// The major version of Postgres that the extension is built for.
const VERSION: u32 = 15;

/// Names a tree of server files to use instead of the one beside this program.
const TREE_VARIABLE: &str = "PG_LIVE_SERVER_TREE";

/// The program of that name in the first tree that has it.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    trees()
        .into_iter()
        .map(|tree| {
            tree.join(format!("usr/lib/postgresql/{VERSION}/bin"))
                .join(name)
        })
        .find(|file| file.is_file())
}

/// Where a server may be, in the order in which they are looked at.
fn trees() -> Vec<PathBuf> {
    match std::env::var_os(TREE_VARIABLE).map(PathBuf::from) {
        Some(tree) => vec![tree],
        None => beside_this_program()
            .into_iter()
            .chain([PathBuf::from("/")])
            .collect(),
    }
}

/// A Postgres installation, or a private copy of one in the same relative layout.
#[derive(Debug, Clone)]
pub(super) struct ServerFiles {
    bin: PathBuf,
}

impl ServerFiles {
    /// Finds a server with the extension that `account` can run: the tree that the environment names,
    /// else the one that `make build` puts beside this program, else the system's own.
    pub(super) fn find(account: Account) -> Result<Self, Error> {
        let trees = trees();
        let mut tried = Vec::new();
        let mut bare = None;
        for tree in &trees {
            let bin = tree.join(format!("usr/lib/postgresql/{VERSION}/bin"));
            let control = tree.join(format!(
                "usr/share/postgresql/{VERSION}/extension/pg_live.control"
            ));
            if !bin.join("postgres").is_file() {
                tried.push(bin.display().to_string());
            } else if control.is_file() {
                return Self::reachable(tree, account);
            } else {
                bare = Some(bin);
            }
        }
        Err(match bare {
            Some(server) => Error::NoExtensionFiles { server },
            None => Error::NoServer {
                version: VERSION,
                tried,
            },
        })
    }

    /// One of the server's programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Which build of the extension these files are: its version, and a hash of the script that makes it.
    pub(super) fn build(&self) -> Result<String, Error> {
        let version = env!("CARGO_PKG_VERSION");
        let share = format!("../../../../share/postgresql/{VERSION}/extension");
        let script = self.bin.join(share).join(format!("pg_live--{version}.sql"));
        let text = std::fs::read(&script).map_err(io(&script))?;
        Ok(format!("{version} {}", hex::encode(Sha256::digest(text))))
    }

    /// `tree` itself, or a copy of it where `account` can run it.
    fn reachable(tree: &Path, account: Account) -> Result<Self, Error> {
        let bin = format!("usr/lib/postgresql/{VERSION}/bin");
        if account.reaches(&tree.join(&bin).join("postgres")) {
            return Ok(Self {
                bin: tree.join(bin),
            });
        }
        let copy = Path::new(SYSTEM_HOME).join(format!("server-{}", short_hash(tree)));
        // Only what is newer; files in use are replaced, never overwritten.
        run(Command::new("cp")
            .args([
                "--archive",
                "--update",
                "--remove-destination",
                "--no-target-directory",
            ])
            .arg(tree)
            .arg(&copy))?;
        Ok(Self {
            bin: copy.join(bin),
        })
    }
}

/// `target/server` for `target/release/pg-live`.
fn beside_this_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.canonicalize().ok()?;
    Some(program.parent()?.parent()?.join("server"))
}
