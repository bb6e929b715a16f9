#!/usr/bin/env bash
# The real npm clients against `pg-live dev`.
set -euo pipefail
exec "$(dirname "$0")/../../pg_test/run-e2e.sh" "$@"
