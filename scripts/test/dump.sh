#!/usr/bin/env bash
# pg_dump and pg_restore carry a deployment over: code, settings, documents, triggers.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

start_cluster
functions=$root/pg_test/regress/functions
status=0

run() { "$bin/psql" -h "$socket" -p $port -U postgres -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# check <name> <got> <wanted>
check() {
    if [ "$2" = "$3" ]; then
        echo "ok - $1"
    else
        echo "not ok - $1: got \"$2\", wanted \"$3\""
        status=1
    fi
}

run -d postgres -c 'CREATE DATABASE before' -c 'CREATE DATABASE after' -c 'CREATE ROLE app'
run -d before -c 'CREATE EXTENSION pg_live' -c "SELECT live.setup('app')" >/dev/null
run -d before -v messages="$(cat "$functions/messages.js")" -v schema="$(cat "$functions/schema.js")" >/dev/null <<'SQL'
SELECT live.deploy(json_build_object(
    'modules', json_build_array(json_build_object('path', 'messages.js', 'source', :'messages')),
    'schema', json_build_object('path', 'schema.js', 'source', :'schema')));
SELECT live.mutation('messages:send', '{"author": "ann", "body": "kept"}');
SQL
"$bin/pg_dump" -h "$socket" -p $port -U postgres -Fc -f "$work/before.dump" before
"$bin/pg_restore" -h "$socket" -p $port -U postgres -d after --exit-on-error "$work/before.dump"

check "a restored query runs" "$(run -d after -c "SELECT live.query('messages:all')")" '["kept"]'
run -d after -c "INSERT INTO messages (author, body) VALUES ('bob', 'new')"
check "a restored table takes rows" "$(run -d after -c "SELECT live.query('messages:count')")" 2
check "capture is complete" "$(run -d after -c 'SELECT DISTINCT complete FROM live.captured')" t
before=$(run -d before -c "SELECT version FROM live.active")
run -d after -c "SELECT live.setup('app')" >/dev/null
check "versions go on" "$(run -d after -c "SELECT version > $before FROM live.active")" t
check_cluster_log || status=1
exit $status
