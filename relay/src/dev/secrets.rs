//! The passwords of a private cluster, generated once.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::error::io;
use super::home::Home;

/// Passwords and keys of one cluster. All are plain ASCII letters, digits and `|`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Secrets {
    /// Password of role `postgres`.
    pub(super) superuser: String,
    /// Password of role `app`, the owner of the app's database.
    pub(super) app: String,
    /// Password of role `relay`.
    pub(super) relay: String,
    /// Gives a client of the relay administrator rights.
    pub(super) admin_key: String,
}

impl Secrets {
    /// The secrets of the cluster in `home`; new ones if it has no data yet.
    pub(super) fn load(home: &Home) -> Result<Self, Error> {
        let path = home.secrets();
        let known = fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        match known {
            Some(secrets) => Ok(secrets),
            None if home.data().exists() => Err(Error::NoSecrets { path }),
            None => {
                let secrets = Self::generate();
                let text = serde_json::to_string_pretty(&secrets).map_err(|error| Error::Io {
                    path: path.clone(),
                    source: error.into(),
                })?;
                write_private(&path, &text)?;
                Ok(secrets)
            }
        }
    }

    fn generate() -> Self {
        let secret = || hex::encode(rand::random::<[u8; 24]>());
        Self {
            superuser: secret(),
            app: secret(),
            relay: secret(),
            admin_key: format!("pg-live|{}", secret()),
        }
    }
}

/// Writes a file that only its owner can read; replaces it in one step.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(io(&temporary))?;
    file.write_all(text.as_bytes()).map_err(io(&temporary))?;
    fs::rename(&temporary, path).map_err(io(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        let first = Secrets::load(&home).unwrap();
        assert!(first == Secrets::load(&home).unwrap());
        assert_ne!(first.app, first.relay);
        let mode = fs::metadata(home.secrets()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn lost_secrets_of_existing_data_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home {
            dir: dir.path().to_path_buf(),
        };
        fs::create_dir(home.data()).unwrap();
        assert!(matches!(Secrets::load(&home), Err(Error::NoSecrets { .. })));
    }
}
