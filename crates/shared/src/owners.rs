//! Who is attached: the owners whose results are worth watching (R8).

use pg_live_invalidation::Owner;

const OWNERS: usize = 256;

/// The attached owners. All-zero bytes are nobody.
///
/// Guarded by the lock of the log: a registration is put into the log only while its owner is here,
/// and an owner leaves in the step that puts its `OwnerGone` there. So none comes after that.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Owners {
    used: u64,
    entries: [Attached; OWNERS],
}

/// An attached owner.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Its number.
    pub owner: Owner,
    /// The process that attached it, and whose end is the owner's.
    pub pid: i64,
    /// When that was, in the clock of the caller.
    pub since: i64,
}

/// There is no place for another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Default for Owners {
    fn default() -> Self {
        Owners {
            used: 0,
            entries: [Attached::default(); OWNERS],
        }
    }
}

impl Owners {
    /// Adds an owner, in the place of an older attachment of the same number.
    ///
    /// # Errors
    /// [`TooMany`] if all places are taken; then nothing has changed.
    pub fn attach(&mut self, new: Attached) -> Result<(), TooMany> {
        let place = match self.index_of(new.owner) {
            Some(place) => place,
            None if self.all().len() == OWNERS => return Err(TooMany),
            None => {
                self.used += 1;
                self.all().len() - 1
            }
        };
        self.entries[place] = new;
        Ok(())
    }

    /// Takes an owner out, if this process is the one that attached it last. Whether it was.
    pub fn detach(&mut self, owner: Owner, pid: i64) -> bool {
        let place = self
            .index_of(owner)
            .filter(|place| self.entries[*place].pid == pid);
        if let Some(place) = place {
            self.entries[place] = self.entries[self.all().len() - 1];
            self.used -= 1;
        }
        place.is_some()
    }

    /// Whether the owner is attached.
    pub fn contains(&self, owner: Owner) -> bool {
        self.index_of(owner).is_some()
    }

    /// All of them, in no particular order.
    pub fn all(&self) -> &[Attached] {
        &self.entries[..usize::try_from(self.used).unwrap_or(0).min(OWNERS)]
    }

    fn index_of(&self, owner: Owner) -> Option<usize> {
        self.all().iter().position(|known| known.owner == owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(owner: Owner, pid: i64) -> Attached {
        Attached {
            owner,
            pid,
            since: 5,
        }
    }

    #[test]
    fn an_owner_is_there_until_its_process_takes_it_out() {
        let mut owners = Owners::default();
        assert_eq!(owners.attach(attached(1, 10)), Ok(()));
        assert_eq!(owners.attach(attached(2, 20)), Ok(()));
        assert!(owners.contains(1) && owners.contains(2) && !owners.contains(3));
        assert!(owners.detach(1, 10));
        assert!(!owners.contains(1) && owners.contains(2));
        assert!(!owners.detach(1, 10));
        assert_eq!(owners.all(), [attached(2, 20)]);
    }

    #[test]
    fn who_was_followed_by_another_process_takes_nothing_out() {
        let mut owners = Owners::default();
        assert_eq!(owners.attach(attached(1, 10)), Ok(()));
        assert_eq!(owners.attach(attached(1, 11)), Ok(()));
        assert!(!owners.detach(1, 10));
        assert!(owners.contains(1));
        assert!(owners.detach(1, 11));
        assert!(owners.all().is_empty());
    }

    #[test]
    fn one_too_many_is_refused() {
        let mut owners = Owners::default();
        let count = Owner::try_from(OWNERS).expect("a small number");
        for owner in 0..count {
            assert_eq!(owners.attach(attached(owner, 1)), Ok(()));
        }
        assert_eq!(owners.attach(attached(count, 1)), Err(TooMany));
        assert_eq!(owners.attach(attached(7, 2)), Ok(()));
        assert!(owners.detach(0, 1));
        assert_eq!(owners.attach(attached(count, 1)), Ok(()));
        assert!(owners.contains(count - 1) && owners.contains(7));
    }
}
