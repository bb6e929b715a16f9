//! Many seeds, none of them wrong.
//!
//! `PG_LIVE_SIM_SEEDS=100000` runs more of them, `PG_LIVE_SIM_SEED=17` one again.

use pg_live_sim::{Report, run};

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
        None => 0..number("PG_LIVE_SIM_SEEDS").unwrap_or(400),
    };
    let mut total = Report::default();
    for seed in seeds.clone() {
        let report = run(seed, None).unwrap_or_else(|violation| panic!("{violation}"));
        total.transitions += report.transitions;
        total.completed += report.completed;
        total.runs += report.runs;
        total.mutations += report.mutations;
        total.invalidated += report.invalidated;
        total.boots += report.boots;
        total.overflows += report.overflows;
        total.crashes += report.crashes;
        total.relay_deaths += report.relay_deaths;
    }
    println!("seeds {seeds:?}: {total:?}");
    if seeds.end - seeds.start >= 400 {
        let n = seeds.end - seeds.start;
        assert!(
            total.transitions > 5 * n,
            "clients are shown something: {total:?}"
        );
        assert!(total.invalidated > n && total.mutations > n, "{total:?}");
        let rare = [
            total.overflows,
            total.crashes,
            total.relay_deaths,
            total.boots,
        ];
        assert!(rare.iter().all(|count| *count > n / 20), "{total:?}");
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 77, 1234] {
        assert_eq!(run(seed, None), run(seed, None));
    }
}
