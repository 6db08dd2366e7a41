# Shared by faults*.bats: commands whose file calls or allocations fail, one after another, by a library loaded before them (tests/shim/fault.c; no ptrace is
# needed). Each ends with the result of an undisturbed run, or with one of the exit codes and a message that names the file and the cause; what is there
# afterwards is whole, and the same command then gives the same result. A sample of the points in `make test`, all of them in `make torture`
# (XLMR_TORTURE=full), where the files run side by side.

load helpers

WORKS="fill_mask features vectors predict evaluate prepare export average verify inspect resume train pretrain"

setup_file() {
    work_in_memory
    common_setup
    local work
    xlmr=$(realpath "$xlmr")
    find_shim
    cd "$WORK_DIR"
    mkdir data texts ref
    local BATS_FILE_TMPDIR=$WORK_DIR
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
        for file in o o.h5 o.jsonl; do
            if [ -e "$file" ]; then mv "$file" "ref/$work.$file"; fi
        done
        begin_anew "$work"
        with XLMR_FAULT_LOG="ref/$work.calls" do_"$work" >/dev/null 2>&1
        begin_anew "$work"
        with XLMR_FAULT=memory:999999999:ENOMEM XLMR_FAULT_LOG="ref/$work.memory" do_"$work" >/dev/null 2>&1
    done
}

teardown_file() { leave_memory; }

setup() {
    common_setup
    xlmr=$(realpath "$xlmr")
    find_shim
    cd "$WORK_DIR"
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
do_pretrain() {
    "${launch[@]}" "$xlmr" pretrain --quiet --model model --train-data store --validation-data store --block-length 32 --batch-size 8 --max-steps 2 \
        --eval-steps 1 --max-eval-samples 8 --save-steps 1 --threads 1 --output-dir o
}

# with VARIABLE=VALUE... COMMAND: under the library, with these.
with() {
    launch=(env LD_PRELOAD="$shim" XLMR_FAULT_UNDER="$WORK_DIR")
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
    if [ "$1" = pretrain ]; then rm -rf store; cp -r ref/prepare.o store; fi
}

# same WORK: what the work wrote to files is what it writes undisturbed.
same() {
    local file other
    # A lock that could not be removed is held by nobody; what was put aside is no part of the result. A save that failed and was no more to be tried again
    # leaves one checkpoint less.
    local -a but=(-x timing.jsonl -x lock -x '*.was-*')
    if grep -q 'no checkpoint was written' err; then but+=(-x checkpoints); fi
    for file in o o.h5 o.jsonl; do
        other=ref/$1.$file
        if [ -e "$file" ] || [ -e "$other" ]; then diff -r "${but[@]}" "$file" "$other" || return 1; fi
    done
}

# Whether what a work that failed left is as it must be: nothing or all of it; runs and stores may be partial, but only of good checkpoints.
left_well() {
    local step
    case $1 in
    resume | train | pretrain)
        for step in o/checkpoints/step-????????; do
            if [ -e "$step" ] && ! "$xlmr" verify --quiet "$step" >/dev/null; then return 1; fi
        done
        ;;
    prepare) ;;
    *) [ ! -e o ] && [ ! -e o.h5 ] && [ ! -e o.jsonl ] || same "$1" ;;
    esac
}

again() { do_"$1" >out 2>err2 || { cat err2; return 1; }; }

tidy() {
    local left
    left=$(compgen -G 'o*.tmp-*'; compgen -G 'o*.was-*'; no_leftovers o) && [ "$left" = 'leftovers: ' ] && return
    echo "leftovers: $left"
    return 1
}

# after WORK STATUS CAUSE: 0 = the run with a fault ended as it may.
after() {
    case $2 in
    0)  # these two show or warn of what they could not read, and go on
        cmp -s out "ref/$1.out" || { [[ $1 =~ ^(inspect|verify)$ ]] && grep -qE "$3" out err; } || { echo "another output"; return 1; }
        ;;
    65 | 66 | 69 | 71 | 73 | 74 | 75 | 78)
        [ "$(grep -c '^xlmr: error: ' err)" -eq 1 ] || { echo "no message"; return 1; }
        grep -qE "$3" err out || { echo "the message does not say: $3"; return 1; }
        left_well "$1" || { echo "what is left is not whole"; return 1; }
        ended=$((ended + 1))
        ;;
    137) left_well "$1" || { echo "what is left is not whole"; return 1; } ;;
    *) echo "a wrong status"; return 1 ;;
    esac
    # What could not be removed, or was not by who was killed, goes with the next one that writes there; so does the old one of a replacement that may be lost.
    if [ "$1" != resume ] && [ "$2" -ne 137 ] && ! grep -qE 'stays there|cannot be removed|may not survive' err; then tidy || return 1; fi
    if [ "$2" -ne 0 ]; then
        case $1 in
        resume | train | pretrain | prepare) again "$1" || return 1 ;;
        *) [ "$2" -eq 137 ] || return 0; rm -rf o; again "$1" || return 1 ;;
        esac
        tidy || return 1
    fi
    same "$1" || { echo "another result"; return 1; }
}

# point WORK FAULT CAUSE: one run with it; what went wrong is counted and told.
point() {
    local status=0
    begin_anew "$1"
    with XLMR_FAULT="$2" do_"$1" >out 2>err || status=$?
    tried=$((tried + 1))
    if [ "$3" = memory ] && [ "$status" -ne 0 ] && [ "$status" -ne 71 ]; then
        echo "not 71" >why
    else
        after "$1" "$status" "$3" >why 2>&1 && return
    fi
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
