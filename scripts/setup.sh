#!/bin/sh
# Installs the Debian packages that building and testing need. Silent and instant when nothing is missing.
#   setup.sh [clang|valgrind]    with clang, its OpenMP and its sanitizers, for CC=clang; with valgrind
set -eu

packages='gcc g++ make pkg-config libopenblas-openmp-dev libhdf5-dev libsentencepiece-dev libjansson-dev libyaml-dev zlib1g-dev
liblzma-dev libzstd-dev libxxhash-dev librandom123-dev libcmocka-dev bats jq hdf5-tools shellcheck strace'
case ${1-} in
clang) packages="$packages clang libomp-dev libclang-rt-dev" ;;
valgrind) packages="$packages valgrind" ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    # Not Debian: the build says which libraries it does not find.
    exit 0
fi

missing=
for p in $packages; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null || true) in
    ii*) ;;
    *) missing="$missing $p" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: packages are missing, and this user is not root and has no sudo. Let root run, then try again:" >&2
        echo "  apt-get install --no-install-recommends$missing" >&2
        exit 69
    fi
    as_root=sudo
fi

echo "setup: installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # lists of words
{
    $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
} >"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    echo "setup: apt-get failed (its last words above); install by hand and try again:$missing" >&2
    exit 69
}
