#!/bin/sh
# Installs the JavaScript packages of the tests once and prints the path of their `node_modules`, alone, on stdout.
set -eu

packages='ical.js@2.2.1'

cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/node
dir=$cache/$(echo "$packages" | cksum | cut -d' ' -f1)

mkdir -p "$dir"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$dir/complete" ]; then
    # shellcheck disable=SC2086
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" $packages >&2
    touch "$dir/complete"
fi
echo "$dir/node_modules"
