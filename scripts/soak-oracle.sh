#!/usr/bin/env bash
# Many live queries in SQL beside many generated transactions, in parts of 10,000 commits, each with a seed of its own.
#
#   scripts/soak-oracle.sh                                          1,000,000 commits beside 1,000 queries
#   ORACLE_SEED=58 ORACLE_COMMITS=430000 scripts/soak-oracle.sh     goes on; the script prints the line after each part
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

mkdir -p "$target/test"
log=$target/soak-oracle.log
output=$target/test/soak-oracle.log
left=$commits compared=0
while [ "$left" -gt 0 ]; do
    size=$((left < part ? left : part))
    started=$SECONDS
    PG_LIVE_SEED=$seed ORACLE_ONLY="what is not invalidated" ORACLE_COMMITS=$size ORACLE_QUERIES=$queries ORACLE_ANY=$any ORACLE_KEPT=$kept \
        scripts/test/oracle.sh > "$output" 2>&1 < /dev/null || {
        cat "$output"
        fail "live queries in SQL: ORACLE_SEED=$seed ORACLE_COMMITS=$left scripts/soak-oracle.sh repeats it and goes on from there"
    }
    count=$(sed -n 's/^.* \([0-9][0-9]*\) comparisons;.*$/\1/p' "$output")
    [ -n "$count" ] || { cat "$output"; fail "seed $seed compared nothing"; }
    took=$((SECONDS - started + 1))
    compared=$((compared + count)) left=$((left - size))
    printf '%s seed %d: %d commits, %d queries, %d comparisons, %d s\n' "$(date -u +%FT%TZ)" "$seed" "$size" "$queries" "$count" "$took" >> "$log"
    seed=$((seed + 1))
    say "$((commits - left)) of $commits commits, $compared comparisons, none differs ($((count / took)) per second); to go on: ORACLE_SEED=$seed ORACLE_COMMITS=$left scripts/soak-oracle.sh"
done
[ "$compared" -ge $((20 * commits)) ] || fail "only $compared comparisons in $commits commits"
say "$commits commits beside $queries live queries in SQL: $compared comparisons, none stale"
