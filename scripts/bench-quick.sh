#!/usr/bin/env bash
# For daily use, three minutes: instructions for each operation of the hub, which do not depend on what else the machine
# does, and a short run of rooms and lecture beside the floor, which does.
set -euo pipefail
cd "$(dirname "$0")"
./bench-hub.sh
exec ./bench.sh --quick
