#!/usr/bin/env bash
# Makes what the protocol suite needs besides npm packages: the programs that drive the crate and the PyPI package
# `convex`. Quick and without effect when all is there.
set -euo pipefail
. "$(dirname "$0")/../../scripts/common.sh"
here=$root/pg_test/protocol

venv=$target/protocol-python
if ! cmp -s "$here/python-client/requirements.txt" "$venv/.installed"; then
    say "installing PyPI package convex"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 cannot make an environment: install python3-venv"
    "$venv/bin/pip" install -q -r "$here/python-client/requirements.txt"
    cp "$here/python-client/requirements.txt" "$venv/.installed"
fi
cargo build -q --locked --manifest-path "$here/rust-client/Cargo.toml" --target-dir "$target/protocol-rust"
