#!/usr/bin/env bash
# Install the Debian packages that are missing: `install.sh python` those that .venv needs, `install.sh` the servers.
set -euo pipefail

missing=()
want() { command -v "$1" >/dev/null 2>&1 || missing+=("${@:2}"); }

if [ "${1:-}" = python ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
else
    want prosody prosody prosody-modules lua-dbi-sqlite3 lua-event lua-unbound
    [ -d /usr/lib/prosody/modules ] && [ -e /usr/lib/prosody/modules/mod_privilege ] || missing+=(prosody-modules)
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
    want node nodejs
    want npm npm
fi
[ "${#missing[@]}" -gt 0 ] || exit 0

sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
echo "== Debian packages: ${missing[*]}"
# A package's service is not to be started by its installation: the tests start servers of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    trap '$sudo rm -f "$policy"' EXIT
fi
$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
