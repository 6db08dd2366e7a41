#!/bin/sh
# The whole way on data the project makes: corpus, tokenizer, random model, fine-tuning, table, predictions, fill-mask.
#   demo.sh XLMR [OUT]        OUT: demo-out
# Shorter forms by environment: DEMO_LANGUAGES=en,de,… (English first), DEMO_TRAIN and DEMO_SHARE (training examples in
# English and in each other language), DEMO_TEST, DEMO_VOCAB, and DEMO_FLAGS, more flags for `xlmr finetune`.
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

step '4. Fine-tuning: much English, a little of the others'
# shellcheck disable=SC2086  # flags are words
run "$xlmr" finetune --config "$configs/demo.yaml" --model "$out/nano" "$@" \
    --validation-file "$out/data/dev-en.tsv" --output-dir "$out/run" $quiet ${DEMO_FLAGS:-}

step '5. Accuracy by language on sentences it has not seen (chance is 33.3)'
run "$xlmr" evaluate --task xnli --model "$out/run/best" --data-dir "$out/data" --output-dir "$out/eval" \
    --protocol 'trained on English and a little of the others' $quiet

step '6. Predictions for new pairs, JSON lines in and out'
cat >"$out/pairs.jsonl" <<'PAIRS'
{"text": "The doctor opens the window in the kitchen at 7 o'clock.", "text_pair": "Someone opens the window inside."}
{"text": "Der Lehrer kauft das Brot mit einem Freund im Garten.", "text_pair": "Der Lehrer kauft das Brot nicht."}
{"text": "Учитель открывает окно в саду в 7 часов.", "text_pair": "Учитель открывает окно с другом в саду."}
PAIRS
cat "$out/pairs.jsonl"
run "$xlmr" predict --model "$out/run/best" --top-k 1 "$out/pairs.jsonl" $quiet

step '7. Fill-mask (the model of step 3 has never been trained for it, so these are random pieces; pretraining makes sense of them)'
run "$xlmr" fill-mask --model "$out/nano" --top-k 3 'The teacher opens the <mask>.'

echo
echo "Done in $(($(date +%s) - began)) s. Everything is in $out: the corpus in data/, the fine-tuned model in run/best (a directory" \
    "transformers loads too), its log in run/metrics.jsonl, the scores in eval/."
echo "Next: fine-tune a real model on your own files: $xlmr finetune --help, and configs/xnli-base.yaml."
