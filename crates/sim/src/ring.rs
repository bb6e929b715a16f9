//! The log between backends and worker: bounded, in shared memory.

use std::collections::VecDeque;

use pg_live_invalidation::Position;

/// Holds encoded entries of one boot.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<Vec<u8>>,
    capacity: usize,
    /// The position behind the newest entry.
    pub(crate) tail: Position,
    /// The position behind the newest entry of a writer.
    pub(crate) written: Position,
    pub(crate) boot: u64,
    /// R3: an entry was lost; the worker must begin a new boot.
    pub(crate) overflowed: bool,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Ring {
            entries: VecDeque::new(),
            capacity,
            tail: 0,
            written: 0,
            boot: 0,
            overflowed: false,
        }
    }

    /// R0: starts anew under the number of a new boot.
    pub(crate) fn restart(&mut self, boot: u64) {
        *self = Ring {
            boot,
            ..Ring::new(self.capacity)
        };
    }

    /// Adds what may be refused: a part of the room is left to the writers, whose entries may not.
    pub(crate) fn push_optional(&mut self, bytes: Vec<u8>) -> bool {
        let reserved = (self.capacity / 4).max(1);
        self.entries.len() + reserved < self.capacity && self.push(bytes)
    }

    /// Adds an entry if there is room. Whether there was.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) -> bool {
        if self.entries.len() >= self.capacity {
            return false;
        }
        self.tail += bytes.len() as Position;
        self.entries.push_back(bytes);
        true
    }

    /// The oldest entry and the position behind it.
    pub(crate) fn pop(&mut self) -> Option<(Position, Vec<u8>)> {
        let bytes = self.entries.pop_front()?;
        let behind: usize = self.entries.iter().map(Vec::len).sum();
        Some((self.tail - behind as Position, bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// R2: the boot of a snapshot that was taken before this call.
    pub(crate) fn boot_of_snapshot(&self) -> u64 {
        self.boot + u64::from(self.overflowed)
    }
}
