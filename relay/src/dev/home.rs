//! The folder of a private cluster, `.pg-live`: where it is and what is in it.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Error;
use super::account::{Account, SYSTEM_HOME};
use super::error::io;

/// Longest folder name for sockets: the operating system allows 107 bytes with the socket's name.
const MAX_SOCKET_DIR: usize = 85;

/// The folder of a private cluster.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// The real folder, reachable by the account that runs the cluster.
    pub(super) dir: PathBuf,
}

impl Home {
    /// The folder of the app in `app_dir`, unless `dir` names another one. Makes nothing.
    pub(super) fn locate(app_dir: &Path, dir: Option<&Path>) -> Result<Self, Error> {
        let wanted = wanted(app_dir, dir)?;
        // A link leads to where the data could be kept.
        let dir = fs::canonicalize(&wanted).unwrap_or(wanted);
        Ok(Self { dir })
    }

    /// As [`Home::locate`], and makes the folder. Where `account` cannot reach the wanted place, the
    /// real folder is in the account's home and the wanted one a link to it.
    pub(super) fn create(
        app_dir: &Path,
        dir: Option<&Path>,
        account: Account,
    ) -> Result<Self, Error> {
        let wanted = wanted(app_dir, dir)?;
        if let Ok(target) = fs::read_link(&wanted) {
            fs::create_dir_all(&target).map_err(io(&target))?;
        } else {
            fs::create_dir_all(&wanted).map_err(io(&wanted))?;
            if !account.reaches(&wanted) {
                move_away(&wanted, account)?;
            }
        }
        let dir = fs::canonicalize(&wanted).map_err(io(&wanted))?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).map_err(io(&dir))?;
        // Data and passwords are nothing for a repository.
        let ignore = dir.join(".gitignore");
        fs::write(&ignore, "*\n").map_err(io(&ignore))?;
        Ok(Self { dir })
    }

    /// The cluster's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A place for data that is not used any more.
    pub(super) fn aside(&self) -> PathBuf {
        let now = std::time::SystemTime::now();
        let seconds = now.duration_since(std::time::UNIX_EPOCH);
        let seconds = seconds.map_or(0, |since| since.as_secs());
        self.dir.join(format!("data.old-{seconds}"))
    }

    /// The cluster's log.
    pub(super) fn postgres_log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    /// The log of a run in the background.
    pub(super) fn dev_log(&self) -> PathBuf {
        self.dir.join("dev.log")
    }

    /// Connection data for people and tools.
    pub(super) fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    /// Generated passwords and keys.
    pub(super) fn secrets(&self) -> PathBuf {
        self.dir.join("secrets.json")
    }

    /// The process of the app's page server.
    pub(super) fn frontend(&self) -> PathBuf {
        self.dir.join("frontend.pid")
    }

    /// Written when a run is ready to be used, removed when it ends.
    pub(super) fn ready(&self) -> PathBuf {
        self.dir.join("ready.json")
    }

    /// The folder of the cluster's socket; elsewhere if the path would be too long for a socket.
    pub(super) fn socket_dir(&self) -> PathBuf {
        let dir = self.dir.join("run");
        if dir.as_os_str().len() <= MAX_SOCKET_DIR {
            return dir;
        }
        std::env::temp_dir().join(format!("pg-live-{}", short_hash(&self.dir)))
    }

    /// Takes the folder for this process, until the returned file is closed.
    pub(super) fn lock(&self, app_dir: &Path) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let mut file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(io(&path))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(io(&path))?;
                write!(file, "{}", std::process::id()).map_err(io(&path))?;
                Ok(file)
            }
            Err(TryLockError::WouldBlock) => Err(Error::Running {
                pid: self.owner().unwrap_or_default(),
                home: self.dir.clone(),
                app: app_dir.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
        }
    }

    /// The process that has or had the folder.
    pub(super) fn owner(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("lock")).ok()?;
        Some(text.trim().to_owned()).filter(|pid| !pid.is_empty())
    }
}

fn wanted(app_dir: &Path, dir: Option<&Path>) -> Result<PathBuf, Error> {
    let path = dir.map_or_else(|| app_dir.join(".pg-live"), Path::to_path_buf);
    std::path::absolute(&path).map_err(io(&path))
}

/// Replaces the empty folder `wanted` by a link into the account's home.
fn move_away(wanted: &Path, account: Account) -> Result<(), Error> {
    let unreachable = || Error::Unreachable {
        user: account.name(),
        path: wanted.to_path_buf(),
    };
    let target = Path::new(SYSTEM_HOME).join(short_hash(wanted));
    fs::create_dir_all(&target).map_err(io(&target))?;
    if !account.reaches(&target) {
        return Err(unreachable());
    }
    // Fails if something is in it: data that is not ours to move.
    fs::remove_dir(wanted).map_err(|_| unreachable())?;
    symlink(&target, wanted).map_err(io(wanted))
}

/// Twelve hex digits that stand for a path.
pub(super) fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hex::encode(&digest[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_in_the_app_unless_named() {
        let app = Path::new("/srv/app");
        assert_eq!(
            Home::locate(app, None).unwrap().dir,
            Path::new("/srv/app/.pg-live")
        );
        let named = Home::locate(app, Some(Path::new("/srv/other"))).unwrap();
        assert_eq!(named.dir, Path::new("/srv/other"));
    }

    #[test]
    fn a_long_path_has_its_socket_elsewhere() {
        let home = Home {
            dir: PathBuf::from("/short"),
        };
        assert_eq!(home.socket_dir(), Path::new("/short/run"));
        let home = Home {
            dir: PathBuf::from(format!("/{}", "x".repeat(100))),
        };
        assert!(home.socket_dir().as_os_str().len() <= MAX_SOCKET_DIR);
    }

    #[test]
    fn a_folder_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        let lock = home.lock(dir.path()).unwrap();
        let error = home.lock(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        home.lock(dir.path()).unwrap();
    }
}
