#!/usr/bin/env bash
# Installs the extension into the server of pg_config and the relay into PREFIX/bin (/usr/local).
set -euo pipefail
. "$(dirname "$0")/common.sh"

pg_config=$(find_pg_config) || fail "pg_config of Postgres $postgres_version was not found"
lib=$("$pg_config" --pkglibdir)
share=$("$pg_config" --sharedir)/extension
[ -w "$lib" ] || fail "$lib is not writable: run as root"

# stripped <from> <to>: without what only a debugger reads; the names of functions stay, for stack traces. Put in place
# in one step: a running server keeps the file that it has.
stripped() {
    mkdir -p "$(dirname "$2")"
    strip --strip-debug -o "$2.new" "$1"
    chmod 755 "$2.new"
    mv -f "$2.new" "$2"
}

stripped "$target/release/libpg_live.so" "$lib/pg_live.so"
install -m 644 "$root/pg_live.control" "$share/"
extension_script "$share/pg_live--$extension_version.sql"
stripped "$target/release/pg-live" "${PREFIX:-/usr/local}/bin/pg-live"
say "installed. In postgresql.conf set shared_preload_libraries = 'pg_live', restart the server, then"
say "in a UTF8 database: CREATE EXTENSION pg_live; SELECT live.setup('<role that deploys>');"
