#!/usr/bin/env bats
# --precision bf16 on verbs that only compute: close to f32 and not f32, the same bits at any number of threads, a warning where it is slow.

load helpers

setup_file() { make_tiny_model; }
setup() {
    common_setup
    head -40 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/t"
}

vectors() { "$xlmr" features --quiet --model "$model" --pooling mean --output "$dir/$1" "${@:2}" "$dir/t"; }

# near A B LEAST MOST: the relative difference of all numbers in two files.
near() {
    for f in "$1" "$2"; do tr -c '0-9.e+-' '\n' <"$f" | grep '\.' >"$f.numbers"; done
    paste "$1.numbers" "$2.numbers" | awk -v least="$3" -v most="$4" '
        { d = $1 - $2; s += d * d; t += $1 * $1 }
        END { r = sqrt(s / t); print "relative difference:", r, "of", NR; exit !(NR >= 1000 && r > least && r < most) }'
}

@test "vectors are near those of f32, and other numbers; the same at any number of threads" {
    vectors f.jsonl
    vectors b.jsonl --precision bf16
    near "$dir/f.jsonl" "$dir/b.jsonl" 1e-5 0.02
    vectors 3.jsonl --precision bf16 --threads 3
    cmp "$dir/b.jsonl" "$dir/3.jsonl"
}

@test "fill-mask computes in bf16: other scores, near those of f32" {
    for p in f32 bf16; do "$xlmr" fill-mask --model "$model" --json --top-k 1000 --precision $p 'the <mask> sat' >"$dir/$p"; done
    ! cmp -s "$dir/f32" "$dir/bf16"
    for p in f32 bf16; do grep -o '"score": *[0-9.e-]*' "$dir/$p" | head -1 >"$dir/$p.top"; done
    paste "$dir/f32.top" "$dir/bf16.top" | awk -F'[:\t]' '{ print; exit !($2 > 0 && $4 / $2 > 0.99 && $4 / $2 < 1.01) }'
}

@test "without the instruction: a warning, and results as near as rounding lets them be" {
    vectors b.jsonl --precision bf16
    XR_ISA=portable vectors p.jsonl --precision bf16 2>"$dir/err"
    cat "$dir/err"
    grep -q '^xlmr: warning: precision bf16: no AVX512-BF16 .*f32 is faster here$' "$dir/err"
    near "$dir/b.jsonl" "$dir/p.jsonl" -1 5e-3
}

@test "the sums of AMX, by tiles or by what stands for them: near those of others, and other numbers; the same at any number of threads" {
    "$xlmr" doctor --json | grep -qE '"possible": *"(avx512|amx)"' || skip "this machine has no AVX-512"
    XR_ISA=avx512 vectors b.jsonl --precision bf16
    XR_ISA=amx vectors a.jsonl --precision bf16 2>"$dir/err"
    "$xlmr" doctor --json | grep -q '"possible": *"amx"' || grep -q '^xlmr: warning: precision bf16: no AMX on this CPU.*f32 is faster here$' "$dir/err"
    near "$dir/b.jsonl" "$dir/a.jsonl" 0 5e-3
    XR_ISA=amx vectors 3.jsonl --precision bf16 --threads 3
    cmp "$dir/a.jsonl" "$dir/3.jsonl"
    for isa in avx512 amx; do XR_ISA=$isa vectors $isa.jsonl; done      # f32 knows no difference
    cmp "$dir/avx512.jsonl" "$dir/amx.jsonl"
}
