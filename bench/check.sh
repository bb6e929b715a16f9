#!/usr/bin/env bash
# Compares ratios and instruction counts with bench/baseline.json, and fails on a clear loss. UPDATE=1 writes the baseline.
set -euo pipefail
. "$(dirname "$0")/../scripts/common.sh"

if ! command -v valgrind >/dev/null; then
    [ "$(id -u)" -eq 0 ] || fail "valgrind is missing; as root, run
    apt-get install valgrind"
    say "installing valgrind"
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends valgrind
fi

for part in language-js images relay-hits; do
    BENCH_QUICK=1 PART=$part "$root/bench/run.sh" >/dev/null
done
say "counting instructions"
cargo build --release --quiet --manifest-path "$root/bench/instructions/Cargo.toml" --target-dir "$target/bench-instructions"
BENCH_QUICK=1 node "$root/bench/check.mjs" "$target/bench-instructions/release/pg_live_bench_instructions" ${UPDATE:+--update}
