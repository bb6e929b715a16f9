//! Snapshots of two nodes compared (R12).

use pg_live_invalidation::{Snapshot, Xid};
use proptest::collection::btree_set;
use proptest::prelude::*;

/// Of a history in which the ids up to 24 were given out.
fn snapshot() -> impl Strategy<Value = Snapshot> {
    (1u64..24, btree_set(1u64..24, 0..8)).prop_map(|(xmax, running)| {
        let xip: Vec<Xid> = running.into_iter().filter(|xid| *xid < xmax).collect();
        Snapshot {
            xmin: xip.first().copied().unwrap_or(xmax),
            xmax,
            xip,
            completed: 0,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn sees_all_of_is_what_it_says(later in snapshot(), earlier in snapshot()) {
        let all = (1..30).all(|xid| !earlier.contains(xid) || later.contains(xid));
        prop_assert_eq!(later.sees_all_of(&earlier), all);
    }
}
