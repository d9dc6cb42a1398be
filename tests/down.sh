#!/bin/sh
# Ends what tests/up.sh started, services and files included.
set -eu
cd "$(dirname "$0")/.."
place=target/fleet
[ -f "$place.pid" ] || { echo "nothing is up" >&2; exit 0; }
pid=$(cat "$place.pid")
# After a crash somebody else may have its number.
is_ours() { tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'debug/fleet up'; }
tries=0
if is_ours; then kill -TERM "$pid"; fi
while is_ours && [ $tries -lt 300 ]; do sleep 0.2; tries=$((tries + 1)); done
! is_ours || { echo "process $pid does not end" >&2; exit 1; }
rm -rf "$place" "$place.pid" "$place.log"
