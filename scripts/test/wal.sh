#!/usr/bin/env bash
# The suites again with tables that are captured from the WAL: a selection, or with `all` whatever does not name the
# triggers of the other way.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
cd "$root"
export MODE=wal PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}

regress=(capture_writes documents functions readsets relay rows_read)
isolation=(commit_vs_visibility register_race subscribe_vs_prepared subscribe_vs_savepoint)
capture=(capture/prepared.test.mjs)
e2e=(e2e/ranges.test.mjs)
# Faults of the chaos suite: those of the worker.
rounds=3 seed=$((RANDOM * 20 + 1))
if [ "${1:-}" = all ]; then
    mapfile -t regress < <(cd pg_test/regress/sql && grep -LE 'pg_live_(insert|update|delete)' -- *.sql | sed 's/\.sql$//')
    isolation=() capture=()
    rounds=${ROUNDS:-200} seed=${SEED:-$((RANDOM * 20))}
    e2e=(e2e/{live,oracle,order,pages,ranges,recovery,torn,writers}.test.mjs)
fi
scripts/test/regress.sh "${regress[@]}"
scripts/test/isolation.sh "${isolation[@]}"
scripts/test/capture.sh "${capture[@]}"
scripts/test/e2e.sh "${e2e[@]}"
ROUNDS=$rounds SEED=$seed scripts/test/chaos.sh
