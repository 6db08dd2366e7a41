#!/usr/bin/env bats
# Commands whose file calls or allocations fail, one after another, by a library loaded before them (tests/shim/fault.c; no ptrace is needed): each ends with
# the result of an undisturbed run, or with one of the exit codes and a message that names the file and the cause; what is there afterwards is whole, and
# the same command then gives the same result. A sample of the points in `make test`, all of them in `make torture` (XLMR_TORTURE=full).

load helpers

WORKS="fill_mask features vectors predict evaluate prepare export average verify inspect resume train"

setup_file() {
    make_tiny_model
    common_setup
    local work
    xlmr=$(realpath "$xlmr")
    find_shim
    cd "$BATS_FILE_TMPDIR"
    mkdir data texts ref
    labelled 97 120 | tail -n +2 >data/test-en.tsv
    labelled 121 144 | tail -n +2 | gzip >data/test-de.tsv.gz
    labelled 145 150 | cut -f 1 >few.txt
    head -300 corpus.txt >texts/en.txt
    tail -200 corpus.txt | gzip >texts/de.txt.gz
    do_train >/dev/null
    mv o run
    with XLMR_FAULT_LOG=calls do_train >/dev/null
    rm -rf o
    with XLMR_FAULT="any:$(grep -n 'rename .*step-00000004' calls | head -1 | cut -d : -f 1):kill" do_train >/dev/null || [ $? -eq 137 ]
    mv o stopped
    for work in $WORKS; do
        begin_anew "$work"
        do_"$work" >"ref/$work.out" 2>err || { cat err; return 1; }
        for file in o o.*; do
            if [ -e "$file" ]; then mv "$file" "ref/$work.$file"; fi
        done
        begin_anew "$work"
        with XLMR_FAULT_LOG="ref/$work.calls" do_"$work" >/dev/null 2>&1
        begin_anew "$work"
        with XLMR_FAULT=memory:999999999:ENOMEM XLMR_FAULT_LOG="ref/$work.memory" do_"$work" >/dev/null 2>&1
    done
}

setup() {
    common_setup
    xlmr=$(realpath "$xlmr")
    find_shim
    cd "$BATS_FILE_TMPDIR"
    bad=0 tried=0 ended=0
}

recipe=(--model model --train-file train.tsv --validation-file dev.tsv --batch-size 16 --eval-steps 2 --save-steps 2 --max-steps 4 --learning-rate 1e-3
    --max-seq-length 32 --logging-steps 1 --threads 1 --quiet)

# The works. Each writes to standard output, and to nothing, o or o.*.
launch=()
do_fill_mask() { "${launch[@]}" "$xlmr" fill-mask --model model --top-k 3 'the cat <mask> on a mat' 'good <mask>'; }
do_features() { "${launch[@]}" "$xlmr" features --quiet --model model --pooling mean --output o.h5 few.txt; }
do_vectors() { "${launch[@]}" "$xlmr" features --quiet --model model --output o.jsonl few.txt; }
do_predict() { "${launch[@]}" "$xlmr" predict --quiet --model run/best --format tsv --output o.jsonl few.txt; }
do_evaluate() { "${launch[@]}" "$xlmr" evaluate --quiet --task classify --model run/best --data-dir data --output-dir o; }
do_prepare() { "${launch[@]}" "$xlmr" prepare --quiet --model model --threads 1 --output-dir o texts/en.txt texts/de.txt.gz; }
do_export() { "${launch[@]}" "$xlmr" export --quiet --from run --output-dir o; }
do_average() { "${launch[@]}" "$xlmr" export --quiet --from run --average 2 --output-dir o; }
do_verify() { "${launch[@]}" "$xlmr" verify run; }
do_inspect() { "${launch[@]}" "$xlmr" inspect run; }
do_train() { "${launch[@]}" "$xlmr" finetune "${recipe[@]}" --output-dir o; }
do_resume() { do_train; }       # of a run that was killed

# with VARIABLE=VALUE... COMMAND: under the library, with these.
with() {
    launch=(env LD_PRELOAD="$shim" XLMR_FAULT_UNDER="$BATS_FILE_TMPDIR")
    while [[ $1 == *=* ]]; do
        launch+=("$1")
        shift
    done
    "$@" &      # in the background, so that bash does not report a kill
    local status=0
    wait $! || status=$?
    launch=()
    return $status
}

begin_anew() {
    rm -rf o o.* out err
    if [ "$1" = resume ]; then cp -r stopped o; fi
}

# same WORK: what the work wrote to files is what it writes undisturbed.
same() {
    local file other
    # A save that failed and was no more to be tried again leaves one checkpoint less.
    local -a but=(-x timing.jsonl)
    if grep -q 'no checkpoint was written' err; then but+=(-x checkpoints); fi
    for file in o o.*; do
        other=ref/$1.$file
        if [ -e "$file" ] || [ -e "$other" ]; then diff -r "${but[@]}" "$file" "$other" || return 1; fi
    done
}

# Whether what a work that failed left is as it must be: nothing or all of it; runs and stores may be partial, but only of good checkpoints.
left_well() {
    local step
    case $1 in
    resume | train)
        for step in o/checkpoints/step-????????; do
            if [ -e "$step" ] && ! "$xlmr" verify --quiet "$step" >/dev/null; then return 1; fi
        done
        ;;
    prepare) ;;
    *) [ ! -e o ] && ! compgen -G 'o.*' >/dev/null || same "$1" ;;
    esac
}

# after WORK STATUS CAUSE: 0 = the run with a fault ended as it may.
after() {
    case $2 in
    0)  # inspect shows what it could not read
        cmp -s out "ref/$1.out" || { [ "$1" = inspect ] && grep -q "$3" out; } || { echo "another output"; return 1; }
        ;;
    65 | 66 | 69 | 71 | 73 | 74 | 75 | 78)
        [ "$(grep -c '^xlmr: error: ' err)" -eq 1 ] || { echo "no message"; return 1; }
        grep -q "$3" err out || { echo "the message does not say: $3"; return 1; }
        left_well "$1" || { echo "what is left is not whole"; return 1; }
        ended=$((ended + 1))
        ;;
    137) left_well "$1" || { echo "what is left is not whole"; return 1; } ;;
    *) echo "a wrong status"; return 1 ;;
    esac
    if [ "$2" -ne 0 ]; then
        case $1 in
        resume | train | prepare) do_"$1" >out 2>err2 || { cat err2; return 1; } ;;
        *) return 0 ;;
        esac
    fi
    same "$1" || { echo "another result"; return 1; }
    grep -q 'stays there' err || [ ! -e o ] || no_leftovers o
}

# point WORK FAULT CAUSE: one run with it; what went wrong is counted and told.
point() {
    local status=0
    begin_anew "$1"
    with XLMR_FAULT="$2" do_"$1" >out 2>err || status=$?
    tried=$((tried + 1))
    after "$1" "$status" "$3" >why 2>&1 && return
    bad=$((bad + 1))
    echo "BAD $1 $2: $status: $(head -c 300 why) | $(grep '^xlmr: error: ' err | head -c 300)"
}

# points FILE STRIDE: "N CALL" of the calls in FILE that are tried: all, or one of STRIDE, others each day; of file calls only the first of each kind on each
# kind of file are looked at for that.
points() {
    awk -v full="${XLMR_TORTURE-}" -v n="${STRIDE:-$2}" -v day="$(date +%j)" '{
        kind = $1 == "memory" ? NR : $1 FS $2
        gsub(/[0-9]+/, $1 == "memory" ? "&" : "N", kind)
        if (full == "full" || (!seen[kind]++ && ++kinds % n == day % n)) print NR, $1
    }' "$1"
}

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
    EIO) echo 'Input/output error' ;;
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
        done < <(points "ref/$work.calls" 25)
    done
    echo "# $tried failing calls, $ended ended the work" >&3
    [ "$bad" -eq 0 ] && [ "$ended" -gt 10 ]
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

@test "allocations of our own code that fail: 71, and nothing half done" {
    local work at
    for work in $WORKS; do
        while read -r at; do
            point "$work" "memory:$at:ENOMEM" 'memory'
        done < <(points "ref/$work.memory" "${STRIDE:-200}" | cut -d ' ' -f 1)
    done
    echo "# $tried failing allocations, $ended ended the work" >&3
    [ "$bad" -eq 0 ] && [ "$ended" -gt 10 ]
}
