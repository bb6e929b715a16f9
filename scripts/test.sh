#!/usr/bin/env bash
# Runs test suites, all or those named, and ends with the line "N passed, N failed".
# A suite is a script scripts/test/<suite>.sh; its own report says how many tests it had.
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(lint unit cli guides regress dump isolation capture wal oracle hostile chaos races protocol standby e2e convex-cli browser)
export PG_LIVE_BIN=${PG_LIVE_BIN:-$target/release/pg-live}
logs=$target/test
mkdir -p "$logs"

# count <log>: "passed failed" as reported by cargo, node, pg_regress or our own scripts.
count() {
    awk '
        /^test result: /          { passed += $4; failed += $6; next }
        /^(#|ℹ) pass [0-9]+$/     { passed += $3; next }
        /^(#|ℹ) fail [0-9]+$/     { failed += $3; next }
        /^(ok|not ok) - /         { if ($1 == "ok") passed++; else failed++; next }
        /^test .* \.\.\. ok +[0-9]+ ms$/     { passed++ }
        /^test .* \.\.\. FAILED +[0-9]+ ms$/ { failed++ }
        END { print passed + 0, failed + 0 }' "$1"
}

passed=0 failed=0 summary=()
for suite in "${suites[@]}"; do
    script=scripts/test/$suite.sh
    [ -x "$script" ] || fail "there is no suite $suite: $(ls scripts/test | sed 's/\.sh$//' | xargs)"
    say "suite $suite"
    started=$SECONDS
    if "$script" 2>&1 < /dev/null | tee "$logs/$suite.log"; then ok=yes; else ok=no; fi
    read -r good bad < <(count "$logs/$suite.log")
    # A suite that breaks without a report has failed once, one that has none has passed once.
    [ $ok = no ] && [ "$bad" -eq 0 ] && bad=1
    [ $ok = yes ] && [ "$good" -eq 0 ] && good=1
    passed=$((passed + good)) failed=$((failed + bad))
    summary+=("$(printf '%-10s %5d s  %5d passed  %3d failed' "$suite" $((SECONDS - started)) "$good" "$bad")")
done

echo
printf '%s\n' "${summary[@]}"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
