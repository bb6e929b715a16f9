#!/usr/bin/env bash
# Compares ratios and instruction counts with bench/baseline.json, and fails on a clear loss.
#
#   UPDATE=1 bench/check.sh             writes the baseline
#   ONLY=instructions bench/check.sh    counts instructions only, which a busy machine does not mind
set -euo pipefail
. "$(dirname "$0")/../scripts/common.sh"

if ! command -v valgrind >/dev/null; then
    [ "$(id -u)" -eq 0 ] || fail "valgrind is missing; as root, run
    apt-get install valgrind"
    say "installing valgrind"
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends valgrind
fi

if [ "${ONLY:-}" != instructions ]; then
    for part in language-js images relay-hits; do
        BENCH_QUICK=1 PART=$part "$root/bench/run.sh" >/dev/null
    done
fi
say "counting instructions"
cargo build --release --quiet --locked --manifest-path "$root/bench/instructions/Cargo.toml" --target-dir "$target/bench-instructions"
BENCH_QUICK=1 node "$root/bench/check.mjs" "$target/bench-instructions/release/pg_live_bench_instructions" \
    ${ONLY:+--only-instructions} ${UPDATE:+--update}
