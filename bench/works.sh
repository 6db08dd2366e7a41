#!/bin/sh
# One table: what the whole program does a second in each work, how near that is to what the machine can do, in how much memory, and where the time goes.
#
#   works.sh [PART...]      peak mlm classify inference single threads; all by default
#
# mlm        updates of 4 blocks of 512 tokens, 15 % masked, dropout 0.1
# classify   steps of 32 XNLI pairs, dropout 0.1
# inference  hidden states of the last layer for 192 texts, several at a time
# single     the same for 64 texts, one at a time
# threads    steps of classify at 1, 2, 4, … threads: rates, and whether the bits are the same
#
# PRESET=base  STEPS=5 (of mlm; twice as many of classify; the first is not counted)  PRECISIONS='f32 bf16 int8' (those a work has)  THREADS=0 (all cores)  BUILD=build
# XLMR_DATA=FOLDER: real text and the tokenizer of 250,000 pieces (spm/, xnli/, text/wiki-paragraphs/); else text is made up, with 6,000 pieces.
# Rates are real tokens a second: medians over the steps of one process, and the fastest of them: where that is a tenth above, the machine was not idle, its
# neighbours' included; measure again. Of inference, time of all texts less that of the first few.
# shellcheck disable=SC2016  # jq programs
set -eu
unset OPENBLAS_CORETYPE
here=$(dirname "$0") build=${BUILD:-build}
xlmr=${XLMR:-$build/xlmr} data=${XLMR_DATA:-} steps=${STEPS:-5} threads=${THREADS:-0}
parts=${*:-peak mlm classify inference single threads}
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
trap 'exit 130' INT TERM

note() { echo "works: $*" >&2; }
wanted() { case " $parts " in *" $1 "*) ;; *) return 1 ;; esac; }

# Texts a line, pairs and labels as TSV (of all languages in turn, those of bench/peers.py), and a store of blocks of the same; a model of random weights.
real_data() {
    tokenizer=$data/spm/sentencepiece.bpe.rebuilt.model
    language=0
    for f in "$data"/xnli/dev-*.tsv.gz; do
        gzip -dc "$f" | head -800 | awk -F'\t' -v OFS='\t' -v language="$language" '{ sub(/^contradict.*/, "contradiction", $3) }
            NF == 3 && $3 ~ /^(entailment|neutral|contradiction)$/ && n++ >= 7 * language { print n - 7 * language, language, $0 }'
        language=$((language + 1))
    done | sort -n -k1,1 -k2,2 | cut -f3- >"$at/pairs"
    gzip -dc "$data"/text/wiki-paragraphs/*.txt.gz | head -6000 >"$at/text.txt"
}
made_up_data() {
    tokenizer=$at/spm.model
    awk -v seed=1 'function roll(n) { x = (x * 16807) % 2147483647; return x % n }
    function word(k,  w) { for (w = ""; k >= 0; k = int(k / 40) - 1) w = w syllable[k % 40]; return w }
    BEGIN { x = 1
        for (i = 0; i < 40; i++) syllable[i] = substr("bdfgklmnprstvz", 1 + i % 14, 1) substr("aeiou", 1 + i % 5, 1) (i % 3 ? "" : "n")
        for (n = 0; n < 30000; n++) { line = ""; for (j = 10 + roll(16); j > 0; j--) line = line " " word(int(exp(roll(1000000) / 105000)) % 12000); print substr(line, 2) "." } }' \
        >"$at/text.txt"
    awk 'NR % 2 { a = $0; next } { print a "\t" $0 "\t" (NR % 3 ? "neutral" : "entailment") }' "$at/text.txt" | head -2000 >"$at/pairs"
    "$xlmr" train-tokenizer --quiet --vocab-size 6000 --output "$tokenizer" "$at/text.txt" >/dev/null
}
make_inputs() {
    if [ -n "$data" ] && [ -f "$data/spm/sentencepiece.bpe.rebuilt.model" ]; then real_data; else made_up_data; fi
    { printf 'premise\thypothesis\tlabel\n'; head -$((64 * steps)) "$at/pairs"; } >"$at/train.tsv"
    head -192 "$at/pairs" | cut -f1,2 | tr '\t' ' ' >"$at/many"
    head -64 "$at/many" >"$at/first"
    head -4 "$at/many" >"$at/few"
    "$xlmr" init --quiet --preset "${PRESET:-base}" --tokenizer "$tokenizer" --output-dir "$at/model" >/dev/null
    if wanted mlm; then "$xlmr" prepare --quiet --lang en --model "$at/model" --output-dir "$at/store" "$at/text.txt" >/dev/null; fi
}

# has VERB PRECISION: whether this program knows it.
has() { [ "$2" = f32 ] || "$xlmr" "$1" --precision "$2" --print-config >/dev/null 2>&1; }
precision() { [ "$1" = f32 ] || printf -- '--precision %s' "$1"; }

# result SHORT FUNCTION FILES...: a line of the results.
result() {
    short=$1 function=$2
    shift 2
    jq -L "$here" -cs --arg short "$short" "include \"works\"; $function + {short: \$short}" "$@" >>"$at/results"
}

# train WORK VERB PRECISION STEPS ARGUMENTS...
train() {
    work=$1 verb=$2 p=$3 n=$4
    shift 4
    # shellcheck disable=SC2046  # one option and its value
    "$xlmr" "$verb" --model "$at/model" --output-dir "$at/run" --overwrite-output-dir --max-steps "$n" --logging-steps 1 --profile --quiet \
        --threads "$threads" $(precision "$p") "$@" >/dev/null 2>"$at/err" || { cat "$at/err" >&2; exit 1; }
    result "${work%%,*}" "training(\"$work\"; \"$p\")" "$at/run/timing.jsonl"
}

# infer NAME PRECISION TEXTS ARGUMENTS...: {wall_s, phases, rows, peak_mb} of one process in $at/NAME.
infer() {
    name=$1 p=$2 texts=$3
    shift 3
    # shellcheck disable=SC2046
    "$xlmr" features --model "$at/model" --output "$at/vectors.h5" --profile --json --quiet --threads "$threads" $(precision "$p") "$@" "$texts" \
        >"$at/out" 2>"$at/err" || { cat "$at/err" >&2; exit 1; }
    jq -cs '.[0] + {rows: .[1].rows}' "$at/err" "$at/out" >"$at/$name"
}
infer_pair() {
    work=$1 p=$2 few=$3 all=$4
    shift 4
    infer before "$p" "$few" "$@"
    infer after "$p" "$all" "$@"
    result "${work#*, }" "marginal(\"$work\"; \"$p\")" "$at/before" "$at/after"
}

run_part() {
    case $1 in
    mlm) has pretrain "$2" && train 'MLM, 4 x 512' pretrain "$2" "$steps" --train-data "$at/store" --batch-size 4 --block-length 512 --learning-rate 1e-4 ;;
    classify) has finetune "$2" && train 'classify, 32 pairs' finetune "$2" $((2 * steps)) --train-file "$at/train.tsv" --batch-size 32 --max-seq-length 128 --learning-rate 2e-5 ;;
    inference) has features "$2" && infer_pair 'inference, batches' "$2" "$at/first" "$at/many" ;;
    single) has features "$2" && infer_pair 'inference, one text' "$2" "$at/few" "$at/first" --batch-tokens 1 ;;
    *) return 1 ;;
    esac
}

table() {
    # the last line is that of all threads
    peak=$(awk 'NR > 2 { line = $0 } END { split(line, f); printf "{\"f32\": %f, \"bf16\": %f, \"int8\": %f, \"sgemm\": %f}", f[2], f[3], f[4], f[5] }' "$at/peak")
    jq -L "$here" -rs --argjson peak "$peak" 'include "works"; works($peak), "", phases' "$at/results"
}

# Rates of classify by threads, and the digest of the state behind the last step.
scaling() {
    printf '\n%7s %10s %9s  %s\n' threads tokens/s times 'weights and moments'
    t=1 cores=$(nproc) first='' digests=''
    while [ "$t" -le "$cores" ]; do
        : >"$at/results"
        threads=$t run_part classify f32
        digest=$(tail -1 "$at/run/metrics.jsonl" | jq -r .state_xxh3)
        digests="$digests $digest"
        rate=$(jq .tokens_per_s "$at/results")
        first=${first:-$rate}
        awk -v t="$t" -v r="$rate" -v f="$first" -v d="$digest" 'BEGIN { printf "%7d %10.1f %8.2fx  %s\n", t, r, r / f, d }'
        t=$((t * 2))
    done
    # shellcheck disable=SC2086  # words
    [ "$(printf '%s\n' $digests | sort -u | wc -l)" -eq 1 ] && echo 'the same bits at every number of threads' && return
    echo 'THE BITS DIFFER'
    return 1
}

"$build/bench/peak" >"$at/peak"
cat "$at/peak"
make_inputs
vocabulary=$(jq .vocab_size "$at/model/config.json")
echo "${PRESET:-base}, random weights, vocabulary $vocabulary; $([ -n "$data" ] && echo 'real text' || echo 'made-up text'); $steps steps; xlmr $("$xlmr" --version | cut -d' ' -f2), threads $([ "$threads" = 0 ] && echo all || echo "$threads")"
: >"$at/results"
for part in mlm classify inference single; do
    wanted "$part" || continue
    for p in ${PRECISIONS:-f32 bf16 int8}; do
        note "$part, $p"
        run_part "$part" "$p" || note "$part has no $p"
    done
done
echo
[ ! -s "$at/results" ] || table
! wanted threads || scaling
