#!/bin/sh
# Installs what a target needs and this machine lacks: setup.sh test | deny | peers. Says nothing when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${MALLE_CACHE_DIR:-$HOME/.cache/malle}
deny=0.20.2
nextest=0.9.143

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

# From the registry, once, with little optimisation: these tools run for seconds and build for minutes.
tool() {
    [ -x "$cache/$1/$2/bin/$1" ] && return
    mkdir -p "$cache/$1"
    exec 9>"$cache/$1/lock"
    flock 9
    [ -x "$cache/$1/$2/bin/$1" ] && return
    CARGO_TARGET_DIR=$cache/$1/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install "$1" --locked --version "$2" --root "$cache/$1/$2" >&2
    rm -rf "$cache/$1/target"
}

# The server's binaries alone: without a cluster nothing listens, now or after the next boot.
postgres_server() {
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && return
    debian pg_createcluster:postgresql-common
    sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    debian postgres:postgresql
}

case $1 in
test)
    debian openssl:openssl cc:build-essential make:build-essential flock:util-linux python3:python3 \
        setpriv:util-linux tar:tar unzip:unzip zstd:zstd rabbitmq-server:rabbitmq-server redis-server:redis-server
    postgres_server
    if ! cargo nextest --version >/dev/null 2>&1; then
        tool cargo-nextest $nextest
        ln -sf "$cache/cargo-nextest/$nextest/bin/cargo-nextest" "${CARGO_HOME:-$HOME/.cargo}/bin/"
    fi
    "$here/seaweedfs.sh" >/dev/null
    "$here/stalwart/build.sh" >/dev/null
    ;;
deny) tool cargo-deny $deny ;;
peers) debian mbsync:isync restic:restic zstd:zstd ;;
*)
    echo "setup.sh: no such set: $1" >&2
    exit 2
    ;;
esac
