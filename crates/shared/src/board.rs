//! The board: what the worker has worked off and what relays fetch (R7).

use std::collections::BTreeMap;

use pg_live_invalidation::{
    Batch, Generation, Owner, Position, Record, Snapshot, Stats, Sub, Xid, clears,
};

use crate::ring::{self, Ring, Span};

const OWNERS: usize = 256;
const UNRESOLVED: usize = 1024;
const BATCH_HEADER: usize = 16;
const ITEM: usize = 24;

/// What has been worked off, with room for `BYTES` bytes of batches. All-zero bytes are an empty
/// board of no boot.
#[repr(C)]
#[derive(Debug)]
pub struct Board<const BYTES: usize> {
    /// The boot that all of it belongs to.
    pub boot: u64,
    /// c0 of the boot.
    pub c0: u64,
    /// The completion count when the board took up the boot, read under the board's lock. What has
    /// a smaller count belongs before the boot, whenever it is asked about.
    threshold: u64,
    /// The boot has published a record: before that U is not known.
    has_record: bool,
    /// W: the position up to which the log was processed.
    pub w: u64,
    /// How many writers are in U.
    pub unresolved: u64,
    /// The first of them; all, unless `unresolved` is greater than their number.
    unresolved_ids: [Xid; UNRESOLVED],
    /// What the worker holds.
    pub stats: Stats,
    owners: [OwnerRecord; OWNERS],
    owners_used: u64,
    /// There are more owners than places for them.
    owners_cut: bool,
    span: Span,
    bytes: [u8; BYTES],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct OwnerRecord {
    owner: Owner,
    /// N: the number of the owner's last batch.
    emitted: u64,
    /// The number of the last batch that it says it has.
    has: u64,
}

/// One invalidation as a relay fetches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The number of the batch.
    pub n: u64,
    /// The completion count that a new result must reach (R9).
    pub c: u64,
    /// The query.
    pub sub: Sub,
    /// Its generation.
    pub generation: Generation,
}

/// R10: the record, as a relay needs it to keep results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// W.
    pub w: Position,
    /// N of the owner.
    pub n: u64,
    /// Whether each commit that the snapshot sees has been matched and told of.
    pub clear: bool,
}

/// The boot is another one, or batches that were asked for are no longer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap;

impl<const BYTES: usize> Board<BYTES> {
    /// R0: an empty board for a new boot.
    ///
    /// `threshold` is the completion count, read while the caller holds the board's lock.
    pub fn restart(&mut self, boot: u64, c0: u64, threshold: u64) {
        self.boot = boot;
        self.c0 = c0;
        self.threshold = threshold;
        self.has_record = false;
        self.w = 0;
        self.unresolved = 0;
        self.stats = Stats::default();
        self.owners_used = 0;
        self.owners_cut = false;
        self.span = Span::default();
    }

    /// R13: the boot that orders a snapshot with this completion count among all moments; 0 if it
    /// is older than the boot: the result must be computed anew at a newer snapshot.
    pub fn boot_of_snapshot(&self, completed: u64) -> u64 {
        if completed >= self.threshold {
            self.boot
        } else {
            0
        }
    }

    /// R13: boot and completion count that order a transaction whose end had this count: never
    /// before a snapshot that does not see it.
    pub fn moment_of_completion(&self, completed: u64) -> (u64, u64) {
        (self.boot, completed.max(self.threshold))
    }

    /// R7: stores the batches and then the record, as one step for whoever reads the board.
    ///
    /// # Panics
    /// If the record is one of another boot.
    pub fn publish(&mut self, batches: &[Batch], record: &Record, stats: &Stats) {
        assert_eq!(
            record.boot, self.boot,
            "a record belongs to the board's boot"
        );
        self.forget_owners(record);
        for batch in batches {
            self.store(batch);
        }
        self.has_record = true;
        self.w = record.w;
        self.unresolved = record.u.len() as u64;
        for (place, xid) in self.unresolved_ids.iter_mut().zip(&record.u) {
            *place = *xid;
        }
        self.stats = *stats;
        self.set_owners(record);
        self.drop_fetched();
    }

    fn set_owners(&mut self, record: &Record) {
        let has: BTreeMap<Owner, u64> = self
            .owners()
            .iter()
            .map(|known| (known.owner, known.has))
            .collect();
        self.owners_used = 0;
        for (place, (owner, emitted)) in self.owners.iter_mut().zip(&record.emitted) {
            *place = OwnerRecord {
                owner: *owner,
                emitted: *emitted,
                has: has.get(owner).copied().unwrap_or(0),
            };
            self.owners_used += 1;
        }
        self.owners_cut = record.emitted.len() > OWNERS;
    }

    /// Drops the oldest batches, as far as their owners have them: a fetch looks through all that are held.
    fn drop_fetched(&mut self) {
        while let Some(bytes) = ring::first(&self.span, &self.bytes, BATCH_HEADER) {
            let (owner, n) = (owner_of(&bytes), number(&bytes, 8));
            let known = self.owners().iter().find(|known| known.owner == owner);
            if known.is_none_or(|known| n > known.has) {
                return;
            }
            Ring::new(&mut self.span, &mut self.bytes).pop();
        }
    }

    /// Bytes of the batches that are held, and how many there can be.
    pub fn room(&self) -> (u64, u64) {
        (self.span.used(), BYTES as u64)
    }

    /// Drops the batches of owners that are gone, also if the number is in use again and counts
    /// anew.
    fn forget_owners(&mut self, record: &Record) {
        let goes_on = |known: &&OwnerRecord| {
            record
                .emitted
                .get(&known.owner)
                .is_some_and(|emitted| *emitted >= known.emitted)
        };
        let gone: Vec<Owner> = self
            .owners()
            .iter()
            .filter(|known| !goes_on(known))
            .map(|known| known.owner)
            .collect();
        if gone.is_empty() {
            return;
        }
        // Nothing of theirs is left for whoever takes the number up again.
        let places = usize::try_from(self.owners_used).unwrap_or(0).min(OWNERS);
        for known in &mut self.owners[..places] {
            if gone.contains(&known.owner) {
                known.has = 0;
            }
        }
        let mut kept = Vec::new();
        ring::for_each(&self.span, &self.bytes, |bytes| {
            if !gone.contains(&owner_of(bytes)) {
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

    /// N of each owner that had a batch, and the last of them that it says it has.
    pub fn emitted(&self) -> impl Iterator<Item = (Owner, (u64, u64))> {
        self.owners()
            .iter()
            .map(|known| (known.owner, (known.emitted, known.has)))
    }

    /// U, as far as it is kept here.
    pub fn unresolved_ids(&self) -> &[Xid] {
        &self.unresolved_ids[..usize::try_from(self.unresolved)
            .unwrap_or(0)
            .min(UNRESOLVED)]
    }

    /// R10: what the record says about a snapshot, given the boot and the position that were read
    /// after it was taken (R2). Never clear where the record holds less than all.
    pub fn watermark(
        &self,
        owner: Owner,
        (boot, position): (u64, Position),
        snapshot: &Snapshot,
    ) -> Watermark {
        let known = self.owners().iter().find(|known| known.owner == owner);
        let complete = self.has_record
            && boot == self.boot
            && self.unresolved <= UNRESOLVED as u64
            && (known.is_some() || !self.owners_cut);
        Watermark {
            w: self.w,
            n: known.map_or(0, |known| known.emitted),
            clear: complete && clears((self.w, self.unresolved_ids()), position, snapshot),
        }
    }

    /// Everything in the owner's batches after number `after`; those up to it are no longer needed.
    ///
    /// # Errors
    /// [`Gap`] if the boot is another one, or if not all of these batches are held.
    pub fn fetch(&mut self, owner: Owner, boot: u64, after: u64) -> Result<Vec<Fetched>, Gap> {
        if boot != self.boot || boot == 0 {
            return Err(Gap);
        }
        let places = usize::try_from(self.owners_used).unwrap_or(0).min(OWNERS);
        let known = self.owners[..places]
            .iter_mut()
            .find(|known| known.owner == owner);
        if known.is_none() && self.owners_cut {
            return Err(Gap);
        }
        let emitted = known.map_or(0, |known| {
            if after <= known.emitted {
                known.has = known.has.max(after);
            }
            known.emitted
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board<400> {
        Board {
            boot: 0,
            c0: 0,
            threshold: 0,
            has_record: false,
            w: 0,
            unresolved: 0,
            unresolved_ids: [0; UNRESOLVED],
            stats: Stats::default(),
            owners: [OwnerRecord {
                owner: 0,
                emitted: 0,
                has: 0,
            }; OWNERS],
            owners_used: 0,
            owners_cut: false,
            span: Span::default(),
            bytes: [0; 400],
        }
    }

    fn batch(owner: Owner, n: u64, subs: std::ops::Range<Sub>) -> Batch {
        Batch {
            owner,
            boot: 7,
            n,
            items: subs.map(|sub| (sub, 1, n * 10)).collect(),
        }
    }

    fn record(emitted: &[(Owner, u64)]) -> Record {
        Record {
            boot: 7,
            w: 5,
            u: vec![3, 4],
            emitted: emitted.iter().copied().collect(),
        }
    }

    fn publish(board: &mut Board<400>, batches: &[Batch], emitted: &[(Owner, u64)]) {
        board.publish(batches, &record(emitted), &Stats::default());
    }

    fn subs(board: &mut Board<400>, owner: Owner, after: u64) -> Result<Vec<Sub>, Gap> {
        let fetched = board.fetch(owner, 7, after)?;
        Ok(fetched.iter().map(|item| item.sub).collect())
    }

    #[test]
    fn owners_fetch_their_own_batches_once() {
        let mut board = board();
        board.restart(7, 1, 1);
        assert_eq!(subs(&mut board, 1, 0), Ok(vec![]));
        publish(
            &mut board,
            &[batch(1, 1, 0..2), batch(2, 1, 5..6)],
            &[(1, 1), (2, 1)],
        );
        publish(&mut board, &[batch(1, 2, 2..3)], &[(1, 2), (2, 1)]);
        assert_eq!(subs(&mut board, 1, 0), Ok(vec![0, 1, 2]));
        assert_eq!(subs(&mut board, 1, 1), Ok(vec![2]));
        assert_eq!(subs(&mut board, 1, 2), Ok(vec![]));
        assert_eq!(subs(&mut board, 2, 0), Ok(vec![5]));
        assert_eq!(board.fetch(2, 7, 0).map(|items| items[0].c), Ok(10));
        assert_eq!(board.unresolved_ids(), [3, 4]);
    }

    #[test]
    fn another_boot_and_unknown_batches_are_gaps() {
        let mut board = board();
        assert_eq!(board.fetch(1, 0, 0), Err(Gap));
        board.restart(7, 1, 1);
        publish(&mut board, &[batch(1, 1, 0..1)], &[(1, 1)]);
        assert_eq!(board.fetch(1, 6, 0), Err(Gap));
        assert_eq!(subs(&mut board, 1, 2), Err(Gap));
        board.restart(8, 1, 1);
        assert_eq!(board.fetch(1, 7, 0), Err(Gap));
        assert_eq!(board.fetch(1, 8, 0), Ok(vec![]));
    }

    #[test]
    fn older_batches_make_room_and_are_a_gap() {
        let mut board = board();
        board.restart(7, 1, 1);
        for n in 1..=10 {
            publish(&mut board, &[batch(1, n, 0..2)], &[(1, n)]);
        }
        assert_eq!(subs(&mut board, 1, 0), Err(Gap));
        assert_eq!(subs(&mut board, 1, 9), Ok(vec![0, 1]));
    }

    #[test]
    fn what_owners_have_makes_room() {
        let mut board = board();
        board.restart(7, 1, 1);
        for n in 1..=100 {
            publish(
                &mut board,
                &[batch(1, n, 0..2), batch(2, n, 5..6)],
                &[(1, n), (2, n)],
            );
            assert_eq!(subs(&mut board, 1, n - 1), Ok(vec![0, 1]));
            assert_eq!(subs(&mut board, 2, n - 1), Ok(vec![5]));
        }
        publish(&mut board, &[], &[(1, 100), (2, 100)]);
        // The last of each may still be asked for.
        assert_eq!(board.room().0, 2 * (4 + 16) + 3 * 24);
        assert_eq!(subs(&mut board, 1, 98), Err(Gap));
        assert_eq!(subs(&mut board, 1, 100), Ok(vec![]));
        assert_eq!(subs(&mut board, 2, 99), Ok(vec![5]));
        // A number that was never given out says nothing.
        assert_eq!(subs(&mut board, 2, 500), Err(Gap));
        publish(&mut board, &[], &[(1, 100), (2, 100)]);
        assert_eq!(subs(&mut board, 2, 99), Ok(vec![5]));
    }

    #[test]
    fn a_batch_larger_than_the_board_is_a_gap() {
        let mut board = board();
        board.restart(7, 1, 1);
        publish(&mut board, &[batch(1, 1, 0..100)], &[(1, 1)]);
        assert_eq!(subs(&mut board, 1, 0), Err(Gap));
        assert_eq!(subs(&mut board, 1, 1), Ok(vec![]));
    }

    #[test]
    fn an_owner_that_is_gone_may_come_back() {
        let mut board = board();
        board.restart(7, 1, 1);
        publish(
            &mut board,
            &[batch(1, 1, 0..1), batch(2, 1, 1..2)],
            &[(1, 1), (2, 1)],
        );
        publish(&mut board, &[batch(1, 2, 0..1)], &[(1, 2), (2, 1)]);
        // Gone and back within one step: it counts anew.
        publish(&mut board, &[batch(1, 1, 7..8)], &[(1, 1), (2, 1)]);
        assert_eq!(subs(&mut board, 1, 0), Ok(vec![7]));
        publish(&mut board, &[], &[(2, 1)]);
        assert_eq!(subs(&mut board, 1, 0), Ok(vec![]));
        assert_eq!(subs(&mut board, 2, 0), Ok(vec![1]));
    }

    #[test]
    fn a_snapshot_is_clear_once_all_that_it_sees_was_told() {
        let mut board = board();
        let sees = |xids: &[Xid]| Snapshot {
            xmin: 1,
            xmax: 10,
            xip: (1..10).filter(|xid| !xids.contains(xid)).collect(),
            completed: 1,
        };
        let clear = |board: &Board<400>, place, snapshot: &Snapshot| {
            board.watermark(1, place, snapshot).clear
        };
        board.restart(7, 1, 1);
        let none = sees(&[]);
        assert!(!clear(&board, (7, 0), &none), "U is not known yet");
        // U is 3 and 4, W is 5.
        publish(&mut board, &[batch(1, 1, 0..1)], &[(1, 1)]);
        assert!(clear(&board, (7, 5), &none) && clear(&board, (7, 5), &sees(&[5, 6])));
        assert!(!clear(&board, (7, 6), &none), "W has not got so far");
        assert!(!clear(&board, (6, 5), &none), "another boot");
        assert!(!clear(&board, (7, 5), &sees(&[4])), "not told yet");
        let mark = board.watermark(1, (7, 5), &none);
        assert_eq!((mark.w, mark.n), (5, 1));
        assert_eq!(board.watermark(2, (7, 5), &none).n, 0);
        let many = Record {
            u: (100..100 + 2 * UNRESOLVED as Xid).collect(),
            ..record(&[])
        };
        board.publish(&[], &many, &Stats::default());
        assert!(!clear(&board, (7, 5), &none), "U is not known in full");
    }

    #[test]
    fn an_owner_beyond_the_last_place_sees_a_gap() {
        let mut board = board();
        board.restart(7, 1, 1);
        let owners = i64::try_from(OWNERS).expect("a small number");
        let emitted: BTreeMap<Owner, u64> = (0..=owners).map(|owner| (owner, 1)).collect();
        let record = Record {
            boot: 7,
            w: 1,
            u: vec![],
            emitted,
        };
        board.publish(&[], &record, &Stats::default());
        assert_eq!(subs(&mut board, owners, 0), Err(Gap));
    }
}
