#!/usr/bin/env bats
# What bench/works.sh makes of a run's log and of two profiles, on figures small enough to count by hand.

setup() { dir=$BATS_TEST_TMPDIR; }
works() { jq -L bench "$@"; }

@test "a training: medians of the steps behind the first, the highest memory, work from rate and time" {
    for line in '1 1.0 900 9 9' '2 100 300 10 4' '3 110 200 30 4' '4 300 250 20 8'; do
        # shellcheck disable=SC2086  # words
        printf '{"step": %s, "tokens_per_s": %s, "peak_rss_mb": %s, "phase_ms": {"data": 1, "64 x 64 forward": %s}, "phase_gflops": {"64 x 64 forward": %s}}\n' $line
    done >"$dir/timing.jsonl"
    works -cs 'include "works"; training("w"; "f32")' "$dir/timing.jsonl" >"$dir/out"
    cat "$dir/out"
    jq -e '.tokens_per_s == 110 and .peak_mb == 900 and .phases.data == {ms: 1, gflop: 0}
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
    echo '{"work": "MLM", "short": "MLM", "precision": "f32", "tokens_per_s": 1234.56, "peak_mb": 99.6,
            "phases": {"8 x 8 forward": {"ms": 750, "gflop": 100}, "data": {"ms": 250, "gflop": 0}, "saving": {"ms": 0.1, "gflop": 0}}}
        {"work": "MLM", "short": "MLM", "precision": "bf16", "tokens_per_s": 2000, "peak_mb": 50,
            "phases": {"8 x 8 forward bf16": {"ms": 300, "gflop": 90}, "8 x 8 forward": {"ms": 100, "gflop": 10}}}' |
        works -rs 'include "works"; works({f32: 200, bf16: 500, sgemm: 160}), "", phases' >"$dir/out"
    cat "$dir/out"
    # 100 in 1.0001 s; 100 in 0.4 s
    grep -qE '^MLM +f32 +1234\.6 +100\.0 +50 % +62 % +100$' "$dir/out"
    grep -qE '^MLM +bf16 +2000\.0 +250\.0 +50 % +156 % +50$' "$dir/out"
    grep -qE '^8 x 8 forward +75\.0 % +133 +100\.0 % +250$' "$dir/out"
    grep -qE '^data +25\.0 % +$' "$dir/out"
    [ "$(grep -c "^saving" "$dir/out")" -eq 0 ]
}
