#!/usr/bin/env bash
# Prints the path of the V8 library that the build links; prints nothing if crate v8 is to download
# its own. The only place that chooses.
set -euo pipefail
. "$(dirname "$0")/common.sh"

folder=$root/third_party/rusty_v8
file=librusty_v8_simdutf_release_x86_64-unknown-linux-gnu.a.gz

if [ -n "${RUSTY_V8_ARCHIVE:-}" ]; then
    printf '%s\n' "$RUSTY_V8_ARCHIVE"
elif [ "$(uname -sm)" = "Linux x86_64" ] && getconf GNU_LIBC_VERSION >/dev/null 2>&1 && [ -f "$folder/$file" ]; then
    (cd "$folder" && sha256sum --check --quiet SHA256SUMS >&2) \
        || fail "$folder/$file is damaged: restore it (git checkout), or set RUSTY_V8_ARCHIVE"
    printf '%s\n' "$folder/$file"
fi
