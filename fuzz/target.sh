#!/bin/sh
# Runs one fuzz target that run.sh has built.
set -eu
target=$1
mkdir -p "corpus/$target" "artifacts/$target"
log=artifacts/$target/log
"$MALLE_FUZZ_BINARIES/$target" "corpus/$target" "-artifact_prefix=artifacts/$target/" \
    "-max_total_time=$MALLE_FUZZ_SECONDS" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
    >"$log" 2>&1 || { tail -n 60 "$log"; echo "$target: found something, see fuzz/artifacts/$target" >&2; exit 1; }
echo "== $target, $MALLE_FUZZ_SECONDS s: $(sed -n 's/^stat:://p' "$log" | grep -E '^(number|peak)' | tr -s ' \n' ' ')"
