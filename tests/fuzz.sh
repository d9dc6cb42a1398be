#!/bin/sh
# Runs every fuzz target of fuzz/ for some seconds: fuzz.sh [SECONDS]. Stops at the first finding, which cargo-fuzz keeps.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
seconds=${1:-30}
"$here/setup.sh" fuzz
PATH=${MALLE_CACHE_DIR:-$HOME/.cache/malle}/cargo-fuzz/0.13.2/bin:$PATH
# libFuzzer's flags are unstable; the stable compiler takes them when told so.
export RUSTC_BOOTSTRAP=1

cd "$here/.."
for target in $(cargo fuzz list); do
    echo "== $target, $seconds s"
    cargo fuzz run "$target" -- -max_total_time="$seconds" -print_final_stats=0
done
