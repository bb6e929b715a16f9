# Sourced by the scripts beside it: where things are, and how to say something.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
postgres_version=15
extension_version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" "$root/pg_live.control")

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# extension_script <to>: what CREATE EXTENSION runs, out of its parts.
extension_script() { cat "$root"/sql/[0-9]-*.sql > "$1"; }

# The pg_config of the right version.
find_pg_config() {
    local candidate
    for candidate in "${PGRX_PG_CONFIG_PATH:-}" /usr/bin/pg_config \
        "/usr/lib/postgresql/$postgres_version/bin/pg_config" "$(command -v pg_config || true)"; do
        if [ -x "$candidate" ] && [[ "$("$candidate" --version 2>/dev/null)" == "PostgreSQL $postgres_version"* ]]; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}
