//! Invalidations as logical messages, for subscribers of the output plugin (`pg_live.emit_wal`).

use pg_live_invalidation::Batch;
use serde_json::json;

use crate::pg::{decoding, wal};

/// Writes a batch to the WAL. It belongs to no transaction, so the worker needs no id, and it lies behind the
/// commits that it is about: they had left the ProcArray (R5).
pub(super) fn emit(batch: &Batch) {
    if !decoding::is_possible() {
        return;
    }
    let query = |(sub, generation, c): &(i64, i64, u64)| json!({ "sub": sub, "generation": generation, "c": c });
    let message = json!({
        "kind": "invalidations",
        "owner": batch.owner,
        "boot": batch.boot,
        "n": batch.n,
        "queries": batch.items.iter().map(query).collect::<Vec<_>>(),
    });
    wal::log_message(c"pg_live", message.to_string().as_bytes());
}
