//! Many seeds, none of them wrong.
//!
//! `PG_LIVE_SIM_SEEDS=100000` runs more of them, `PG_LIVE_SIM_SEED=17` one again.

use pg_live_sim::{Report, State, run};

/// In `make test`.
const DEFAULT_SEEDS: u64 = 4_000;

/// The value of an environment variable, if it is set.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

#[test]
fn no_seed_shows_anything_torn_or_stale() {
    let seeds = match number("PG_LIVE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("PG_LIVE_SIM_FROM").unwrap_or(0);
            from..from + number("PG_LIVE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS)
        }
    };
    let mut total = Report::default();
    for seed in seeds.clone() {
        let report = run(seed, None).unwrap_or_else(|violation| panic!("{violation}"));
        total.transitions += report.transitions;
        total.completed += report.completed;
        total.runs += report.runs;
        total.mutations += report.mutations;
        total.invalidated += report.invalidated;
        total.steps += report.steps;
        total.coverage.add(&report.coverage);
    }
    println!("seeds {seeds:?}: {total:?}");
    for state in State::ALL {
        println!("{state:?}: {}", total.coverage.count(*state));
    }
    if seeds.end - seeds.start >= DEFAULT_SEEDS {
        assert_seen(&total, seeds.end - seeds.start);
    }
}

/// What was never reached was not tested.
fn assert_seen(total: &Report, seeds: u64) {
    assert!(total.transitions > 5 * seeds, "{total:?}");
    assert!(total.invalidated > seeds, "{total:?}");
    assert!(total.mutations > seeds, "{total:?}");
    let unseen = State::ALL.iter().filter(|s| total.coverage.count(**s) == 0);
    let unseen: Vec<&State> = unseen.collect();
    assert!(unseen.is_empty(), "never reached: {unseen:?}");
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..300 {
        assert_eq!(run(seed, None), run(seed, None));
    }
}
