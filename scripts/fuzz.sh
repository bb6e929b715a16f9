#!/usr/bin/env bash
# Fuzzes every parser of what comes from outside, each for so many seconds (300), or only those that are named:
# scripts/fuzz.sh 60 frame log. Needs cargo-fuzz, not a nightly compiler. What was found to lead on is kept in
# fuzz/corpus; an input that fails is left in fuzz/artifacts, and the target takes it as an argument.
set -euo pipefail
. "$(dirname "$0")/common.sh"

seconds=${1:-300}
shift || true
if ! cargo fuzz --version >/dev/null 2>&1; then
    say "cargo-fuzz is not installed (cargo install cargo-fuzz): nothing was fuzzed"
    exit 0
fi
mkdir -p "$target"
target=$(cd "$target" && pwd)
cd "$root/fuzz"
[ $# -gt 0 ] || set -- fuzz_targets/*.rs
# Without a sanitizer: what is looked for are panics, hangs and growth, and there is no unsafe code in the parsers.
cargo fuzz build -s none --target-dir "$target/fuzz"
for name; do
    name=$(basename "$name" .rs)
    mkdir -p "corpus/$name"
    # Nesting in texts, and values at the limits of their sizes, need no long inputs.
    cargo fuzz run -s none "$name" --target-dir "$target/fuzz" "corpus/$name" "seeds/$name" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=4096 -verbosity=0 \
        -dict=words.dict -print_final_stats=1
    say "$name: nothing found in $seconds seconds"
done
