# Shared by the scripts beside it; bash 3.2 and newer.

# The oldest PostgreSQL that the migrations are written for.
postgres_major_min=14

# Prints the directory of `postgres` and `initdb` of the newest fitting PostgreSQL, or fails. The same places, in the
# same order, as src/dev/find.rs.
postgres_bin() {
    local bin server major best='' best_major=0
    local places=()
    if [ -n "${STUDYHALL_PG_BIN:-}" ]; then
        places=("$STUDYHALL_PG_BIN")
    else
        if command -v pg_config >/dev/null; then places+=("$(pg_config --bindir 2>/dev/null || true)"); fi
        if server=$(command -v postgres); then
            # A link in a general directory has no `initdb` of its version beside it: follow it.
            while [ -L "$server" ]; do
                bin=$(dirname "$server")
                server=$(readlink "$server")
                case $server in /*) ;; *) server=$bin/$server ;; esac
            done
            places+=("$(dirname "$server")")
        fi
        places+=(/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/local/pgsql/bin
            /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin
            /home/linuxbrew/.linuxbrew/opt/postgresql*/bin /opt/local/lib/postgresql*/bin
            /Applications/Postgres.app/Contents/Versions/*/bin)
    fi
    for bin in "${places[@]}"; do
        [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] || continue
        major=$("$bin/postgres" --version | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
        if [ "${major:-0}" -gt "$best_major" ]; then best=$bin best_major=$major; fi
    done
    [ "$best_major" -ge "$postgres_major_min" ] && echo "$best"
}

# Runs a command as the servers' user when root, as PostgreSQL refuses to run as root.
unprivileged() {
    local user
    if [ "$(id -u)" != 0 ]; then "$@"; return; fi
    user=$(server_user)
    # `setpriv` keeps the command our own child; `su` is everywhere.
    if command -v setpriv >/dev/null; then
        setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
    else
        su -s /bin/sh "$user" -c 'exec "$@"' -- sh "$@"
    fi
}

server_user() {
    if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

# Makes a PostgreSQL below $1, a directory of the script's own that others may enter, and starts it; what follows are its
# settings (`name=value`). Returns when it answers. Its log is $1/postgres.log, its socket is in $1.
start_postgres() {
    local work=$1 bin setting job settings=()
    shift
    if ! bin=$(postgres_bin); then
        echo "PostgreSQL $postgres_major_min or newer is needed; run scripts/setup.sh run" >&2
        return 1
    fi
    for setting in listen_addresses= "$@"; do settings+=(-c "$setting"); done
    if [ "$(id -u)" = 0 ]; then chown "$(server_user)" "$work"; fi
    chmod 711 "$work"
    LC_ALL=C unprivileged "$bin/initdb" --no-sync -D "$work/postgres" -U studyhall -A trust -E UTF8 --locale=C \
        >"$work/postgres.log" 2>&1 || { cat "$work/postgres.log" >&2; return 1; }
    unprivileged "$bin/postgres" -D "$work/postgres" -k "$work" "${settings[@]}" >>"$work/postgres.log" 2>&1 &
    job=$!
    for _ in $(seq 300); do
        [ "$(sed -n 8p "$work/postgres/postmaster.pid" 2>/dev/null | tr -d ' ')" != ready ] || return 0
        kill -0 $job 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/postgres.log" >&2
    return 1
}

# The process of the PostgreSQL below $1.
postgres_pid() { head -n 1 "$1/postgres/postmaster.pid" 2>/dev/null; }

# Ends the PostgreSQL below $1, if it runs, and waits until it has.
stop_postgres() {
    local pid
    pid=$(postgres_pid "$1") || return 0
    [ -n "$pid" ] || return 0
    kill -INT "$pid" 2>/dev/null || return 0
    for _ in $(seq 200); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -QUIT "$pid" 2>/dev/null || true
}

# The address of the PostgreSQL below $1.
postgres_url() {
    printf 'postgres:///postgres?host=%s&port=5432&user=studyhall&sslmode=disable' "$(printf %s "$1" | sed 's:/:%2F:g')"
}
