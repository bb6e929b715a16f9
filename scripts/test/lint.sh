#!/usr/bin/env bash
# Formatting, lints, file sizes. Each check reports "ok - ..." or "not ok - ...".
set -uo pipefail
. "$(dirname "$0")/../common.sh"
cd "$root"

# A file is a room with one purpose; past this it must be split.
max_lines=800
status=0

check() {
    local name=$1
    shift
    if "$@"; then echo "ok - $name"; else echo "not ok - $name"; status=1; fi
}

file_sizes() {
    local long
    long=$(find src crates relay -name '*.rs' -exec wc -l {} + | awk -v max=$max_lines '$2 != "total" && $1 > max')
    [ -z "$long" ] && return
    echo "longer than $max_lines lines:"
    echo "$long"
    return 1
}

# Packages that hold pure logic stay free of the world.
pure_crates() {
    local found
    found=$(grep -lE '^(pgrx|deno_core|v8|tokio|tokio-postgres)\b' crates/*/Cargo.toml)
    [ -z "$found" ] || { echo "not pure: $found"; return 1; }
    found=$(grep -L 'forbid(unsafe_code)' crates/*/src/lib.rs)
    [ -z "$found" ] || { echo "without forbid(unsafe_code): $found"; return 1; }
}

# What the extension includes of npm packages is in git; it must be what their sources give.
runtime_bundles() {
    local web=src/js/runtime/web made
    made=$(mktemp -d) || return
    . pg_test/npm-packages.sh
    npm_packages "$web" >/dev/null && npm_packages pg_test >/dev/null && node "$web/build.mjs" "$made/bundles" "$made/library" \
        && diff -r "$made/bundles" src/js/runtime/bundles && diff -r "$made/library" src/deploy/library
    local result=$?
    rm -rf "$made"
    return $result
}

check "formatting (cargo fmt)" cargo fmt --all --check
check "formatting of fuzz (cargo fmt)" cargo fmt --manifest-path fuzz/Cargo.toml --check
check "lints (cargo clippy)" cargo clippy --release --workspace --all-targets --quiet -- -D warnings
check "file sizes" file_sizes
check "pure crates" pure_crates
check "bundles of the runtime (src/js/runtime/web)" runtime_bundles
check "shell scripts parse" bash -n scripts/*.sh scripts/test/*.sh
if command -v cargo-deny >/dev/null; then
    check "licences and bans (cargo deny)" cargo deny --offline check bans licenses sources
fi
exit $status
