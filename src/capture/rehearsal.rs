//! Writes that are looked at and not published, since they will be rolled back.

use std::cell::Cell;

use pg_live_readset::WriteSet;

use super::{WRITES, Writes};

thread_local! {
    static REHEARSING: Cell<bool> = const { Cell::new(false) };
}

/// Puts what the transaction has written otherwise back, also after a panic.
struct Restore(Option<Writes>);

impl Drop for Restore {
    fn drop(&mut self) {
        REHEARSING.set(false);
        if let Some(before) = self.0.take() {
            WRITES.set(before);
        }
    }
}

/// Runs `body`, whose writes the caller rolls back, and tells what they would publish: rows by their keys, though
/// nobody may look at them.
pub(crate) fn rehearse<T>(body: impl FnOnce() -> T) -> (T, WriteSet) {
    let before = WRITES.take();
    let own = Writes {
        closing: before.closing,
        ..Writes::default()
    };
    let _restore = Restore(Some(before));
    WRITES.set(own);
    REHEARSING.set(true);
    let value = body();
    let Writes {
        set,
        in_wal,
        redefined,
        ..
    } = WRITES.take();
    let mut set = set.unwrap_or_else(Writes::empty_set);
    in_wal
        .iter()
        .chain(&redefined)
        .for_each(|rel| set.table(*rel));
    (value, set.build())
}

/// Whether every row counts, and nothing is published: the transaction's part that runs is rolled back.
pub(super) fn is_rehearsing() -> bool {
    REHEARSING.get()
}
