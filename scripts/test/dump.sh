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

# Hard values: of the whole database, of the data alone, of one table.
deploy_values() {
    run -d "$1" -c 'CREATE EXTENSION pg_live' -c "SELECT live.setup('app')" >/dev/null
    run -d "$1" -v values="$(cat "$functions/values.js")" -v schema="$(cat "$functions/values_schema.js")" >/dev/null <<'SQL'
SELECT live.deploy(json_build_object(
    'modules', json_build_array(json_build_object('path', 'values.js', 'source', :'values')),
    'schema', json_build_object('path', 'schema.js', 'source',
        replace(:'schema', 'VERSION = 1', 'VERSION = ' || version))))
FROM generate_series(1, 2) AS version;
SQL
}
# How many of the stored values functions find unchanged.
unchanged() {
    run -d "$1" -c "SELECT count(*) FROM stored
        WHERE live.query('values:check', json_build_object('name', name, 'id', id)) #>> '{}' = 'same'"
}
dump() { "$bin/pg_dump" -h "$socket" -p $port -U postgres -Fc "$@"; }
restore() { "$bin/pg_restore" -h "$socket" -p $port -U postgres --exit-on-error "$@"; }
run -d postgres -c 'CREATE DATABASE hard' -c 'CREATE DATABASE whole' -c 'CREATE DATABASE data' -c 'CREATE DATABASE single'
deploy_values hard
run -d hard -c "CREATE TABLE stored AS SELECT name, live.mutation('values:store', json_build_object('name', name)) #>> '{}' AS id
    FROM json_array_elements_text(live.query('values:names')) AS each (name)"
all=$(run -d hard -c 'SELECT count(*) FROM stored')
check "functions find all hard values" "$(unchanged hard)" "$all"
dump -f "$work/hard.dump" hard
restore -d whole "$work/hard.dump"
check "a restored database holds all hard values" "$(unchanged whole)" "$all"

deploy_values data
run -d data -c 'CREATE TABLE stored (name text, id text)'
run -d data -c "SELECT live.mutation('values:store', '{\"name\": \"a table without a schema\"}')" -c 'TRUNCATE loose' >/dev/null
restore -d data --data-only --schema=public "$work/hard.dump"
check "data alone goes into a deployment like it" "$(unchanged data)" "$all"

dump -t public.hard -f "$work/single.dump" hard
run -d single -c 'CREATE EXTENSION pg_live'
restore -d single "$work/single.dump"
check "a single table is a table with its checks and indexes" \
    "$(run -d single -c "SELECT count(*) > 20, (SELECT count(*) FROM pg_indexes WHERE tablename = 'hard'),
        (SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'hard'::regclass AND contype = 'c') FROM hard")" \
    't|3|live_document live_valid'
check "and refuses what does not match" \
    "$(run -d single -c "INSERT INTO hard (_extra) VALUES ('{\"number\": \"1\"}')" 2>&1 | grep -c 'in table "hard" does not match the schema')" 1
run -d hard -c 'TRUNCATE hard'
restore -d hard --data-only -t hard "$work/single.dump"
check "one table's data goes back into its deployment" "$(unchanged hard)" "$all"
check_cluster_log || status=1
exit $status
