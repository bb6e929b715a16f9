#!/usr/bin/env bash
# Prepares a machine: packages of the system, the build's environment, npm packages.
# Quick and without effect when all is there.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$root/pg_test/npm-packages.sh"

packages=(
    build-essential pkg-config libclang-dev
    "postgresql-$postgres_version" "postgresql-server-dev-$postgres_version"
    chromium haproxy openssl pgbouncer python3-venv
)

check_languages() {
    command -v cargo >/dev/null \
        || fail "Rust is missing: install it by https://rustup.rs (rust-toolchain.toml names the version)"
    command -v npm >/dev/null || fail "Node.js 20 or newer and npm are missing"
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' \
        || fail "Node.js $(node --version) is too old: 20 or newer is needed"
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
            || printf '%s\n' "$package"
    done
}

install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "this is not Debian: making sure only that Postgres $postgres_version is there"
        return
    fi
    local missing
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        fail "these packages are missing; as root, run
    apt-get install ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# The folder of libclang, for bindgen: the newest that Debian has, else wherever the linker looks.
find_libclang() {
    local folder
    for folder in "${LIBCLANG_PATH:-/nowhere}" $(ls -d /usr/lib/llvm-*/lib 2>/dev/null | sort -rV) \
        /usr/lib64 /usr/lib/*-linux-gnu /usr/lib; do
        if compgen -G "$folder/libclang*.so*" >/dev/null; then
            printf '%s\n' "$folder"
            return
        fi
    done
    return 1
}

# Cargo builds anew whenever one of these changes, so they are written in one place, and plain cargo
# and editors see what make sees.
write_cargo_config() {
    local v8 pg_config libclang text
    v8=$("$root/scripts/v8-archive.sh")
    pg_config=$(find_pg_config) || fail "pg_config of Postgres $postgres_version was not found: \
install postgresql-server-dev-$postgres_version or set PGRX_PG_CONFIG_PATH"
    libclang=$(find_libclang) || fail "libclang was not found: install libclang-dev or set LIBCLANG_PATH"
    text="[env]"
    [ -n "$v8" ] && text+=$'\n'"RUSTY_V8_ARCHIVE = \"$v8\""
    text+=$'\n'"PGRX_PG_CONFIG_PATH = \"$pg_config\""
    text+=$'\n'"LIBCLANG_PATH = \"$libclang\""
    mkdir -p "$root/.cargo"
    if [ "$(cat "$root/.cargo/config.toml" 2>/dev/null)" != "$text" ]; then
        printf '%s\n' "$text" > "$root/.cargo/config.toml"
        say "wrote .cargo/config.toml"
    fi
}

check_languages
install_packages
write_cargo_config
for app in chat tracker shop; do npm_packages "$root/examples/$app"; done
npm_packages "$root/pg_test"
