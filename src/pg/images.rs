//! Where the images of deployments are, and how a process that makes one leaves the server.

use std::ffi::CStr;
use std::path::PathBuf;

use pgrx::pg_sys;

use crate::gucs;
use crate::js::ImagePlace;

/// The folder in the data directory.
const FOLDER: &str = "pg_live_images";

unsafe extern "C" {
    fn PGSharedMemoryDetach();
}

/// The place of the image of a deployment that was staged at `unix_ms` with code of this hash.
pub(crate) fn place(deployment: i64, unix_ms: f64, hash: &str) -> ImagePlace {
    // SAFETY: plain reads of variables of this backend; the path is a C string that lives as long as it.
    let (directory, server, database) = unsafe {
        (
            CStr::from_ptr(pg_sys::DataDir),
            pg_sys::GetSystemIdentifier(),
            pg_sys::MyDatabaseId.to_u32(),
        )
    };
    ImagePlace {
        directory: PathBuf::from(directory.to_string_lossy().into_owned()).join(FOLDER),
        deployment,
        name: format!("{server} {database} {deployment} {unix_ms} {hash}"),
        max_bytes: gucs::image_cache_bytes,
        leave_server,
    }
}

/// In a process that a backend has forked: what the backend shares with the server is none of its business.
fn leave_server() {
    // SAFETY: nothing of Postgres is called any more in this process, so what was registered for its end can be
    // forgotten, and shared memory be unmapped, which takes no lock.
    unsafe {
        pg_sys::on_exit_reset();
        PGSharedMemoryDetach();
    }
}
