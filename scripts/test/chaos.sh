#!/usr/bin/env bash
# Breaks parts of a system under load, round by round, and compares clients with the database afterwards:
#   ROUNDS=15 SEED=17 scripts/test/chaos.sh
# As root the cluster lies on a small file system of its own, which can be full.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .

choose_account
disk=$work/disk
mkdir "$disk"
own_disk=0
end() {
    [ "$own_disk" -eq 0 ] || umount -l "$disk" || true
    rm -rf "$work"
}
trap end EXIT
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=320m,mode=755 tmpfs "$disk" 2>/dev/null; then
    own_disk=1
fi
export CHAOS_WORK=$work CHAOS_DISK=$disk CHAOS_OWN_DISK=$own_disk
export CHAOS_BIN=$tree/usr/lib/postgresql/$postgres_version/bin
export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
if [ "${#account[@]}" -gt 0 ]; then
    CHAOS_UID=$(id -u pg-live) CHAOS_GID=$(id -g pg-live)
    export CHAOS_UID CHAOS_GID
    chown pg-live: "$disk"
fi
logs=$target/test/chaos
status=0
node chaos/run.mjs || status=$?
mkdir -p "$logs"
cp "$work"/*.log "$logs" 2>/dev/null || true
[ $status -eq 0 ] || say "logs of Postgres and the relay: $logs"
exit $status
