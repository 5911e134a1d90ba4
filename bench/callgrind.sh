#!/usr/bin/env bash
# Counts the instructions of decisions, and compares them with bench/instructions.txt: more than 10% above it fails.
# Counts hardly depend on what else the machine does. `bench/callgrind.sh save` writes the file anew.
set -euo pipefail
cd "$(dirname "$0")/.."

cases="if one-tier three-tiers other-actions other-principals other-resources batch possible denied"
limit=10
file=bench/instructions.txt

command -v valgrind >/dev/null 2>&1 || {
    echo "bench/callgrind.sh needs valgrind, which is not installed: nothing was counted and nothing was compared" >&2
    exit 2
}

program=$(cargo bench --quiet -p policy-core --bench instructions --no-run --message-format=json |
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$program" ] || {
    echo "the benchmark did not build" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Instructions of one decision (of 100 for `batch`, of 101 actions for `possible`).
count() {
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no \
        --toggle-collect='*counted*' "$program" "$1" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        return 1
    }
    awk '/^(summary|totals):/ { total = $2 } END { if (total == "") exit 1; printf "%d\n", total / 1000 }' "$work/out"
}

if [ "${1:-}" = save ]; then
    {
        echo "# Instructions of one decision by valgrind --tool=callgrind (of 100 decisions for batch, 101 actions for possible)."
        echo "# $(rustc --version); written by \`bench/callgrind.sh save\`."
        for case in $cases; do
            printf '%s %s\n' "$case" "$(count "$case")"
        done
    } >"$work/new"
    mv "$work/new" "$file"
    cat "$file"
    exit 0
fi

[ -f "$file" ] || {
    echo "there is no $file to compare with; \`bench/callgrind.sh save\` writes it" >&2
    exit 1
}

slower=0
printf '%-20s%12s%12s%9s\n' case before now change
for case in $cases; do
    now=$(count "$case")
    before=$(awk -v case="$case" '$1 == case { print $2 }' "$file")
    if [ -z "$before" ]; then
        printf '%-20s%12s%12s\n' "$case" - "$now"
        continue
    fi
    printf '%-20s%12d%12d%8.1f%%\n' "$case" "$before" "$now" "$(awk -v a="$before" -v b="$now" 'BEGIN { print (b - a) * 100 / a }')"
    if [ $((now * 100)) -gt $((before * (100 + limit))) ]; then
        slower=1
    fi
done
if [ $slower = 1 ]; then
    echo "more than $limit% slower than $file says" >&2
    exit 1
fi
