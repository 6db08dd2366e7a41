#!/bin/sh
# Installs the Debian packages that building and testing need. Silent and instant when nothing is missing.
set -eu

packages='gcc g++ make pkg-config python3 libopenblas-openmp-dev libhdf5-dev libsentencepiece-dev libjansson-dev libyaml-dev zlib1g-dev
libxxhash-dev librandom123-dev libcmocka-dev bats jq hdf5-tools shellcheck'

if ! command -v dpkg-query >/dev/null 2>&1; then
    # Not Debian: the build says what is missing, with the names of the libraries.
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
        echo "setup: these packages are missing and neither root nor sudo is at hand; install them and try again:$missing" >&2
        exit 69
    fi
    as_root=sudo
fi
echo "setup: installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of words
{
    $as_root apt-get update -q >/dev/null
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null
} || {
    echo "setup: apt-get failed; install by hand and try again:$missing" >&2
    exit 69
}
