#!/usr/bin/env bash
# Functions that do what no function should, and what calls must not see of each other.
# Arguments name test files of pg_test/hostile; without any, all run.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(hostile/*.test.mjs)

start_cluster
export PGHOST=$socket PGPORT=$port PGUSER=postgres PGDATABASE=postgres CLUSTER_LOG=$cluster_log
cd "$root/pg_test"
status=0
node --test --test-concurrency=1 --test-timeout=${HOSTILE_TIMEOUT_MS:-600000} "${tests[@]}" || status=$?
check_cluster_log || status=1
exit $status
