#!/usr/bin/env bash
# Mistakes planted in the extension, one by one: each patch of pg_test/planted names the suite that must
# fail with it. A build for each, so it is part of `make soak`, not of `make test`. Arguments name patches.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
cd "$root"

patches=("$@")
[ ${#patches[@]} -gt 0 ] || mapfile -t patches < <(cd pg_test/planted && ls -- *.patch | sed 's/\.patch$//')
git diff --quiet -- src crates || fail "src or crates have changes that are not committed: the patches are applied there"

applied=
undo() {
    [ -z "$applied" ] || git apply --reverse "$applied"
    applied=
}
trap undo EXIT

build() {
    cargo build --release --workspace >"$target/test/planted.log" 2>&1 || return 1
    "$root/scripts/server-tree.sh" "$target/server" "$target/release/libpg_live.so"
}

export PG_LIVE_BIN=$target/release/pg-live
mkdir -p "$target/test"
status=0
for name in "${patches[@]}"; do
    patch=$root/pg_test/planted/$name.patch
    read -ra suite < <(sed -n 's/^suite: //p' "$patch")
    if ! git apply --check "$patch"; then
        echo "not ok - $name: the patch no longer applies"
        status=1
        continue
    fi
    git apply "$patch"
    applied=$patch
    if ! build; then
        tail -20 "$target/test/planted.log"
        echo "not ok - $name: it does not compile"
        status=1
    elif PGISOLATIONTIMEOUT=30 "scripts/test/${suite[0]}.sh" "${suite[@]:1}" >"$target/test/planted-$name.log" 2>&1 </dev/null; then
        echo "not ok - $name: ${suite[*]} did not notice"
        status=1
    else
        echo "ok - $name: noticed by ${suite[*]}: $(grep -cE '^(test .*FAILED|not ok)' "$target/test/planted-$name.log") failed"
    fi
    undo
done
build || fail "the build without a planted mistake failed: $target/test/planted.log"
exit $status
