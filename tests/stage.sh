#!/bin/sh
# Runs one stage of a target and says how long it took: stage.sh NAME COMMAND…
# With MALLE_STAGES (a file) the seconds are also noted there; .ci/run makes its table of them.
name=$1
shift
start=$(date +%s)
"$@"
code=$?
seconds=$(($(date +%s) - start))
echo "-- $name: $seconds s" >&2
[ -z "${MALLE_STAGES:-}" ] || echo "$seconds $name" >>"$MALLE_STAGES"
exit $code
