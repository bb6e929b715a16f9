//! Which user of the operating system runs the cluster: Postgres refuses to be run by root.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::Error;
use super::error::io;

/// Name of the system user that runs clusters which root starts.
const SYSTEM_USER: &str = "pg-live";

/// Home folder of that user: what it cannot reach elsewhere is kept here.
pub(super) const SYSTEM_HOME: &str = "/var/lib/pg-live";

/// The user that runs the cluster.
#[derive(Debug, Clone, Copy)]
pub(super) enum Account {
    /// Whoever runs `pg-live`.
    Own,
    /// A user of the cluster's own.
    System {
        /// User number.
        uid: u32,
        /// Group number.
        gid: u32,
    },
}

impl Account {
    /// The account for this process; as root, makes the system user if it is not there.
    pub(super) fn choose() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        if id("-u").is_none() {
            run(Command::new("useradd").args([
                "--system",
                "--user-group",
                "--create-home",
                "--home-dir",
                SYSTEM_HOME,
                "--shell",
                "/usr/sbin/nologin",
                SYSTEM_USER,
            ]))?;
        }
        match (id("-u"), id("-g")) {
            (Some(uid), Some(gid)) => Ok(Self::System { uid, gid }),
            _ => Err(Error::Program {
                program: "id".into(),
                output: format!("user {SYSTEM_USER} has no numbers"),
            }),
        }
    }

    /// A command that this account runs, in a folder that it can reach.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/");
        if let Self::System { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a file or folder to this account.
    pub(super) fn own(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Own => Ok(()),
            Self::System { uid, gid } => chown(path, Some(uid), Some(gid)).map_err(io(path)),
        }
    }

    /// Whether this account can look into a folder or run a program.
    pub(super) fn reaches(self, path: &Path) -> bool {
        match self {
            Self::Own => true,
            Self::System { .. } => self
                .command(Path::new("/usr/bin/test"))
                .arg("-x")
                .arg(path)
                .status()
                .is_ok_and(|status| status.success()),
        }
    }

    /// Its name, for messages.
    pub(super) fn name(self) -> String {
        match self {
            Self::Own => std::env::var("USER").unwrap_or_else(|_| "this user".into()),
            Self::System { .. } => SYSTEM_USER.into(),
        }
    }
}

/// Runs a command to its end; what it wrote becomes the error.
pub(super) fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |output: String| Error::Program {
        program: program.clone(),
        output,
    };
    let output = command
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(failed(String::from_utf8_lossy(&text).trim().to_owned()))
}

fn id(flag: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, SYSTEM_USER]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
