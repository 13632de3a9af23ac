#!/usr/bin/env bash
# One of the servers that Studyhall is measured beside: whoever connects to ws://127.0.0.1:PORT/rooms/<n> gets every text
# frame that anybody sends there, their own included. Nothing is parsed, checked or stored.
#   run.sh NAME PORT DIRECTORY   becomes the server; DIRECTORY is for what it has to write
#   run.sh --list                all names, the dearest last
#   run.sh --missing NAME        prints what to install; nothing, and success, when all is there
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

nchan_modules() {
    local at
    for at in ${NGINX_MODULES:-} /usr/lib/nginx/modules /usr/lib64/nginx/modules /usr/share/nginx/modules; do
        if [ -f "$at/ngx_nchan_module.so" ]; then echo "$at" && return; fi
    done
    return 1
}

npm_install="run npm ci in loadtest/peers"
missing() {
    case $1 in
    bun) "$here/node_modules/.bin/bun" --version >/dev/null 2>&1 || echo "Bun: $npm_install" ;;
    nchan)
        { command -v nginx /usr/sbin/nginx && nchan_modules; } >/dev/null ||
            echo 'Nchan: apt-get install nginx-light libnginx-mod-nchan'
        ;;
    ws)
        if ! command -v node >/dev/null; then
            echo "ws: install Node 18 or newer, then $npm_install"
        elif [ ! -d "$here/node_modules/ws" ]; then
            echo "ws: $npm_install"
        fi
        ;;
    *) echo "$1: no such server; there are $(names)" ;;
    esac
}

names() { echo bun nchan ws; }

case ${1:-} in
--list) names ;;
--missing)
    how=$(missing "$2")
    [ -z "$how" ] || { echo "$how" && exit 1; }
    ;;
bun) exec "$here/node_modules/.bin/bun" "$here/bun.js" "$2" ;;
ws) exec node "$here/ws.js" "$2" ;;
nchan)
    mkdir -p "$3/tmp"
    sed -e "s:PORT:$2:" -e "s:MODULES:$(nchan_modules):" "$here/nginx.conf" >"$3/nginx.conf"
    exec "$(command -v nginx || echo /usr/sbin/nginx)" -e stderr -p "$3" -c "$3/nginx.conf"
    ;;
*)
    echo "usage: $0 NAME PORT DIRECTORY | --list | --missing NAME" >&2
    exit 2
    ;;
esac
