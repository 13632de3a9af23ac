#!/usr/bin/env bash
# Prints how many instructions of ours a publish and a delivery cost, beside what they did when benches/hub/baseline was
# written. Counts hardly depend on the machine's load: they move by less than 1 % from run to run, with the ticks of the
# clock; only `flood` moves by up to 8 %, for how much merges there depends on time. What the kernel does is not in them.
#
#   scripts/bench-hub.sh [workload…]          the table
#   scripts/bench-hub.sh --save               the table, and it is the baseline from now on
#   PROFILE=1 scripts/bench-hub.sh rooms      and where they are spent, function by function
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || {
    echo "valgrind is missing: apt-get install valgrind" >&2
    exit 1
}
baseline=benches/hub/baseline
save=
if [ "${1:-}" = --save ]; then save=1; shift; fi
workloads=("$@")
[ ${#workloads[@]} -gt 0 ] || workloads=(rooms rooms-send events lecture lecture-events flood subscribe)

# JSON without line breaks: one artifact a line.
hub=$(cargo bench --quiet --bench hub --no-run --message-format=json |
    sed -n 's/.*"name":"hub".*"executable":"\([^"]*\)".*/\1/p' | tail -1)
[ -x "$hub" ] || { echo "the bench was not built" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Counted side by side, as many as there are cores: counts do not mind.
count() {
    # The server's part of the thread, and only once the workload is warm.
    valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file="$work/$1" \
        --toggle-collect='*hub*turn*' --toggle-collect='*hub*apply_event*' "$hub" "$1" >"$work/$1.counts" 2>"$work/$1.log"
}
for workload in "${workloads[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    count "$workload" &
done
wait

printf '%-16s %18s %18s %10s\n' workload 'instr./operation' 'instr./delivery' baseline
for workload in "${workloads[@]}"; do
    out=$work/$workload
    read -r _ done delivered <"$out.counts" || { cat "$out.log" >&2; exit 1; }
    total=$(sed -n 's/^totals: \([0-9]*\).*/\1/p' "$out")
    if [ "${total:-0}" = 0 ]; then cat "$out.log" >&2; exit 1; fi
    before=$(awk -v name="$workload" '$1 == name { print $2 }' "$baseline" 2>/dev/null || true)
    awk -v name="$workload" -v total="$total" -v done="$done" -v delivered="$delivered" -v before="$before" 'BEGIN {
        each = total / done
        change = before == "" ? "-" : sprintf("%+.1f %%", (each / before - 1) * 100)
        delivery = delivered == 0 ? "-" : sprintf("%.0f", total / delivered)
        printf "%-16s %18.0f %18s %10s\n", name, each, delivery, change
    }'
    printf '%s %.0f\n' "$workload" "$(awk -v t="$total" -v d="$done" 'BEGIN { print t / d }')" >>"$work/baseline"
    if [ -n "${PROFILE:-}" ]; then
        callgrind_annotate --threshold=97 "$out" | sed -n '/^Ir/,$p' | cut -c1-160 | head -"${LINES_MAX:-70}"
    fi
done
if [ -n "$save" ]; then
    cp "$work/baseline" "$baseline"
fi
