#!/usr/bin/env bash
# Capture over several servers and restarts: logical replication, two-phase commit, late writers.
# Arguments name test files of pg_test/capture; without any, all run. MODE: how tables are captured.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(capture/*.test.mjs)

trap stop_cluster EXIT
choose_account
bin=$tree/usr/lib/postgresql/$postgres_version/bin
export CAPTURE_BIN=$bin CAPTURE_WORK=$work CAPTURE_ACCOUNT=${account[2]:-}
CAPTURE_HEADERS=$("${PGRX_PG_CONFIG_PATH:-pg_config}" --includedir-server)
export CAPTURE_HEADERS MODE=${MODE:-trigger}
node --test --test-concurrency=1 --test-timeout=120000 "${tests[@]}"
