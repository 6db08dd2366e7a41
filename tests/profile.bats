#!/usr/bin/env bats
# --profile: where the time went, on standard error and in timing.jsonl; the results are the same bytes with it and without.

load helpers

setup_file() { make_tiny_model; }
setup() {
    common_setup
    recipe=(--model "$model" --train-file "$train" --max-steps 4 --batch-size 8 --learning-rate 1e-3 --logging-steps 2 --quiet)
}

# rows FILE: the names of the table, digits as N.
rows() { sed -n '/^where the time went/,$p' "$1" | sed -E 's/  +[0-9].*//; s/[0-9]+ x [0-9]+/N x N/' | sort -u; }

@test "a table at the end of training, and the phases of each window in timing.jsonl" {
    "$xlmr" finetune "${recipe[@]}" --profile --output-dir "$dir/r" >"$dir/out" 2>"$dir/err"
    cat "$dir/err"
    for name in 'N x N forward' 'N x N input gradient' 'N x N weight gradient' attention elementwise embedding head data optimizer saving loading \
        'products with weights together' all; do
        rows "$dir/err" | grep -qxF "$name"
    done
    # the parts make the whole: shares of all but the two sums
    awk '/^where/ { on = 1; next } on && /^(products with|all )/ { next } on { for (i = 1; i <= NF; i++) if ($i == "%") sum += $(i - 1) }
        END { print sum; exit !(sum > 98 && sum < 102) }' "$dir/err"
    [ "$(wc -l <"$dir/r/timing.jsonl")" -eq 2 ]
    jq -es 'all(.[]; .phase_ms.attention > 0 and .phase_ms.optimizer > 0 and .phase_gflops["64 x 64 forward"] > 0)
        and all(.[]; ([.phase_ms[]] | add) <= 1.001 * .step_ms + 0.1 or .step == 2)' "$dir/r/timing.jsonl"
}

@test "the results are the same bytes with it" {
    "$xlmr" finetune "${recipe[@]}" --profile --output-dir "$dir/with" >"$dir/out" 2>"$dir/err"
    "$xlmr" finetune "${recipe[@]}" --output-dir "$dir/without" >"$dir/out" 2>"$dir/err"
    [ ! -s "$dir/err" ]
    cmp "$dir/with/metrics.jsonl" "$dir/without/metrics.jsonl"
    cmp "$dir/with/final/model.safetensors" "$dir/without/final/model.safetensors"
    jq -e '.phase_ms == null' "$dir/without/timing.jsonl" >"$dir/out"
}

@test "a run with it goes on from its checkpoint, its long lines kept" {
    "$xlmr" finetune "${recipe[@]}" --profile --save-steps 2 --output-dir "$dir/r" >"$dir/out" 2>"$dir/err"
    [ "$(head -1 "$dir/r/timing.jsonl" | wc -c)" -gt 1024 ]
    first=$(head -1 "$dir/r/timing.jsonl")
    rm -r "$dir/r/checkpoints/step-00000004" "$dir/r/final"
    "$xlmr" finetune "${recipe[@]}" --profile --save-steps 2 --output-dir "$dir/r" >"$dir/out" 2>"$dir/err"
    [ "$(head -1 "$dir/r/timing.jsonl")" = "$first" ]
    [ "$(wc -l <"$dir/r/timing.jsonl")" -eq 2 ]
}

@test "with --json one object on standard error; on a failure too, after whose time was spent" {
    echo 'the cat sat' >"$dir/t"
    "$xlmr" features --quiet --model "$model" --profile --json --output "$dir/v.jsonl" "$dir/t" >"$dir/out" 2>"$dir/err"
    jq -e '.wall_s > 0 and .peak_rss_mb > 1 and (.wall_s - ([.phases[].s] | add) | fabs) < 1e-6 and any(.phases[]; .phase == "data")
        and any(.phases[]; .phase == "64 x 64 forward" and .gflop > 0)' "$dir/err"
    run -66 --separate-stderr "$xlmr" features --quiet --model "$model" --profile --output "$dir/v.jsonl" "$dir/missing"
    [[ $stderr == *'where the time went'*'error: '* ]]
}
