#!/usr/bin/env bash
# The first thing that a user does, done by a script: starts the program as the README says, waits for a version,
# pastes the line it prints, looks at every route, stops it, and starts it again. Builds nothing.
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
            [[ -s $log ]] && { echo "--- ${log##*/}, its end" && tail -n 20 "$log"; } >&2
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
[[ -x $tidemill ]] || fail "no $tidemill; cargo build --release makes it"

# Polls until a command succeeds, as long as the program runs.
await() {
    local what=$1 end=$((SECONDS + patience))
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || fail "tidemill ended before there was $what"
        ((SECONDS < end)) || fail "no $what within $patience s"
        sleep 0.1
    done
}

# Starts the program; its output goes to files of this name.
start() {
    local name=$1
    shift
    "$tidemill" run dataflows/flights.toml --set "data_dir=$work/var" --set http.listen=127.0.0.1:0 \
        --set play.speed=864000 "$@" >"$work/$name.out" 2>"$work/$name.err" &
    pid=$!
    await "an address" grep -q '^listening on http://' "$work/$name.out"
    url=$(sed -n 's/^listening on //p' "$work/$name.out")
}

# Asks it to stop and waits; the exit code must be 0.
stop() {
    local code=0 end=$((SECONDS + patience))
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS < end)) || fail "still there $patience s after SIGTERM"
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

# Sources are counted once a second.
counted() {
    get /metrics --output "$work/metrics" && grep -q '^tidemill_source_records_total{.*outcome="applied".*} [1-9]' "$work/metrics"
}

# The value of a field whose JSON is a number, or of the first number of a list.
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
awk -v p="$prediction" 'BEGIN { exit !(p != "" && p >= 0 && p <= 1) }' || fail "no probability: $answer"
echo "first light: $answer"

# At night no flight is in the windows.
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
    promtool check metrics <"$work/metrics" || fail "promtool has something against /metrics"
else
    echo "first light: SKIPPED: promtool check metrics (no promtool)"
fi

stop
versions=("$work"/var/flights/registry/late/[0-9]*)
[[ -s ${versions[0]}/weights.safetensors ]] || fail "no version in the registry"

start second
await "a word that it goes on" grep -q '^going on from checkpoint' "$work/second.err"
await "readiness" ready
[[ $(get /models) == *'"name":"late"'* ]] || fail "no model after a restart"
stop

start third --fresh
await "a word that it starts over" grep -q 'starting over' "$work/third.err"
await "a version" grep -q '^ *curl --json ' "$work/third.err"
stop

echo "first light: ok"
