#!/usr/bin/env bash
# Runs the simulator on random seeds for some minutes (10 unless given); stops at the first that
# shows something wrong and says how to run it again. Then a million calls in one backend, then
# ROUNDS (1,000) rounds of damage under load from SEED on: SEED=<the seed that it ended with> goes on.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

minutes=${1:-10}
end=$((SECONDS + minutes * 60))
program=$(cargo test --release -p pg_live_sim --test seeds --no-run --message-format=json \
    | node -e 'const lines = require("fs").readFileSync(0, "utf8").trim().split("\n").map(JSON.parse);
               console.log(lines.findLast((line) => line.executable).executable)')
runs=0
while [ $SECONDS -lt $end ]; do
    # From 48 random bits on.
    seed=$((RANDOM << 33 ^ RANDOM << 18 ^ RANDOM << 3 ^ RANDOM))
    if ! output=$(PG_LIVE_SIM_FROM=$seed PG_LIVE_SIM_SEEDS=1000 "$program" --exact no_seed_shows_anything_torn_or_stale 2>&1); then
        printf '%s\n' "$output"
        fail "a seed from $seed on shows something wrong: the line above says which, and how to run it again"
    fi
    runs=$((runs + 1000))
done
say "$runs random seeds in $minutes minutes, none wrong"

scripts/test/planted.sh
say "every mistake that was planted in the extension was noticed"

# ORACLE_SEED and ORACLE_COMMITS, which it prints after each part, go on.
scripts/soak-oracle.sh

HOSTILE_TIMEOUT_MS=3600000 PG_LIVE_GROWTH_CALLS=1000000 PG_LIVE_GROWTH_DEPLOYMENTS=200 scripts/test/hostile.sh hostile/growth.test.mjs
say "1,000,000 calls and 200 deployments in one backend, without growth"

PUSHES=200 scripts/test/convex-cli.sh convex-cli/large.test.mjs
say "200 pushes of 5 MiB and 500 functions under load, no failed call, without growth"

RACES_SUBSCRIPTIONS=${RACES_SUBSCRIPTIONS:-100000} RACES_TRANSITIONS=${RACES_TRANSITIONS:-1000000} scripts/test/races.sh
say "${RACES_SUBSCRIPTIONS:-100000} subscriptions and ${RACES_TRANSITIONS:-1000000} transitions, none missed, none torn"

scripts/test/wal.sh all
say "the suites with tables that are captured from the WAL"

PROTOCOL_OPENS=100000 scripts/test/protocol.sh protocol/bytes.test.mjs
PROTOCOL_ROUNDS=20 PROTOCOL_DEPLOYMENTS=100 scripts/test/protocol.sh protocol/restart.test.mjs
say "100,000 connections without growth; 20 rolling restarts of two relays and 100 deployments, nothing failed"

scripts/fuzz.sh "${FUZZ_SECONDS:-300}"

ROUNDS=${ROUNDS:-1000} scripts/test/chaos.sh
say "${ROUNDS:-1000} rounds of damage, nothing lost, nobody stale"
