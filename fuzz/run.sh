#!/bin/sh
# Runs every fuzz target for some seconds: run.sh [SECONDS [TARGET…]]. Fails on the first finding, which stays in artifacts/.
# Needs cargo (the stable one will do) and a C++ compiler; neither nightly nor cargo-fuzz.
set -eu
cd "$(dirname "$0")"
seconds=${1:-30}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- manifest pack segment key_ring wrapped_key jmap_response \
    account_directory maildir mbox vandelay archive

command -v c++ >/dev/null || { apt-get update >&2; apt-get install -y --no-install-recommends g++ >&2; }

# What cargo-fuzz passes, but for the address sanitizer: our own code forbids `unsafe`.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares'
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-target}

# With --target the flags reach the targets only, and not build scripts.
RUSTFLAGS="--cfg fuzzing $coverage" cargo build --release --bins --target "$host"
export MALLE_FUZZ_CORPUS=corpus

for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "corpus/$target" "artifacts/$target"
    log=artifacts/$target/log
    "$target_dir/$host/release/$target" "corpus/$target" "-artifact_prefix=artifacts/$target/" \
        "-max_total_time=$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
        >"$log" 2>&1 || { tail -n 60 "$log"; echo "$target: found something, see fuzz/artifacts/$target" >&2; exit 1; }
    grep -E '^stat::(number|peak)' "$log"
done
