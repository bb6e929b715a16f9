//! Every planted mistake is noticed.

use std::panic::catch_unwind;

use pg_live_sim::{Bug, run};

/// Within how many seeds.
const SEEDS: u64 = 50_000;

/// The first seed that shows the mistake, by the oracle or by an assertion of the state machines.
fn caught_by(bug: Bug) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| match catch_unwind(|| run(seed, Some(bug))) {
        Ok(Ok(_)) => None,
        Ok(Err(violation)) => Some((seed, violation.what)),
        Err(_) => Some((seed, "an assertion".into())),
    })
}

#[test]
fn every_planted_mistake_is_caught() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match caught_by(*bug) {
            Some((seed, what)) => println!("{bug:?}: seed {seed}: {what}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not caught in {SEEDS} seeds: {missed:?}");
}
