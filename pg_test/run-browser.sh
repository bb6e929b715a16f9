#!/bin/sh
# Runs the browser tests: the example apps in Debian's chromium (CHROMIUM=... names another).
set -eu
cd "$(dirname "$0")"
. ./npm-packages.sh
npm_packages .
for app in chat tracker shop; do npm_packages "../examples/$app"; done
[ $# -gt 0 ] || set -- browser/*.test.mjs
exec node --test --test-concurrency=1 --test-timeout=600000 "$@"
