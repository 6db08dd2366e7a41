#!/usr/bin/env bats
# Training that is killed at moments of chance, again and again, and gone on with at other numbers of threads: at the end the bytes of a run that nobody
# disturbed. 10 kills in `make test`, 200 in `make torture` (XLMR_TORTURE=full). XLMR_SEED=N takes the moments and threads of the run that printed N.

load helpers

setup_file() {
    work_in_memory
    cd "$WORK_DIR" || return
    head -300 corpus.txt | awk '{ print } NR % 5 == 0 { print "" }' >en.txt
    sed -n 301,330p corpus.txt >held-en.txt
}

teardown_file() { leave_memory; }

setup() {
    common_setup
    xlmr=$(realpath "$xlmr")
    cd "$WORK_DIR" || return
    seed=${XLMR_SEED-$(($(date +%s) % 2147483646 + 1))}
    rm -rf run ref
    recipe=(--model model --learning-rate 1e-3 --warmup-steps 7 --hidden-dropout 0.1 --micro-batch-size 3 --batch-size 8 --save-steps 3 --eval-steps 5
        --logging-steps 2 --max-steps 48 --ema 0.9 --quiet)
}

# roll N: a number from 0 to N - 1 in `rolled`.
roll() {
    seed=$(((seed * 16807) % 2147483647))
    rolled=$((seed % $1))
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

train() { ${as-} "$xlmr" "$verb" "${recipe[@]}" --output-dir run --threads "$@"; }

only_good_checkpoints() {
    local step
    for step in run/checkpoints/step-????????; do
        if [ -e "$step" ]; then "$xlmr" verify --quiet "$step" >/dev/null; fi
    done
}

# Model cards name the number of threads.
same_run() {
    cmp run/metrics.jsonl ref/metrics.jsonl
    diff -r -x README.md run/final ref/final
    diff -r -x README.md run/best ref/best
    diff -r run/checkpoints/step-00000048 ref/checkpoints/step-00000048
    no_leftovers run
}

# killed MS THREADS: a run that is killed after so many milliseconds; 1: it had ended before.
killed() {
    local status=0
    as=exec train "$2" >/dev/null 2>err 3>&- &
    sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
    kill -KILL $! 2>/dev/null || true
    wait $! || status=$?
    echo "after $1 ms with $2 threads: $status"
    cat err
    [ $status -eq 137 ] || [ $status -eq 0 ] || return 2
    [ $status -eq 137 ]
}

# killed_at_random VERB N: until N kills have found it alive, in as many runs as that takes.
killed_at_random() {
    local verb=$1 kills=0 training=0 runs=0 first=$seed began took after status
    began=$(now_ms)
    train 1 >/dev/null 2>&1
    took=$(($(now_ms) - began))
    mv run ref
    while [ $kills -lt "$2" ]; do
        roll $took; after=$rolled
        roll 4
        status=0; killed $after $((1 << rolled)) || status=$?
        [ $status -le 1 ]
        # how long runs take now, on a machine with other work: less where one had ended before its time, more where it had not
        took=$((status == 1 ? took * 3 / 4 + 1 : took * 21 / 20 + 1))
        only_good_checkpoints
        kills=$((kills + (status == 0)))
        if [ $status -eq 0 ] && [ -s run/metrics.jsonl ]; then training=$((training + 1)); fi
        if [ $status -eq 0 ] && [ $kills -eq "$2" ]; then train 1 >/dev/null 2>&1; fi
        if [ $status -eq 1 ] || [ $kills -eq "$2" ]; then
            same_run
            rm -rf run
            runs=$((runs + 1))
        fi
    done
    echo "# $verb: $kills kills in $runs runs, $training of them after training had begun; XLMR_SEED=$first" >&3
}

how_many() { if [ "${XLMR_TORTURE-}" = full ]; then echo 100; else echo 5; fi; }

@test "finetune killed at moments of chance, gone on with at 1 to 8 threads: the same bytes" {
    recipe+=(--train-file train.tsv --validation-file dev.tsv --max-seq-length 32)
    killed_at_random finetune "$(how_many)"
}

@test "pretrain killed at moments of chance, gone on with at 1 to 8 threads: the same bytes" {
    recipe+=(--train-data en.txt --validation-data held-en.txt --block-length 32)
    killed_at_random pretrain "$(how_many)"
}
