#!/usr/bin/env bash
# Makes a private copy of the server's files with the extension in it, without root.
#
#   scripts/server-tree.sh <tree> <library>
#
# Postgres finds its libraries and its share folder relative to its own program, so a tree of the
# same relative layout is a complete server: programs are copied, everything else is linked.
# Files are replaced, never overwritten: a running server keeps the ones it has.
set -euo pipefail

tree=${1:?folder of the tree}
library=${2:?the extension\'s library}
. "$(dirname "$0")/common.sh"
pg_config=${PGRX_PG_CONFIG_PATH:-pg_config}

bin=$("$pg_config" --bindir)
lib=$("$pg_config" --pkglibdir)
share=$("$pg_config" --sharedir)
mkdir -p "$tree$bin" "$tree$lib" "$tree$share/extension"

# replace <source> <target>: in one step, and only if they differ.
replace() {
    if ! cmp -s "$1" "$2"; then
        cp -p "$1" "$2.new"
        mv -f "$2.new" "$2"
    fi
}

for program in "$bin"/*; do
    replace "$program" "$tree$bin/${program##*/}"
done

# link <from> <to>: a link for each entry that is not there yet.
link() {
    local entry
    for entry in "$1"/*; do
        [ -e "$2/${entry##*/}" ] || ln -sfn "$entry" "$2/${entry##*/}"
    done
}
link "$lib" "$tree$lib"
link "$share" "$tree$share"
link "$share/extension" "$tree$share/extension"

# Ours win over an installed version.
rm -f "$tree$share/extension"/pg_live--*.sql
extension_script "$tree/pg_live.sql"
ours() {
    if [ -L "$2" ]; then rm "$2"; fi
    replace "$1" "$2"
}
ours "$root/pg_live.control" "$tree$share/extension/pg_live.control"
ours "$tree/pg_live.sql" "$tree$share/extension/pg_live--$extension_version.sql"
ours "$library" "$tree$lib/pg_live.so"
