#!/bin/sh
# What `make bench` runs, release builds all: bench.sh [speed|size|nights|restore|requests|fairness|plan]; all of it without an argument.
set -eu
cd "$(dirname "$0")/.."
part=${1:-}
export MALLE_BIN=target/release/malle

tests/setup.sh peers
cargo build --release -p cli -p tests --bins

case $part in
plan | fairness) ;;
requests) target/release/bench requests ;;
*)
    MALLE_TEST_STALWART=${MALLE_TEST_STALWART:-$(tests/stalwart/build.sh release)}
    export MALLE_TEST_STALWART
    MALLE_CORPUS=$(tests/corpus.sh) target/release/bench $part
    ;;
esac

case $part in
fairness | '') target/release/fleet fairness ;;
esac

case $part in
plan | '')
    export MALLE_SOAK=1
    cargo test --quiet --release -p catalog --test postgres -- --nocapture latency
    cargo test --quiet --release -p producer --test producer -- --nocapture scale
    ;;
esac
