#!/usr/bin/env bash
# Measures everything, or the part named by PART, and writes bench/report. See README.md.
#
#   PART=latency bench/run.sh      one part; the others keep their last report
#   BENCH_BUILD=1 bench/run.sh     also the part `build`, which takes ten minutes and more
set -euo pipefail
. "$(dirname "$0")/../scripts/common.sh"
. "$root/pg_test/npm-packages.sh"

npm_packages "$root/pg_test" # The harness that starts the server is shared with the tests.
npm_packages "$root/bench"

# A thousand clients and their server need more files than some shells allow.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
# Its two servers are made by Postgres' own tools.
if [ "${PART:-standby}" = standby ]; then
    . "$root/scripts/test/cluster.sh"
    choose_account
    trap 'rm -rf "$work"' EXIT
    export STANDBY_BIN=$tree/usr/lib/postgresql/$postgres_version/bin STANDBY_WORK=$work STANDBY_ACCOUNT="${account[*]}"
fi
node "$root/bench/main.mjs" ${PART:+"$PART"}
