//! Single keys, each with those who have it.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::holders::{Holder, Holders};
use crate::small_key::SmallKey;

/// The place of a key in [`Points`].
pub(crate) type PointId = u32;

/// The keys in the order of their places, and a hash table of the places: a key takes little more than itself.
#[derive(Debug, Default)]
pub(crate) struct Points {
    table: HashTable<PointId>,
    points: Vec<Point>,
    free: Vec<PointId>,
    /// Rows choose the keys, so the hash is nobody's to foresee. No order depends on it.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Point {
    key: SmallKey,
    holders: Holders,
}

impl Points {
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds the holder to the key. `None` if it was there already.
    pub(crate) fn insert(&mut self, key: &[u8], holder: Holder) -> Option<PointId> {
        let id = match self.find(key) {
            Some(id) => id,
            None => self.allocate(key),
        };
        let new = self.points[id as usize].holders.insert(holder);
        new.then_some(id)
    }

    /// Takes the holder from the key, and the key away when it was the last.
    pub(crate) fn remove(&mut self, id: PointId, holder: Holder) {
        let point = &mut self.points[id as usize];
        point.holders.remove(holder);
        if point.holders.is_empty() {
            let hash = self.hasher.hash_one(point.key.as_slice());
            *point = Point::default();
            if let Ok(entry) = self.table.find_entry(hash, |other| *other == id) {
                entry.remove();
            }
            self.free.push(id);
        }
    }

    /// Those who have the key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Holders> {
        self.find(key).map(|id| &self.points[id as usize].holders)
    }

    /// Those who have any key.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Holders> {
        self.points.iter().map(|point| &point.holders)
    }

    /// Bytes of keys that are not in place.
    pub(crate) fn heap_bytes(&self, id: PointId) -> usize {
        self.points[id as usize].key.heap_bytes()
    }

    fn find(&self, key: &[u8]) -> Option<PointId> {
        let hash = self.hasher.hash_one(key);
        let is_key = |id: &PointId| self.points[*id as usize].key.as_slice() == key;
        self.table.find(hash, is_key).copied()
    }

    fn allocate(&mut self, key: &[u8]) -> PointId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.points.push(Point::default());
            PointId::try_from(self.points.len() - 1).expect("fewer than 2^32 keys")
        });
        self.points[id as usize].key = SmallKey::from(key);
        let (points, hasher) = (&self.points, &self.hasher);
        let hash_of = |id: &PointId| hasher.hash_one(points[*id as usize].key.as_slice());
        self.table.insert_unique(hasher.hash_one(key), id, hash_of);
        id
    }
}
