#!/usr/bin/env bash
# The real command line of npm `convex`, in a pseudo-terminal and as in CI, against a real relay.
# Arguments name test files of pg_test/convex-cli; without any, all run.
set -euo pipefail
. "$(dirname "$0")/../common.sh"

export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(convex-cli/*.test.mjs)
# Each file has a server of its own.
exec node --test --test-concurrency=3 --test-timeout=1800000 "${tests[@]}"
