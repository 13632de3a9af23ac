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

# In /tmp, where the servers' user gets in and the path is short enough for a socket.
work=$(mktemp -d /tmp/studyhall-sqlx.XXXXXX)
stop() {
    stop_postgres "$work"
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

export LC_ALL=C
unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSERVICE
start_postgres "$work" fsync=off
psql=$(postgres_bin)/psql
[ -x "$psql" ] || psql=psql
DATABASE_URL=$(postgres_url "$work")
export DATABASE_URL
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
