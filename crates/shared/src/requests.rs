//! Relations that somebody wants to be captured (R18).

use std::sync::atomic::{AtomicU32, Ordering};

use pg_live_readset::RelId;

const PLACES: usize = 64;
/// No relation has this id.
const NONE: RelId = 0;

/// A small set of relations. All-zero bytes are an empty one.
#[repr(C)]
#[derive(Debug)]
pub struct Requests {
    places: [AtomicU32; PLACES],
}

impl Requests {
    /// An empty set.
    pub const fn new() -> Requests {
        Requests {
            places: [const { AtomicU32::new(NONE) }; PLACES],
        }
    }

    /// Adds a relation; false if there is no room, so that it has to be asked for again.
    pub fn add(&self, rel: RelId) -> bool {
        if self.iter().any(|wanted| wanted == rel) {
            return true;
        }
        self.places.iter().any(|place| {
            place
                .compare_exchange(NONE, rel, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        })
    }

    /// Those that are wanted.
    pub fn iter(&self) -> impl Iterator<Item = RelId> {
        let all = self.places.iter().map(|place| place.load(Ordering::SeqCst));
        all.filter(|rel| *rel != NONE)
    }

    /// A request was dealt with.
    pub fn remove(&self, rel: RelId) {
        for place in &self.places {
            let _ = place.compare_exchange(rel, NONE, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        for place in &self.places {
            place.store(NONE, Ordering::SeqCst);
        }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Requests::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_is_wanted_once_until_it_is_served() {
        let requests = Requests::new();
        assert!(requests.add(5) && requests.add(5) && requests.add(7));
        assert_eq!(requests.iter().collect::<Vec<_>>(), [5, 7]);
        requests.remove(5);
        assert_eq!(requests.iter().collect::<Vec<_>>(), [7]);
        requests.clear();
        assert_eq!(requests.iter().count(), 0);
    }

    #[test]
    fn a_full_set_refuses() {
        let requests = Requests::new();
        assert!((1..=64).all(|rel| requests.add(rel)));
        assert!(!requests.add(65) && requests.add(64));
    }
}
