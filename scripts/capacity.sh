#!/bin/bash
# Measures unit costs, checks the model against runs that it was not fitted to, and writes docs/capacity.md anew.
# Six minutes on a quiet machine. Needs psql, redis-server and the extensions pg_stat_statements and pg_walinspect (of
# PostgreSQL 15 and newer). Options go to `studyhall-loadtest capacity`, such as --people 200 or --seconds 2.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/release
port=${CAPACITY_PORT:-9690}
keep=${CAPACITY_DATA:-}
data=${keep:-$(mktemp -d /tmp/studyhall-capacity.XXXXXX)}
database="postgres:///studyhall?host=$data/run&port=5432&user=studyhall"
server=

stop() {
    [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
    server=
}
finish() {
    stop
    [ -n "$keep" ] || rm -rf "$data"
}
trap finish EXIT

start() {
    STUDYHALL_DATA=$data STUDYHALL_LISTEN=127.0.0.1:$port STUDYHALL_LIMIT_LOOPBACK=false STUDYHALL_LOG=warn \
        "$bin/studyhall" dev >"$data/server.log" 2>&1 &
    server=$!
    for _ in $(seq 300); do
        if curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; then return; fi
        kill -0 "$server" || { cat "$data/server.log"; exit 1; }
        sleep 0.2
    done
    echo "the server is not ready; see $data/server.log" >&2
    exit 1
}

measure() {
    "$bin/studyhall-loadtest" --url "http://127.0.0.1:$port" --server-pid "$server" --accounts "$data/accounts.json" \
        capacity --database-url "$database" --redis "$data/run/redis.sock" "$@"
}

cargo build --release --workspace
mkdir -p "$data"
start
# Counted only where it is loaded, and that takes a start.
psql --no-psqlrc --quiet --command "alter system set shared_preload_libraries = 'pg_stat_statements'" "$database"
stop
start
measure --calibrate --commit "$(git rev-parse --short HEAD)" --write docs/capacity.md "$@"
stop
# A server that has served nobody yet: memory is predicted from there.
start
measure --check loadtest/mixes/drags.json --check loadtest/mixes/writes.json --write docs/capacity.md "$@"
