#!/usr/bin/env bash
# Live queries in SQL against fresh runs of them, after every commit of a generated schedule. PG_LIVE_SEED repeats one;
# ORACLE_COMMITS and ORACLE_QUERIES set its size.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .

trap stop_cluster EXIT
choose_account
bin=$tree/usr/lib/postgresql/$postgres_version/bin
export CAPTURE_BIN=$bin CAPTURE_WORK=$work CAPTURE_ACCOUNT=${account[2]:-}
export MODE=${MODE:-trigger}
node --test --test-concurrency=1 --test-timeout=3600000 ${ORACLE_ONLY:+--test-name-pattern="$ORACLE_ONLY"} oracle/*.test.mjs
