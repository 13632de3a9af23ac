#!/usr/bin/env bash
# Measures Studyhall beside the floor and beside other servers, on this machine, and writes what came of it.
#   scripts/bench.sh                    everything (twenty minutes): docs/performance.md, its plots, target/bench/report.html
#   scripts/bench.sh --only SCENARIO    one scenario, or several with more --only: target/bench/only.html
#   scripts/bench.sh --quick            rooms and lecture beside the floor, a minute and a half; prints the tables
#   scripts/bench.sh --list             the scenarios
# The server has one core and the load tester another. PostgreSQL and Redis are private to this script, durable, and run
# where there is room. Whatever was started is ended when this script ends, whyever it does.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# --- what may be changed; from outside too: WINDOWS=3 scripts/bench.sh --only rooms

: "${SERVER_CORE:=0}" "${CLIENT_CORE:=1}"
# This port and the twenty above it.
: "${BENCH_PORT:=9200}"
# Measured stretches of each server, and their length.
: "${WINDOWS:=9}" "${WINDOW_SECONDS:=1.5}"
# Measured where they are installed.
: "${PEERS=bun nchan ws}"
: "${ROOMS:=500}" "${LECTURE:=5000}" "${FLOOD:=1000}" "${IDLE_ROOMS:=2500}"
: "${STORM:=5000}" "${RESUME:=10000}"

all=(rooms send highest beside-lecture lecture lecture-highest flood idle storm resume tabs tasks latency
    feed likes reads presence day)
quick=(rooms lecture)

# What is run beside what is said further down.
bench_rooms() { beside_all $((4 * ROOMS)) floor -- rooms --rooms "$ROOMS"; }
bench_send() { beside_floor -- rooms --rooms "$ROOMS" --send; }
bench_highest() { each_once $((4 * ROOMS)) -- rooms --rooms "$ROOMS" --highest; }
bench_beside-lecture() { alone rooms --rooms "$ROOMS" --beside-lecture "$LECTURE"; }
bench_lecture() { beside_all "$LECTURE" floor -- lecture --people "$LECTURE"; }
bench_lecture-highest() { each_once "$LECTURE" -- lecture --people "$LECTURE" --highest --rate 20; }
bench_flood() { beside_all "$FLOOD" floor-merged -- flood --people "$FLOOD"; }
bench_idle() { fresh && each_once 0 -- idle --rooms "$IDLE_ROOMS" --pool 32; }
bench_storm() { fresh && crowd && on_one_core storm --connections "$STORM" "${of_crowd[@]}"; }
# Away for longer than a node remembers events: what everybody missed comes from the log.
bench_resume() { fresh && crowd && on_one_core storm --connections "$RESUME" --resume --away 35 "${of_crowd[@]}"; }
bench_tabs() { fresh && crowd && on_one_core storm --connections "$RESUME" --resume --away 35 --user --profiles 10 "${of_crowd[@]}"; }
bench_tasks() { durable tasks --pool 32 --pgbench "$DATABASE_URL"; }
bench_latency() { durable tasks --rate 1000; }
bench_feed() { durable feed --pool 200; }
bench_likes() { durable feed --likes --pool 800; }
bench_reads() { on_all_cores reads --windows 3 --seconds 3 --postgres-pid "$(postgres_pid "$work")"; }
bench_presence() { fresh && on_all_cores presence; }
bench_day() { on_all_cores day; }

# --- arguments

wanted=()
mode=all
while [ $# -gt 0 ]; do
    case $1 in
    --only)
        case " ${all[*]} " in *" ${2:-} "*) ;; *) echo "no such scenario: ${2:-}; see --list" >&2 && exit 2 ;; esac
        wanted+=("$2") mode=only
        shift
        ;;
    --quick) wanted=("${quick[@]}") mode=quick ;;
    --list) printf '%s\n' "${all[@]}" && exit 0 ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${all[@]}")
if [ $mode = quick ]; then WINDOWS=5 WINDOW_SECONDS=1 PEERS=; fi

say() { printf '%s\n' "$*" >&2; }

# --- what is needed

command -v taskset >/dev/null || { say 'missing: taskset (Debian: apt-get install util-linux)' && exit 1; }
for core in "$SERVER_CORE" "$CLIENT_CORE"; do
    taskset -c "$core" true 2>/dev/null || { say "there is no core $core; set SERVER_CORE and CLIENT_CORE" && exit 1; }
done
redis=$(command -v redis-server || command -v valkey-server) || { say 'missing: redis-server; run scripts/setup.sh run' && exit 1; }
ulimit -n "$(ulimit -Hn)"
files=$(ulimit -n)
[ "$files" != unlimited ] || files=1000000
cargo build --release --quiet --workspace
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
server=$target/release/studyhall
tester=$target/release/studyhall-loadtest
out=$target/bench
results=$out/$mode.jsonl
mkdir -p "$out"

# --- everything that is started, and its end

# In /tmp, where the servers' user gets in and the path is short enough for a socket.
work=$(mktemp -d /tmp/studyhall-bench.XXXXXX)
started=()

# Starts a command; its process is `pid`, what it says is in a file of this name.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    pid=$!
    started+=("$pid")
    # Or the shell would report how each of them ended.
    disown "$pid"
}

# Ends processes of ours, the youngest first.
end() {
    local one
    for one in "$@"; do kill -TERM "$one" 2>/dev/null || continue; done
    for one in "$@"; do
        for _ in $(seq 150); do
            kill -0 "$one" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$one" 2>/dev/null || true
    done
}

cleanup() {
    trap '' INT TERM
    local index
    for ((index = ${#started[@]} - 1; index >= 0; index--)); do end "${started[index]}"; done
    stop_postgres "$work"
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Until somebody listens there.
await_port() {
    local name=$1 port=$2 pid=$3
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 0; fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    say "$name does not start:"
    tail -n 5 "$work/$name.log" >&2
    return 1
}

# --- the stores and Studyhall

export LC_ALL=C
unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE DATABASE_URL REDIS_URL
case $(stat -f -c %T "$work") in tmpfs | ramfs) say "note: $work is in memory: durable figures will flatter" ;; esac
start_postgres "$work" fsync=on synchronous_commit=on full_page_writes=on max_connections=200 shared_buffers=256MB \
    max_wal_size=2GB
start redis "$redis" --port 0 --unixsocket "$work/redis.sock" --save '' --appendonly no --dir "$work"
DATABASE_URL=$(postgres_url "$work")
REDIS_URL=redis+unix://$work/redis.sock
export DATABASE_URL REDIS_URL
export STUDYHALL_METRICS_LISTEN=127.0.0.1:$((BENCH_PORT + 20))
export STUDYHALL_LIMIT_LOOPBACK=false STUDYHALL_LOG=warn STUDYHALL_DATA=$work

studyhall=
studyhall_cores=
# Serves on these cores; no restart when it does already.
serve_on() {
    [ "$studyhall_cores" != "$1" ] || return 0
    [ -z "$studyhall" ] || end "$studyhall"
    STUDYHALL_LISTEN=127.0.0.1:$BENCH_PORT start studyhall taskset -c "$1" "$server" serve
    studyhall=$pid studyhall_cores=$1
    await_port studyhall "$BENCH_PORT" "$studyhall"
}

# Where memory counts: a server that has served has room for more without asking for it.
fresh() {
    [ -z "$studyhall" ] || end "$studyhall"
    studyhall='' studyhall_cores=''
}

# People with tokens that the server has never seen.
of_crowd=(--crowd "$work/crowd.json" --postgres-pid "$(postgres_pid "$work")" --metrics "http://$STUDYHALL_METRICS_LISTEN/metrics")
crowd() { [ -f "$work/crowd.json" ] || "$server" crowd --people $((RESUME + 8)) --out "$work/crowd.json" >&2; }

# --- the floor and the peers: names and addresses of those that run

besides=()
port=$BENCH_PORT
start_beside() {
    local name=$1
    shift
    port=$((port + 1))
    start "$name" taskset -c "$SERVER_CORE" "${@//PORT/$port}"
    await_port "$name" $port "$pid"
    besides+=("$name=ws://127.0.0.1:$port,$pid")
}
start_besides() {
    [ ${#besides[@]} = 0 ] || return 0
    local peer how
    start_beside floor "$tester" floor --listen 127.0.0.1:PORT
    start_beside floor-merged "$tester" floor --merged --listen 127.0.0.1:PORT
    for peer in $PEERS; do
        if how=$(loadtest/peers/run.sh --missing "$peer"); then
            mkdir -p "$work/$peer"
            start_beside "$peer" loadtest/peers/run.sh "$peer" PORT "$work/$peer"
        else
            say "not measured: $how"
        fi
    done
}

# --- running the load tester

failed=()

# The load tester with these words; its lines go to the results.
load() {
    local status=0
    if ! "$tester" help "$1" >/dev/null 2>&1; then
        say "$1: this load tester has no such scenario"
        failed+=("$1")
        return 0
    fi
    # In the background, so that a signal is heard at once.
    "$tester" --url "http://127.0.0.1:$BENCH_PORT" --accounts "$work/accounts.json" --server-pid "${studyhall:-0}" "$@" \
        >"$work/lines" &
    started+=($!)
    wait $! || status=$?
    # 1: a promise was broken, which the report says; more: the run came to no end. Some print other lines, too.
    if ! grep '"target":' "$work/lines" >>"$results" || [ $status -gt 1 ]; then failed+=("$1 (exit code $status)"); fi
}

windows=(--windows "$WINDOWS" --seconds "$WINDOW_SECONDS")

# These words, with one core for the servers and one for us.
on_one_core() {
    serve_on "$SERVER_CORE"
    load "$@" --cpu "$CLIENT_CORE"
}
on_all_cores() {
    serve_on "$SERVER_CORE,$CLIENT_CORE"
    load "$@"
}
alone() { on_one_core "$@" "${windows[@]}"; }
durable() { on_all_cores "$@" --postgres-pid "$(postgres_pid "$work")" "${windows[@]}"; }

# The entry of one that runs beside.
entry() {
    local one
    for one in "${besides[@]}"; do
        case $one in "$1="*) echo "$one" && return ;; esac
    done
}

# `beside_floor -- words`: Studyhall and the floor.
beside_floor() {
    start_besides
    alone "${@:2}" --beside "$(entry floor)"
}

# `groups CONNECTIONS MORE names…`: the names, so many in a line as may be open at once with MORE others.
groups() {
    local connections=$1 more=$2 room line=()
    shift 2
    room=$((connections == 0 ? 100 : (files - 500) / connections - more))
    [ $room -ge 1 ] || room=1
    while [ $# -gt 0 ]; do
        line+=("$1")
        shift
        if [ ${#line[@]} -ge $room ] || [ $# = 0 ]; then
            echo "${line[*]}"
            line=()
        fi
    done
}

names() { local one; for one in "${besides[@]}"; do echo "${one%%=*}"; done; }

# `beside_all CONNECTIONS FLOOR -- words`: Studyhall, this floor and all others, in as few runs as open files allow; both
# are in every one.
beside_all() {
    local connections=$1 floor=$2 group name with others=()
    shift 3
    start_besides
    for name in $(names); do [ "$name" = "$floor" ] || others+=("$name"); done
    while read -r group; do
        with=(--beside "$(entry "$floor")")
        for name in $group; do with+=(--beside "$(entry "$name")"); done
        alone "$@" "${with[@]}"
    done < <(groups "$connections" 2 "${others[@]}")
}

# `each_once CONNECTIONS -- words`: all, each in one run only.
each_once() {
    local connections=$1 group name with
    shift 2
    start_besides
    while read -r group; do
        with=()
        case " $group " in *' studyhall '*) ;; *) with+=(--beside-only) ;; esac
        for name in $group; do [ "$name" = studyhall ] || with+=(--beside "$(entry "$name")"); done
        alone "$@" "${with[@]}"
    done < <(groups "$connections" 0 studyhall $(names))
}

# --- go

commit=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
[ -z "$commit" ] || git diff --quiet HEAD -- . 2>/dev/null || commit="$commit with changes"
"$tester" machine ${commit:+--commit "$commit"} >"$results"
begun=$(date +%s)
for scenario in "${wanted[@]}"; do
    say "--- $scenario, after $((($(date +%s) - begun) / 60)) min $((($(date +%s) - begun) % 60)) s"
    "bench_$scenario"
done
end "$studyhall"

report=("$tester" report "$results")
[ ! -f docs/performance/notes.md ] || report+=(--notes docs/performance/notes.md)
case $mode in
all)
    "${report[@]}" --html "$out/report.html" --markdown docs/performance.md --svg docs/performance
    say "docs/performance.md and $out/report.html are written"
    ;;
only) "${report[@]}" --html "$out/only.html" && say "$out/only.html is written" ;;
quick) "${report[@]}" ;;
esac
if [ ${#failed[@]} -gt 0 ]; then
    say 'not measured:'
    printf '  %s\n' "${failed[@]}" >&2
    exit 1
fi
