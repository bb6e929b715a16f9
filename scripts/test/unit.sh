#!/usr/bin/env bash
# Unit and property tests of all packages, in the profile of the build, and those of the bench's own logic.
set -uo pipefail
. "$(dirname "$0")/../common.sh"
cd "$root"
status=0
cargo test --release --workspace --no-fail-fast || status=1
node --test bench/test/*.test.mjs || status=1
exit $status
