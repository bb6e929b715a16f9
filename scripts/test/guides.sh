#!/usr/bin/env bash
# Runs the guides of docs/guides as their readers would, on a server of their own. Arguments name guides.
set -uo pipefail
. "$(dirname "$0")/../common.sh"
. "$root/scripts/test/cluster.sh"

port=$((20000 + RANDOM % 10000))
start_cluster "shared_preload_libraries = ''" "listen_addresses = '127.0.0.1'"
# What an administrator does by the system's own means.
export GUIDES_PRELUDE="
systemctl() {
    case \"\$1 \$2\" in
        'restart postgresql')
            (cd / && ${account[*]:-} '$bin/pg_ctl' restart -w -D '$work/data' -l '$cluster_log' -m fast >/dev/null) ;;
        'restart pgbouncer')
            sed 's#userlist.txt#$work/userlist.txt#' pgbouncer.ini > '$work/pgbouncer.ini'
            printf '%s\\n' 'logfile = $work/pgbouncer.log' 'pidfile = $work/pgbouncer.pid' >> '$work/pgbouncer.ini'
            cp userlist.txt '$work/userlist.txt'
            ${account[*]:-} pgbouncer -q -d '$work/pgbouncer.ini' ;;
        *) echo \"systemctl \$*?\" >&2; return 1 ;;
    esac
}
"
# Debian keeps PgBouncer where root looks.
export GUIDES_BIN="$(dirname "${PG_LIVE_BIN:-$target/release/pg-live}"):$bin:/usr/sbin" GUIDES_POSTGRES_PORT=$port PG_LIVE_SERVER_TREE=$tree
cd "$root/pg_test"
. ./npm-packages.sh
npm_packages .
npm_packages ../examples/chat
end() {
    [ ! -f "$work/pgbouncer.pid" ] || kill "$(cat "$work/pgbouncer.pid")"
    stop_cluster
}
trap end EXIT
status=0
node guides/run.mjs "$@" || status=1
check_cluster_log || status=1
exit $status
