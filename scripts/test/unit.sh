#!/usr/bin/env bash
# Unit and property tests of all packages, in the profile of the build.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
cd "$root"
exec cargo test --release --workspace --no-fail-fast
