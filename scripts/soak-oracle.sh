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
left=$commits first=$seed compared=0 ended_parts=0

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

declare -A running=()

# From the oldest seed that has not ended: parts after it that have are done again.
go_on() {
    local oldest
    oldest=$(printf '%s\n' "${running[@]}" "$seed" | sort -n | grep -m 1 .)
    local commits_left=$((commits - (oldest - first) * part))
    [ "$commits_left" -le 0 ] || echo "; to go on: ORACLE_SEED=$oldest ORACLE_COMMITS=$commits_left scripts/soak-oracle.sh"
}

while [ "$left" -gt 0 ] || [ ${#running[@]} -gt 0 ]; do
    while [ "$left" -gt 0 ] && [ ${#running[@]} -lt "$jobs" ]; do
        size=$((left < part ? left : part))
        run_part "$seed" "$size" &
        running[$!]=$seed
        seed=$((seed + 1)) left=$((left - size))
    done
    status=0
    wait -n -p ended "${!running[@]}" || status=$?
    of=${running[$ended]} output=$target/test/soak-oracle-${running[$ended]}.log
    if [ "$status" -ne 0 ]; then
        cat "$output"
        wait
        fail "live queries in SQL: seed $of fails$(go_on)"
    fi
    unset "running[$ended]"
    compared=$((compared + $(cat "$output"))) ended_parts=$((ended_parts + 1))
    rm -f "$output"
    say "seed $of: $ended_parts parts, $compared comparisons, none differs$(go_on)"
done
[ "$compared" -ge $((20 * commits)) ] || fail "only $compared comparisons in $commits commits"
say "$commits commits beside $queries live queries in SQL: $compared comparisons, none stale"
