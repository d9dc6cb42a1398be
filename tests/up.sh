#!/bin/sh
# Starts `fleet up` in the background and waits until it is up. tests/down.sh ends it.
set -eu
cd "$(dirname "$0")/.."
place=target/fleet
[ ! -f "$place.pid" ] || tests/down.sh
MALLE_BIN=target/debug/malle nohup target/debug/fleet up "$place" >"$place.log" 2>&1 &
echo $! >"$place.pid"
while ! grep -q '^UP$' "$place.log"; do
    kill -0 "$(cat "$place.pid")" 2>/dev/null || { cat "$place.log" >&2; rm -f "$place.pid"; exit 1; }
    sleep 0.2
done
grep -v '^UP$' "$place.log"
echo "make down ends it."
