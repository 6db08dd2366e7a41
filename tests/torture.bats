#!/usr/bin/env bats
# Runs whose system calls are killed or fail, one after another (strace --inject; tests/shim/fault.c where that may not trace, under sanitizers, or with
# XLMR_TORTURE_BY=shim: it sees the calls of libraries, not of the C library to itself): what was committed stays, what was not is no checkpoint, and the same
# command ends with the bytes of a run that nobody disturbed. A sample of the points in `make test`, all of them in `make torture` (XLMR_TORTURE=full).
#
# The runs meet six kinds of saves: the first checkpoint, later ones, rotation, best (new and replaced), final, and leftovers of a dead run, which every
# run that goes on after a kill finds; pretraining prepares its text besides.
#
# strace kills at the entry of a call, before anything of it is done. As every call that changes files is among CALLS, and a run is killed before each of
# them in turn, what lies there after a call is what lies there before the next one: N kills stand for the moments before and after N calls.

load helpers

# LeakSanitizer does not work under ptrace.
if [ "${XLMR_TORTURE_BY-}" != shim ] && [ -z "${SAN-}" ] && strace -qq -o /dev/null true 2>/dev/null; then
    BY=strace
    CALLS="write pwrite64 fsync rename renameat2 openat close mkdir unlink unlinkat rmdir truncate ftruncate fallocate"
    FAILING="write pwrite64 fsync rename renameat2 openat mkdir ftruncate fallocate"
    INTERRUPTED="write pwrite64 fsync"
else
    BY=shim
    CALLS="write pwrite fsync rename open close mkdir unlink rmdir truncate fallocate fopen fwrite fflush fclose"
    FAILING="write pwrite fsync rename open mkdir truncate fallocate fopen fwrite fflush"
    INTERRUPTED="write pwrite fsync"
fi
WORKS="finetune pretrain short"

setup_file() {
    work_in_memory
    common_setup
    xlmr=$(realpath "$xlmr")
    cd "$WORK_DIR"
    head -60 corpus.txt | awk '{ print } NR % 5 == 0 { print "" }' >en.txt
    sed -n 61,80p corpus.txt >held-en.txt
    if [ $BY = shim ]; then find_shim; fi
    local work call
    for work in $WORKS; do
        choose "$work"
        train >/dev/null
        mv run "ref-$work"
        if [ $BY = strace ]; then
            strace -f --seccomp-bpf -qq -o trace -e trace="${CALLS// /,}" "$xlmr" "$verb" "${recipe[@]}" --output-dir run >/dev/null
        else
            by_shim none >/dev/null
        fi
        rm -rf run
        for call in $CALLS; do echo "$call $(grep -c "\b$call[( ]" trace)" >>"calls-$work"; done
    done
}

teardown_file() { leave_memory; }

setup() {
    common_setup
    xlmr=$(realpath "$xlmr")
    cd "$WORK_DIR"
    if [ $BY = shim ]; then find_shim; fi
    rm -rf run
}

# choose WORK: the command that is disturbed; its last checkpoint is `last`.
choose() {
    work=$1 verb=finetune
    recipe=(--model model --learning-rate 1e-3 --hidden-dropout 0.1 --logging-steps 2 --threads 1 --quiet)
    local labelled=(--train-file train.tsv --validation-file dev.tsv --batch-size 16 --max-seq-length 32 --save-steps 3 --eval-steps 4)
    case $work in
    finetune) last=step-00000012; recipe+=("${labelled[@]}" --max-steps 12) ;;
    short) last=step-00000006; recipe+=("${labelled[@]}" --max-steps 6 --save-total-limit 1) ;;
    pretrain)
        verb=pretrain last=step-00000004
        recipe+=(--train-data en.txt --validation-data held-en.txt --block-length 32 --batch-size 4 --max-steps 4 --save-steps 2 --eval-steps 3) ;;
    esac
}

train() { "$xlmr" "$verb" "${recipe[@]}" --output-dir run; }

# points CALL SAMPLE: which of its occurrences are tried: all, or about SAMPLE of them, spread over the run, others each day.
points() {
    local n step
    n=$(awk -v call="$1" '$1 == call { print $2 }' "calls-$work")
    step=$(((n + $2 - 1) / $2))
    if [ "${XLMR_TORTURE-}" = full ] || [ "$step" -lt 1 ]; then step=1; fi
    seq $((1 + $(date +%j | sed 's/^0*//') % step)) "$step" "$n"
}

# The run as it lies there: every directory that has the name of a checkpoint is a good one, and the newest is at least the last that was committed.
only_good_checkpoints() {
    local step committed newest=0
    for step in run/checkpoints/step-????????; do
        if [ -e "$step" ]; then
            "$xlmr" verify --quiet "$step" >/dev/null
            newest=$((10#${step##*-}))
        fi
    done
    committed=$(if [ $BY = strace ]; then sed -n 's/.*renameat2(.*"run\/checkpoints\/step-0*\([0-9]*\)".* = 0$/\1/p' trace
        else sed -n '$d; s/^rename .*checkpoints\/step-0*\([0-9]*\)\.tmp-[0-9]*$/\1/p' trace; fi | tail -1)
    if [ "${1-}" = some-may-have-failed ] && [ $BY = shim ]; then committed=0; fi       # it does not say which
    echo "newest checkpoint $newest, committed ${committed:-none}"
    [ "$newest" -ge "${committed:-0}" ]
}

# The last checkpoint is there too; unless its saving failed, and the run ended without it.
goes_on_to_the_same_end() {
    train >/dev/null 2>err || { cat err; return 1; }
    cmp run/metrics.jsonl "ref-$work/metrics.jsonl"
    diff -r run/final "ref-$work/final"
    diff -r run/best "ref-$work/best"
    if [ "${1-}" != unless-it-failed ] || [ -e "run/checkpoints/$last" ]; then diff -r "run/checkpoints/$last" "ref-$work/checkpoints/$last"; fi
    no_leftovers run
}

# by_shim FAULT: the run with what is asked of the library that is loaded before it; its calls are in `trace`.
by_shim() {
    rm -f trace
    LD_PRELOAD=$shim XLMR_FAULT=$1 XLMR_FAULT_UNDER=$WORK_DIR XLMR_FAULT_LOG=trace "$xlmr" "$verb" "${recipe[@]}" --output-dir run
}

# by_strace CALL FAULT AT: under --seccomp-bpf, which is faster, strace 6.1 sends no signals.
by_strace() {
    local how=(--seccomp-bpf -e inject="$1:error=$2:when=$3")
    if [ "$2" = kill ]; then how=(-e inject="$1:signal=SIGKILL:when=$3"); fi
    strace -f -qq -o trace -e trace="renameat2,$1" "${how[@]}" "$xlmr" "$verb" "${recipe[@]}" --output-dir run
}

# disturbed CALL FAULT AT: the run whose AT-th such call fails or is its end, in the background, so that bash does not report a kill; its status.
disturbed() {
    local status=0
    rm -rf run
    if [ $BY = strace ]; then by_strace "$@" >/dev/null 2>err & else by_shim "$1:$3:$2" >/dev/null 2>err & fi
    wait $! || status=$?
    echo "$status"
}

# killed_before_calls SAMPLE LEAST: kills the chosen work before each point; at least LEAST of them have to find it alive.
killed_before_calls() {
    local call at status tried=0 killed=0
    for call in $CALLS; do
        for at in $(points "$call" "$1"); do
            status=$(disturbed "$call" kill "$at")
            echo "$call $at: $status"
            [ "$status" -eq 137 ] || [ "$status" -eq 0 ]
            only_good_checkpoints
            goes_on_to_the_same_end
            tried=$((tried + 1))
            killed=$((killed + (status == 137)))
        done
    done
    echo "# $work: $tried points, $killed kills" >&3
    [ $killed -ge "$2" ]
}

@test "finetune killed before any call: no checkpoint lost, none half accepted, the same end" {
    choose finetune
    killed_before_calls 3 13
}

@test "pretrain killed before any call: no checkpoint lost, none half accepted, the same end" {
    choose pretrain
    killed_before_calls 1 5
}

# What an error in the middle may come to: the run goes on (a save is tried again), or it ends with a sentence and one of the codes for it; never a crash.
expected_end() {
    case $1 in
    0 | 65 | 66 | 69 | 71 | 73 | 74 | 75 | 78) ;;
    *) return 1 ;;
    esac
    if [ "$1" -ne 0 ]; then grep -q '^xlmr: error: ' err; fi
}

@test "calls that fail: a sentence that names file and cause, nothing lost, the same end" {
    local call at status tried=0 failed=0 error
    choose short
    for call in $FAILING; do
        for error in ENOSPC EIO; do
            for at in $(points "$call" 2); do
                status=$(disturbed "$call" "$error" "$at")
                echo "$call $at $error: $status"
                cat err
                expected_end "$status"
                only_good_checkpoints some-may-have-failed
                goes_on_to_the_same_end unless-it-failed
                tried=$((tried + 1))
                failed=$((failed + (status != 0)))
            done
        done
    done
    echo "# $tried failing calls, $failed ended the run" >&3
    [ $failed -gt 2 ] && [ $tried -gt 12 ]
}

@test "calls that are interrupted (EINTR): nobody notices" {
    local call at status tried=0
    choose short
    for call in $INTERRUPTED; do
        for at in $(points "$call" 2); do
            status=$(disturbed "$call" EINTR "$at")
            echo "$call $at: $status"
            cat err
            expected_end "$status"
            only_good_checkpoints some-may-have-failed
            goes_on_to_the_same_end
            tried=$((tried + 1))
        done
    done
    echo "# $tried interrupted calls" >&3
}
