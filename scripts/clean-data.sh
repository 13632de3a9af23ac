#!/usr/bin/env bash
# Removes the private servers' data: everything that was stored by `studyhall dev`. Refuses while one runs.
set -euo pipefail
cd "$(dirname "$0")/.."

data=${STUDYHALL_DATA:-.studyhall}
if [ ! -d "$data" ]; then
    echo "nothing to remove: there is no $data"
    exit 0
fi
data=$(cd "$data" && pwd -P)
if [ ! -f "$data/lock" ]; then
    echo "$data is not a data directory of studyhall; nothing was removed" >&2
    exit 1
fi
holder=$(cat "$data/lock")
if command -v flock >/dev/null; then
    exec 9<"$data/lock"
    held() { ! flock -n 9; }
else
    held() { [ -n "$holder" ] && ps -o command= -p "$holder" | grep -q studyhall; }
fi
if held; then
    echo "a studyhall (process $holder) uses $data; stop it first" >&2
    exit 1
fi

# What a killed studyhall left running ends with its data. A number alone proves nothing: it may be a stranger's by now.
end() {
    local pid=$1 signal=$2 mark=$3
    [ "${pid:-0}" -gt 1 ] 2>/dev/null || return 0
    case $(ps -ww -o command= -p "$pid" 2>/dev/null) in *"$mark"*) ;; *) return 0 ;; esac
    kill "-$signal" "$pid"
    for _ in $(seq 100); do
        case $(ps -o stat= -p "$pid" 2>/dev/null) in '' | Z*) return 0 ;; esac
        sleep 0.1
    done
    echo "process $pid does not end; nothing was removed" >&2
    exit 1
}

place=$data
if [ -f "$data/location" ]; then place=$(cat "$data/location"); fi
end "$(head -n 1 "$place/postgres/postmaster.pid" 2>/dev/null || true)" INT "-D $place/postgres"
end "$(cat "$place/redis/redis.pid" 2>/dev/null || true)" TERM redis.sock
case $place in
"$data") ;;
*/studyhall-*) rm -rf "$place" ;;
esac
(cd "$data" && rm -rf postgres postgres.unfinished-* postgres.log* redis redis.log* run location lock)
rmdir "$data" 2>/dev/null || echo "other files are left in $data"
echo "removed the data in $place"
