#!/usr/bin/env bash
# Isolation tests: pg_test/isolation/specs against pg_test/isolation/expected.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

input=$root/pg_test/isolation
output=$target/test/isolation
tests=("$@")
[ ${#tests[@]} -gt 0 ] || mapfile -t tests < <(cd "$input/specs" && ls -- *.spec | sed 's/\.spec$//')

[ ${#tests[@]} -gt 0 ] || fail "there are no tests in $input"

start_cluster
mkdir -p "$output"
status=0
"$("$bin/pg_config" --pgxs | xargs dirname)/../test/isolation/pg_isolation_regress" \
    --inputdir="$input" --outputdir="$output" --bindir="$bin" \
    --host="$socket" --port=$port --user=postgres --dbname=isolation \
    --encoding=UTF8 --no-locale --load-extension=pg_live "${tests[@]}" || status=$?
[ $status -eq 0 ] || cat "$output/regression.diffs" || true
check_cluster_log || status=1
exit $status
