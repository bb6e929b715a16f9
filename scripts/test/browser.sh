#!/usr/bin/env bash
# The chat example in a browser.
set -euo pipefail
exec "$(dirname "$0")/../../pg_test/run-browser.sh" "$@"
