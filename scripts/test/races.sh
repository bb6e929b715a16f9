#!/usr/bin/env bash
# Races: subscriptions opened while writers commit; transfers read by several queries of one client.
# RACES_SUBSCRIPTIONS, RACES_TRANSITIONS: how many. SEED, FROM: repeat a part, as a failure says.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(races/*.test.mjs)
exec node --test --test-concurrency=1 "${tests[@]}"
