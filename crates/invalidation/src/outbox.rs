//! Invalidations on their way to their owners (R7).

use std::collections::BTreeMap;

use crate::entry::{Generation, Owner, Sub};

/// Invalidations of one owner's subs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who is told.
    pub owner: Owner,
    /// The boot that the number belongs to.
    pub boot: u64,
    /// 1, 2, ... without a gap for each owner.
    pub n: u64,
    /// Sub, generation, and the completion count c: a result at a snapshot of c or more is safe
    /// from the write that is meant (R9).
    pub items: Vec<(Sub, Generation, u64)>,
}

/// What waits to be taken, and the last number of each owner.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pending: BTreeMap<Owner, Vec<(Sub, Generation, u64)>>,
    emitted: BTreeMap<Owner, u64>,
}

impl Outbox {
    pub(crate) fn push(&mut self, owner: Owner, sub: Sub, generation: Generation, c: u64) {
        self.pending
            .entry(owner)
            .or_default()
            .push((sub, generation, c));
    }

    pub(crate) fn forget(&mut self, owner: Owner) {
        self.pending.remove(&owner);
        self.emitted.remove(&owner);
    }

    /// R7: one batch for each owner with something pending, with the owner's next number.
    pub(crate) fn take(&mut self, boot: u64) -> Vec<Batch> {
        let pending = std::mem::take(&mut self.pending);
        let number = |(owner, items)| {
            let n = self.emitted.entry(owner).or_insert(0);
            *n += 1;
            Batch {
                owner,
                boot,
                n: *n,
                items,
            }
        };
        pending.into_iter().map(number).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.values().map(Vec::len).sum()
    }

    pub(crate) fn emitted(&self) -> &BTreeMap<Owner, u64> {
        &self.emitted
    }
}
