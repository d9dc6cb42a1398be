#!/bin/sh
# Makes testdata/format-1 anew. Only until format 1 is frozen: afterwards a new format gets a directory of its own.
set -eu
cd "$(dirname "$0")"
rm -rf format-1
MALLE_GENERATE=1 cargo test --package repository --lib -- --ignored --exact generate::generate_testdata
python=$(sh ../../../tests/python.sh)
for one in format-1/*; do
    "$python" ../tests/spec_reader.py "$one/store" "$one/ring.key" >"$one/expected.json"
done
