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

start_cluster "synchronous_standby_names = 'nobody'" "synchronous_commit = local" "max_worker_processes = 16"
mkdir -p "$output"
status=0
"$("$bin/pg_config" --pgxs | xargs dirname)/../test/isolation/pg_isolation_regress" \
    --inputdir="$input" --outputdir="$output" --bindir="$bin" \
    --host="$socket" --port=$port --user=postgres --dbname=isolation \
    --encoding=UTF8 --no-locale --load-extension=pg_live "${tests[@]}" || status=$?
[ $status -eq 0 ] || cat "$output/regression.diffs" || true

# What a spec cannot do: the server is started again in between.
prepared_over_restart() {
    local psql=("$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$socket" -p $port -U postgres)
    "${psql[@]}" -d postgres -c "CREATE DATABASE restarted"
    "${psql[@]}" -d restarted -c "
        CREATE EXTENSION pg_live; CREATE EXTENSION dblink;
        CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2);
        SELECT live.capture_table('t')" >/dev/null
    "${psql[@]}" -d restarted -c "BEGIN; TRUNCATE t; PREPARE TRANSACTION 'over_restart'"
    (cd / && "${account[@]}" "$bin/pg_ctl" restart -w -m fast -D "$work/data" -l "$cluster_log" >/dev/null)
    "${psql[@]}" -d restarted <"$input/prepared_over_restart.sql" 2>&1
}
if [ $# -eq 0 ]; then
    said=$(prepared_over_restart) || status=1
    case $said in
    *"before: 0"*"sqlstate 40001"*) echo "ok - a prepared TRUNCATE is known after a restart" ;;
    *) printf '%s\n' "$said" "not ok - a prepared TRUNCATE is known after a restart" && status=1 ;;
    esac
fi
check_cluster_log || status=1
exit $status
