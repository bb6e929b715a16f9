//! What a relay calls to keep results and to share snapshots (R10, R11).

use std::time::{Duration, Instant};

use pg_live_invalidation::{Owner, Snapshot};
use pg_live_shared::Watermark;
use pgrx::{IntoDatum, pg_sys};

use crate::error::{Error, Result};
use crate::invalidator;
use crate::invalidator::log::Place;
use crate::pg::function::{Call, sql_functions};
use crate::pg::shmem::{self, Slot};
use crate::pg::{latch, snapshot};

/// Between two looks at the board: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_micros(50), Duration::from_micros(400));
/// The longest wait that can be asked for.
const LONGEST_PATIENCE_MS: i32 = 1_000;

sql_functions! {
    pg_live_watermark = watermark;
    pg_live_import_snapshot = import_snapshot;
}

/// `live.watermark(owner, patience_ms)`: where the transaction's snapshot stands, and what the worker
/// has worked off: W, the number of the owner's last batch, and whether that is all that the snapshot
/// sees. Waits for the latter as long as it is given.
fn watermark(call: &mut Call) -> Result<pg_sys::Datum> {
    let owner: Owner = call.required(0, "owner")?;
    let patience: i32 = call.required(1, "patience_ms")?;
    let patience = patience.clamp(0, LONGEST_PATIENCE_MS);
    shmem::memory()?;
    let snapshot = snapshot::transaction_snapshot()?;
    let place = invalidator::position(); // R2: after the snapshot was taken
    let boot = invalidator::boot_of(snapshot.completed);
    let mark = match (shmem::own_slot(), place) {
        (Some(slot), Some(place)) if place.boot == boot => {
            let patience = Duration::from_millis(u64::from(patience.unsigned_abs()));
            await_clear(slot, owner, place, &snapshot, patience)
        }
        (Some(_) | None, Some(_) | None) => Watermark::default(),
    };
    Ok(call.rows(vec![vec![
        boot.cast_signed().into_datum(),
        snapshot.completed.cast_signed().into_datum(),
        mark.w.cast_signed().into_datum(),
        mark.n.cast_signed().into_datum(),
        mark.clear.into_datum(),
    ]]))
}

fn await_clear(
    slot: &Slot,
    owner: Owner,
    place: Place,
    snapshot: &Snapshot,
    patience: Duration,
) -> Watermark {
    let begun = Instant::now();
    let (mut pause, longest) = PAUSES;
    loop {
        let at = (place.boot, place.position);
        let mark = slot.board().watermark(owner, at, snapshot);
        if mark.clear || begun.elapsed() >= patience {
            return mark;
        }
        // Writers wake it only when they have committed, and not always.
        slot.wake_worker();
        latch::check_for_interrupts();
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// `live.import_snapshot(c)`, after SET TRANSACTION SNAPSHOT: the count that `live.watermark` gave to
/// the exporter.
fn import_snapshot(call: &mut Call) -> Result<pg_sys::Datum> {
    let completed: i64 = call.required(0, "c")?;
    let completed = u64::try_from(completed)
        .map_err(|_| Error::InvalidParameter("c must not be negative".into()))?;
    snapshot::note_import(completed)?;
    Ok(call.null())
}
