//! R0: the beginning of a boot, in the order that the rule gives.

use pg_live_invalidation::{Invalidator, Limits, Owner};
use pgrx::Spi;

use super::settings;
use crate::capture;
use crate::pg::shmem::{self, Counter, Slot};
use crate::pg::{snapshot, worker, xact};

/// Begins a new boot: a fresh number, an empty log, the transactions that are running, c0. Also tells who was attached
/// to the one before.
///
/// # Errors
/// The message of the ERROR that kept the number from being stored.
pub(super) fn begin(slot: &Slot) -> Result<(Invalidator, Vec<Owner>), String> {
    let boot = next_number(slot)?;
    let owners = slot.restart(boot);
    let running = xact::running(shmem::own_database());
    // R17: before the board tells of the boot, as no result without a boot is shown.
    slot.log_mut()
        .redefinitions
        .begin(&running, &capture::Postgres);
    let c0 = snapshot::completion_count();
    {
        let mut board = slot.board_mut();
        let threshold = snapshot::completion_count();
        board.restart(boot, c0, threshold);
    }
    slot.count(Counter::Boots, 1);
    let limits = Limits {
        read_bytes: widen_from(settings::max_read_set_bytes()),
        ..Limits::default()
    };
    Ok((Invalidator::new(boot, c0, running, limits), owners))
}

/// From here on new read-sets are widened, so that there is room for many more of them.
fn widen_from(max_bytes: usize) -> usize {
    max_bytes / 4 * 3
}

/// A number that was never used before, stored durably before it is used.
fn next_number(slot: &Slot) -> Result<u64, String> {
    // The sequence may be newer than what the slot remembers.
    let last = slot.board().boot;
    let query = format!(
        "SELECT CASE WHEN number > {last} THEN number
             ELSE pg_catalog.setval('live.boot_seq', {last} + 1) END
         FROM pg_catalog.nextval('live.boot_seq') AS number"
    );
    // The worker's other commits are asynchronous, this one is not.
    worker::set_parameter(c"synchronous_commit", c"local");
    let number = worker::transaction(|| Spi::get_one::<i64>(&query));
    worker::set_parameter(c"synchronous_commit", c"off");
    let number = number?.map_err(|error| error.to_string())?;
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| "sequence live.boot_seq gave no number".into())
}
