//! The invalidator: the I/O shell of `pg_live_invalidation`. A launcher keeps one worker for each
//! database with live queries; the worker matches writes with registered results (R4-R8).

mod boot;
mod decoder;
mod launcher;
pub(crate) mod log;
mod messages;
mod notifier;
mod register;
pub(crate) mod settings;
mod worker;
mod world;

use crate::journal;
use crate::pg::{shmem, worker as process};
use crate::reads;

pub(crate) use launcher::{ask_to_end, attach_slot, make_way};
pub(crate) use register::{boot_of, position, register};

/// Settings, shared memory, callbacks and the launcher. To be called once, when the library is
/// loaded; without preload only the settings are there.
pub(crate) fn start() {
    settings::register();
    journal::settings::register();
    reads::settings::register();
    if process::is_preloading() {
        settings::register_at_start();
        journal::settings::register_at_start();
        shmem::request();
        crate::capture::start();
        process::register_static("pg_live launcher", "pg_live_launcher_main", 1);
    }
}
