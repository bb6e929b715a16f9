#!/usr/bin/env bash
# SQL regression tests: pg_test/regress/sql against pg_test/regress/expected.
# Arguments name tests; without any, all run, in the order of their names.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

input=$root/pg_test/regress
output=$target/test/regress
tests=("$@")
[ ${#tests[@]} -gt 0 ] || mapfile -t tests < <(cd "$input/sql" && ls -- *.sql | sed 's/\.sql$//')

[ ${#tests[@]} -gt 0 ] || fail "there are no tests in $input"

start_cluster
mkdir -p "$output"
status=0
"$("$bin/pg_config" --pgxs | xargs dirname)/../test/regress/pg_regress" \
    --inputdir="$input" --outputdir="$output" --bindir="$bin" \
    --host="$socket" --port=$port --user=postgres --dbname=regress \
    --encoding=UTF8 --no-locale --load-extension=pg_live "${tests[@]}" || status=$?
[ $status -eq 0 ] || cat "$output/regression.diffs" || true
check_cluster_log || status=1
exit $status
