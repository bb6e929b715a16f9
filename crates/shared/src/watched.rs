//! Which relations and columns live queries may look at: hints for writers.

use std::sync::atomic::{AtomicU64, Ordering};

use pg_live_readset::{Attribute, RelId};

/// A set of relations that may hold too many, and for a moment too few. All-zero bytes are an empty
/// set. A writer of a relation that is not in it publishes the whole relation instead of its rows:
/// that is never wrong, only wide.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Watched {
    marks: Marks<64>,
}

/// A set of columns of the same kind: those that live queries have conditions on. A writer leaves out
/// the keys of columns that are not in it, and then matches every condition on them.
#[repr(C)]
#[derive(Debug, Default)]
pub struct WatchedColumns {
    marks: Marks<256>,
}

impl Watched {
    /// Adds a relation. It stays until the second call of [`age`](Self::age) from now at least.
    pub fn add(&self, rel: RelId) {
        self.marks.add(rel.into());
    }

    /// Whether somebody may look at the relation.
    pub fn contains(&self, rel: RelId) -> bool {
        self.marks.contains(rel.into())
    }

    /// Drops what was neither added since the last call nor is in use.
    pub fn age(&self, in_use: impl Iterator<Item = RelId>) {
        self.marks.age(in_use.map(u64::from));
    }
}

impl WatchedColumns {
    /// Adds a column. It stays until the second call of [`age`](Self::age) from now at least.
    pub fn add(&self, rel: RelId, attribute: Attribute) {
        self.marks.add(number(rel, attribute));
    }

    /// Whether somebody may have a condition on the column.
    pub fn contains(&self, rel: RelId, attribute: Attribute) -> bool {
        self.marks.contains(number(rel, attribute))
    }

    /// Drops what was neither added since the last call nor is in use.
    pub fn age(&self, in_use: impl Iterator<Item = (RelId, Attribute)>) {
        self.marks
            .age(in_use.map(|(rel, attribute)| number(rel, attribute)));
    }
}

fn number(rel: RelId, attribute: Attribute) -> u64 {
    u64::from(rel) << 16 | u64::from(attribute)
}

/// Bits that stand for numbers by a hash.
#[repr(C)]
#[derive(Debug)]
struct Marks<const WORDS: usize> {
    /// Added since the last call of [`age`](Self::age).
    recent: [AtomicU64; WORDS],
    /// Those that were recent then, and those that were in use.
    older: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Default for Marks<WORDS> {
    fn default() -> Self {
        Marks {
            recent: [const { AtomicU64::new(0) }; WORDS],
            older: [const { AtomicU64::new(0) }; WORDS],
        }
    }
}

impl<const WORDS: usize> Marks<WORDS> {
    /// The word and the bit of a number.
    fn place(number: u64) -> (usize, u64) {
        // The high bits of a product with 2^64 / phi are spread evenly.
        let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (hash as usize / 64 % WORDS, 1 << (hash % 64))
    }

    fn add(&self, number: u64) {
        let (word, bit) = Self::place(number);
        self.recent[word].fetch_or(bit, Ordering::SeqCst);
    }

    fn contains(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        let words = [&self.recent[word], &self.older[word]];
        words.iter().any(|w| w.load(Ordering::SeqCst) & bit != 0)
    }

    fn age(&self, in_use: impl Iterator<Item = u64>) {
        let mut used = [0; WORDS];
        for number in in_use {
            let (word, bit) = Self::place(number);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_stays_for_two_rounds_and_what_is_in_use_for_ever() {
        let watched = Watched::default();
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
        let watched = Watched::default();
        (16_384..16_484).for_each(|rel| watched.add(rel));
        let mistaken = (20_000..30_000).filter(|rel| watched.contains(*rel));
        assert!(mistaken.count() < 400);
    }

    #[test]
    fn columns_of_neighbouring_relations_rarely_share_a_bit() {
        let columns = WatchedColumns::default();
        let all = (16_384..16_434).flat_map(|rel| (1..=4).map(move |attribute| (rel, attribute)));
        all.clone()
            .for_each(|(rel, attribute)| columns.add(rel, attribute));
        assert!(
            all.clone()
                .all(|(rel, attribute)| columns.contains(rel, attribute))
        );
        let others =
            (16_384..16_434).flat_map(|rel| (5..=100).map(move |attribute| (rel, attribute)));
        let mistaken = others.filter(|(rel, attribute)| columns.contains(*rel, *attribute));
        assert!(mistaken.count() < 240);
        columns.age(std::iter::empty());
        columns.age([(16_384, 1)].into_iter());
        assert!(columns.contains(16_384, 1) && !columns.contains(16_384, 2));
    }
}
