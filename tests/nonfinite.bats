#!/usr/bin/env bats
# Updates that are not finite and updates computed twice, from outside: what the files say, and that the run is what it is without.

load helpers

setup_file() { make_tiny_model; }

setup() { common_setup; }

# float_at TENSOR INDEX WORD: a float of $dir/m's tensor, as little-endian hexadecimal bytes (\x..).
float_at() {
    local file=$dir/m/model.safetensors n at
    n=$(od -An -tu4 -N4 "$file" | tr -d ' ')
    at=$(head -c $((8 + n)) "$file" | tail -c "$n" | jq --arg t "$1" '.[$t].data_offsets[0]')
    printf '%b' "$3" | dd of="$file" bs=1 seek=$((8 + n + at + 4 * $2)) conv=notrunc status=none
}

# diverges TEXT... -- ARGUMENTS...: exit 80 and these texts in the message.
diverges() {
    local status=0
    local -a texts=()
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    "$xlmr" "$@" --quiet >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    cat "$dir/err"
    [ "$status" -eq 80 ]
    for text in "${texts[@]}"; do grep '^xlmr: error: ' "$dir/err" | grep -qF -- "$text"; done
}

@test "an infinity in one named tensor of the model: it is named, with the batch that --dump-batches shows" {
    local name=roberta.encoder.layer.1.attention.output.dense.weight file=$dir/r/nonfinite/step-00000001.json
    copy_model
    float_at $name 100 '\x00\x00\x80\x7f'
    diverges "Not finite first: the parameter $name (0 NaN and 1 infinite of 4096 values)" "$file" -- \
        finetune --model "$dir/m" --train-file "$train" --output-dir "$dir/r" --micro-batch-size 20 --dump-batches "$dir/batches"
    jq -e --arg n $name '.not_finite[0] == (.not_finite[0] + {kind: "parameter", name: $n, shape: [64, 64], first: [1, 36], nan: 0, inf: 1})' "$file"
    jq -e '[.not_finite[].kind] == ["parameter", "activation", "loss", "gradient"] and .step == 1 and .loss == "nan" and .policy == "abort"' "$file"
    jq -e '.not_finite[1].name == "linear of roberta.encoder.layer.1.attention.output.dense"' "$file"
    jq -c '.batches[] | del(.lengths, .samples, .origin)' "$file" | diff - <(jq -c . "$dir/batches")
    jq -r '.batches[] | .origin[] | "\(.line)"' "$file" | while read -r line; do sed -n "${line}p" "$train"; done | cut -f2 >"$dir/labels"
    jq -r '.batches[].labels[] | if . == 0 then "neg" else "pos" end' "$file" | diff - "$dir/labels"
    jq -e '[.batches[].lengths[]] == [.batches[].ids[] | length]' "$file"
    jq -e '.parameters | length > 30 and all(.gradient == null or (.gradient | has("norm")))' "$file"
    "$xlmr" verify "$dir/r" >"$dir/out" || true
    run ! grep -q 'nonfinite' "$dir/out"
    no_leftovers "$dir/r"
}

@test "a run that grows without bound is stopped, and what grew is named" {
    local file
    sed 's/\tpos$/\t1e15/; s/\tneg$/\t-1e15/' "$train" >"$dir/values.tsv"
    diverges 'Not finite first: ' 'Lower the learning rate' -- finetune --model "$model" --train-file "$dir/values.tsv" --problem-type regression \
        --optimizer sgd --learning-rate 10 --max-grad-norm 0 --lr-scheduler constant --num-epochs 20 --output-dir "$dir/r"
    file=$(echo "$dir"/r/nonfinite/step-*.json)
    [ -f "$file" ]
    jq -e '.not_finite | length > 0' "$file"
    jq -e '.lr == 10' "$file"
}

@test "pretraining: the block, its language, store and shard are told" {
    copy_model
    float_at lm_head.dense.bias 3 '\x00\x00\xc0\x7f'
    cut -f1 "$train" >"$dir/en.txt"
    diverges 'Not finite first: the parameter lm_head.dense.bias (1 NaN' -- \
        pretrain --model "$dir/m" --train-data "$dir/en.txt" --block-length 32 --batch-size 8 --micro-batch-size 3 --max-steps 3 --output-dir "$dir/r"
    jq -e '[.batches[].origin[] | select(.language == "en" and .shard == "shard-00000.h5" and (.block | type) == "number")] | length == 8' \
        "$dir/r/nonfinite/step-00000001.json"
    diverges 'nonfinite/step-00000001.json' -- pretrain --model "$dir/m" --train-data "$dir/en.txt" --block-length 32 --batch-size 8 --max-steps 3 \
        --output-dir "$dir/r" --overwrite-output-dir
}

@test "--check-steps: no alarm, and the run is the same to the byte" {
    local how
    for how in '' '--precision bf16 --recompute --moments bf16' '--ema 0.9 --micro-batch-size 5 --group-by-length'; do
        rm -rf "$dir/a" "$dir/b"
        # shellcheck disable=SC2086 # options
        OMP_NUM_THREADS=1 "$xlmr" finetune --model "$model" --train-file "$train" --validation-file "$dev" --max-steps 5 --batch-size 16 --output-dir "$dir/a" \
            --quiet $how
        # shellcheck disable=SC2086
        OMP_NUM_THREADS=3 "$xlmr" finetune --model "$model" --train-file "$train" --validation-file "$dev" --max-steps 5 --batch-size 16 --output-dir "$dir/b" \
            --quiet --check-steps 2 --dump-batches "$dir/batches" $how
        cmp "$dir/a/metrics.jsonl" "$dir/b/metrics.jsonl"
        cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
        [ "$(jq -s 'map({step, micro}) | length == (unique | length)' "$dir/batches")" = true ]     # each batch once
        rm "$dir/batches"
    done
    cut -f1 "$train" >"$dir/en.txt"
    for how in '' --precision=bf16; do          # one micro-batch an update and no clipping: a late gradient
        rm -rf "$dir/a" "$dir/b"
        "$xlmr" pretrain --model "$model" --train-data "$dir/en.txt" --block-length 32 --batch-size 8 --max-steps 4 --output-dir "$dir/a" --quiet ${how:+"$how"}
        OMP_NUM_THREADS=2 "$xlmr" pretrain --model "$model" --train-data "$dir/en.txt" --block-length 32 --batch-size 8 --max-steps 4 --output-dir "$dir/b" \
            --quiet --check-steps 1 ${how:+"$how"}
        cmp "$dir/a/metrics.jsonl" "$dir/b/metrics.jsonl"
        cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
    done
}

@test "--check-steps and updates that are not finite: they are that, and no fault of the machine" {
    copy_model
    float_at lm_head.dense.bias 3 '\x00\x00\xc0\x7f'
    cut -f1 "$train" >"$dir/en.txt"
    diverges 'Not finite first: the parameter lm_head.dense.bias' -- \
        pretrain --model "$dir/m" --train-data "$dir/en.txt" --block-length 32 --batch-size 8 --max-steps 3 --output-dir "$dir/r" --check-steps 1
}

@test "tags, choices, questions: where each sequence of the batch comes from" {
    local file=nonfinite/step-00000001.json
    copy_model
    float_at roberta.encoder.layer.0.output.dense.bias 0 '\x00\x00\x80\xff'
    printf 'cat\tB-PER\nsat\tO\n\ndog\tO\nran\tB-PER\nfast\tO\n\nnice\tO\n' >"$dir/tags"
    diverges "$file" -- finetune --task tag --model "$dir/m" --train-file "$dir/tags" --max-steps 1 --output-dir "$dir/t"
    jq -e '[.batches[].origin[].line] | sort == [1, 4, 8]' "$dir/t/$file"
    printf '%s\n' '{"premise":"the cat sat","question":"cause","choice1":"a dog ran","choice2":"it was fast","label":0}' '' \
        '{"premise":"good film","question":"effect","choice1":"people open","choice2":"house dark","label":1}' >"$dir/choices"
    diverges "$file" -- finetune --task choice --model "$dir/m" --train-file "$dir/choices" --max-steps 1 --output-dir "$dir/c"
    jq -e '[.batches[].origin[] | [.line, .choice]] | sort == [[1, 0], [1, 1], [3, 0], [3, 1]]' "$dir/c/$file"
    echo '{"data":[{"paragraphs":[{"context":"the cat sat on a mat","qas":[{"id":"q7","question":"who sat?","answers":[{"text":"cat","answer_start":4}]}]}]}]}' >"$dir/squad"
    diverges "$file" -- finetune --task qa --model "$dir/m" --train-file "$dir/squad" --max-steps 1 --output-dir "$dir/q"
    jq -e --arg f "$dir/squad" '[.batches[].origin[] | [.question, .file]] == [["q7", $f]]' "$dir/q/$file"
}
