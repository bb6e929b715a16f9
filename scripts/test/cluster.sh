# Sourced by suites that need a bare server: start_cluster makes a throw-away cluster of the private
# server tree and stops it when the script ends. Sets bin, socket, port, work and cluster_log.

work=$(mktemp -d "${TMPDIR:-/tmp}/pg-live-cluster.XXXXXX")
chmod 755 "$work"
cluster_log=$work/postgres.log
port=5432
account=()
tree=$target/server

# Postgres refuses to be run by root: then a system user runs it, from a copy that it can reach.
choose_account() {
    [ "$(id -u)" -eq 0 ] || return 0
    id -u pg-live >/dev/null 2>&1 || useradd --system --user-group --create-home \
        --home-dir /var/lib/pg-live --shell /usr/sbin/nologin pg-live
    account=(runuser -u pg-live --)
    chown pg-live: "$work"
    if ! "${account[@]}" test -x "$tree/usr/lib/postgresql/$postgres_version/bin/postgres"; then
        cp -a "$tree" "$work/server"
        tree=$work/server
    fi
}

stop_cluster() {
    (cd / && "${account[@]}" "$bin/pg_ctl" stop -D "$work/data" -m immediate >/dev/null 2>&1) || true
    rm -rf "$work"
}

# start_cluster [setting...]
start_cluster() {
    choose_account
    bin=$tree/usr/lib/postgresql/$postgres_version/bin
    socket=$work
    trap stop_cluster EXIT
    cd /
    "${account[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
    # MODE=wal: tables are captured from the WAL, unless a test says otherwise.
    [ "${MODE:-trigger}" != wal ] || set -- "pg_live.capture = wal" "$@"
    local setting
    {
        printf "%s\n" "listen_addresses = ''" "unix_socket_directories = '$socket'" "port = $port" \
            "shared_preload_libraries = 'pg_live'" "fsync = off" "max_prepared_transactions = 10" \
            "wal_level = logical"
        for setting in "$@"; do printf '%s\n' "$setting"; done
    } | "${account[@]}" tee -a "$work/data/postgresql.conf" >/dev/null
    if ! "${account[@]}" "$bin/pg_ctl" start -w -D "$work/data" -l "$cluster_log" >/dev/null; then
        cat "$cluster_log"
        fail "the test cluster did not start"
    fi
    cd "$root"
}

# A crash that a test did not notice is still a failure.
check_cluster_log() {
    if grep -E 'PANIC|TRAP|terminated by signal' "$cluster_log"; then
        echo "not ok - no crash in the server's log"
        return 1
    fi
    echo "ok - no crash in the server's log"
}
