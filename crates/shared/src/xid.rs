//! Transaction ids of 32 bits, as Postgres keeps them in shared memory, and of 64.

use pg_live_invalidation::Xid;

/// The 64-bit id of a transaction whose low half is `xid`, if it is not newer than `next`, the next
/// id to be given out, and less than 2^32 ids older.
#[must_use]
pub fn widen(xid: u32, next: Xid) -> Xid {
    let same_epoch = (next & !u64::from(u32::MAX)) | u64::from(xid);
    if same_epoch > next {
        same_epoch.wrapping_sub(1 << 32)
    } else {
        same_epoch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: u64 = 1 << 32;

    #[test]
    fn ids_before_and_after_a_wrap() {
        let next = 4 * EPOCH + 10;
        assert_eq!(widen(9, next), 4 * EPOCH + 9);
        assert_eq!(widen(10, next), next);
        assert_eq!(widen(u32::MAX, next), 4 * EPOCH - 1);
        assert_eq!(widen(3, 700), 3);
    }

    proptest! {
        #[test]
        fn the_low_half_is_enough(next in EPOCH..1 << 60, age in 0u64..EPOCH) {
            let xid = next - age;
            let low = u32::try_from(xid % EPOCH).expect("32 bits");
            prop_assert_eq!(widen(low, next), xid);
        }
    }
}
