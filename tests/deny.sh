#!/bin/sh
# Licences, bans, sources and known vulnerabilities of what is built in. The database of vulnerabilities is a git repository
# on the network: where it cannot be reached that part is left out, loudly; where CI is set it is a failure, unless
# MALLE_WITHOUT_ADVISORIES=1 says that there is no network.
set -eu

deny=$("$(dirname "$0")/setup.sh" deny)
database=https://github.com/RustSec/advisory-db

"$deny" --log-level error check licenses bans sources
if GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet "$database" HEAD >/dev/null 2>&1; then
    exec "$deny" --log-level error check advisories
fi
echo "SKIPPED: advisories are not checked, $database cannot be reached"
[ -z "${CI:-}" ] || [ "${MALLE_WITHOUT_ADVISORIES:-}" = 1 ] || {
    echo "CI must look: give it a way to $database, or set MALLE_WITHOUT_ADVISORIES=1 and look elsewhere" >&2
    exit 1
}
