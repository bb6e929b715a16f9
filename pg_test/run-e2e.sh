#!/bin/sh
# Runs the end-to-end tests with the real npm clients. Arguments are passed to node --test; files may be named.
set -eu
cd "$(dirname "$0")"
. ./npm-packages.sh
npm_packages .
own_package
[ $# -gt 0 ] || set -- e2e/*.test.mjs
exec node --test --test-concurrency=1 --test-timeout=600000 "$@"
