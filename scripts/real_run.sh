#!/bin/bash
# What pretraining brings on real text (docs/results.md): a tokenizer and a random mini, masked-LM pretraining on six languages, then the same
# fine-tuning from the pretrained and from the random weights. Steps whose result is there are skipped; a stopped run goes on.
#   real_run.sh DATA OUT        DATA: the data folder (text/, ner/panx/, nli-other/); OUT: where everything goes
# From the environment: XLMR (build/xlmr), STEPS (10000 updates), LANGS, SEEDS ("1 2 3"), NLI_SEEDS (1), EPOCHS (5), N_EVAL (1000 dev sentences a language), PYTHON (python3).
set -euo pipefail

data=$1 out=$2
root=$(cd "$(dirname "$0")/.." && pwd)
xlmr=${XLMR:-$root/build/xlmr} langs=${LANGS:-en ar sw de zh hi} seeds=${SEEDS:-1 2 3} python=${PYTHON:-python3}
unset OPENBLAS_CORETYPE
mkdir -p "$out"

# Lines in a fixed order of chance: Common Voice is sorted.
mix() { awk 'BEGIN { x = 1 } { x = (x * 16807) % 2147483647; print x "\t" $0 }' | sort -s -n -k1,1 | cut -f2-; }

# text LANG: into OUT/text.part/train and OUT/text.part/held-out. Repeated paragraphs are dropped; every 25th document (a line of Common Voice, a paragraph of
# Wikipedia, a chapter of the Bible) is held out.
text() {
    for source in common-voice wiki-paragraphs bible-nt; do
        from=$data/text/$source/$1.txt.gz train=$out/text.part/train/$source/$1.txt held=$out/text.part/held-out/$source/$1.txt
        [ -f "$from" ] || continue
        mkdir -p "${train%/*}" "${held%/*}"
        if [ "$source" = common-voice ]; then
            zcat "$from" | awk '!seen[$0]++' | mix | awk -v h="$held" -v t="$train" 'NR % 25 == 0 { print > h; next } { print > t }'
        else
            zcat "$from" | awk -v RS= -v ORS='\n\n' -v h="$held" -v t="$train" 'seen[$0]++ { next } ++n % 25 == 0 { print > h; next } { print > t }'
        fi
    done
}

# all_text: of every language, under its name OUT/text only when it is whole.
all_text() {
    [ ! -d "$out/text" ] || return 0
    rm -rf "$out/text.part"
    for lang in $langs; do text "$lang"; done
    mv "$out/text.part" "$out/text"
}

pretrain() {
    # shellcheck disable=SC2046  # names without spaces
    [ -f "$out/spm32k.model" ] || "$xlmr" train-tokenizer --vocab-size 32000 --output "$out/spm32k.model" $(find "$data/text" -name '*.txt*' | sort)
    [ -d "$out/random" ] || "$xlmr" init --preset mini --tokenizer "$out/spm32k.model" --position-init sinusoidal --output-dir "$out/random"
    all_text
    for part in train held-out; do
        # shellcheck disable=SC2046
        "$xlmr" prepare --model "$out/random" --output-dir "$out/store/$part" $(find "$out/text/$part" -name '*.txt' | sort)
    done
    "$xlmr" pretrain --config "$root/configs/mlm-mini.yaml" --model "$out/random" --train-data "$out/store/train" \
        --validation-data "$out/store/held-out" --max-steps "${STEPS:-10000}" --output-dir "$out/run"
}

# dropout 0.1 for every model: the pretrained one's config.json says what it was trained with, 0.
tune="--batch-size 32 --learning-rate 3e-4 --warmup-ratio 0.1 --hidden-dropout 0.1 --attention-dropout 0.1 --quiet --json"

# tags NAME MODEL LANG SEED: WikiANN, the first 2,000 sentences of LANG, best epoch by F1 on 1,000 dev sentences; scored on the dev sets of all.
tags() {
    to=$out/tags/$1-$3-s$4
    [ ! -f "$to/eval/results.json" ] || return 0
    # shellcheck disable=SC2086
    "$xlmr" finetune --task tag --model "$2" --train-file "$data/ner/panx/train-$3.tsv.gz" --validation-file "$data/ner/panx/dev-$3.tsv.gz" \
        --max-train-samples 2000 --max-eval-samples 1000 --num-epochs "${EPOCHS:-5}" $tune --seed "$4" --output-dir "$to/run" >/dev/null
    "$xlmr" evaluate --task panx --split dev --model "$to/run/best" --data-dir "$data/ner/panx" --languages "${langs// /,}" \
        --max-eval-samples "${N_EVAL:-1000}" --protocol "2,000 sentences of $3, seed $4" --quiet --output-dir "$to/eval" >/dev/null
}

# nli NAME MODEL SEED: OCNLI, 2,000 Chinese pairs, 3 epochs, best of them on 1,000 dev pairs.
nli() {
    to=$out/nli/$1-s$3
    [ ! -f "$to.json" ] || return 0
    mkdir -p "${to%/*}"
    # shellcheck disable=SC2086
    "$xlmr" finetune --model "$2" --train-file "$data/nli-other/ocnli/train.10k.json.gz" --validation-file "$data/nli-other/ocnli/dev.json.gz" \
        --max-train-samples 2000 --max-eval-samples 1000 --num-epochs 3 $tune --seed "$3" --output-dir "$to" >"$to.part"
    mv "$to.part" "$to.json"
}

pretrain
for seed in $seeds; do
    for lang in en de; do
        tags random "$out/random" $lang "$seed"
        tags pretrained "$out/run/best" $lang "$seed"
    done
done
for seed in ${NLI_SEEDS:-1}; do
    nli random "$out/random" "$seed"
    nli pretrained "$out/run/best" "$seed"
done
"$python" "$root/scripts/real_run_table.py" "$out"
