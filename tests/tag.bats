#!/usr/bin/env bats
# Tagging beyond PAN-X: parts of speech, formats of files, all pieces of a word, long sentences; on made-up sentences, so that it can be learnt in seconds.

bats_require_minimum_version 1.5.0

# sentences SEED N: a word and its class a line, "name TAB class"; nouns begin with no, verbs with ve, names are Ka or Kazu and a place in two words.
sentences() {
    awk -v seed="$1" -v n="$2" 'function tail() { return substr("bdfgkmnprst", 1 + int(11 * rand()), 1) substr("aeiou", 1 + int(5 * rand()), 1) }
    BEGIN { srand(seed); for (i = 0; i < n; i++) { if (i) print ""
        m = 1 + int(4 * rand()); for (k = 0; k < m; k++) { print "no" tail() "\tNOUN"; print "ve" tail() tail() "\tVERB"; if (rand() < 0.4) print "ad\tADV" }
        print ".\tPUNCT" } }'
}

# As CoNLL-U, with comments, a word of several tokens and an empty node.
conllu() {
    awk -F'\t' 'function head() { n++; print "# sent_id = " n; print "# text = x"; print "1-2\txx\t_\t_\t_\t_\t_\t_\t_\t_"; w = 0 }
        $0 == "" { print "1.1\txx\t_\tX\t_\t_\t_\t_\t_\t_"; print ""; w = 0; next } !w { head() }
        { print ++w "\t" $1 "\t_\t" $2 "\t_\t_\t0\troot\t_\t_" }'
}

setup_file() {
    export base
    base=$(mktemp -d)
    xlmr="${XLMR_BUILD:-build}/xlmr"
    unset OPENBLAS_CORETYPE
    sentences 1 600 | cut -f1 | tr '\n' ' ' | sed 's/  /\n/g' >"$base/corpus.txt"
    "$xlmr" train-tokenizer --quiet --vocab-size 90 --threads 1 --output "$base/spm" "$base/corpus.txt" >/dev/null
    "$xlmr" init --quiet --preset nano --tokenizer "$base/spm" --output-dir "$base/model" >/dev/null
    mkdir "$base/data"
    sentences 2 500 | conllu >"$base/train.conllu"
    sentences 3 60 >"$base/data/dev-en.tsv"
    sentences 4 60 | conllu | gzip >"$base/data/dev-de.conllu.gz"
    "$xlmr" finetune --task tag --model "$base/model" --train-file "$base/train.conllu" --validation-file "$base/data/dev-en.tsv" \
        --learning-rate 2e-3 --num-epochs 5 --batch-size 16 --output-dir "$base/run" >"$base/said" 2>"$base/notes"
}

teardown_file() { rm -rf "$base"; }

setup() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$(mktemp -d)
    unset OPENBLAS_CORETYPE
}

teardown() { rm -rf "$dir"; }

@test "finetune: parts of speech are scored as classes, and the format and kind of tags are told" {
    [[ $(head -1 "$base/said") =~ ^best\ accuracy\ (0\.9|1) ]]
    grep -q "train.conllu: CoNLL-U; plain tags, scored word by word" "$base/notes"
    grep -q "dev-en.tsv: columns between TABs; plain tags" "$base/notes"
    grep '"event":"eval"' "$base/run/metrics.jsonl" | tail -1 | grep -q '"f1_macro":'
    ! grep -q '"precision":' "$base/run/metrics.jsonl"
    grep -q '| accuracy of words | ' "$base/run/best/README.md"
}

@test "evaluate udpos: accuracy, macro F1 and XTREME's score; figures by tag; panx is refused" {
    run -0 --separate-stderr "$xlmr" evaluate --task udpos --split dev --model "$base/run/best" --data-dir "$base/data" --output-dir "$dir/out" --per-type
    [ "${lines[0]}" = "UDPOS, dev: $base/run/best" ]
    [[ ${lines[1]} =~ ^language\ +n\ +accuracy\ +macro\ F1\ +XTREME\ F1$ ]]
    [[ $output == *"en, by tag (plain)"*"VERB"* ]]
    # accuracy as awk counts it, tags in the order of the words
    paste <(cut -f2 "$base/data/dev-en.tsv") "$dir/out/udpos/dev-en.tsv" | awk -F'\t' '$1 != "" { n++; r += $1 == $2 } END { printf "%.6f\n", r / n }' >"$dir/want"
    grep -A6 '"en": {' "$dir/out/results.json" >/dev/null
    awk '$1 == "en" { printf "%.6f\n", $3 }' "$dir/out/results.tsv" | cmp - "$dir/want"
    grep -q '"f1_xtreme_2020":' "$dir/out/results.json"
    grep -q '"scheme": "plain"' "$dir/out/results.json"
    run -65 "$xlmr" evaluate --task panx --split dev --model "$base/run/best" --data-dir "$base/data"
    [[ $output == *"--task panx counts entities, which plain tags do not spell; score it with --task udpos"* ]]
    # a folder of texts: the task that is named is that of the model's labels
    mkdir "$dir/texts"
    printf 'a\tb\tneutral\n' >"$dir/texts/test-en.tsv"
    run -2 "$xlmr" evaluate --task xnli --model "$base/run/best" --data-dir "$dir/texts"
    [[ $output == *"classifies words; score it with --task udpos,"* ]]
    for type in MISC:conll GENE:tag; do
        "$xlmr" finetune --quiet --task tag --model "$base/model" --train-file "$base/data/dev-en.tsv" --max-steps 1 --output-dir "$dir/${type%:*}" \
            --label-map "NOUN=B-${type%:*},VERB=B-PER,ADV=O,PUNCT=O" >/dev/null
        run -2 "$xlmr" evaluate --task xnli --model "$dir/${type%:*}/final" --data-dir "$dir/texts"
        [[ $output == *"classifies words; score it with --task ${type#*:},"* ]]
    done
    run -65 "$xlmr" evaluate --task udpos --split dev --model "$dir/GENE/final" --data-dir "$base/data"
    [[ $output == *"these spell entities; score it with --task tag" ]]
    run -0 "$xlmr" evaluate --quiet --task tag --split dev --model "$base/run/best" --data-dir "$base/data" --confusion
    [[ $output == *accuracy* ]]
}

@test "several models: confusion and figures by tag of each, behind its number" {
    run -0 "$xlmr" evaluate --quiet --task udpos --split dev --languages en --model "$base/run/best" "$base/run/final" --data-dir "$base/data" --bootstrap 0 \
        --confusion --per-type
    grep -E '^\[[12]\]$|^en[:,]' <<<"$output" >"$dir/parts"
    printf '%s\n' '[1]' 'en: gold label (row) and prediction (column)' 'en, by tag (plain)' '[2]' 'en: gold label (row) and prediction (column)' \
        'en, by tag (plain)' | diff - "$dir/parts"
}

@test "the same sentences in every format train the same model" {
    sentences 5 40 >"$dir/tab.tsv"
    conllu <"$dir/tab.tsv" >"$dir/a.conllu"
    { printf -- '-DOCSTART- -X- -X- O\n\n'; awk -F'\t' '$0 == "" { print; next } { print $1 " NN\tX " $2 }' "$dir/tab.tsv"; } >"$dir/four.txt"
    awk -F'\t' 'function flush() { if (t != "") print "{\"id\": 1, \"tokens\": [" t "], \"pos_tags\": [" g "]}"; t = g = "" }
        $0 == "" { flush(); next } { s = t == "" ? "" : ", "; t = t s "\"" $1 "\""; g = g s "\"" $2 "\"" } END { flush() }' "$dir/tab.tsv" >"$dir/lines.jsonl"
    for file in tab.tsv a.conllu four.txt lines.jsonl; do
        "$xlmr" finetune --quiet --task tag --model "$base/model" --train-file "$dir/$file" --num-epochs 1 --output-dir "$dir/run-$file" >/dev/null
        cmp "$dir/run-tab.tsv/final/model.safetensors" "$dir/run-$file/final/model.safetensors"
    done
}

@test "label-all-pieces trains another model, and only taggers have it" {
    for all in false true; do
        "$xlmr" finetune --quiet --task tag --model "$base/model" --train-file "$base/data/dev-en.tsv" --validation-file "$base/data/dev-de.conllu.gz" \
            --num-epochs 2 --learning-rate 2e-3 --label-all-pieces "$all" --output-dir "$dir/$all" >/dev/null
    done
    ! cmp -s "$dir/false/best/model.safetensors" "$dir/true/best/model.safetensors"
    printf 'a b\tx\nc d\ty\n' >"$dir/texts.tsv"
    run -2 "$xlmr" finetune --task classify --label-all-pieces --model "$base/model" --train-file "$dir/texts.tsv" --output-dir "$dir/no"
    [[ $output == *"--label-all-pieces: only --task tag"* ]]
}

@test "long sentences: every word has one tag whatever the stride, and it is part of the recipe" {
    for stride in 0 3 8; do
        "$xlmr" evaluate --quiet --task udpos --split dev --languages en --model "$base/run/best" --data-dir "$base/data" --max-seq-length 12 --tag-stride "$stride" \
            --output-dir "$dir/$stride" >/dev/null
        diff <(awk '{ print ($0 == "") }' "$base/data/dev-en.tsv") <(awk '{ print ($0 == "") }' "$dir/$stride/udpos/dev-en.tsv")
    done
}

@test "a table of texts is refused, not learnt as one sentence" {
    printf 'No one knew.\tNobody knew it.\tentailment\nHe went away in the end.\tHe stayed.\tcontradiction\n' >"$dir/test-en.tsv"
    run -65 "$xlmr" finetune --task tag --model "$base/model" --train-file "$dir/test-en.tsv" --output-dir "$dir/run"
    [[ $output == *"test-en.tsv:1: looks like a table of texts between TABs; expected a word and its tag a line"*"; give --task classify" ]]
    [ ! -e "$dir/run" ]
    run -65 "$xlmr" evaluate --task tag --model "$base/run/best" --data-dir "$dir"
    [[ $output == *"test-en.tsv:1: looks like a table of texts"* ]]
}

@test "one column is an error with line and remedy" {
    printf 'noba\nveti\n' >"$dir/words.txt"
    run -65 "$xlmr" finetune --task tag --model "$base/model" --train-file "$dir/words.txt" --output-dir "$dir/run"
    [[ $output == *"words.txt:1: no tag behind 'noba'; expected the word, a TAB or a blank, and its tag"* ]]
    [ ! -e "$dir/run" ]
}
