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
export const whoami = query({ args: {}, handler: async (ctx) => (await ctx.auth.getUserIdentity())?.name ?? "nobody" });
export const signed = mutation({ args: {}, handler: async (ctx) => {
    console.log("signing");
    return (await ctx.auth.getUserIdentity())?.subject ?? "nobody";
} });
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
    says "help for a newcomer" "pg-live init my-app" 2 "$pg_live"
    says "an unknown command" "unrecognized subcommand" 2 "$pg_live" deplyo
    says "an error for machines" '","code":1}' 1 env -u DATABASE_URL "$pg_live" env list --app-dir "$apps/app" --json
}

# What needs no database.
offline() {
    says "version" "pg-live 0." 0 "$pg_live" version
    says "version for machines" '{"version":"0.' 0 "$pg_live" version --json
    for shell in bash zsh fish; do
        says "completions for $shell" "deployments" 0 "$pg_live" completions $shell
    done
    says "a project" "npm install" 0 "$pg_live" init "$apps/My Chat"
    [ "$(node -p "require('$apps/My Chat/package.json').name")" = my-chat ] \
        && ok "it has the folder's name" || not_ok "it has the folder's name" "$(cat "$apps/My Chat/package.json")"
    says "a project over another" "exists: nothing was written" 1 "$pg_live" init "$apps/My Chat"
    says "an existing database that nobody names" "give it by --url" 1 \
        env -u DATABASE_URL "$pg_live" init "$apps/existing" --template existing --table t
    says "types without a database" "no types of SQL tables" 0 env -u DATABASE_URL "$pg_live" codegen "$apps/app"
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
    says "a server that is not there" "cannot connect to the database" 3 \
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

    commands "$app"

    kill -9 "$(head -1 "$app/.pg-live/data/postmaster.pid")"
    until_true 30 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('notes:list', '{}')" \
        && ok "Postgres is started again after a kill" || not_ok "Postgres is started again after a kill" "$(tail -5 "$log")"
    kill -9 "$(cat "$app/.pg-live/lock")"
    until_true 5 flock --nonblock "$app/.pg-live/lock" true
    says "a start after a killed run" "ready" 0 "$pg_live" dev "$app" --detach --port $PORT
    says "the data is still there" "broken" 0 "$bin/psql" "$DATABASE_URL" -Atc "SELECT live.query('broken:now', '{}') || ' broken'"
    waits "$app"
    says "stop" "stopped process" 0 "$pg_live" stop "$app"
    says "stop when nothing runs" "nothing ran" 0 "$pg_live" stop "$app"
    [ ! -e "$app/.pg-live/data/postmaster.pid" ] && ok "Postgres has ended" || not_ok "Postgres has ended" ""
}

# Each command against a running development server.
commands() {
    local app=$1 first number
    at() { "$pg_live" "$1" --app-dir "$app" "${@:2}"; }
    unset DATABASE_URL PG_LIVE_ADMIN_URL
    says "a mutation" '"' 0 at run notes:add '{"text": "milk"}'
    says "a query" '"text":"milk"' 0 at run notes.ts:list
    says "a function that is not there" "notes:add" 1 at run notes:lst
    says "arguments that are not JSON" "are not JSON" 1 at run notes:list '{text}'
    says "arguments that do not fit" "ArgumentValidationError" 1 at run notes:add '{"text": 1}'
    says "as nobody" '"nobody"' 0 at run notes:whoami
    says "as somebody" '"Grace"' 0 at run notes:whoami --identity '{"name": "Grace"}'
    says "a mutation as somebody" '"user-7"' 0 at run notes:signed --identity '{"subject": "user-7"}'
    says "what it logs" "signing" 0 at run notes:signed --identity '{"subject": "user-7"}'
    says "somebody who is not JSON" "--identity: " 1 at run notes:whoami --identity Grace
    says "arguments that do not fit, as somebody" "ArgumentValidationError" 1 at run notes:add '{"text": 1}' --identity '{}'
    says "a read-set in words" "all of index by_creation_time" 0 at explain notes:list
    says "a read-set for machines" '"kind":"range"' 0 at explain notes:list --json
    says "a mutation has no read-set" "only queries" 1 at explain notes:add
    says "psql as owner" "app|" 0 at sql -- -Atc "SELECT current_user || '|'"
    says "psql as superuser" "postgres|" 0 at sql --admin -- -Atc "SELECT current_user || '|'"
    at env set GREETING hello
    says "an environment variable" "hello" 0 at env get GREETING
    says "all of them for machines" '"GREETING":"hello"' 0 at env list --json
    at env remove GREETING
    says "one that is not set" "is not set" 1 at env get GREETING
    says "status" "preload" 0 at status
    says "status for machines" '"what":"extension"' 0 at status --json
    says "no index is pending" "no index is pending" 0 at indexes
    says "nothing to build" "no index is pending" 0 at indexes build
    says "deployments" "in force" 0 at deployments
    logs_of "$app"
    types_of "$app"
    looks_of "$app"
    first=$(at deployments --json | node -e 'const ids = require("fs").readFileSync(0, "utf8").trim().split("\n").map((l) => JSON.parse(l)); console.log(ids.filter((d) => d.finished).at(-1).id)')
    says "going back" "code and schema are those of deployment $first" 0 at rollback "$first"
    says "what is gone" "there is no function broken:now" 1 at run broken:now
    says "going forward" "code and schema" 0 at rollback
    says "what is there again" "7" 0 at run broken:now
    says "a deployment that is not there" "there is no deployment 999" 1 at rollback 999
    misfit "$app"
    typed "$app"
    large_table "$app"
    says "a backup" "bytes" 0 at backup "$work/app.dump"
    says "a restore over another" "is not empty" 1 at restore "$work/app.dump"
    says "a file that is not there" "no such file" 1 at restore "$work/none.dump"
    says "a restore" "functions, owned by app" 0 at restore "$work/app.dump" --into app_copy
    . "$app/.pg-live/env"
    says "the restored database works" '"text":"milk"' 0 \
        "$pg_live" run notes:list --url "${DATABASE_URL%/app}/app_copy"
    says "and takes deploys" "5 functions" 0 "$pg_live" deploy "$app" --url "${DATABASE_URL%/app}/app_copy"
}

# live.logs is written some moments after a call.
logs_of() {
    at sql -- -qAtc "SELECT live.mutation('notes:add', '{}')" >/dev/null 2>&1
    until_true 30 sh -c "'$pg_live' logs --app-dir '$1' | grep -q ArgumentValidationError" \
        && ok "errors of functions in the log" || not_ok "errors of functions in the log" "$("$pg_live" logs --app-dir "$1" 2>&1)"
    says "the log for machines" '"function":"notes:add"' 0 at logs --errors --json -n 5
    # It goes on with lines that come later.
    "$pg_live" logs -f -n 0 --app-dir "$1" > "$work/follow.log" 2>&1 &
    local follower=$!
    until_true 30 sh -c "'$pg_live' run notes:add '{}' --app-dir '$1' >/dev/null 2>&1; grep -q ArgumentValidationError '$work/follow.log'" \
        && ok "a log that is followed" || not_ok "a log that is followed" "$(cat "$work/follow.log")"
    kill $follower
    wait $follower 2>/dev/null
}

types_of() {
    at sql -- -qAtc "CREATE TYPE mood AS ENUM ('good', 'bad')" -c "CREATE TABLE public.people (id bigint PRIMARY KEY, mood mood, tags text[] NOT NULL)"
    says "types of SQL tables" "sql.d.ts" 0 "$pg_live" codegen "$1"
    grep -q '"mood": "good" | "bad" | null;' "$1/convex/sql.d.ts" && grep -q '"tags": string\[\];' "$1/convex/sql.d.ts" \
        && ok "they are right" || not_ok "they are right" "$(cat "$1/convex/sql.d.ts")"
    functions_of "$1"
    says "a project over an existing table" "sql/live.sql" 0 \
        "$pg_live" init "$apps/existing" --template existing --table people --url "$(sed -n "s/^export DATABASE_URL='\(.*\)'/\1/p" "$1/.pg-live/env")"
    says "over one that is not there" "there is no table nothing" 1 \
        "$pg_live" init "$apps/existing2" --template existing --table nothing --url "$(sed -n "s/^export DATABASE_URL='\(.*\)'/\1/p" "$1/.pg-live/env")"
}

# SQL functions that clients query: their types are those of what they take and give.
functions_of() {
    at sql -- -qAtc "CREATE SCHEMA api" -c "CREATE FUNCTION api.people_of(wanted mood, most int DEFAULT 10) RETURNS SETOF people
            LANGUAGE sql STABLE AS 'SELECT * FROM public.people WHERE mood = wanted LIMIT most'" \
        -c "CREATE FUNCTION api.moods() RETURNS TABLE (mood mood, people bigint)
            LANGUAGE sql STABLE AS 'SELECT mood, count(*) FROM public.people GROUP BY mood'" \
        -c "INSERT INTO people VALUES (7, 'good', '{a}')"
    says "types of SQL functions" "2 functions in sql.d.ts" 0 "$pg_live" codegen "$1"
    says "what such a function gives" '"mood":"good"' 0 at run sql/api:people_of '{"wanted": "good"}'
    mkdir -p "$1/check"
    cat > "$1/check/use.ts" <<'TS'
import { anyApi, type FunctionArgs, type FunctionReturnType } from "convex/server";
import type { Api, Row } from "../convex/sql";
const { sql } = anyApi as unknown as Api;
type Arguments = FunctionArgs<typeof sql.api.people_of>;
type Person = FunctionReturnType<typeof sql.api.people_of>[number];
export const few: Arguments = { wanted: "good", most: 3 };
export const all: Arguments = { wanted: "bad" };
// @ts-expect-error: there is no such mood
export const none: Arguments = { wanted: "fine" };
// @ts-expect-error: it is needed
export const missing: Arguments = { most: 3 };
export const id = (person: Person): bigint => person.id;
// @ts-expect-error: a client gets a bigint
export const number = (person: Person): number => person.id;
// @ts-expect-error: it may be null
export const mood = (person: Person): "good" | "bad" => person.mood;
export const counts: FunctionReturnType<typeof sql.api.moods> = [{ mood: "good", people: 1n }, { mood: null, people: null }];
export const row: Row<"people"> = { id: "7", mood: null, tags: [] };
TS
    says "they are checked by TypeScript" "" 0 node "$root/pg_test/node_modules/typescript/bin/tsc" --noEmit --strict --skipLibCheck \
        --module esnext --moduleResolution bundler --target es2022 "$1/check/use.ts"
    at sql -- -qAtc "DROP SCHEMA api CASCADE"
}

# Types are checked before a deploy, if they can be.
typed() {
    mkdir -p "$apps/typed"
    cp -r "$1/convex" "$1/package.json" "$apps/typed/"
    ln -s "$root/pg_test/node_modules" "$apps/typed/node_modules"
    rm -f "$apps/typed/convex/sql.d.ts"
    local url
    url=$(sed -n "s/^export DATABASE_URL='\(.*\)'/\1/p" "$1/.pg-live/env")
    says "types that cannot be checked" "there is no" 1 "$pg_live" deploy "$apps/typed" --typecheck enable --url "$url"
    cp "$root/pg_test/convex-cli/app/convex/tsconfig.json" "$apps/typed/convex/"
    echo 'import { query } from "./_generated/server"; export const n = query({ args: {}, handler: (): number => "text" });' > "$apps/typed/convex/wrong.ts"
    says "a type error" "error TS2322" 1 "$pg_live" deploy "$apps/typed" --url "$url"
    says "nothing was deployed" "there is no function wrong:n" 1 at run wrong:n
    says "a type error that is not looked for" '"modules"' 0 "$pg_live" deploy "$apps/typed" --typecheck disable --dry-run
}

# A deploy that needs a variable is made once it is set.
waits() {
    echo 'import { query } from "./_generated/server";
const needed = process.env.NEEDED;
if (!needed) throw new Error("NEEDED is not set");
export const value = query({ args: {}, handler: () => needed });' > "$1/convex/needs.ts"
    until_true 120 grep -q "NEEDED is not set" "$1/.pg-live/dev.log" \
        && ok "a variable that is missing is told" || not_ok "a variable that is missing is told" "$(tail -5 "$1/.pg-live/dev.log")"
    at env set NEEDED now
    until_true 120 sh -c "'$pg_live' run needs:value --app-dir '$1' | grep -q now" \
        && ok "once it is set the deploy is made" || not_ok "once it is set the deploy is made" "$(tail -5 "$1/.pg-live/dev.log")"
    rm "$1/convex/needs.ts"
    until_true 120 sh -c "! '$pg_live' run needs:value --app-dir '$1'" \
        && ok "and goes with its file" || not_ok "and goes with its file" "$(tail -5 "$1/.pg-live/dev.log")"
}

# Colours are for people at a terminal.
looks_of() {
    local escape=$'\e['
    says "colours on a terminal" "$escape" 0 script -qec "'$pg_live' status --app-dir '$1'" /dev/null
    "$pg_live" status --app-dir "$1" 2>&1 | grep -qF "$escape" \
        && not_ok "no colours in a file" "" || ok "no colours in a file"
    says "no colours if unwanted" "preload" 0 env NO_COLOR=1 script -qec "'$pg_live' status --app-dir '$1'" /dev/null
}

# A schema that the documents do not fit changes nothing, and the message names one.
misfit() {
    mkdir -p "$apps/misfit"
    cp -r "$1/convex" "$1/package.json" "$1/node_modules" "$apps/misfit/" 2>/dev/null
    sed -i 's/text: v.string()/text: v.number()/' "$apps/misfit/convex/schema.ts"
    says "a schema that documents do not fit" 'in table "notes" does not match the schema' 1 \
        "$pg_live" deploy "$apps/misfit" --url "$(sed -n "s/^export DATABASE_URL='\(.*\)'/\1/p" "$1/.pg-live/env")"
    says "what ran keeps running" '"text":"milk"' 0 at run notes:list
}

# A deploy from SQL leaves what a large table needs to `indexes build`.
large_table() {
    at sql --admin -- -qc "ALTER ROLE app SET pg_live.small_table_kb = 0"
    mkdir -p "$apps/indexed"
    cp -r "$1/convex" "$1/package.json" "$1/node_modules" "$apps/indexed/" 2>/dev/null
    sed -i 's/text: v.string() })/text: v.string(), stars: v.optional(v.number()) })/; s/.index("by_text", \["text"\])/&.index("by_stars", ["stars"])/' "$apps/indexed/convex/schema.ts"
    "$pg_live" deploy "$apps/indexed" --dry-run > "$work/source.json"
    printf '%s\n' "\\set source \`cat $work/source.json\`" "SELECT live.deploy(:'source');" > "$work/deploy.sql"
    says "a deploy from SQL stays pending" '"pending":true' 0 at sql -- -X -q -At -f "$work/deploy.sql"
    says "the index that it waits for" "CREATE INDEX CONCURRENTLY" 0 at indexes
    says "building it" "new indexes: notes.by_stars" 0 at indexes build --finish
    says "nothing is left" "no index is pending" 0 at indexes
    at sql --admin -- -qc "ALTER ROLE app RESET pg_live.small_table_kb"
}

# A cluster of an earlier build of the same version.
other_build() {
    local app=$apps/app
    echo "0.1.0 another" > "$app/.pg-live/data/pg_live.build"
    says "a cluster of another build" "made by another build" 1 "$pg_live" dev "$app" --detach --port $PORT
    says "an empty database instead" "ready" 0 "$pg_live" dev "$app" --fresh --detach --port $PORT
    says "it is empty" "[]" 0 "$pg_live" run notes:list --app-dir "$app"
    ls -d "$app"/.pg-live/data.old-* >/dev/null && ok "the old data is beside it" || not_ok "the old data is beside it" ""
    says "stop it" "stopped process" 0 "$pg_live" stop "$app"
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
offline
bad_databases
dev_server
other_build
exit $status
