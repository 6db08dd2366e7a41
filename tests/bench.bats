#!/usr/bin/env bats
# What bench/works.sh makes of a run's log and of two profiles, on figures small enough to count by hand.

setup() { dir=$BATS_TEST_TMPDIR; }
works() { jq -L bench "$@"; }

@test "a training: medians of the steps behind the first, the fastest of them, the highest memory, work from rate and time" {
    for line in '1 1.0 900 9 9' '2 100 300 10 4' '3 110 200 30 4' '4 300 250 20 8'; do
        # shellcheck disable=SC2086  # words
        printf '{"step": %s, "tokens_per_s": %s, "peak_rss_mb": %s, "phase_ms": {"data": 1, "64 x 64 forward": %s}, "phase_gflops": {"64 x 64 forward": %s}}\n' $line
    done >"$dir/timing.jsonl"
    works -cs 'include "works"; training("w"; "f32")' "$dir/timing.jsonl" >"$dir/out"
    cat "$dir/out"
    jq -e '.tokens_per_s == 110 and .fastest == 300 and .peak_mb == 900 and .phases.data == {ms: 1, gflop: 0}
        and .phases["64 x 64 forward"].ms == 20 and (.phases["64 x 64 forward"].gflop - 0.12 | fabs) < 1e-9' "$dir/out"
}

@test "two inferences: what the second took beyond the first" {
    echo '{"wall_s": 2, "peak_rss_mb": 10, "rows": 100, "phases": [{"phase": "loading", "s": 1.5, "gflop": 0}, {"phase": "8 x 8 forward", "s": 0.5, "gflop": 1}]}
        {"wall_s": 4, "peak_rss_mb": 20, "rows": 300, "phases": [{"phase": "loading", "s": 1.4, "gflop": 0}, {"phase": "8 x 8 forward", "s": 2.5, "gflop": 5},
        {"phase": "data", "s": 0.1, "gflop": 0}]}' |
        works -es 'include "works"; marginal("w"; "f32") | .tokens_per_s == 100 and .peak_mb == 20 and .phases.loading.ms == 0
            and .phases["8 x 8 forward"] == {ms: 2000, gflop: 4} and (.phases.data.ms - 100 | fabs) < 1e-9'
}

@test "the table: shares of the peak of the kind, products of all precisions in one row, nothing for what is nowhere" {
    echo '{"work": "MLM", "short": "MLM", "precision": "f32", "tokens_per_s": 1234.56, "fastest": 1300, "peak_mb": 99.6,
            "phases": {"8 x 8 forward": {"ms": 750, "gflop": 100}, "data": {"ms": 250, "gflop": 0}, "saving": {"ms": 0.1, "gflop": 0}}}
        {"work": "MLM", "short": "MLM", "precision": "bf16", "tokens_per_s": 2000, "peak_mb": 50,
            "phases": {"8 x 8 forward bf16": {"ms": 300, "gflop": 90}, "8 x 8 forward": {"ms": 100, "gflop": 10}}}' |
        works -rs 'include "works"; works({f32: 200, bf16: 500, sgemm: 160}), "", phases' >"$dir/out"
    cat "$dir/out"
    # 100 in 1.0001 s; 100 in 0.4 s
    grep -qE '^MLM +f32 +1234\.6 +1300\.0 +100\.0 +50 % +62 % +100$' "$dir/out"
    grep -qE '^MLM +bf16 +2000\.0 +250\.0 +50 % +156 % +50$' "$dir/out"
    grep -qE '^8 x 8 forward +75\.0 % +133 +100\.0 % +250$' "$dir/out"
    grep -qE '^data +25\.0 % +$' "$dir/out"
    [ "$(grep -c "^saving" "$dir/out")" -eq 0 ]
}

@test "precisions: what is there is not made again; means of windows, differences in pairs of one seed, ranges over seeds" {
    for seed in 1 2; do
        for kind in f32 bf16; do
            # losses 10 - seed - step / 100, bf16 1 / 64 and 3 / 64 above; held out 2 and 3, bf16 a half and a quarter below
            awk -v s=$seed -v b=$([ $kind = bf16 ] && echo 1 || echo 0) 'BEGIN {
                for (step = 10; step <= 50; step += 10) printf "{\"step\": %d, \"loss\": %.9f}\n", step, 10 - s - step / 100 + b * (2 * s - 1) / 64
                printf "{\"event\": \"eval\", \"step\": 0, \"loss\": 9}\n{\"event\": \"eval\", \"step\": 50, \"loss\": %.9f}\n{\"event\": \"end\"}\n", s + 1 - b / (2 * s) }' \
                >"$dir/mlm-1e-3-50-$kind-s$seed.jsonl"
        done
    done
    bench/precisions.py "$dir" mlm tag --seeds 1,2 --rates 1e-3 --updates 50 --kinds 'f32; bf16' --xlmr false >"$dir/out" 2>"$dir/err"
    cat "$dir/out" "$dir/err"
    grep -qF '| updates 11 to 20 | 8.8000 7.8000 | 1.0000 | +0.0156 +0.0469 | +0.0312 |' "$dir/out"
    grep -qF '| updates 21 to 50 | 8.6000 7.6000 | 1.0000 | +0.0156 +0.0469 | +0.0312 |' "$dir/out"
    grep -qF '| held out | 2.0000 3.0000 | 1.0000 | -0.5000 -0.2500 | -0.3750 |' "$dir/out"
    grep -qF '| perplexity | 7.4 20.1 | 12.7 | -2.9 -4.4 | -3.7 |' "$dir/out"
    grep -q '^tag is left out: no --model' "$dir/err" || grep -q '^tag is left out: .*XLMR_DATA' "$dir/err"
}
