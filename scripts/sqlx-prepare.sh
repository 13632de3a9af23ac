#!/usr/bin/env bash
# Writes .sqlx, the description of every query that lets the project build without a database, from the migrations and
# a PostgreSQL that lives only as long as this script. With --check it only compares, and fails on a difference.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case ${1:-} in
'' | --check) ;;
*)
    echo "usage: $0 [--check]" >&2
    exit 2
    ;;
esac

if ! bin=$(postgres_bin); then
    echo "PostgreSQL $postgres_major_min or newer is needed; run scripts/setup.sh run" >&2
    exit 1
fi
psql=$bin/psql
[ -x "$psql" ] || psql=psql

# In /tmp, where the servers' user gets in and the path is short enough for a socket.
work=$(mktemp -d /tmp/studyhall-sqlx.XXXXXX)
server=
stop() {
    if [ -n "$server" ]; then
        # The one child of `setpriv` or the shell is the server itself; its PID file knows it either way.
        kill -INT "$(head -n 1 "$work/data/postmaster.pid")" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

if [ "$(id -u)" = 0 ]; then chown "$(server_user)" "$work"; fi
chmod 711 "$work"
export LC_ALL=C
unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE
unprivileged "$bin/initdb" --no-sync -D "$work/data" -U studyhall -A trust -E UTF8 --locale=C >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; exit 1; }
unprivileged "$bin/postgres" -D "$work/data" -k "$work" -c listen_addresses= -c fsync=off >>"$work/log" 2>&1 &
server=$!
for _ in $(seq 300); do
    [ "$(sed -n 8p "$work/data/postmaster.pid" 2>/dev/null | tr -d ' ')" != ready ] || break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done

host=$(printf %s "$work" | sed 's:/:%2F:g')
export DATABASE_URL="postgres:///postgres?host=$host&port=5432&user=studyhall&sslmode=disable"
for migration in migrations/*.sql; do
    [ -e "$migration" ] || { echo 'no migrations' >&2; exit 1; }
    # sqlx runs a migration in one transaction unless its first line says otherwise.
    one=-1
    case $(head -n 1 "$migration") in '-- no-transaction'*) one= ;; esac
    "$psql" -X -q ${one:+"$one"} -v ON_ERROR_STOP=1 -o /dev/null -f "$migration" "$DATABASE_URL"
done

# The macros write a file for each query that they expand, so every crate with queries is compiled anew. `touch` is
# what makes cargo do so; the macros' own inputs are invisible to it.
fresh=$work/sqlx
mkdir "$fresh"
find . -name target -prune -o -name node_modules -prune -o \
    \( -path '*/src/lib.rs' -o -path '*/src/main.rs' -o -path '*/tests/*/main.rs' -o -path './tests/*.rs' \) \
    -exec touch {} +
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo check --quiet --workspace --all-targets

if [ "${1:-}" = --check ]; then
    mkdir -p "$work/empty"
    old=.sqlx
    [ -d "$old" ] || old=$work/empty
    if ! diff -rq "$old" "$fresh" >&2; then
        echo '.sqlx is not up to date; run make sqlx' >&2
        exit 1
    fi
elif [ -z "$(ls -A "$fresh")" ]; then
    echo 'no query was seen; .sqlx is left as it is' >&2
else
    # Beside the old one first, so that there is a complete one at any time but for an instant.
    rm -rf .sqlx.new .sqlx.old
    cp -R "$fresh" .sqlx.new
    [ ! -d .sqlx ] || mv .sqlx .sqlx.old
    mv .sqlx.new .sqlx
    rm -rf .sqlx.old
    echo "$(find .sqlx -name 'query-*.json' | wc -l | tr -d ' ') queries described in .sqlx"
fi
