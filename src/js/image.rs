//! What the host is told about images: files with V8's snapshot of a deployment's evaluated modules.

use std::path::PathBuf;

use super::ModuleSource;

/// Where the image of a deployment is, or is to be.
#[derive(Clone, Debug)]
pub(crate) struct ImagePlace {
    /// The folder of all images of the server; nobody but the server may write to it.
    pub directory: PathBuf,
    /// Number of the deployment.
    pub deployment: i64,
    /// Tells this code from any other that ever was deployed, environment included.
    pub name: String,
    /// Most bytes that all images of the folder may take; the oldest go. Asked when one is added.
    pub max_bytes: fn() -> u64,
    /// Called first in a process that was forked to make the image: lets go of what it shares with the server.
    pub leave_server: fn(),
}

impl ImagePlace {
    /// Whether both are the place of one image.
    pub(super) fn is(&self, other: &ImagePlace) -> bool {
        self.name == other.name && self.directory == other.directory
    }
}

/// All code of a deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    /// Paths of the modules whose functions can be called.
    pub entries: Vec<String>,
    /// All modules by path.
    pub modules: Vec<(String, ModuleSource)>,
}
