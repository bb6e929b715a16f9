//! The clock of one session (R13): from a snapshot's completion count to the protocol's timestamp.

/// How far a node had come: the worker's boot and the completion count of that boot's node.
///
/// Ordered: a snapshot at a moment sees every transaction that had completed by an earlier moment
/// (a later boot contains all earlier ones).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment {
    /// Durable number of the invalidator's start. 0: it is not up, so moments have no order yet.
    pub boot: u64,
    /// Completion count: of a snapshot, or of the server when a transaction left.
    pub c: u64,
}

/// Completion counts of one boot have this many bits of a timestamp.
const BOOT_SHIFT: u32 = 44;

/// Whatever a client claims to have seen beyond this is not believed, so that sums do not overflow.
const MAX_OBSERVED: u64 = 1 << 62;

impl Moment {
    /// `boot * 2^44 + c`, at most `i64::MAX`, which is the protocol's greatest timestamp.
    fn natural(self) -> u64 {
        let boot = self.boot.min((1 << (63 - BOOT_SHIFT)) - 1);
        (boot << BOOT_SHIFT) + self.c.min((1 << BOOT_SHIFT) - 1)
    }
}

/// Timestamps of one connection: `offset + boot * 2^44 + c`, never falling.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Timestamp of the last transition, at first the greatest one that the client ever saw.
    floor: u64,
    /// `None` until the first moment is known.
    offset: Option<u64>,
}

impl Clock {
    /// `observed`: the greatest timestamp that the client saw on an earlier connection.
    pub(crate) fn connect(&mut self, observed: u64) {
        self.floor = self.floor.max(observed.min(MAX_OBSERVED));
    }

    /// Timestamp of a mutation that completed at `moment`.
    ///
    /// A mutation that the shown snapshot does not see gets a timestamp above that of the shown
    /// state: the client must wait for a transition that sees it.
    pub(crate) fn of_mutation(&mut self, moment: Moment, seen_by_shown: bool) -> u64 {
        let ts = self.apply_offset(moment);
        if seen_by_shown || ts > self.floor {
            return ts;
        }
        let missing = self.floor + 1 - ts;
        self.offset = Some(self.offset.unwrap_or(0) + missing);
        self.floor + 1
    }

    /// Timestamp of a transition at `moment`, raised to `acknowledged`: the greatest timestamp of
    /// the answered mutations that this snapshot sees.
    pub(crate) fn of_transition(&mut self, moment: Moment, acknowledged: u64) -> u64 {
        let ts = self.apply_offset(moment).max(self.floor).max(acknowledged);
        self.floor = ts;
        ts
    }

    /// Timestamp of a transition that shows the same snapshot again, or nothing of the database,
    /// raised to `acknowledged` as above.
    pub(crate) fn of_unmoved_transition(&mut self, acknowledged: u64) -> u64 {
        self.floor = self.floor.max(acknowledged);
        self.floor
    }

    /// R13: the offset grows at the first known moment if the client saw a later timestamp.
    fn apply_offset(&mut self, moment: Moment) -> u64 {
        let natural = moment.natural();
        let floor = self.floor;
        let offset = *self
            .offset
            .get_or_insert_with(|| floor.saturating_sub(natural));
        natural + offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(boot: u64, c: u64) -> Moment {
        Moment { boot, c }
    }

    #[test]
    fn r13_timestamp_is_boot_and_count() {
        let mut clock = Clock::default();
        assert_eq!(clock.of_transition(at(3, 9), 0), (3 << 44) + 9);
        assert_eq!(clock.of_mutation(at(3, 12), false), (3 << 44) + 12);
    }

    #[test]
    fn r13_offset_covers_what_the_client_saw() {
        let mut clock = Clock::default();
        let observed = (9 << 44) + 100;
        clock.connect(observed);
        assert_eq!(clock.of_transition(at(1, 5), 0), observed);
        assert_eq!(clock.of_transition(at(1, 6), 0), observed + 1);
    }

    #[test]
    fn r13_unseen_mutation_is_above_the_floor_and_order_is_kept() {
        let mut clock = Clock::default();
        clock.connect(150);
        let mutation = clock.of_mutation(at(0, 100), false);
        assert_eq!(mutation, 151);
        assert!(clock.of_transition(at(0, 99), 0) < mutation);
        assert!(clock.of_transition(at(0, 100), mutation) >= mutation);
    }

    #[test]
    fn boots_and_counts_beyond_their_bits_do_not_overflow() {
        let mut clock = Clock::default();
        assert!(i64::try_from(clock.of_transition(at(u64::MAX, u64::MAX), 0)).is_ok());
    }
}
