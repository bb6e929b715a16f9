#!/usr/bin/env bash
# Builds everything in one go and one profile, so that nothing is built twice, and assembles the
# server that `pg-live dev` and the tests run.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

cargo build --release --workspace
PGRX_PG_CONFIG_PATH=$(find_pg_config) scripts/server-tree.sh "$target/server" "$target/release/libpg_live.so"
