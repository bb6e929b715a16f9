#!/usr/bin/env bash
# Fuzzes every parser of what comes from outside, each for so many seconds (300). Needs cargo-fuzz.
set -euo pipefail
. "$(dirname "$0")/common.sh"

seconds=${1:-300}
if ! cargo fuzz --version >/dev/null 2>&1; then
    say "cargo-fuzz is not installed (cargo install cargo-fuzz): nothing was fuzzed"
    exit 0
fi
cd "$root/fuzz"
for name in fuzz_targets/*.rs; do
    name=$(basename "$name" .rs)
    # Nesting in texts, and values at the limits of their sizes, need no long inputs.
    cargo fuzz run -s none "$name" --target-dir "$target/fuzz" -- \
        -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1
    say "$name: nothing found in $seconds seconds"
done
