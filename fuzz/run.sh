#!/bin/sh
# Runs every fuzz target for some seconds, two at a time: run.sh [SECONDS [TARGET…]]. Fails if one finds something, which
# stays in artifacts/. Needs cargo (the stable one will do) and a C++ compiler; neither nightly nor cargo-fuzz.
set -eu
cd "$(dirname "$0")"
seconds=${1:-30}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- manifest pack segment key_ring wrapped_key jmap_response \
    account_directory maildir mbox vandelay archive

command -v c++ >/dev/null || { apt-get update >&2; apt-get install -y --no-install-recommends g++ >&2; }

# What cargo-fuzz passes, except the address sanitizer: our own code forbids `unsafe`.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares'
host=$(rustc -vV | sed -n 's/^host: //p')

# With --target the flags reach the targets only, and not build scripts.
RUSTFLAGS="--cfg fuzzing $coverage" ../tests/stage.sh 'fuzz build' cargo build --release --bins --target "$host"

export MALLE_FUZZ_CORPUS=corpus
export MALLE_FUZZ_BINARIES="${CARGO_TARGET_DIR:-target}/$host/release"
export MALLE_FUZZ_SECONDS="$seconds"
printf '%s\n' "$@" | ../tests/stage.sh fuzzing xargs -n 1 -P 2 ./target.sh
