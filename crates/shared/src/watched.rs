//! Which relations live queries may look at: a hint for writers.

use std::sync::atomic::{AtomicU64, Ordering};

use pg_live_readset::RelId;

const WORDS: usize = 64;

/// A set of relations that may hold too many, and for a moment too few. All-zero bytes are an empty
/// set. A writer of a relation that is not in it publishes the whole relation instead of its rows:
/// that is never wrong, only wide.
#[repr(C)]
#[derive(Debug)]
pub struct Watched {
    /// Added since the last call of [`age`](Self::age).
    recent: [AtomicU64; WORDS],
    /// Those that were recent then, and those that were in use.
    older: [AtomicU64; WORDS],
}

/// The word and the bit of a relation.
fn place(rel: RelId) -> (usize, u64) {
    // The high bits of a product with 2^32 / phi are spread evenly.
    let hash = rel.wrapping_mul(0x9E37_79B1) >> (32 - 12);
    (hash as usize / 64, 1 << (hash % 64))
}

impl Watched {
    /// An empty set.
    pub const fn new() -> Watched {
        Watched {
            recent: [const { AtomicU64::new(0) }; WORDS],
            older: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Adds a relation. It stays until the second call of [`age`](Self::age) from now at least.
    pub fn add(&self, rel: RelId) {
        let (word, bit) = place(rel);
        self.recent[word].fetch_or(bit, Ordering::SeqCst);
    }

    /// Whether somebody may look at the relation.
    pub fn contains(&self, rel: RelId) -> bool {
        let (word, bit) = place(rel);
        let words = [&self.recent[word], &self.older[word]];
        words.iter().any(|w| w.load(Ordering::SeqCst) & bit != 0)
    }

    /// Drops what was neither added since the last call nor is in use.
    pub fn age(&self, in_use: impl Iterator<Item = RelId>) {
        let mut used = [0; WORDS];
        for rel in in_use {
            let (word, bit) = place(rel);
            used[word] |= bit;
        }
        for ((recent, older), used) in self.recent.iter().zip(&self.older).zip(used) {
            // Never in neither of the two: writers do not wake the worker for what nobody watches.
            let kept = recent.load(Ordering::SeqCst);
            older.fetch_or(kept | used, Ordering::SeqCst);
            recent.fetch_and(!kept, Ordering::SeqCst);
            older.fetch_and(kept | used, Ordering::SeqCst);
        }
    }
}

impl Default for Watched {
    fn default() -> Self {
        Watched::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_stays_for_two_rounds_and_what_is_in_use_for_ever() {
        let watched = Watched::new();
        assert!(!watched.contains(16_384));
        watched.add(16_384);
        watched.add(16_400);
        watched.age([16_400].into_iter());
        assert!(watched.contains(16_384) && watched.contains(16_400));
        watched.age([16_400].into_iter());
        assert!(!watched.contains(16_384) && watched.contains(16_400));
        watched.age(std::iter::empty());
        assert!(!watched.contains(16_400));
    }

    #[test]
    fn neighbouring_ids_rarely_share_a_bit() {
        let watched = Watched::new();
        (16_384..16_484).for_each(|rel| watched.add(rel));
        let mistaken = (20_000..30_000).filter(|rel| watched.contains(*rel));
        assert!(mistaken.count() < 400);
    }
}
