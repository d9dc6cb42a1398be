#!/bin/sh
# Ends what tests/up.sh started, services and files included.
set -eu
cd "$(dirname "$0")/.."
place=target/fleet
[ -f "$place.pid" ] || { echo "nothing is up" >&2; exit 0; }
pid=$(cat "$place.pid")
kill -TERM "$pid" 2>/dev/null || true
while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
rm -rf "$place" "$place.pid" "$place.log"
