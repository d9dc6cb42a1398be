#!/bin/sh
# Runs a command whose temporary files lie in memory, where there is enough of it: what tests make and remove (a database, a
# broker, exports of many files) costs a tenth of what it costs on a disk. Elsewhere, and with MALLE_TEST_ON_DISK=1, runs it as
# it is.
set -u
needed=12000000 # kB; the whole suite had at most a quarter of it at once
free=$(df -Pk /dev/shm 2>/dev/null | awk 'END { print $4 }')
memory=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo 2>/dev/null)
if [ -n "${MALLE_TEST_ON_DISK:-}" ] || [ "${free:-0}" -lt $needed ] || [ "${memory:-0}" -lt $needed ]; then
    exec "$@"
fi
# Left by runs that were killed.
for left in /dev/shm/malle-tests-*; do
    [ ! -d "$left" ] || kill -0 "${left##*-}" 2>/dev/null || rm -rf "$left"
done
TMPDIR=/dev/shm/malle-tests-$$
export TMPDIR
mkdir "$TMPDIR" && chmod 1777 "$TMPDIR" || exit 1
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$@"
