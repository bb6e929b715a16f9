#!/usr/bin/env bash
# Many live queries in SQL beside many generated transactions, in parts of 10,000 commits, each with a seed and a
# server of its own, one part per core at a time.
#
#   scripts/soak-oracle.sh                                          1,000,000 commits beside 1,000 queries
#   ORACLE_SEED=58 ORACLE_COMMITS=430000 scripts/soak-oracle.sh     goes on; the script prints the line
#
# After each commit 20 random queries are looked at and 50 that were not invalidated, after 500 all. What each part came to is
# added to soak-oracle.log in the target folder.
set -euo pipefail
. "$(dirname "$0")/common.sh"
cd "$root"

commits=${ORACLE_COMMITS:-1000000}
seed=${ORACLE_SEED:-1}
queries=${ORACLE_QUERIES:-1000}
any=${ORACLE_ANY:-20}
kept=${ORACLE_KEPT:-50}
part=${ORACLE_PART:-10000}

jobs=${ORACLE_JOBS:-$(nproc)}

mkdir -p "$target/test"
log=$target/soak-oracle.log
left=$commits compared=0

# run_part SEED COMMITS: what it came to goes to the log.
run_part() {
    local output=$target/test/soak-oracle-$1.log started=$SECONDS count
    PG_LIVE_SEED=$1 ORACLE_ONLY="what is not invalidated" ORACLE_COMMITS=$2 ORACLE_QUERIES=$queries ORACLE_ANY=$any ORACLE_KEPT=$kept \
        scripts/test/oracle.sh > "$output" 2>&1 < /dev/null || return 1
    count=$(sed -n 's/^.* \([0-9][0-9]*\) comparisons;.*$/\1/p' "$output")
    [ -n "$count" ] || { echo "seed $1 compared nothing" >> "$output"; return 1; }
    printf '%s seed %d: %d commits, %d queries, %d comparisons, %d s\n' \
        "$(date -u +%FT%TZ)" "$1" "$2" "$queries" "$count" $((SECONDS - started)) >> "$log"
    echo "$count" > "$output"
}

while [ "$left" -gt 0 ]; do
    started=$SECONDS first=$seed before=$left pids=() seeds=()
    while [ "$left" -gt 0 ] && [ ${#pids[@]} -lt "$jobs" ]; do
        size=$((left < part ? left : part))
        run_part "$seed" "$size" &
        pids+=($!) seeds+=("$seed")
        seed=$((seed + 1)) left=$((left - size))
    done
    failed=
    for pid in "${pids[@]}"; do wait "$pid" || failed=yes; done
    for each in "${seeds[@]}"; do
        output=$target/test/soak-oracle-$each.log
        if [ -n "$failed" ]; then cat "$output"; else compared=$((compared + $(cat "$output"))); fi
        rm -f "$output"
    done
    [ -z "$failed" ] || fail "live queries in SQL: ORACLE_SEED=$first ORACLE_COMMITS=$before scripts/soak-oracle.sh repeats it and goes on from there"
    say "$((commits - left)) of $commits commits, $compared comparisons, none differs, $(((before - left) / (SECONDS - started + 1))) commits per second; to go on: ORACLE_SEED=$seed ORACLE_COMMITS=$left scripts/soak-oracle.sh"
done
[ "$compared" -ge $((20 * commits)) ] || fail "only $compared comparisons in $commits commits"
say "$commits commits beside $queries live queries in SQL: $compared comparisons, none stale"
