//! `COVERED.md` names every planted mistake, and only tests that exist.

use std::path::Path;

use pg_live_sim::Bug;

const TABLE: &str = include_str!("../COVERED.md");

#[test]
fn every_planted_mistake_is_in_the_table() {
    let named = |bug: &&Bug| !TABLE.contains(&format!("`Bug::{bug:?}`"));
    let missing: Vec<&Bug> = Bug::ALL.iter().filter(named).collect();
    assert!(missing.is_empty(), "not in COVERED.md: {missing:?}");
    let known: Vec<String> = Bug::ALL.iter().map(|bug| format!("{bug:?}")).collect();
    for name in TABLE.split("`Bug::").skip(1) {
        let name = name.split('`').next().unwrap_or_default();
        assert!(known.iter().any(|bug| bug == name), "no Bug::{name}");
    }
}

#[test]
fn what_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for path in TABLE.split('`').skip(1).step_by(2) {
        if path.starts_with("pg_test/") || path.starts_with("crates/") {
            assert!(root.join(path).exists(), "{path} does not exist");
        }
    }
}
