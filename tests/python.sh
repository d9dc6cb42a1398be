#!/bin/sh
# Makes a Python environment for the tests once and prints the path of its interpreter, alone, on stdout.
set -eu

packages='blake3==1.0.8 cryptography==46.0.3 zstandard==0.25.0'

cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/python
name=$(echo "$packages" | cksum | cut -d' ' -f1)
interpreter=$cache/$name/bin/python

make_venv() {
    python3 -m venv "$1" >&2 && return
    apt-get update >&2
    apt-get install -y --no-install-recommends python3 python3-venv >&2
    rm -rf "$1"
    python3 -m venv "$1" >&2
}

install() {
    # In place: a virtual environment knows its own path. The mark tells a finished one from one that was cut off.
    rm -rf "$cache/$name"
    make_venv "$cache/$name"
    # shellcheck disable=SC2086
    "$interpreter" -m pip install --quiet --disable-pip-version-check --only-binary :all: $packages >&2
    touch "$cache/$name/complete"
}

mkdir -p "$cache"
if [ ! -e "$cache/$name/complete" ]; then
    exec 9>"$cache/lock"
    flock 9
    [ -e "$cache/$name/complete" ] || install
fi
echo "$interpreter"
