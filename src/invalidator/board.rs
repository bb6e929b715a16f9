//! The board: what the worker has worked off and what relays fetch (R7), in shared memory.

use pg_live_invalidation::{Batch, Generation, Owner, Record, Stats, Sub, Xid};

use crate::pg::ring::{self, Ring, Span};

const BATCH_BYTES: usize = 4 * 1024 * 1024;
const OWNERS: usize = 256;
const UNRESOLVED: usize = 1024;
const BATCH_HEADER: usize = 16;
const ITEM: usize = 24;

/// The part of a slot that the board's lock guards. All-zero bytes are an empty board.
#[repr(C)]
pub(crate) struct Board {
    /// The boot that all of it belongs to.
    pub(crate) boot: u64,
    /// c0 of the boot.
    pub(crate) c0: u64,
    /// The completion count when the board took up the boot, read under the board's lock. What has
    /// a smaller count belongs before the boot, whenever it is asked about.
    threshold: u64,
    /// W: the position up to which the log was processed.
    pub(crate) w: u64,
    /// How many writers are in U.
    pub(crate) unresolved: u64,
    /// The first of them; all, unless `unresolved` is greater than their number.
    unresolved_ids: [Xid; UNRESOLVED],
    /// Live results.
    pub(crate) subs: u64,
    /// Bytes of their read-sets.
    pub(crate) read_bytes: u64,
    owners: [OwnerRecord; OWNERS],
    owners_used: u64,
    /// There are more owners than places for them.
    owners_cut: bool,
    span: Span,
    bytes: [u8; BATCH_BYTES],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct OwnerRecord {
    owner: Owner,
    /// N: the number of the owner's last batch.
    emitted: u64,
}

/// One invalidation as a relay fetches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The number of the batch.
    pub(crate) n: u64,
    /// The completion count that a new result must reach (R9).
    pub(crate) c: u64,
    /// The query.
    pub(crate) sub: Sub,
    /// Its generation.
    pub(crate) generation: Generation,
}

/// The boot is another one, or batches that were asked for are no longer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap;

impl Board {
    /// R0: an empty board for a new boot.
    ///
    /// `threshold` is the completion count, read while the caller holds the board's lock.
    pub(crate) fn restart(&mut self, boot: u64, c0: u64, threshold: u64) {
        self.boot = boot;
        self.c0 = c0;
        self.threshold = threshold;
        self.w = 0;
        self.unresolved = 0;
        self.subs = 0;
        self.read_bytes = 0;
        self.owners_used = 0;
        self.owners_cut = false;
        self.span = Span::default();
    }

    /// R13: the boot that orders a snapshot with this completion count among all moments; 0 if it
    /// is older than the boot: the result must be computed anew at a newer snapshot.
    pub(crate) fn boot_of_snapshot(&self, completed: u64) -> u64 {
        if completed >= self.threshold {
            self.boot
        } else {
            0
        }
    }

    /// R13: boot and completion count that order a transaction whose end had this count: never
    /// before a snapshot that does not see it.
    pub(crate) fn moment_of_completion(&self, completed: u64) -> (u64, u64) {
        (self.boot, completed.max(self.threshold))
    }

    /// R7: stores the batches and then the record, as one step for whoever reads the board.
    pub(crate) fn publish(&mut self, batches: &[Batch], record: &Record, stats: &Stats) {
        assert_eq!(
            record.boot, self.boot,
            "a record belongs to the board's boot"
        );
        self.forget_owners(record);
        for batch in batches {
            self.store(batch);
        }
        self.w = record.w;
        self.unresolved = record.u.len() as u64;
        for (place, xid) in self.unresolved_ids.iter_mut().zip(&record.u) {
            *place = *xid;
        }
        self.subs = stats.subs as u64;
        self.read_bytes = stats.read_bytes as u64;
        self.owners_used = 0;
        for (place, (owner, emitted)) in self.owners.iter_mut().zip(&record.emitted) {
            *place = OwnerRecord {
                owner: *owner,
                emitted: *emitted,
            };
            self.owners_used += 1;
        }
        self.owners_cut = record.emitted.len() > OWNERS;
    }

    /// Drops the batches of owners that are gone, so that the number may be used again.
    fn forget_owners(&mut self, record: &Record) {
        if self
            .owners()
            .iter()
            .all(|known| record.emitted.contains_key(&known.owner))
        {
            return;
        }
        let mut kept = Vec::new();
        ring::for_each(&self.span, &self.bytes, |bytes| {
            if record.emitted.contains_key(&owner_of(bytes)) {
                kept.push(bytes.to_vec());
            }
        });
        self.span = Span::default();
        for bytes in kept {
            // What was in the ring fits into it.
            let _ = Ring::new(&mut self.span, &mut self.bytes).push(&bytes);
        }
    }

    /// Stores a batch; older ones make room. One that is larger than the board is left out, which
    /// its owner notices as a gap (R8).
    fn store(&mut self, batch: &Batch) {
        let mut bytes = Vec::with_capacity(BATCH_HEADER + batch.items.len() * ITEM);
        bytes.extend(batch.owner.to_le_bytes());
        bytes.extend(batch.n.to_le_bytes());
        for (sub, generation, c) in &batch.items {
            bytes.extend(sub.to_le_bytes());
            bytes.extend(generation.to_le_bytes());
            bytes.extend(c.to_le_bytes());
        }
        let mut ring = Ring::new(&mut self.span, &mut self.bytes);
        ring.make_room(bytes.len() as u64);
        let _ = ring.push(&bytes);
    }

    fn owners(&self) -> &[OwnerRecord] {
        &self.owners[..usize::try_from(self.owners_used).unwrap_or(0).min(OWNERS)]
    }

    /// N of each owner that had a batch.
    pub(crate) fn emitted(&self) -> impl Iterator<Item = (Owner, u64)> {
        self.owners()
            .iter()
            .map(|known| (known.owner, known.emitted))
    }

    /// U, as far as it is kept here.
    pub(crate) fn unresolved_ids(&self) -> &[Xid] {
        &self.unresolved_ids[..usize::try_from(self.unresolved)
            .unwrap_or(0)
            .min(UNRESOLVED)]
    }

    /// Everything in the owner's batches after number `after`.
    pub(crate) fn fetch(&self, owner: Owner, boot: u64, after: u64) -> Result<Vec<Fetched>, Gap> {
        if boot != self.boot || boot == 0 {
            return Err(Gap);
        }
        let known = self.owners().iter().find(|known| known.owner == owner);
        if known.is_none() && self.owners_cut {
            return Err(Gap);
        }
        let emitted = known.map_or(0, |known| known.emitted);
        if emitted == after {
            return Ok(Vec::new());
        }
        let wanted = emitted.checked_sub(after).ok_or(Gap)?;
        let mut found = Vec::new();
        let mut batches = 0;
        ring::for_each(&self.span, &self.bytes, |bytes| {
            let n = number(bytes, 8);
            if owner_of(bytes) == owner && n > after {
                batches += 1;
                found.extend(items(n, bytes));
            }
        });
        if batches == wanted {
            Ok(found)
        } else {
            Err(Gap)
        }
    }
}

fn owner_of(bytes: &[u8]) -> Owner {
    number(bytes, 0).cast_signed()
}

fn items(n: u64, bytes: &[u8]) -> impl Iterator<Item = Fetched> {
    bytes[BATCH_HEADER..]
        .chunks_exact(ITEM)
        .map(move |item| Fetched {
            n,
            sub: number(item, 0).cast_signed(),
            generation: number(item, 8).cast_signed(),
            c: number(item, 16),
        })
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}
