#!/usr/bin/env bash
# The example apps in a browser.
set -euo pipefail
exec "$(dirname "$0")/../../pg_test/run-browser.sh" "$@"
