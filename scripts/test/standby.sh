#!/usr/bin/env bash
# Live queries on a hot standby: a primary and a standby made by initdb and pg_basebackup, the relay, the real npm client.
# Arguments name test files of pg_test/standby; without any, all run.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(standby/*.test.mjs)

choose_account
trap 'rm -rf "$work"' EXIT
export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
export STANDBY_BIN=$tree/usr/lib/postgresql/$postgres_version/bin
export STANDBY_WORK=$work
export STANDBY_ACCOUNT="${account[*]}"
node --test --test-concurrency=1 --test-timeout="${STANDBY_TIMEOUT_MS:-300000}" "${tests[@]}"
