#!/usr/bin/env bats
# Commands whose file calls fail, are interrupted, move fewer bytes, or find no room (tests/faults.bash).

load faults

# The faults that a call may meet.
errors_of() {
    case $1 in
    read | pread) echo EIO ;;
    open) echo EIO ENOSPC ;;
    write | pwrite | fallocate | fwrite | fflush | fclose | mkdir | rename) echo ENOSPC EIO EDQUOT ;;
    *) echo EIO ;;
    esac
}

cause_of() {
    case $1 in
    EIO) echo 'Input/output error|stat info for file' ;;       # the second is all that HDF5 says
    ENOSPC) echo 'No space left on device' ;;
    EDQUOT) echo 'Disk quota exceeded' ;;
    esac
}

@test "file calls that fail: the same result, or a message with file and cause and nothing half done" {
    local work call error at
    for work in $WORKS; do
        while read -r at call; do
            for error in $(errors_of "$call"); do
                point "$work" "any:$at:$error" "$(cause_of "$error")"
            done
        done < <(points "ref/$work.calls" 40)
    done
    echo "# $tried failing calls, $ended ended the work" >&3
    [ "$bad" -eq 0 ] && [ "$ended" -gt 10 ]
}

@test "files of an output and logs that cannot be looked at: an error, not an output without them" {
    local work at
    for work in export prepare resume pretrain; do
        for at in $(awk '$1 ~ /^f?stat$/ && /o\.tmp-|shard-|metrics|blocks-/ { print NR }' "ref/$work.calls"); do
            point "$work" "any:$at:EIO" "$(cause_of EIO)"
        done
    done
    [ "$bad" -eq 0 ] && [ "$ended" -gt 5 ]
}

@test "reads and writes that move fewer bytes, and interrupted calls: the same result" {
    local work
    for work in $WORKS; do
        for call in read pread write pwrite; do
            point "$work" "$call:1+:short" 'nothing'
        done
        for call in read pread write pwrite; do
            point "$work" "$call:2/:EINTR" 'nothing'
        done
    done
    [ "$bad" -eq 0 ] && [ "$ended" -eq 0 ]
    for work in $WORKS; do
        for call in open fsync flock; do        # HDF5 does not repeat these
            point "$work" "$call:2/:EINTR" 'Interrupted system call'
        done
    done
    [ "$bad" -eq 0 ]
}

# small WORK KIB: the work on a disk of that size, then again on a larger one.
small() {
    local status=0
    mount -t tmpfs -o "size=$2k" none small
    cd small
    ln -s ../model ../run ../data ../texts ../few.txt ../train.tsv ../dev.tsv ../ref .
    do_"$1" >../out 2>../err || status=$?
    ln -s ../out ../err .
    echo "$1 $2 $status: $(grep -h '^xlmr: \(error\|warning: .*no checkpoint\)' err)"
    case $status in
    0) ;;
    73 | 74) grep -qE 'No space left on device|bytes are missing' err && left_well "$1" && tidy ;;
    *) return 1 ;;
    esac
    mount -o remount,size=64m small
    if [ "$status" -ne 0 ]; then again "$1"; fi
    same "$1" && tidy
    cd ..
    umount small
}

@test "a small disk that fills up: 73 or 74 with the cause, nothing half done, and the same result when there is room" {
    unshare -m mount -t tmpfs none "$BATS_TEST_TMPDIR" 2>/dev/null || skip "no tmpfs may be mounted here"
    local work kib whole each=5
    if [ "${XLMR_TORTURE-}" = full ]; then each=60; fi
    mkdir -p small
    for work in features predict evaluate prepare average train; do
        whole=$(du -sk --apparent-size "ref/$work".o* | awk '{ n += $1 } END { print n }')
        for kib in $(seq 4 $((whole / each + 4)) $((whole + 4))); do echo "$work $kib"; done
    done >sizes
    local body
    body="set -e; $(declare -f small again tidy left_well same no_leftovers $(compgen -A function do_)); $(declare -p recipe xlmr); launch=()
        while read -r work kib; do small \$work \$kib || exit 1; done <sizes"
    unshare -m bash -c "$body"
    echo "# $(wc -l <sizes) disks" >&3
}

@test "room for some bytes more: what is written through HDF5 and by calls of our own" {
    local work bytes
    for work in features prepare average train; do
        for bytes in 1 1000 30000 100000 200000 400000 800000; do
            begin_anew "$work"
            local status=0
            with XLMR_FAULT_ROOM=$bytes do_"$work" >out 2>err || status=$?
            after "$work" "$status" 'No space left on device' || { echo "$work $bytes: $status"; cat err; return 1; }
        done
    done
}
