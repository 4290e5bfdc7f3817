#!/usr/bin/env bash
# Kills the demo run at random moments (guarantees 1, 9 and 10): `latest` is never broken, and the next
# run succeeds and publishes what an undisturbed run publishes.
#
# usage: tests/kill-9.sh [kills, default 100]     SEED=n repeats a sequence
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-100}
seed=${SEED:-$RANDOM}
RANDOM=$seed
cargo build --locked --quiet
tieout="$(cargo metadata --locked --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/tieout"
world=$(mktemp -d)
trap 'rm -rf "$world"' EXIT
cp -r jobs fixtures "$world/"
job="$world/jobs/demo.toml"
out="$world/out/demo"
windows=("--from 2026-10-08" "--from 2026-10-10" "--from 2026-10-20")

fail() { echo "FAILED (seed $seed, kill $kill): $*" >&2; exit 1; }
content() { (cd "$1" && sha256sum -- *.csv summary.txt); }

declare -A expected
slowest=0
for window in "${windows[@]}"; do
    rm -rf "$world/out"; mkdir "$world/out"
    begin=$(date +%s%N)
    "$tieout" run "$job" $window --quiet >/dev/null
    took=$((($(date +%s%N) - begin) / 1000000))
    [ "$took" -gt "$slowest" ] && slowest=$took
    expected[$window]=$(content "$out/latest/" | grep -v drift.csv)
done
echo "seed $seed, $kills kills within $slowest ms"

rm -rf "$world/out"; mkdir "$world/out"
for kill in $(seq "$kills"); do
    # Every tenth run begins on empty folders; the others build on what the last kill left.
    if [ $((kill % 10)) = 0 ]; then rm -rf "$world/out"; mkdir "$world/out"; fi
    window=${windows[$((RANDOM % ${#windows[@]}))]}
    "$tieout" run "$job" $window --quiet >/dev/null 2>&1 &
    pid=$!
    delay=$((RANDOM % (slowest + 50)))
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    if [ -L "$out/latest" ]; then
        [ -f "$out/latest/MANIFEST.json" ] || fail "latest points at nothing whole"
        "$tieout" verify "$out/$(readlink "$out/latest")" >/dev/null || fail "latest does not verify"
    fi
    window=${windows[$((RANDOM % ${#windows[@]}))]}
    "$tieout" run "$job" $window --quiet >/dev/null || fail "the next run exits $?"
    "$tieout" verify "$out" >/dev/null || fail "the next run does not verify"
    # drift.csv also says when an item was first seen, which is history.
    [ "$(content "$out/latest/" | grep -v drift.csv)" = "${expected[$window]}" ] || fail "other bytes than an undisturbed run"
    [ -z "$(find "$out" -name '.tmp-*')" ] || fail "leftovers"
done
echo "$kills kills: latest always whole, the next run always right"
