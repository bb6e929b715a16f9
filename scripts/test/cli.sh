#!/usr/bin/env bash
# What `pg-live` says and does, with good and with bad input.
set -uo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

pg_live=${PG_LIVE_BIN:-$target/release/pg-live}
apps=$work/apps
status=0
PORT=$((20000 + RANDOM % 10000))

# ok <name> / not_ok <name> <what was said>
ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1"; printf '%s\n' "$2" | sed 's/^/    /'; status=1; }

# says <name> <text> <exit code> <command...>: the command ends so and says that.
says() {
    local name=$1 text=$2 code=$3 output got
    shift 3
    output=$("$@" 2>&1) && got=0 || got=$?
    if [ "$got" -eq "$code" ] && grep -qF -- "$text" <<<"$output"; then
        ok "$name"
    else
        not_ok "$name" "exit code $got, wanted $code and: $text
$output"
    fi
}

# until_true <seconds> <command...>
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# new_app <name>: an app with one table and installed packages.
new_app() {
    mkdir -p "$apps/$1/convex"
    ln -s "$root/pg_test/node_modules" "$apps/$1/node_modules"
    echo '{"private": true, "type": "module"}' > "$apps/$1/package.json"
    cat > "$apps/$1/convex/schema.ts" <<'TS'
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ notes: defineTable({ text: v.string() }).index("by_text", ["text"]) });
TS
    cat > "$apps/$1/convex/notes.ts" <<'TS'
import { query, mutation } from "./_generated/server";
import { v } from "convex/values";
export const list = query({ args: {}, handler: (ctx) => ctx.db.query("notes").collect() });
export const add = mutation({ args: { text: v.string() }, handler: (ctx, args) => ctx.db.insert("notes", args) });
TS
}

bad_folders() {
    says "an app's folder that is not there" "cannot open the app's folder" 1 "$pg_live" dev "$apps/none"
    mkdir -p "$apps/empty"
    says "an app without functions" "an app keeps its functions there" 1 "$pg_live" dev "$apps/empty"
    mkdir -p "$apps/bare/convex"
    says "packages that are not installed" "npm install" 1 "$pg_live" dev "$apps/bare"
    says "nowhere to deploy to" "give --url, set DATABASE_URL" 1 env -u DATABASE_URL "$pg_live" deploy "$apps/app"
    says "Postgres that is not installed" "apt-get install postgresql-$postgres_version" 1 \
        env PG_LIVE_SERVER_TREE="$work/none" "$pg_live" dev "$apps/app"
    mkdir -p "$work/bare/usr/lib/postgresql/$postgres_version/bin"
    cp "$bin/postgres" "$work/bare/usr/lib/postgresql/$postgres_version/bin/"
    says "Postgres without the extension" "has no extension pg_live" 1 \
        env PG_LIVE_SERVER_TREE="$work/bare" "$pg_live" dev "$apps/app"
    says "help for a newcomer" "pg-live dev examples/chat" 2 "$pg_live"
}

bad_databases() {
    local url="host=$socket user=postgres dbname"
    "$bin/createdb" -h "$socket" -U postgres --template=template0 --encoding=SQL_ASCII ascii
    says "a database that is not UTF8" "pg_live needs UTF8" 1 "$pg_live" deploy "$apps/app" --url "$url=ascii"
    says "no extension in a database that is not UTF8" "UTF8" 3 \
        "$bin/psql" -h "$socket" -U postgres -v ON_ERROR_STOP=1 -d ascii <<<"CREATE EXTENSION pg_live"
    says "a database without the extension" "CREATE EXTENSION pg_live" 1 \
        "$pg_live" deploy "$apps/app" --url "$url=postgres"
    says "serving a database that is not UTF8" "pg_live needs UTF8" 1 timeout 20 "$pg_live" serve --url "$url=ascii" --listen 127.0.0.1:0
    says "an extension that is not preloaded" "shared_preload_libraries" 3 \
        "$bin/psql" -h "$socket" -U postgres -v ON_ERROR_STOP=1 -d postgres <<<"CREATE EXTENSION pg_live"
    says "a server that is not there" "cannot connect to the database" 1 \
        "$pg_live" deploy "$apps/app" --url "postgres://app@127.0.0.1:1/app"
}

# The life of one development server.
dev_server() {
    local app=$apps/app
    local log=$app/.pg-live/dev.log
    says "start in the background" "ready" 0 "$pg_live" dev "$app" --detach --port $PORT
    says "a second start for the same app" "already runs for this folder" 1 "$pg_live" dev "$app" --port $((PORT + 1))
    new_app other
    says "a taken port" "choose another with --port" 1 "$pg_live" dev "$apps/other" --port $PORT

    . "$app/.pg-live/env"
    [ "$(stat -c %a "$(readlink -f "$app/.pg-live")/env")" = 600 ] && ok "env is private" || not_ok "env is private" ""
    grep -qx "VITE_CONVEX_URL=$PG_LIVE_URL" "$app/.env.local" && ok "the page knows the URL" || not_ok "the page knows the URL" ""
    says "SQL as the app's owner" "app|UTF8" 0 "$bin/psql" "$DATABASE_URL" -Atc "SELECT current_user, current_setting('server_encoding')"
    says "a wrong password" "password authentication failed" 2 env PGPASSWORD=wrong "$bin/psql" \
        -h 127.0.0.1 -p "$(sed 's/.*:\([0-9]*\)\/.*/\1/' <<<"$DATABASE_URL")" -U app -d app -c "SELECT 1"
    says "a deploy of the same source" "unchanged" 0 "$pg_live" deploy "$app"

    says "a function answers in SQL" "[]" 0 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('notes:list', '{}')"
    echo 'export const broken = ;' > "$app/convex/broken.ts"
    until_true 20 grep -q 'convex/broken.ts:1:23: Unexpected ";"' "$log" \
        && ok "a module that does not compile is told with file, line and column" \
        || not_ok "a module that does not compile is told with file, line and column" "$(tail -5 "$log")"
    says "the running deployment stays" "[]" 0 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('notes:list', '{}')"
    echo 'import { query } from "./_generated/server"; export const now = query({ args: {}, handler: () => 7 });' > "$app/convex/broken.ts"
    until_true 20 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('broken:now', '{}')" \
        && ok "a change is deployed" || not_ok "a change is deployed" "$(tail -5 "$log")"
    grep -q 'typeof broken' "$app/convex/_generated/api.d.ts" && ok "its types are written" || not_ok "its types are written" ""

    kill -9 "$(head -1 "$app/.pg-live/data/postmaster.pid")"
    until_true 30 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('notes:list', '{}')" \
        && ok "Postgres is started again after a kill" || not_ok "Postgres is started again after a kill" "$(tail -5 "$log")"
    kill -9 "$(cat "$app/.pg-live/lock")"
    until_true 5 flock --nonblock "$app/.pg-live/lock" true
    says "a start after a killed run" "ready" 0 "$pg_live" dev "$app" --detach --port $PORT
    says "the data is still there" "broken" 0 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('broken:now', '{}') || ' broken'"
    says "stop" "stopped process" 0 "$pg_live" stop "$app"
    says "stop when nothing runs" "nothing ran" 0 "$pg_live" stop "$app"
    [ ! -e "$app/.pg-live/data/postmaster.pid" ] && ok "Postgres has ended" || not_ok "Postgres has ended" ""
}

stop_all() {
    for app in "$apps"/*; do
        "$pg_live" stop "$app" >/dev/null 2>&1
        # As root, data that the cluster's user could not reach is elsewhere.
        [ -L "$app/.pg-live" ] && rm -rf "$(readlink "$app/.pg-live")"
    done
    stop_cluster
}

start_cluster "shared_preload_libraries = ''"
trap stop_all EXIT
export PG_LIVE_SERVER_TREE=$tree
new_app app
bad_folders
bad_databases
dev_server
exit $status
