#!/usr/bin/env bats
# Runs that end before their time, from outside: stopped, out of time, out of room, started twice.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

# tune DIR OPTION...: a run of 24 updates over three epochs with dropout, accumulation and evaluations.
tune() {
    ${as:-} "$xlmr" finetune --model "$model" --train-file "$train" --validation-file "$dev" --batch-size 8 --micro-batch-size 3 --num-epochs 3 --eval-steps 5 \
        --learning-rate 1e-3 --warmup-steps 7 --hidden-dropout 0.1 --logging-steps 2 --max-seq-length 32 --save-steps 3 --quiet --output-dir "$@"
}

same_results() {
    cmp "$1/metrics.jsonl" "$2/metrics.jsonl"
    cmp "$1/final/model.safetensors" "$2/final/model.safetensors"
    cmp "$1/best/model.safetensors" "$2/best/model.safetensors"
    cmp "$1/checkpoints/step-00000024/state.h5" "$2/checkpoints/step-00000024/state.h5"
    cmp "$1/checkpoints/step-00000024/MANIFEST.json" "$2/checkpoints/step-00000024/MANIFEST.json"
}

@test "bf16: stopped and gone on with other threads, the same bytes; not those of f32, which is another recipe" {
    tune "$dir/ref" --precision bf16 >/dev/null
    tune "$dir/f32" >/dev/null
    ! cmp -s "$dir/ref/final/model.safetensors" "$dir/f32/final/model.safetensors"
    for threads in 1 3 2; do
        status=0
        tune "$dir/p" --precision bf16 --threads $threads --max-time 0.05s >/dev/null 2>&1 || status=$?
        [ $status -eq 75 ] || [ $status -eq 0 ]
    done
    refused 78 "$dir/p: holds a run of another recipe: precision is "'"bf16" there and "f32" here' -- finetune --config "$dir/p/config.yaml" --precision f32
    tune "$dir/p" --precision bf16 >/dev/null
    same_results "$dir/ref" "$dir/p"
}

@test "a finished run says so and does nothing; another recipe is refused with what differs" {
    tune "$dir/p" >/dev/null
    before=$(ls -li --time-style=full-iso "$dir/p" "$dir/p/final" "$dir/p/checkpoints")
    run -0 --separate-stderr tune "$dir/p" --json
    grep -q '"steps":24,"state_xxh3":"[0-9a-f]\{32\}","finished":true' <<<"$output"
    "$xlmr" finetune --config "$dir/p/config.yaml" >"$dir/out" 2>"$dir/err"
    [ ! -s "$dir/err" ]
    grep -q "final model after step 24: $dir/p/final" "$dir/out"
    "$xlmr" finetune --config "$dir/p/config.yaml" --no-quiet >/dev/null 2>"$dir/err"
    grep -q "$dir/p: this run is finished" "$dir/err"
    [ "$before" = "$(ls -li --time-style=full-iso "$dir/p" "$dir/p/final" "$dir/p/checkpoints")" ]
    refused 78 "$dir/p: holds a run of another recipe: learning_rate is 0.001 there and 0.01 here; " '--overwrite-output-dir' -- \
        finetune --config "$dir/p/config.yaml" --learning-rate 1e-2
    refused 73 "$dir/p: is not empty" -- finetune --config "$dir/p/config.yaml" --resume never
}

@test "two writers: the second is refused with host and process of the first" {
    "$xlmr" finetune --model "$model" --train-file "$train" --max-steps 1000000 --quiet --output-dir "$dir/p" >/dev/null 2>&1 3>&- &
    pid=$!
    for _ in $(seq 200); do
        if [ -s "$dir/p/metrics.jsonl" ]; then break; fi
        sleep 0.05
    done
    refused 75 "$dir/p: another process writes to this run (host $(uname -n), pid $pid)" -- \
        finetune --model "$model" --train-file "$train" --max-steps 1000000 --quiet --output-dir "$dir/p"
    refused 75 "pid $pid" -- finetune --model "$model" --train-file "$train" --quiet --output-dir "$dir/p" --overwrite-output-dir
    kill -KILL $pid
    wait $pid || true
    # A dead writer holds nothing.
    status=0
    "$xlmr" finetune --model "$model" --train-file "$train" --max-steps 1000000 --max-time 1s --quiet --output-dir "$dir/p" 2>"$dir/err" || status=$?
    cat "$dir/err"
    [ $status -eq 75 ]
}

# without_locks CAUSE COMMAND...: run, where flock fails with CAUSE.
without_locks() {
    run -0 --separate-stderr env LD_PRELOAD="$shim" XLMR_FAULT="flock:1+:$1" XLMR_FAULT_LOG="$dir/calls" "$xlmr" "${@:2}"
}

# said_once WHAT WHY: one warning, with file, cause and what to take care of, though there was more than one lock to take.
said_once() {
    [ "$(grep -c 'cannot be locked' <<<"$stderr")" -eq 1 ]
    [[ "$stderr" == *"xlmr: warning: $1: cannot be locked here: $2; see to it that no second xlmr is started with the same output directory"* ]]
}

@test "a file system without locks: a warning, once, and the same results" {
    local cause=(ENOLCK 'No locks available' ENOSYS 'Function not implemented' EOPNOTSUPP 'Operation not supported' EINVAL 'Invalid argument')
    find_shim
    tune "$dir/ref" >/dev/null
    for k in 0 2 4 6; do
        as="env LD_PRELOAD=$shim XLMR_FAULT=flock:1+:${cause[k]}" run -0 --separate-stderr tune "$dir/p"
        said_once "$dir/p/lock" "${cause[k + 1]}"
        same_results "$dir/ref" "$dir/p"
        rm -r "$dir/p"
    done
    head -300 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/en.txt"
    without_locks ENOLCK prepare --quiet --model "$model" --output-dir "$dir/store" "$dir/en.txt"
    said_once "$dir/store" 'No locks available'
    [ "$(grep -c '^flock ' "$dir/calls")" -gt 1 ]
    run -0 "$xlmr" verify "$dir/store"
    for part in 1 2; do
        without_locks ENOLCK prepare --quiet --model "$model" --output-dir "$dir/parts" --shard $part/2 "$dir/en.txt" "$train"
    done
    without_locks ENOLCK prepare --quiet --merge --output-dir "$dir/parts"
    said_once "$dir/parts" 'No locks available'
}

@test "a model put aside by one who was killed comes back, and does not go when it cannot be known whether another is there" {
    find_shim
    tune "$dir/p" --max-time 0.05s >/dev/null 2>&1 || true
    rm -rf "$dir/p/best"
    mkdir "$dir/p/best.was-99" && echo model >"$dir/p/best.was-99/config.json"
    as="env LD_PRELOAD=$shim XLMR_FAULT=stat:1:EIO XLMR_FAULT_UNDER=$dir/p/best" run -74 --separate-stderr tune "$dir/p"
    [[ "$stderr" == *"$dir/p/best: cannot be looked at: Input/output error"* ]]
    [ "$(cat "$dir/p/best.was-99/config.json")" = model ]
    as="env LD_PRELOAD=$shim XLMR_FAULT_LOG=$dir/calls" tune "$dir/p" >/dev/null
    grep -q "^rename $dir/p/best.was-99\$" "$dir/calls"
    no_leftovers "$dir/p"
}

@test "a log that the disk did not confirm is written again before the next checkpoint counts on it" {
    find_shim
    tune "$dir/ref" >/dev/null
    as="env LD_PRELOAD=$shim XLMR_FAULT=fsync:1:EIO XLMR_FAULT_UNDER=$dir/p/metrics XLMR_FAULT_LOG=$dir/calls" run -0 --separate-stderr tune "$dir/p"
    [[ "$stderr" == *"step 3: no checkpoint was written: $dir/p/metrics.jsonl: writing failed: Input/output error; training goes on"* ]]
    same_results "$dir/ref" "$dir/p"
    # After the first fsync the file is opened again, and what is written has the next fsync to itself.
    awk '$1 == "fsync" { n++ } n == 1 && $1 != "write" { print $1 } n == 2 { exit }' "$dir/calls" >"$dir/between"
    grep -q '^open$' "$dir/between"
}

@test "killed before there was anything: what is left is no run, and in nobody's way" {
    mkdir -p "$dir/p/config.yaml.tmp-1" && : >"$dir/p/lock"
    tune "$dir/p" --max-steps 7 >/dev/null
    no_leftovers "$dir/p"
}

@test "--max-time: exit 75 in time, and on with the same command" {
    tune "$dir/ref" --max-steps 40 >/dev/null
    local status=75 n=0
    while [ $status -eq 75 ] && [ $n -lt 40 ]; do
        status=0
        tune "$dir/p" --max-steps 40 --max-time 0.3s >/dev/null 2>"$dir/err" || status=$?
        [ $status -eq 0 ] || grep -q '^xlmr: error: stopped by --max-time after update [0-9]* of 40; the same command goes on from ' "$dir/err"
        n=$((n + 1))
    done
    cat "$dir/err"
    [ $status -eq 0 ]
    cmp "$dir/ref/metrics.jsonl" "$dir/p/metrics.jsonl"
    cmp "$dir/ref/final/model.safetensors" "$dir/p/final/model.safetensors"
}

@test "moments in bf16: stopped and gone on with other threads, the same bytes, smaller checkpoints that inspect reads; refused for another recipe and for sgd" {
    tune "$dir/ref" --moments bf16 >/dev/null
    tune "$dir/f32" >/dev/null
    ! cmp -s "$dir/ref/final/model.safetensors" "$dir/f32/final/model.safetensors"
    [ "$(stat -c %s "$dir/ref/checkpoints/step-00000024/state.h5")" -lt "$(stat -c %s "$dir/f32/checkpoints/step-00000024/state.h5")" ]
    for threads in 1 3 2; do
        status=0
        tune "$dir/p" --moments bf16 --threads $threads --max-time 0.05s >/dev/null 2>&1 || status=$?
        [ $status -eq 75 ] || [ $status -eq 0 ]
    done
    tune "$dir/p" --moments bf16 >/dev/null
    same_results "$dir/ref" "$dir/p"
    "$xlmr" verify "$dir/p" >/dev/null
    "$xlmr" inspect "$dir/p/checkpoints/step-00000024" >"$dir/shown"
    grep -q 'moment1/classifier.dense.weight.*BF16' "$dir/shown"
    refused 78 'moments is "bf16" there and "f32" here' -- finetune --config "$dir/p/config.yaml" --moments f32
    refused 78 'moments: bf16 needs a rule that has some' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --optimizer sgd --moments bf16
}

@test "no room for checkpoints: the run goes on with a warning, and the third failure in a row ends it" {
    ( ulimit -f 800 && tune "$dir/a" --save-steps 10 ) >/dev/null 2>"$dir/err"
    cat "$dir/err"
    [ "$(grep -c '^xlmr: warning: step [12]0: no checkpoint was written: .*ulimit -f' "$dir/err")" -eq 2 ]
    tune "$dir/ref" --save-steps 10 >/dev/null
    cmp "$dir/ref/final/model.safetensors" "$dir/a/final/model.safetensors"
    status=0
    ( ulimit -f 800 && tune "$dir/b" ) >/dev/null 2>"$dir/err" || status=$?
    cat "$dir/err"
    [ $status -eq 74 ]
    grep -q '^xlmr: error: step 9: 3 checkpoints in a row could not be written: ' "$dir/err"
    no_leftovers "$dir/b"
    # With room again it goes on; there is no checkpoint, so from the beginning.
    tune "$dir/b" >/dev/null
    cmp "$dir/ref/final/model.safetensors" "$dir/b/final/model.safetensors"
}

@test "other kernels: a warning that bits may differ, refused with --require-exact" {
    status=0
    tune "$dir/p" --max-time 0.001s >/dev/null 2>&1 || status=$?
    [ $status -eq 75 ]
    XR_ISA=portable run -65 --separate-stderr tune "$dir/p" --require-exact
    if ! "$xlmr" doctor --json | grep -q '"used":"portable"'; then
        [[ $stderr =~ step-00000001:\ was\ saved\ with\ other\ kernels\ .*,\ so\ what\ follows\ would\ not\ be\ the\ same\ to\ the\ last\ bit ]]
        [ -d "$dir/p/checkpoints/step-00000001" ] && [ ! -d "$dir/p/final" ]
    fi
    XR_ISA=portable tune "$dir/p" >/dev/null 2>"$dir/err"
    if "$xlmr" doctor --json | grep -q '"used":"portable"'; then skip "this machine has no other kernels"; fi
    grep -q '^xlmr: warning: .*step-00000001: was saved with other kernels (.*; here portable, .*agrees up to rounding' "$dir/err"
}

@test "an OpenBLAS of an older instruction set than ours multiplies no layer: any such core, any threads, the same weights" {
    if "$xlmr" doctor --json | grep -q '"possible":"portable"'; then skip "no instruction set is older than this machine's"; fi
    OPENBLAS_CORETYPE=Prescott tune "$dir/a" >/dev/null 2>"$dir/err"
    grep -q '^xlmr: warning: OPENBLAS_CORETYPE=Prescott makes OpenBLAS use its Prescott kernels .*unset OPENBLAS_CORETYPE' "$dir/err"
    OPENBLAS_CORETYPE=Sandybridge OMP_NUM_THREADS=2 tune "$dir/b" >/dev/null 2>&1
    cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
    # The portable kernels are older than no core, and leave it the products.
    for core in Prescott Sandybridge; do
        XR_ISA=portable OPENBLAS_CORETYPE=$core tune "$dir/$core" >/dev/null 2>&1
    done
    ! cmp -s "$dir/Prescott/final/model.safetensors" "$dir/Sandybridge/final/model.safetensors"
}

@test "checkpoints that stay: the newest two, every sixth update's, and that of the best evaluation" {
    tune "$dir/p" --keep-every 6 --metric loss --save-steps 1 >/dev/null
    best=$(sed -n 's/.*"best_step":\([0-9]*\).*/\1/p' "$dir/p/metrics.jsonl")
    for step in 6 12 18 23 24 "$best"; do printf 'step-%08d\n' "$step"; done | sort -u >"$dir/expected"
    ls "$dir/p/checkpoints" | diff "$dir/expected" -
}
