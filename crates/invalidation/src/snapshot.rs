//! What a snapshot can see.

use serde::{Deserialize, Serialize};

/// A top-level transaction id with its epoch: 64 bits that never wrap.
pub type Xid = u64;

/// A snapshot of a primary as `(xmin, xmax, xip)`, with the completion count that it carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Snapshot {
    /// Every older transaction has ended.
    pub xmin: Xid,
    /// This transaction and every newer one had not begun or not ended.
    pub xmax: Xid,
    /// Those in between that were running: top-level ids, ascending.
    pub xip: Vec<Xid>,
    /// c(S): how many transactions had left the ProcArray. A greater count sees all that a smaller
    /// one saw; comparable within one boot only.
    pub completed: u64,
}

impl Snapshot {
    /// Whether the snapshot sees the transaction, if it committed.
    ///
    /// ```
    /// # use pg_live_invalidation::Snapshot;
    /// let snapshot = Snapshot { xmin: 5, xmax: 9, xip: vec![5, 7], completed: 3 };
    /// assert!(snapshot.contains(4) && snapshot.contains(6) && snapshot.contains(8));
    /// assert!(!snapshot.contains(5) && !snapshot.contains(7) && !snapshot.contains(9));
    /// ```
    pub fn contains(&self, xid: Xid) -> bool {
        xid < self.xmin || (xid < self.xmax && self.xip.binary_search(&xid).is_err())
    }

    /// Has it not see a transaction that it did not list as running: its own.
    ///
    /// ```
    /// # use pg_live_invalidation::Snapshot;
    /// let mut snapshot = Snapshot { xmin: 5, xmax: 9, xip: vec![5, 8], completed: 3 };
    /// snapshot.exclude(6);
    /// snapshot.exclude(12);
    /// assert!(!snapshot.contains(6) && !snapshot.contains(12) && snapshot.contains(7));
    /// assert_eq!(snapshot.xip, [5, 6, 8]);
    /// ```
    pub fn exclude(&mut self, xid: Xid) {
        if self.contains(xid) {
            self.xmin = self.xmin.min(xid);
            let place = self.xip.partition_point(|listed| *listed < xid);
            self.xip.insert(place, xid);
        }
    }

    /// Whether this snapshot sees every transaction that `other` sees (R12). The two may come from
    /// different nodes of one history; `other` may name subtransactions too.
    ///
    /// ```
    /// # use pg_live_invalidation::Snapshot;
    /// let on_standby = Snapshot { xmin: 5, xmax: 9, xip: vec![5], completed: 0 };
    /// let mut on_primary = Snapshot { xmin: 5, xmax: 9, xip: vec![5, 8], completed: 3 };
    /// assert!(!on_primary.sees_all_of(&on_standby), "8 has committed in the log but is not visible yet");
    /// on_primary.xip.pop();
    /// assert!(on_primary.sees_all_of(&on_standby));
    /// ```
    pub fn sees_all_of(&self, other: &Snapshot) -> bool {
        if self.xip.iter().any(|xid| other.contains(*xid)) {
            return false;
        }
        // Of those that are too new for this snapshot, `other` may see none.
        let beyond = other.xmax.saturating_sub(self.xmax);
        let running = other.xip.iter().filter(|xid| **xid >= self.xmax).count();
        self.xmax >= other.xmin && running as u64 >= beyond
    }

    /// Whether `xip` is ascending and the bounds are in order, as `contains` needs them.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.xmin <= self.xmax && self.xip.is_sorted()
    }
}
