#!/usr/bin/env bats
# A run whose system calls are killed or fail, one after another (strace --inject): what was committed stays, what was not is no checkpoint, and the same
# command ends with the bytes of a run that nobody disturbed. A sample of the points in `make test`, all of them in `make torture` (XLMR_TORTURE=full).
#
# The run meets six kinds of saves: the first checkpoint, later ones, rotation, best (new and replaced), final, and leftovers of a dead run.

load helpers

CALLS="write pwrite64 fsync rename renameat2 openat close mkdir unlink unlinkat rmdir ftruncate fallocate"

setup_file() {
    make_tiny_model
    common_setup
    xlmr=$(realpath "$xlmr")
    cd "$BATS_FILE_TMPDIR"
    if ! strace -qq -o /dev/null true 2>/dev/null; then return; fi
    tune ref >/dev/null
    local call
    for call in $CALLS; do
        strace -f --seccomp-bpf -qq -o trace -e trace="$call" "$xlmr" finetune "${recipe[@]}" --output-dir traced >/dev/null
        rm -rf traced
        echo "$call $(grep -c "$call(" trace)" >>calls
    done
}

setup() {
    common_setup
    xlmr=$(realpath "$xlmr")
    cd "$BATS_FILE_TMPDIR"
    [ -e calls ] || skip "strace is not there, or may not trace here"
    rm -rf run
}

recipe=(--model model --train-file train.tsv --validation-file dev.tsv --batch-size 16 --max-steps 12 --eval-steps 4 --save-steps 3 --learning-rate 1e-3
    --hidden-dropout 0.1 --max-seq-length 32 --logging-steps 2 --threads 1 --quiet)

tune() { "$xlmr" finetune "${recipe[@]}" --output-dir "$@"; }

# points CALL SAMPLE: which of its occurrences are tried: all, or about SAMPLE of them, spread over the run, others each day.
points() {
    local n step
    n=$(awk -v call="$1" '$1 == call { print $2 }' calls)
    step=$(((n + $2 - 1) / $2))
    if [ "${XLMR_TORTURE-}" = full ] || [ "$step" -lt 1 ]; then step=1; fi
    seq $((1 + $(date +%j | sed 's/^0*//') % step)) "$step" "$n"
}

# The run as it lies there: every directory that has the name of a checkpoint is a good one.
only_good_checkpoints() {
    local step
    for step in run/checkpoints/step-????????; do
        if [ -e "$step" ]; then "$xlmr" verify --quiet "$step" >/dev/null; fi
    done
}

goes_on_to_the_same_end() {
    tune run >/dev/null 2>err || { cat err; return 1; }
    cmp run/metrics.jsonl ref/metrics.jsonl
    cmp run/final/model.safetensors ref/final/model.safetensors
    cmp run/best/model.safetensors ref/best/model.safetensors
    no_leftovers run
}

# disturbed INJECTION: the run with it, in the background, so that bash does not report a kill; its status.
disturbed() {
    local status=0
    rm -rf run
    strace -f --seccomp-bpf -qq -o /dev/null -e inject="$1" "$xlmr" finetune "${recipe[@]}" --output-dir run >/dev/null 2>err &
    wait $! || status=$?
    echo "$status"
}

@test "killed before any call: no checkpoint lost, none half accepted, the same end" {
    local call at status tried=0 killed=0
    for call in $CALLS; do
        for at in $(points "$call" 3); do
            status=$(disturbed "$call:signal=SIGKILL:when=$at")
            echo "$call $at: $status"
            [ "$status" -eq 137 ] || [ "$status" -eq 0 ]
            only_good_checkpoints
            goes_on_to_the_same_end
            tried=$((tried + 1))
            killed=$((killed + (status == 137)))
        done
    done
    echo "# $tried points, $killed kills" >&3
    [ $killed -gt 12 ]
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
    for call in write pwrite64 fsync rename renameat2 openat mkdir ftruncate fallocate; do
        for error in ENOSPC EIO; do
            for at in $(points "$call" 2); do
                status=$(disturbed "$call:error=$error:when=$at")
                echo "$call $at $error: $status"
                cat err
                expected_end "$status"
                only_good_checkpoints
                goes_on_to_the_same_end
                tried=$((tried + 1))
                failed=$((failed + (status != 0)))
            done
        done
    done
    echo "# $tried failing calls, $failed ended the run" >&3
    [ $failed -gt 2 ] && [ $tried -gt 12 ]
}

@test "calls that are interrupted (EINTR): nobody notices" {
    local call at
    for call in write pwrite64 fsync; do
        for at in $(points "$call" 2); do
            status=$(disturbed "$call:error=EINTR:when=$at")
            echo "$call $at: $status"
            cat err
            expected_end "$status"
            only_good_checkpoints
            goes_on_to_the_same_end
        done
    done
}
