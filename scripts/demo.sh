#!/bin/sh
# The whole way on data the project makes: corpus, tokenizer, random model, token store, pretraining, what it brings, fine-tuning, table,
# predictions, fill-mask.
#   demo.sh XLMR [OUT]        OUT: demo-out
# Shorter forms by environment: DEMO_LANGUAGES=en,de,… (English first), DEMO_TRAIN and DEMO_SHARE (training examples in
# English and in each other language), DEMO_TEST, DEMO_VOCAB, DEMO_STEPS (updates of pretraining), and DEMO_FLAGS, more flags for the last `xlmr finetune`.
set -eu

xlmr=$1
out=${2:-demo-out}
root=$(dirname "$0")/..
[ "$root" != scripts/.. ] || root=.
scripts=$root/scripts configs=$root/configs
scripts=${scripts#./} configs=${configs#./}
languages=${DEMO_LANGUAGES:-en,de,es,tr,sw,ru,el,ar,hi,zh}
train=${DEMO_TRAIN:-15000} share=${DEMO_SHARE:-2100} test=${DEMO_TEST:-600} vocab=${DEMO_VOCAB:-1500}
began=$(date +%s)
mark=.made-by-xlmr-demo
# A core type forced from outside makes OpenBLAS use slower kernels than the machine has.
unset OPENBLAS_CORETYPE
# Bars are for a terminal.
quiet=
[ -t 2 ] || quiet=--quiet

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }

# run COMMAND...: shows it in a form that can be copied, one option a line where it is long, then runs it.
run() {
    line='$' width=0
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./,=:+@-]*) word="\"$word\"" ;; esac
        width=$((width + ${#word} + 1))
        case $word in --*) if [ $width -gt 100 ]; then line="$line \\
     " width=${#word}; fi ;; esac
        line="$line $word"
    done
    printf '%s\n' "$line"
    "$@"
}

if [ -e "$out" ] && [ ! -e "$out/$mark" ]; then
    echo "demo: $out is there and was not made by an earlier demo; move it away or name another folder" >&2
    exit 73
fi
rm -rf "$out"
mkdir -p "$out/data"
: >"$out/$mark"

step "1. A corpus: sentence pairs with a label, from a grammar of our own, in $languages"
run env LC_ALL=C awk -f "$scripts/demo_corpus.awk" -v "dir=$out/data" -v "languages=$languages" -v "train=$train" \
    -v "share=$share" -v "test=$test"
set --
for language in $(echo "$languages" | tr , ' '); do
    set -- "$@" --train-file "$out/data/train-$language.tsv"
    if [ $# -le 4 ]; then head -n 3 "$out/data/test-$language.tsv"; fi
done

step '2. A tokenizer, trained on its sentences'
run "$xlmr" train-tokenizer --vocab-size "$vocab" --output "$out/sentencepiece.bpe.model" "$out/data/text.txt"

step '3. A model of random weights'
run "$xlmr" init --preset nano --tokenizer "$out/sentencepiece.bpe.model" --output-dir "$out/nano"

step '4. Unlabelled text of every language as a token store, and some of other events to measure by'
run "$xlmr" prepare --model "$out/nano" --output-dir "$out/store" $quiet "$out"/data/text-train/*.txt
run "$xlmr" prepare --model "$out/nano" --output-dir "$out/held-out" $quiet "$out"/data/text-dev/*.txt >/dev/null

step '5. Pretraining: a minute of guessing masked words'
run "$xlmr" pretrain --config "$configs/demo-pretrain.yaml" --model "$out/nano" --train-data "$out/store" --validation-data "$out/held-out" \
    --output-dir "$out/pretrained" $quiet ${DEMO_STEPS:+--max-steps "$DEMO_STEPS"}

step '6. What that brings: the same fine-tuning on 1,500 English pairs, from the pretrained and from random weights'
# english MODEL NAME: fine-tunes on English and keeps the scores.
english() {
    run "$xlmr" finetune --config "$configs/demo-english.yaml" --model "$1" --train-file "$out/data/train-en.tsv" \
        --validation-file "$out/data/dev-en.tsv" --output-dir "$out/english-$2" --quiet
    "$xlmr" evaluate --task xnli --model "$out/english-$2/best" --data-dir "$out/data" --output-dir "$out/english-$2-scores" --quiet \
        >"$out/english-$2.txt" 2>&1
}
# line NAME: accuracy in English and on average.
line() { awk -v name="$1" '$1 == "en" { en = $3 } $1 == "average" { print name " weights: English " en ", all languages on average " $2 }' "$out/english-$1.txt"; }
english "$out/pretrained/best" pretrained
english "$out/nano" random
echo
line pretrained
line random

step '7. Fine-tuning the pretrained model: much English, a little of the others'
# shellcheck disable=SC2086  # flags are words
run "$xlmr" finetune --config "$configs/demo.yaml" --model "$out/pretrained/best" "$@" \
    --validation-file "$out/data/dev-en.tsv" --output-dir "$out/run" $quiet ${DEMO_FLAGS:-}

step '8. Accuracy by language on sentences it has not seen (chance is 33.3)'
run "$xlmr" evaluate --task xnli --model "$out/run/best" --data-dir "$out/data" --output-dir "$out/eval" \
    --protocol 'trained on English and a little of the others' $quiet

step '9. Predictions for new pairs, JSON lines in and out'
cat >"$out/pairs.jsonl" <<'PAIRS'
{"text": "The doctor opens the window in the kitchen at 7 o'clock.", "text_pair": "Someone opens the window inside."}
{"text": "Der Lehrer kauft das Brot mit einem Freund im Garten.", "text_pair": "Der Lehrer kauft das Brot nicht."}
{"text": "Учитель открывает окно в саду в 7 часов.", "text_pair": "Учитель открывает окно с другом в саду."}
PAIRS
cat "$out/pairs.jsonl"
run "$xlmr" predict --model "$out/run/best" --top-k 1 "$out/pairs.jsonl" $quiet

step '10. Fill-mask with the pretrained model: two sentences of a document, one word hidden'
run "$xlmr" fill-mask --model "$out/pretrained/best" --top-k 3 'The teacher opens the door in the garden. </s> Someone opens the <mask> outside.'

echo
echo "Done in $(($(date +%s) - began)) s. Everything is in $out: the corpus in data/, the pretrained model in pretrained/best, the fine-tuned one in" \
    "run/best (directories transformers loads too), the logs in metrics.jsonl beside them, the scores in eval/."
echo "Next: fine-tune a real model on your own files ($xlmr finetune --help, configs/xnli.yaml), or go on pretraining it on your own text" \
    "($xlmr pretrain --help, configs/mlm-continue.yaml)."
