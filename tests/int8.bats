#!/usr/bin/env bats
# --precision int8: close to f32 and not f32, the same bits at any number of threads, on every verb that only computes; training refuses it.

load helpers

setup_file() { make_tiny_model; }
setup() {
    common_setup
    head -40 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/t"
}

vectors() { "$xlmr" features --quiet --model "$model" --pooling mean --output "$dir/$1" "${@:2}" "$dir/t"; }

@test "vectors are near those of f32, and other numbers" {
    vectors f.jsonl
    vectors i.jsonl --precision int8
    for f in f i; do tr -c '0-9.e+-' '\n' <"$dir/$f.jsonl" | grep '\.' >"$dir/$f"; done
    [ "$(wc -l <"$dir/f")" -ge $((40 * 64)) ]
    paste "$dir/f" "$dir/i" | awk '{ d = $1 - $2; s += d * d; t += $1 * $1 } END { r = sqrt(s / t); print "relative difference:", r; exit !(r > 1e-5 && r < 0.02) }'
}

@test "the same bits at any number of threads" {
    vectors 1.jsonl --precision int8 --threads 1
    vectors 3.jsonl --precision int8 --threads 3
    cmp "$dir/1.jsonl" "$dir/3.jsonl"
}

@test "fill-mask computes in int8: the same words, other scores" {
    local mask='the <mask> sat'
    "$xlmr" fill-mask --model "$model" --json --top-k 1000 --precision int8 "$mask" >"$dir/i"
    "$xlmr" fill-mask --model "$model" --json --top-k 1000 "$mask" >"$dir/f"
    [ "$(grep -o '"token"' "$dir/i" | wc -l)" -eq "$(grep -o '"token"' "$dir/f" | wc -l)" ]
    ! cmp "$dir/f" "$dir/i"
}

@test "predict and evaluate of a classifier" {
    "$xlmr" finetune --quiet --model "$model" --task classify --train-file "$train" --validation-file "$dev" --num-epochs 1 --output-dir "$dir/run"
    cut -f1 "$dev" | tail -n +2 | sed 's/.*/{"text": "&"}/' >"$dir/in.jsonl"
    "$xlmr" predict --model "$dir/run/best" --output "$dir/f.jsonl" "$dir/in.jsonl"
    "$xlmr" predict --model "$dir/run/best" --precision int8 --output "$dir/i.jsonl" "$dir/in.jsonl"
    [ "$(wc -l <"$dir/i.jsonl")" -eq 32 ]
    ! cmp -s "$dir/f.jsonl" "$dir/i.jsonl"
    grep -o '"label": *"[a-z]*"' "$dir/f.jsonl" >"$dir/f"
    grep -o '"label": *"[a-z]*"' "$dir/i.jsonl" >"$dir/i"
    paste "$dir/f" "$dir/i" | awk -F'\t' '{ same += $1 == $2 } END { print same, "of", NR, "labels"; exit !(NR >= 32 && same >= NR - 1) }'
}

@test "training refuses int8, and layers too wide for its sums are refused" {
    refused 2 '--precision "int8" is not a choice' 'f32, bf16' -- \
        finetune --model "$model" --task classify --train-file "$train" --output-dir "$dir/o" --precision int8
    sed 's/"intermediate_size": *[0-9]*/"intermediate_size": 70000/' "$model/config.json" >"$dir/c.json"
    "$xlmr" init --quiet --config-json "$dir/c.json" --tokenizer "$BATS_FILE_TMPDIR/spm.model" --output-dir "$dir/wide"
    refused 2 'sums over 70000 numbers' '66000 at most' -- features --model "$dir/wide" --precision int8 --output "$dir/o" "$dir/t"
    rm -r "$dir/wide"
}
