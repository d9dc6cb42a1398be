#!/bin/sh
# Builds test-stalwart once and prints the path of the binary, alone, on stdout: build.sh [quick|release|where]
# `quick` (the default) is for tests, `release` for measurements; `where` only prints the path of the former.
# The binary stays in ${MALLE_CACHE_DIR:-~/.cache/malle}/stalwart/<hash of what it is made of>/.
set -eu

profile=${1:-quick}
[ "$profile" != where ] || profile=quick
here=$(cd "$(dirname "$0")" && pwd)
cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/stalwart
key=$(cd "$here" && { echo "$profile"; sha256sum Cargo.lock Cargo.toml src/*.rs; } | sha256sum | cut -c1-16)
binary=$cache/$key/test-stalwart

install_missing() {
    # gcc and make for jemalloc, SQLite, ring and zstd; no clang, no cmake.
    for tool in cc make flock; do
        command -v $tool >/dev/null && continue
        apt-get update >&2
        apt-get install -y --no-install-recommends build-essential util-linux >&2
        return
    done
}

build() {
    echo "test-stalwart: building once, about 11 minutes on two cores, twice that for measurements" >&2
    CARGO_TARGET_DIR=$cache/target nice -n 10 \
        cargo build --profile "$profile" --locked --manifest-path "$here/Cargo.toml" >&2
    mkdir -p "$cache/$key"
    # The rename is the commit: a killed build leaves no half binary behind.
    cp "$cache/target/$profile/test-stalwart" "$binary.new"
    mv "$binary.new" "$binary"
    rm -rf "$cache/target"
}

if [ "${1:-}" = where ]; then
    echo "$binary"
    exit
fi
mkdir -p "$cache"
if [ ! -x "$binary" ]; then
    install_missing
    exec 9>"$cache/lock"
    flock 9
    [ -x "$binary" ] || build
fi
echo "$binary"
