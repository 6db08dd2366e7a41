#!/usr/bin/env bats
# Fine-tuning on several files and languages: the table, figures by language, the best model by each rule, the same bytes however the run went.

load helpers

setup_file() {
    make_tiny_model
    labelled 1 90 >"$BATS_FILE_TMPDIR/train-en.tsv"
    labelled 101 120 >"$BATS_FILE_TMPDIR/train-de.tsv"
    labelled 121 160 >"$BATS_FILE_TMPDIR/dev-en.tsv"
    # French calls everything by the other name, so that what is good for one language is bad for it
    labelled 161 200 | awk -F'\t' 'NR == 1 { print; next } { print $1 "\t" ($2 == "pos" ? "neg" : "pos") }' >"$BATS_FILE_TMPDIR/dev-fr.tsv"
}

setup() {
    common_setup
    at=$BATS_FILE_TMPDIR
}

# tune DIR OPTION...: 42 updates of three epochs on a mixture, evaluated on two languages.
tune() {
    "$xlmr" finetune --model "$model" --train-file "$at/train-en.tsv" --train-file "$at/train-de.tsv:3.5" --validation-file "$at/dev-en.tsv" \
        --validation-file "$at/dev-fr.tsv" --batch-size 8 --micro-batch-size 3 --num-epochs 3 --eval-steps 6 --learning-rate 1e-3 --warmup-steps 4 \
        --hidden-dropout 0.1 --logging-steps 2 --max-seq-length 32 --output-dir "$@"
}

# values DIR LANG [FIGURE]: that language's accuracy, or another figure, in each evaluation, one "step value" a line.
values() {
    sed -n 's/.*"event":"eval","step":\([0-9]*\),.*"'"$2"'":{[^}]*"'"${3:-accuracy}"'":\([^,}]*\)[,}].*/\1 \2/p' "$1/metrics.jsonl"
}

# The step of the first best value on standard input; smallest with "down".
best_of() { awk -v down="$1" 'NR == 1 || (down ? $2 < best : $2 > best) { best = $2; step = $1 } END { print step }'; }

chosen() { sed -n 's/.*"best_step":\([0-9]*\).*/\1/p' "$1"; }

@test "the table says how often the files are drawn, and metrics.jsonl has the figures of each language" {
    tune "$dir/p" >/dev/null 2>"$dir/err"
    grep -qE 'training +examples +weight +of data +of batches +epochs +file' "$dir/err"
    # 90 : 3.5 x 20 of 110 draws: 62 and 48
    grep -qE "en +90 +1 +81.82 % +56.36 % +2.07  $at/train-en.tsv" "$dir/err"
    grep -qE "de +20 +3.5 +18.18 % +43.64 % +7.2  $at/train-de.tsv" "$dir/err"
    grep -q 'zero-shot, since no training file is in that language: fr' "$dir/err"
    grep -q 'the best model is chosen by accuracy of en (selection on the training language)' "$dir/err"
    grep -qE 'step 6: accuracy: en 0\.[0-9]{4}, fr 0\.[0-9]{4}' "$dir/err"
    head -1 "$dir/p/metrics.jsonl" | grep -q '"train_files":\[{"name":"en","examples":90,"weight":1.0,'
    [ "$(values "$dir/p" en | wc -l)" -eq 7 ]
    [ "$(values "$dir/p" fr | wc -l)" -eq 7 ]
    grep -qF '| de | 20 | 3.5 | 18.18 % | 43.64 % | 7.2 |' "$dir/p/best/README.md"
    grep -qF 'the best model is chosen by accuracy of en: selection on the training language.' "$dir/p/best/README.md"
    grep -qE '^\| fr \| 0|^\| fr \| 1' "$dir/p/best/README.md"
}

@test "the best model by each rule; French, where all is the other way round, chooses another" {
    local by
    for by in auto en fr average worst; do
        tune "$dir/$by" --select-by $by --quiet --json >"$dir/$by.json"
        cmp "$dir/auto/final/model.safetensors" "$dir/$by/final/model.safetensors"
    done
    values "$dir/auto" en >"$dir/en.txt"
    values "$dir/auto" fr >"$dir/fr.txt"
    paste "$dir/en.txt" "$dir/fr.txt"
    [ "$(chosen "$dir/auto.json")" -eq "$(best_of '' <"$dir/en.txt")" ]
    [ "$(chosen "$dir/en.json")" -eq "$(best_of '' <"$dir/en.txt")" ]
    [ "$(chosen "$dir/fr.json")" -eq "$(best_of '' <"$dir/fr.txt")" ]
    [ "$(chosen "$dir/average.json")" -eq "$(paste "$dir/en.txt" "$dir/fr.txt" | awk '{ print $1, ($2 + $4) / 2 }' | best_of '')" ]
    [ "$(chosen "$dir/worst.json")" -eq "$(paste "$dir/en.txt" "$dir/fr.txt" | awk '{ print $1, ($2 < $4 ? $2 : $4) }' | best_of '')" ]
    [ "$(chosen "$dir/en.json")" -ne "$(chosen "$dir/fr.json")" ]
    grep -q 'per-language selection, on a language that was not trained on' "$dir/fr/best/README.md"
    # a page says the same, of a run that is over and of one that is not
    for by in auto fr average worst; do
        "$xlmr" report --quiet "$dir/$by" --output "$dir/page.html" >/dev/null
        grep -q "at step $(chosen "$dir/$by.json"), chosen by $(jq -r .metric "$dir/$by.json")</span>" "$dir/page.html"
        sed -i '$d' "$dir/$by/metrics.jsonl"
        "$xlmr" report --quiet "$dir/$by" --output "$dir/page.html" >/dev/null
        grep -q "at step $(chosen "$dir/$by.json"), chosen by the sets of --select-by</span>" "$dir/page.html"
    done
}

@test "mcc and auc choose the best model: the step where they are highest" {
    local metric step
    for metric in mcc auc; do
        tune "$dir/$metric" --metric $metric --quiet --json >"$dir/$metric.json"
        values "$dir/$metric" en $metric >"$dir/$metric.txt"
        cat "$dir/$metric.txt"
        [ "$(wc -l <"$dir/$metric.txt")" -eq 7 ]
        step=$(chosen "$dir/$metric.json")
        [ "$step" -eq "$(best_of '' <"$dir/$metric.txt")" ]
        [ "$step" -ne "$(best_of down <"$dir/$metric.txt")" ]
        grep -qF "\"best\":$(sed -n "s/^$step //p" "$dir/$metric.txt")," "$dir/$metric.json"
        grep -qF "the best model is chosen by $metric of en" "$dir/$metric/best/README.md"
    done
    awk -F'\t' 'NR > 1 { printf "{\"text\": \"%s\", \"label\": [\"%s\"]}\n", $1, $2 }' "$at/dev-en.tsv" >"$dir/sets.jsonl"
    "$xlmr" finetune --model "$model" --train-file "$dir/sets.jsonl" --validation-file "$dir/sets.jsonl" --metric auc --num-epochs 1 --quiet --json \
        --output-dir "$dir/sets" >"$dir/sets.json"
    grep -q '"metric":"auc"' "$dir/sets.json"
    grep -qE '^\| AUC \| [01]\.[0-9]{4} \|$' "$dir/sets/best/README.md"
}

@test "a collapse is told of every language that chooses, and of no other" {
    local sign="every prediction is '[a-z]*' and the loss"
    tune "$dir/a" --learning-rate 1e-9 --max-steps 6 --select-by average >/dev/null 2>"$dir/err"
    [ "$(grep -c "step 6: en: $sign .*; fr: $sign .*now 1e-09" "$dir/err")" -eq 1 ]
    tune "$dir/b" --learning-rate 1e-9 --max-steps 6 >/dev/null 2>"$dir/err"
    grep "step 6: en: $sign" "$dir/err"
    run ! grep "fr: $sign" "$dir/err"
}

@test "early stopping follows the language that chooses" {
    tune "$dir/fr" --select-by fr --early-stopping-patience 2 --quiet --json >"$dir/fr.json"
    last=$(values "$dir/fr" fr | tail -1 | cut -d' ' -f1)
    best=$(values "$dir/fr" fr | best_of '')
    values "$dir/fr" fr
    [ "$last" -eq $((best + 12)) ] || [ "$last" -eq 42 ]
    [ "$last" -lt 42 ]
}

@test "stopped after every update, with 1, 2 and 4 threads: the same bytes" {
    local status=75 turn=0
    tune "$dir/ref" --save-steps 3 --quiet >/dev/null
    while [ $status -eq 75 ]; do
        status=0
        case $((turn % 3)) in 0) n=1 ;; 1) n=2 ;; *) n=4 ;; esac
        tune "$dir/p" --save-steps 3 --quiet --max-time 0.001s --threads $n >/dev/null 2>&1 || status=$?
        turn=$((turn + 1))
        [ $turn -lt 60 ]
    done
    echo "$turn turns"
    [ $status -eq 0 ]
    [ $turn -gt 20 ]
    cmp "$dir/ref/metrics.jsonl" "$dir/p/metrics.jsonl"         # whose last line has the digest of weights and moments
    cmp "$dir/ref/final/model.safetensors" "$dir/p/final/model.safetensors"
    cmp "$dir/ref/best/model.safetensors" "$dir/p/best/model.safetensors"
}

@test "weights that are all alike change nothing; others do" {
    digest() { sed -n 's/.*"state_xxh3":"\([0-9a-f]*\)".*/\1/p' "$1"; }
    run_on() { "$xlmr" finetune --model "$model" --batch-size 8 --max-steps 9 --learning-rate 1e-3 --max-seq-length 32 --quiet --json --output-dir "$@"; }
    run_on "$dir/a" --train-file "$at/train-en.tsv" --train-file "$at/train-de.tsv" >"$dir/a.json"
    run_on "$dir/b" --train-file "$at/train-en.tsv:2" --train-file "de=$at/train-de.tsv:2" >"$dir/b.json"
    run_on "$dir/c" --train-file "$at/train-en.tsv" --train-file "$at/train-de.tsv" --lang-alpha 0.5 >"$dir/c.json"
    [ -n "$(digest "$dir/a.json")" ]
    [ "$(digest "$dir/a.json")" = "$(digest "$dir/b.json")" ]
    [ "$(digest "$dir/a.json")" != "$(digest "$dir/c.json")" ]
}

@test "refused: a weight of nothing, a language that is not among the validation data" {
    refused 2 "--train-file $at/train-en.tsv:0" "the weight 0 is not above 0" -- finetune --model "$model" --train-file "$at/train-en.tsv:0" --output-dir "$dir/o"
    refused 2 "--select-by sw" "the validation data are: en, fr" -- finetune --model "$model" --train-file "$at/train-en.tsv" \
        --validation-file "$at/dev-en.tsv" --validation-file "$at/dev-fr.tsv" --select-by sw --output-dir "$dir/o" --quiet
}

@test "words with tags, values and label sets: figures of each language for every kind of problem" {
    local kind lang
    for lang in en fr; do
        awk -v lang=$lang 'NR > 1 && NR < 30 { n = split($1, w, " ")
            for (i = 1; i <= n; i++) print lang ":" w[i] "\t" (w[i] ~ /cat|dog|fox/ ? "B-ANI" : "O")
            print "" }' "$at/dev-$lang.tsv" >"$dir/tags-$lang.tsv"
        awk -F'\t' 'NR > 1 && NR < 30 { print $1 "\t" length($1) / 100 }' "$at/dev-$lang.tsv" >"$dir/values-$lang.tsv"
        awk -F'\t' 'NR > 1 && NR < 30 { printf "{\"text\": \"%s\", \"label\": [\"%s\"]}\n", $1, $2 }' "$at/dev-$lang.tsv" >"$dir/sets-$lang.jsonl"
    done
    for kind in tags values sets; do
        ext=tsv task=classify key=pearson
        if [ $kind = tags ]; then task=tag key=f1; elif [ $kind = sets ]; then ext=jsonl key=f1_micro; fi
        "$xlmr" finetune --model "$model" --task $task --train-file "$dir/$kind-en.$ext" --validation-file "$dir/$kind-en.$ext" \
            --validation-file "$dir/$kind-fr.$ext" --max-steps 3 --batch-size 8 --max-seq-length 64 --quiet --output-dir "$dir/$kind" >/dev/null 2>&1
        grep '"event":"eval"' "$dir/$kind/metrics.jsonl"
        grep -q "\"languages\":{\"en\":{\"loss\":[0-9.]*,.*\"$key\":.*\"fr\":{\"loss\":[0-9.]*,.*\"$key\":.*},\"selected\":" "$dir/$kind/metrics.jsonl"
        grep -q '^| fr |' "$dir/$kind/best/README.md"
    done
}

@test "one file of several languages, of which LANG= takes one" {
    { printf 'language\ttext\tlabel\n'
      awk -F'\t' 'NR > 1 { print "en\t" $0 }' "$at/dev-en.tsv"; awk -F'\t' 'NR > 1 { print "fr\t" $0 }' "$at/dev-fr.tsv"; } >"$dir/all.dev.tsv"
    "$xlmr" finetune --model "$model" --train-file "$at/train-en.tsv" --validation-file "en=$dir/all.dev.tsv" --validation-file "fr=$dir/all.dev.tsv" \
        --max-steps 3 --batch-size 8 --max-seq-length 32 --quiet --output-dir "$dir/a" >/dev/null
    "$xlmr" finetune --model "$model" --train-file "$at/train-en.tsv" --validation-file "$at/dev-en.tsv" --validation-file "$at/dev-fr.tsv" \
        --max-steps 3 --batch-size 8 --max-seq-length 32 --quiet --output-dir "$dir/b" >/dev/null
    cmp "$dir/a/metrics.jsonl" "$dir/b/metrics.jsonl"
    refused 65 "no examples in language 'sw'" -- finetune --model "$model" --train-file "$at/train-en.tsv" --validation-file "sw=$dir/all.dev.tsv" \
        --output-dir "$dir/o" --quiet
}

@test "translate-train-all by name: the card says the protocol, temperature evens the languages out, and dev sets of all choose" {
    mkdir "$dir/data"
    cp "$at/train-en.tsv" "$at/train-de.tsv" "$at/dev-en.tsv" "$dir/data"
    cp "$at/dev-fr.tsv" "$dir/data/dev-de.tsv"
    "$xlmr" finetune --model "$model" --data-dir "$dir/data" --protocol translate-train-all --lang-alpha 0 --max-steps 14 --batch-size 8 \
        --max-seq-length 32 --output-dir "$dir/p" >/dev/null 2>"$dir/err"
    grep -qE "en +90 +1 +81.82 % +50.00 % +0.611  $dir/data/train-en.tsv" "$dir/err"
    grep -qE "de +20 +1 +18.18 % +50.00 % +2.75  $dir/data/train-de.tsv" "$dir/err"
    grep -q '^- protocol: translate-train-all$' "$dir/p/best/README.md"
    grep -q 'chosen by mean accuracy of en, de: selection on the training languages\.' "$dir/p/best/README.md"
    # a language that is not trained on, named beside the folder, is measured and does not choose
    "$xlmr" finetune --model "$model" --data-dir "$dir/data" --validation-file "$at/dev-en.tsv" --validation-file "$at/dev-fr.tsv" --max-steps 3 \
        --batch-size 8 --max-seq-length 32 --output-dir "$dir/q" >/dev/null 2>"$dir/err"
    grep -q '^- protocol: zero-shot$' "$dir/q/best/README.md"
    grep -q 'chosen by accuracy of en: selection on the training language\.' "$dir/q/best/README.md"
    grep -q '^Zero-shot (no training file in that language): fr\.$' "$dir/q/best/README.md"
}
