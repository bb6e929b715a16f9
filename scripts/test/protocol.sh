#!/usr/bin/env bash
# The protocol: three real clients, bytes that no client sends, restarts behind a proxy.
# PROTOCOL_OPENS, PROTOCOL_DEPLOYMENTS: how many.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
"$root/pg_test/protocol/setup.sh"
cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(protocol/*.test.mjs)
# Two at a time: much of it is waiting.
exec node --test --test-concurrency=2 --test-timeout=900000 "${tests[@]}"
