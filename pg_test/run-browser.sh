#!/bin/sh
# Runs the browser tests: the chat example in Debian's chromium (CHROMIUM=... names another).
set -eu
cd "$(dirname "$0")"
. ./npm-packages.sh
npm_packages .
npm_packages ../examples/chat
[ $# -gt 0 ] || set -- browser/*.test.mjs
exec node --test --test-concurrency=1 --test-timeout=600000 "$@"
