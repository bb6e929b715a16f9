//! Every planted mistake is noticed.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

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

/// Those of the mistakes from `next` on that are not caught.
fn missed(next: &AtomicUsize) -> Vec<Bug> {
    let mut missed = Vec::new();
    while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
        match caught_by(*bug) {
            Some((seed, what)) => println!("{bug:?}: seed {seed}: {what}"),
            None => missed.push(*bug),
        }
    }
    missed
}

#[test]
fn every_planted_mistake_is_caught() {
    let next = AtomicUsize::new(0);
    let missed: Vec<Bug> = scope(|threads| {
        let threads = [(); 2].map(|()| threads.spawn(|| missed(&next)));
        let missed = threads.map(|thread| thread.join().expect("no mistake is fatal"));
        missed.into_iter().flatten().collect()
    });
    assert!(missed.is_empty(), "not caught in {SEEDS} seeds: {missed:?}");
}
