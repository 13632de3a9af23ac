#!/usr/bin/env bash
# Installs what the system lacks, where it may; otherwise says what to install and how.
#   scripts/setup.sh run     what running needs: a C compiler, PostgreSQL, Redis (optional)
#   scripts/setup.sh test    what tests need too: HAProxy, the client libraries for Node and Python
# Quick when nothing is missing, so that every `make run` can ask.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

node_major_min=18
python_min='(3, 10)'
js=tests/sdk/js
python=tests/sdk/python
packages=()
undo=()

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- what is there

have_postgres() { [ -n "${DATABASE_URL:-}" ] || postgres_bin >/dev/null; }
have_redis() { [ -n "${REDIS_URL:-}" ] || have redis-server || have valkey-server; }
have_haproxy() { have haproxy; }
have_node() {
    have npm && have node || return 1
    local version
    version=$(node --version)
    version=${version#v}
    [ "${version%%.*}" -ge "$node_major_min" ]
}
have_python() { have python3 && python3 -c "import sys; sys.exit(sys.version_info < $python_min)"; }
# Tests give nodes clocks of their own.
have_faketime() { ls /usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1 >/dev/null 2>&1; }
have_venv() { have_python && python3 -c 'import ensurepip' 2>/dev/null; }

# --- Debian's packages

may_install() { [ "$(id -u)" = 0 ] && have apt-get; }

cleanup() {
    [ ${#undo[@]} != 0 ] || return 0
    rm -f "${undo[@]}"
    rmdir /etc/postgresql-common/createcluster.d 2>/dev/null || true
}
trap cleanup EXIT

# A file that is there only while packages are installed.
for_now() {
    local path=$1 mode=$2 content=$3
    [ ! -e "$path" ] || return 0
    mkdir -p "$(dirname "$path")"
    undo+=("$path")
    printf '%s\n' "$content" >"$path"
    chmod "$mode" "$path"
}

# The packages bring programs; their system services are not ours to start, nor a system cluster to create.
apt_install() {
    say "installing: $*"
    for_now /usr/sbin/policy-rc.d 755 $'#!/bin/sh\nexit 101'
    for_now /etc/postgresql-common/createcluster.d/studyhall.conf 644 'create_main_cluster = false'
    export DEBIAN_FRONTEND=noninteractive
    local log
    log=$(mktemp)
    if ! { apt-get update && apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
        tail -n 15 "$log" >&2
    fi
    rm -f "$log"
}

# --- what to do by hand

how() {
    local what=$1 debian=$2 fedora=$3 mac=$4
    say "$what"
    say "  Debian, Ubuntu:  apt-get install $debian"
    say "  Fedora, RHEL:    dnf install $fedora"
    say "  macOS:           $mac"
}
how_cc() { how 'missing: a C compiler, which some crates need' build-essential gcc 'xcode-select --install'; }
how_postgres() {
    how "missing: PostgreSQL $postgres_major_min or newer" postgresql 'postgresql-server postgresql' \
        'brew install postgresql@17'
    say '  elsewhere: set STUDYHALL_PG_BIN to the directory of `postgres`, or DATABASE_URL to a running server'
}
how_redis() {
    say 'note: no redis-server; presence and the bus will be in process, which is all that one node needs.' \
        '(Debian: apt-get install redis-server, Fedora: dnf install redis, macOS: brew install redis)'
}
how_haproxy() { how 'missing: HAProxy 2.4 or newer, which tests restart nodes behind' haproxy haproxy 'brew install haproxy'; }
how_node() { how "missing: Node $node_major_min or newer, with npm" 'nodejs npm' 'nodejs npm' 'brew install node'; }
how_python() {
    how "missing: Python 3.10 or newer with its venv module" 'python3 python3-venv' python3 'brew install python'
}

# --- run

want() { have_"$1" || packages+=("${@:2}"); }
need() { have_"$1" || { how_"$1"; missing=1; }; }
have_cc() { have cc; }

want_programs() {
    want cc build-essential
    want postgres postgresql
    want redis redis-server
    [ "$1" = test ] || return 0
    want haproxy haproxy
    [ ! -f $js/package.json ] || want node nodejs npm
    [ ! -f $python/requirements.txt ] || fresh_venv || want venv python3 python3-venv
}

need_programs() {
    local missing=0
    have cargo || { say 'missing: a Rust toolchain with cargo; install it with rustup'; missing=1; }
    need cc
    need postgres
    have_redis || how_redis
    if [ "$1" = test ]; then
        need haproxy
        [ ! -f $js/package.json ] || need node
        [ ! -f $python/requirements.txt ] || fresh_venv || have_venv || { how_python; missing=1; }
    fi
    [ $missing = 0 ] || exit 1
}

# --- test: client libraries, again only when their lock files changed or what was installed is gone

sum() { cat "$@" 2>/dev/null | cksum; }

js_sum() { sum $js/package.json $js/package-lock.json; }
fresh_js() { [ -d $js/node_modules ] && [ "$(cat $js/node_modules/.studyhall 2>/dev/null)" = "$(js_sum)" ]; }
install_js() {
    [ -f $js/package.json ] || return 0
    ! fresh_js || return 0
    say "installing the JavaScript client libraries in $js"
    local how=ci
    [ -f $js/package-lock.json ] || how=install
    (cd $js && npm "$how" --no-audit --no-fund --loglevel=error >&2)
    js_sum >$js/node_modules/.studyhall
}

python_sum() { sum $python/requirements.txt; }
# A virtual environment points at the Python that made it, which may have been removed since: try it.
fresh_venv() {
    [ "$(cat .venv/.studyhall 2>/dev/null)" = "$(python_sum)" ] && .venv/bin/python -c '' 2>/dev/null
}
install_python() {
    [ -f $python/requirements.txt ] || return 0
    ! fresh_venv || return 0
    say 'installing the Python client libraries in .venv'
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r $python/requirements.txt >&2
    python_sum >.venv/.studyhall
}

case ${1:-} in
run | test) ;;
*)
    say "usage: $0 run|test"
    exit 2
    ;;
esac
# Tests start private servers of their own, whatever is set for running.
[ "$1" = run ] || unset DATABASE_URL REDIS_URL
want_programs "$1"
if [ ${#packages[@]} != 0 ] && may_install; then apt_install "${packages[@]}"; fi
need_programs "$1"
if [ "$1" = test ]; then
    install_js
    install_python
fi
