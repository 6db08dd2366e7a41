#!/usr/bin/env bats
# xlmr inspect, verify and export of a run's checkpoints, as commands: tables, exit codes, damage, runs that were moved.

load helpers

setup_file() {
    export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
    unset OPENBLAS_CORETYPE
    make_tiny_model
    local xlmr
    xlmr=$(realpath "${XLMR_BUILD:-build}")/xlmr
    cd "$BATS_FILE_TMPDIR" || return
    "$xlmr" prepare --quiet --model model --lang en --output-dir store corpus.txt >/dev/null
    "$xlmr" pretrain --quiet --model model --train-data store --block-length 32 --batch-size 4 --max-steps 6 --save-steps 2 --save-total-limit 0 \
        --learning-rate 1e-3 --output-dir runs/one >/dev/null
}

setup() {
    common_setup
    xlmr=$(realpath "$xlmr")
    cp -r "$BATS_FILE_TMPDIR/runs/one" "$dir/run"
    steps=$dir/run/checkpoints
}

# flip FILE BYTE: another byte there.
flip() {
    local old
    old=$(od -An -tu1 -j"$2" -N1 "$1")
    printf "\\x$(printf %x $((old ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "inspect: a table of a run, of a checkpoint as JSON" {
    run -0 --separate-stderr "$xlmr" inspect "$dir/run"
    grep -q "^$dir/run: run directory" <<<"$output"
    grep -q '^  learning_rate  *0.001' <<<"$output"
    grep -q '^  step 4  *good' <<<"$output"
    grep -q '^roberta.embeddings.word_embeddings.weight  *\[100, 64\]  *F32 .* 0$' <<<"$output"
    run -0 --separate-stderr "$xlmr" inspect --json "$steps/step-00000004"
    grep -q '"kind":"checkpoint","step":4' <<<"$output"
    grep -q '"name":"run/step","shape":\[1\],"type":"U64","norm":4.0,"min":4.0,"max":4.0,"non_finite":0' <<<"$output"
    refused 2 'no path given' -- inspect
    refused 66 'does not exist' -- inspect "$dir/none"
}

@test "inspect --diff: 0 when equal, 1 with what differs when not" {
    run -0 --separate-stderr "$xlmr" inspect --diff "$dir/run" "$BATS_FILE_TMPDIR/runs/one"
    [ "${lines[2]}" = equal ]
    run -0 "$xlmr" inspect "$dir/run/final" --diff "$steps/step-00000006"
    run -1 --separate-stderr "$xlmr" inspect --diff "$steps/step-00000004" "$steps/step-00000006"
    [ -z "$stderr" ]
    grep -q '^first tensor that differs: moment0/lm_head.bias, element 0: ' <<<"$output"
    grep -q '^step: 4 in the first, 6 in the second' <<<"$output"
    run -1 --separate-stderr "$xlmr" inspect --json --diff "$steps/step-00000004" "$steps/step-00000006"
    grep -q '"equal":false' <<<"$output"
    refused 2 'compares two paths' -- inspect --diff "$dir/run"
}

@test "verify: whole things pass; damage is named with its file, exit 65" {
    run -0 --separate-stderr "$xlmr" verify "$dir/run" "$BATS_FILE_TMPDIR/store" "$BATS_FILE_TMPDIR/model"
    run ! grep -q '^BAD' <<<"$output"
    flip "$steps/step-00000004/state.h5" 5000
    truncate -s 300000 "$dir/run/final/model.safetensors"
    rm "$steps/step-00000002/MANIFEST.json"
    run -65 --separate-stderr "$xlmr" verify "$dir/run"
    grep -q "^BAD  $steps/step-00000004/state.h5: digest mismatch" <<<"$output"
    grep -q "^BAD  $steps/step-00000002: is not a checkpoint: it has no MANIFEST.json" <<<"$output"
    grep -q "^BAD  $dir/run/final/model.safetensors: .*reach to" <<<"$output"
    grep -q "^BAD  $dir/run/final/model.safetensors: has 300000 bytes, the manifest says" <<<"$output"
    [ "$(grep -c '^BAD' <<<"$output")" -eq 4 ]
    grep -q "4 of [0-9]* checks failed" <<<"$stderr"
    run -65 --separate-stderr "$xlmr" verify --json "$dir/run"
    grep -q '"ok":false,"bad":4,"checks":\[' <<<"$output"
    run -65 --separate-stderr "$xlmr" verify "$dir/none" "$BATS_FILE_TMPDIR/model"      # the others are looked at all the same
    [[ $stderr == *"none"*"does not exist"* && $output == *"ok "*"model"* ]]
    refused 66 'does not exist' -- verify "$dir/none"
    refused 65 'is no run directory' -- verify "$BATS_FILE_TMPDIR/runs"
}

@test "verify: best, final and exports carry digests; whoever edits a file is told, and may go on" {
    "$xlmr" export --quiet --from "$dir/run" --average 2 --output-dir "$dir/mean"
    for m in "$dir/run/final" "$dir/mean" "$BATS_FILE_TMPDIR/model"; do
        run -0 --separate-stderr "$xlmr" verify "$m"
        grep -q "^ok   $m/model.safetensors: digest" <<<"$output"
        flip "$m/model.safetensors" $(($(stat -c %s "$m/model.safetensors") - 4))    # the lowest byte of a number: finite as before
        run -65 --separate-stderr "$xlmr" verify "$m"
        grep -q "^BAD  $m/model.safetensors: digest mismatch" <<<"$output"
        [ "$(grep -c '^BAD' <<<"$output")" -eq 1 ]
        flip "$m/model.safetensors" $(($(stat -c %s "$m/model.safetensors") - 4))
    done
    sed -i 's/"hidden_dropout_prob": [0-9.]*/"hidden_dropout_prob": 0.25/' "$dir/mean/config.json"
    echo note >"$dir/mean/notes.txt"
    run -65 --separate-stderr "$xlmr" verify "$dir/mean"
    grep -q "^BAD  $dir/mean/config.json: .*; put the file back, or remove digests.json if you changed it yourself" <<<"$output"
    grep -q "^ok   $dir/mean/notes.txt: is not in digests.json" <<<"$output"
    "$xlmr" fill-mask --model "$dir/mean" '<mask> fox' >/dev/null
    rm "$dir/mean/digests.json"
    run -0 --separate-stderr "$xlmr" verify "$dir/mean"
    grep -q "^ok   $dir/mean: has no digests.json" <<<"$output"
    rm "$dir/mean/notes.txt"
    for again in 1 2; do "$xlmr" export --quiet --from "$dir/run" --output-dir "$dir/mean" --overwrite-output-dir; done
    cmp "$dir/mean/digests.json" "$dir/run/final/digests.json"
}

@test "export: a run that has only checkpoints gives its newest good one, from anywhere" {
    rm -r "$dir/run/final"
    mkdir "$dir/a" && mv "$dir/run" "$dir/a/renamed" && cp -r "$BATS_FILE_TMPDIR/model" "$dir/model"
    mv "$BATS_FILE_TMPDIR/model" "$BATS_FILE_TMPDIR/away"
    "$xlmr" export --from "$dir/a/renamed" --output-dir "$dir/newest"
    cmp "$dir/newest/model.safetensors" "$BATS_FILE_TMPDIR/runs/one/final/model.safetensors"
    flip "$dir/a/renamed/checkpoints/step-00000006/state.h5" 5000
    "$xlmr" export --from "$dir/a/renamed" --output-dir "$dir/fourth" 2>"$dir/err"
    grep -q 'step 6 is left out' "$dir/err"
    "$xlmr" inspect --diff "$dir/fourth" "$dir/a/renamed/checkpoints/step-00000004"
    mv "$dir/model" "$dir/gone"
    refused 66 'relative to where the run was started' -- export --from "$dir/a/renamed" --output-dir "$dir/o"
    mv "$BATS_FILE_TMPDIR/away" "$BATS_FILE_TMPDIR/model"
}

@test "export --average: of a run, up to a checkpoint; too many are refused" {
    cd "$BATS_FILE_TMPDIR"
    "$xlmr" export --from "$steps/step-00000004" --average 2 --output-dir "$dir/two"
    "$xlmr" export --from runs/one --average 3 --output-dir "$dir/three"
    run -1 "$xlmr" inspect --diff "$dir/two" "$dir/three"
    run -1 "$xlmr" inspect --diff "$dir/two" "$steps/step-00000004"
    refused 65 'has 3 good checkpoints to take, not 4' -- export --from runs/one --average 4 --output-dir "$dir/o"
    refused 2 '--average takes a run' -- export --from model --average 2 --output-dir "$dir/o"
}
