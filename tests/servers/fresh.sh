#!/usr/bin/env bash
# `fresh.sh bookworm|trixie [GOAL...]`: a bare Debian in a root of its own below a temporary folder, a clean clone in it,
# and there the README's commands (`make demo`, `make test`; other goals if given). Nothing of it is left behind.
# Needs root. Packages come from where this machine's own come from.
set -euo pipefail

release=${1:?which release of Debian: bookworm, trixie, ...}
shift
goals=("$@")
[ "${#goals[@]}" -gt 0 ] || goals=(demo test)
repository=$(cd "$(dirname "$0")/../.." && pwd)

if [ "${FRESH_INSIDE:-}" != yes ]; then
    command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
    # Mounts and processes of its own: both are gone when this ends, however it ends.
    FRESH_ROOT=$(mktemp -d "${TMPDIR:-/var/tmp}/rialto-fresh.XXXXXX")
    chmod 755 "$FRESH_ROOT"
    export FRESH_ROOT FRESH_INSIDE=yes
    trap 'rm -rf --one-file-system "$FRESH_ROOT"' EXIT
    unshare --mount --pid --fork --kill-child --propagation private bash "$0" "$release" "${goals[@]}"
    exit
fi

root=$FRESH_ROOT
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
echo "== a bare Debian $release"
debootstrap --variant=minbase --include=make,ca-certificates "$release" "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 || {
    tail -n 20 "$root.log"
    exit 1
}
rm -f "$root.log"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
# How this machine reaches its package sources: names, certificates, the package managers' own settings.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$root/src"
git -c safe.directory='*' clone --quiet --no-hardlinks "$repository" "$root/src/rialto"
[ -z "${RIALTO_VECTORS:-}" ] || cp -r "$RIALTO_VECTORS" "$root/src/vectors"

passed=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
[ -z "${RIALTO_VECTORS:-}" ] || passed+=(RIALTO_VECTORS=/src/vectors)
for name in $(compgen -e | grep -E '^(PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|DEFAULT_TIMEOUT)$|npm_config_|SSL_CERT_FILE$|REQUESTS_CA_BUNDLE$|NODE_EXTRA_CA_CERTS$|(http|https|no)_proxy$)' || true); do
    passed+=("$name=${!name}")
done
for goal in "${goals[@]}"; do
    echo "== make $goal on a bare Debian $release"
    env -i "${passed[@]}" chroot "$root" bash -c 'cd /src/rialto && exec make "$1"' fresh "$goal"
done
echo "== Debian $release: ${goals[*]}: all well"
