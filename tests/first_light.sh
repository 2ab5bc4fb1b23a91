#!/usr/bin/env bash
# Follows the first steps of a user: starts the program as in the README, waits for a version, runs the printed curl
# command, requests the main routes, stops the program, and starts it again. Does not build the program.
#
#     tests/first_light.sh            # target/release/tidemill
#     TIDEMILL=PATH tests/first_light.sh
set -euo pipefail
cd "$(dirname "$0")/.."

tidemill=${TIDEMILL:-target/release/tidemill}
patience=${PATIENCE:-120} # seconds for each wait
work=$(mktemp -d)
pid=

finish() {
    local code=$?
    if [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null; then
        kill -KILL "$pid" 2>/dev/null || true
    fi
    if ((code)); then
        for log in "$work"/*.out "$work"/*.err; do
            [[ -s $log ]] && { echo "--- end of ${log##*/}" && tail -n 20 "$log"; } >&2
        done
    fi
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "first light: FAILED: $*" >&2
    exit 1
}

command -v curl >/dev/null || fail "no curl; tests/setup installs it"
[[ -x $tidemill ]] || fail "no $tidemill; run cargo build --release"

# Polls a command until it succeeds; fails if the program ends.
await() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || fail "tidemill ended while waiting for $what"
        ((SECONDS < end)) || fail "no $what within $patience s"
        sleep 0.1
    done
}

# Starts the program with its output in files of this name.
start() {
    local name=$1
    shift
    "$tidemill" run dataflows/flights.toml --set "data_dir=$work/var" --set http.listen=127.0.0.1:0 \
        --set play.speed=864000 "$@" >"$work/$name.out" 2>"$work/$name.err" &
    pid=$!
    await "an address" grep -q '^listening on http://' "$work/$name.out"
    url=$(sed -n 's/^listening on //p' "$work/$name.out")
}

# Sends SIGTERM and waits; the exit code must be 0.
stop() {
    local code=0 end=$((SECONDS + patience))
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS < end)) || fail "still running $patience s after SIGTERM"
        sleep 0.1
    done
    wait "$pid" || code=$?
    ((code == 0)) || fail "exit code $code after SIGTERM"
    pid=
}

get() {
    local path=$1
    shift
    curl --silent --show-error --fail --max-time 10 "$@" "$url$path"
}

ready() {
    get /health/ready --output "$work/ready" 2>/dev/null
}

features() {
    get /features/airport/JFK --output "$work/features" 2>/dev/null
}

# The metrics of sources are updated once a second.
counted() {
    get /metrics --output "$work/metrics" && grep -q '^tidemill_source_records_total{.*outcome="applied".*} [1-9]' "$work/metrics"
}

# Prints the number in a JSON field, or the first number of a list.
number() {
    sed -nE "s/.*\"$1\":\[?(-?[0-9.]+([eE][-+]?[0-9]+)?)[],}].*/\1/p"
}

start first
await "a version" grep -q '^ *curl --json ' "$work/first.err"
await "readiness" ready

line=$(grep -m 1 -E '^ *curl --json ' "$work/first.err")
echo "first light:$line"
answer=$(bash -c "$line --silent --show-error --fail --max-time 10")
prediction=$(number predictions <<<"$answer")
awk -v p="$prediction" 'BEGIN { exit !(p != "" && p >= 0 && p <= 1) }' || fail "not a probability: $answer"
echo "first light: $answer"

# At night there are no flights in the windows.
await "features of JFK" features
vector=$(<"$work/features")
[[ $vector == *'"origin":"JFK"'* && $(number count_3h <<<"$vector") -ge 0 ]] || fail "no features: $vector"
models=$(get /models)
[[ $models == *'"name":"late"'* && $(number champion <<<"$models") -ge 1 ]] || fail "no champion: $models"
[[ $(get /health/ready) == *'"ready":true'* ]] || fail "not ready"
[[ $(get /health/live) == *true* ]] || fail "not live"

await "count of applied records in /metrics" counted
grep -q '^tidemill_operator_records_in_total{' "$work/metrics" || fail "no operators in /metrics"
if command -v promtool >/dev/null; then
    promtool check metrics <"$work/metrics" || fail "promtool rejects /metrics"
else
    echo "first light: SKIPPED: promtool check metrics (no promtool)"
fi

stop
versions=("$work"/var/flights/registry/late/[0-9]*)
[[ -s ${versions[0]}/weights.safetensors ]] || fail "no version in the registry"

start second
await "a message that it resumes" grep -q '^resuming from checkpoint' "$work/second.err"
await "readiness" ready
[[ $(get /models) == *'"name":"late"'* ]] || fail "no model after a restart"
stop

start third --fresh
await "a message that it starts over" grep -q 'starting over' "$work/third.err"
await "a version" grep -q '^ *curl --json ' "$work/third.err"
stop

echo "first light: ok"
