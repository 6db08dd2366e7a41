#!/bin/bash
# The tasks of the benchmark suite on real data, from one pretrained model (docs/results.md): entities, parts of speech and answers learned on English,
# scored on the other languages without more training. Steps whose result is there are skipped.
#   task_runs.sh DATA MODEL OUT     DATA: the data folder (ner/, pos/, qa/); MODEL: a pretrained directory; OUT: where everything goes
# From the environment: XLMR (build/xlmr), N_EVAL (2000 rows a language of WikiANN), N_QUESTIONS (300 a language of XQuAD), N_SQUAD (1500 training questions), QA_EPOCHS (3).
set -euo pipefail

data=$1 model=$2 out=$3
root=$(cd "$(dirname "$0")/.." && pwd)
xlmr=${XLMR:-$root/build/xlmr}
unset OPENBLAS_CORETYPE
mkdir -p "$out"

# place FOLDER NAME FILE: FILE under a name that evaluate looks for.
place() { mkdir -p "$out/data/$1" && ln -sf "$(cd "$(dirname "$3")" && pwd)/${3##*/}" "$out/data/$1/$2"; }

# dropout 0.1 whatever the pretraining had; a small model learns at a higher rate than the published recipes'.
tune="--hidden-dropout 0.1 --attention-dropout 0.1 --learning-rate 3e-4 --warmup-ratio 0.1 --batch-size 32 --seed 1"

# train NAME OPTIONS...
train() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    [ -d "$out/$name/final" ] || "$xlmr" finetune --model "$model" $tune "$@" --output-dir "$out/$name"
}

# score NAME MODEL OPTIONS...
score() {
    local name=$1 from=$2
    shift 2
    [ -f "$out/eval/$name/results.json" ] || "$xlmr" evaluate --model "$out/$from/best" --protocol zero-shot --output-dir "$out/eval/$name" "$@" | tee "$out/$name.txt"
}

entities() {
    train ner --task tag --train-file "$data/ner/panx/train-en.tsv.gz" --max-train-samples 5000 --validation-file "$data/ner/panx/dev-en.tsv.gz" --max-eval-samples 2000 \
        --num-epochs 3
    score panx ner --task panx --split dev --data-dir "$data/ner/panx" --max-eval-samples "${N_EVAL:-2000}"
    for lang in swa hau ibo yor; do place african "test-$lang.txt.gz" "$data/ner/masakhaner2/$lang/test.txt.gz"; done
    place african test-amh.txt.gz "$data/ner/masakhaner1/amh/test.txt.gz"
    score masakhaner ner --task tag --split test --data-dir "$out/data/african" --label-map B-DATE=O,I-DATE=O
    for name in English:en German:de Russian:ru Chinese:zh; do
        place uner "test-${name#*:}.tsv.gz" "$data/ner/uner/UNER_${name%:*}-PUD/${name#*:}_pud-ud-test.iob2.gz"
    done
    place uner test-sv.tsv.gz "$data/ner/uner/UNER_Swedish-Talbanken/sv_talbanken-ud-test.iob2.gz"
    place uner test-sr.tsv.gz "$data/ner/uner/UNER_Serbian-SET/sr_set-ud-test.iob2.gz"
    score uner ner --task tag --split test --data-dir "$out/data/uner" --label-map B-OTH=O,I-OTH=O
}

parts_of_speech() {
    train pos --task tag --train-file "$data/pos/UD_English-LinES/en_lines-ud-train.conllu.gz" --validation-file "$data/pos/UD_English-EWT/en_ewt-ud-dev.conllu.gz" --num-epochs 3
    for name in English-EWT:en_ewt German-GSD:de_gsd Turkish-IMST:tr_imst Telugu-MTG:te_mtg Vietnamese-VTB:vi_vtb Chinese-GSDSimp:zh_gsdsimp Arabic-PUD:ar_pud Thai-PUD:th_pud \
        Yoruba-YTB:yo_ytb; do
        stem=${name#*:}
        place udpos "test-${stem%_*}.conllu.gz" "$data/pos/UD_${name%:*}/$stem-ud-test.conllu.gz"
    done
    score udpos pos --task udpos --split test --data-dir "$out/data/udpos"
}

answers() {
    train squad --task qa --train-file "$data/qa/squad/train-v1.1.first11articles.json.gz" --max-train-samples "${N_SQUAD:-1500}" --validation-file "en=$data/qa/xquad/xquad.en.json.gz" \
        --max-eval-samples "${N_QUESTIONS:-300}" --num-epochs "${QA_EPOCHS:-3}"
    score xquad squad --task xquad --split test --data-dir "$data/qa/xquad" --max-eval-samples "${N_QUESTIONS:-300}"
}

for part in ${PARTS:-entities parts_of_speech answers}; do "$part"; done
