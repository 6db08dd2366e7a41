#!/bin/sh
# Removes what install.sh put there, by the list that it kept, and the directories that it made if nothing else lies in them.
#   uninstall.sh DESTINATION
set -eu
dest=$1 list=$1/share/xlmr/installed
if [ ! -f "$list" ]; then
    echo "uninstall.sh: $list: does not exist, so nothing was removed; give the PREFIX and DESTDIR that make install had" >&2
    exit 1
fi
# From the last to the first, so that a directory comes behind what lies in it.
LC_ALL=C sort -r "$list" | while read -r path; do
    case $path in
    */) rmdir "$dest/$path" 2>/dev/null || true ;;
    *) rm -f "$dest/$path" ;;
    esac
done
