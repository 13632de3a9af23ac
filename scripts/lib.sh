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
