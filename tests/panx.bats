#!/usr/bin/env bats
# Tagging words as commands: finetune --task tag, evaluate --task panx, predict; on made-up sentences, so that it can be learnt in seconds.

bats_require_minimum_version 1.5.0

# sentences SEED N PREFIX TAGS: names follow "za" (a person, of one or two words) and "lo" (a place). TAGS 0: words only.
sentences() {
    awk -v seed="$1" -v n="$2" -v prefix="$3" -v tags="$4" 'function word(  w, k) { w = ""; for (k = 0; k < 2 + int(2 * rand()); k++)
        w = w substr("bdfgkmnprst", 1 + int(11 * rand()), 1) substr("aeiou", 1 + int(5 * rand()), 1); return w }
    function put(w, t) { print prefix w (tags ? "\t" t : "") }
    BEGIN { srand(seed); for (i = 0; i < n; i++) { if (i) print ""
        for (k = 0; k < 3; k++) { r = rand()
            if (r < 0.3) { put("za", "O"); put(word(), "B-PER"); if (rand() < 0.5) put("zu" word(), "I-PER") }
            else if (r < 0.6) { put("lo", "O"); put(word(), "B-LOC") }
            else put(word(), "O") } } }'
}

setup_file() {
    export base
    base=$(mktemp -d)
    xlmr="${XLMR_BUILD:-build}/xlmr"
    unset OPENBLAS_CORETYPE
    sentences 1 600 "" 0 | tr '\n' ' ' | sed 's/  /\n/g' >"$base/corpus.txt"
    "$xlmr" train-tokenizer --quiet --vocab-size 120 --threads 1 --output "$base/spm" "$base/corpus.txt" >/dev/null
    "$xlmr" init --quiet --preset nano --tokenizer "$base/spm" --output-dir "$base/model" >/dev/null
    mkdir "$base/data"
    sentences 2 900 en: 1 | gzip >"$base/data/train-en.tsv.gz"
    sentences 3 100 "" 1 >"$base/data/dev-en.tsv"
    sentences 4 60 "" 1 | gzip >"$base/data/dev-sw.tsv.gz"
    sentences 4 60 "" 0 >"$base/data/dev-yo.tsv"
    "$xlmr" finetune --quiet --task tag --model "$base/model" --train-file "$base/data/train-en.tsv.gz" --validation-file "$base/data/dev-en.tsv" \
        --learning-rate 2e-3 --num-epochs 6 --hidden-dropout 0 --attention-dropout 0 --output-dir "$base/run" >"$base/said"
}

teardown_file() { rm -rf "$base"; }

setup() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$(mktemp -d)
    unset OPENBLAS_CORETYPE
}

teardown() { rm -rf "$dir"; }

@test "finetune: it learns, chooses by F1, and writes transformers' token classifier" {
    [[ $(head -1 "$base/said") =~ ^best\ f1\ 0\.9 ]]
    grep -q '"architectures": \[' "$base/run/best/config.json"
    grep -q XLMRobertaForTokenClassification "$base/run/best/config.json"
    ! grep -q problem_type "$base/run/best/config.json"
    grep -q 'pipeline_tag: token-classification' "$base/run/best/README.md"
    grep -q '| entity F1 | 0.9' "$base/run/best/README.md"
    grep '"event":"eval"' "$base/run/metrics.jsonl" | grep -q '"f1":'
}

@test "evaluate: a table a language, predictions as XTREME wants them, the same F1 as in training" {
    run -0 --separate-stderr "$xlmr" evaluate --task panx --split dev --model "$base/run/best" --data-dir "$base/data" --output-dir "$dir/out"
    [ "${lines[0]}" = "PAN-X, dev: $base/run/best" ]
    [[ ${lines[1]} =~ ^language\ +n\ +F1\ +precision\ +recall\ +strict\ F1$ ]]
    [[ ${lines[2]} =~ ^en\ +100\ +9[0-9.]+\ +[0-9.]+\ +[0-9.]+\ +[0-9.]+$ && ${lines[3]} =~ ^sw\ +60\ +[89] && ${lines[4]} =~ ^yo\ +60\ +-\ +-\ +-\ +-$ ]]
    [[ ${lines[5]} =~ ^average\  && ${lines[6]} =~ ^transfer\ gap ]]
    f1=$(sed -n 's/^best f1 \(.*\) at.*/\1/p' "$base/said")
    awk -v want="$f1" '$1 == "en" { exit !(sprintf("%.4f", $3) == want) }' "$dir/out/results.tsv"
    # a tag for every word, an empty line where the data have one
    diff <(awk '{ print ($0 == "") }' "$base/data/dev-en.tsv") <(awk '{ print ($0 == "") }' "$dir/out/panx/dev-en.tsv")
    cmp "$dir/out/panx/dev-sw.tsv" "$dir/out/panx/dev-yo.tsv"
    diff <(awk '{ print ($0 == "") }' "$base/data/dev-yo.tsv") <(awk '{ print ($0 == "") }' "$dir/out/panx/dev-yo.tsv")
}

@test "evaluate: figures by type of several models, each model's own" {
    local a=(evaluate --quiet --task panx --split dev --data-dir "$base/data" --per-type)
    "$xlmr" finetune --quiet --task tag --model "$base/model" --train-file "$base/data/dev-sw.tsv.gz" --num-epochs 1 --output-dir "$dir/other" >/dev/null
    "$xlmr" "${a[@]}" --model "$base/run/best" | sed -n '/^en, by type/,$p' >"$dir/1"
    "$xlmr" "${a[@]}" --model "$dir/other/final" | sed -n '/^en, by type/,$p' >"$dir/2"
    grep -q '^sw, by type' "$dir/1"
    run ! cmp -s "$dir/1" "$dir/2"
    "$xlmr" "${a[@]}" --model "$base/run/best" "$dir/other/final" --bootstrap 0 >"$dir/both"
    { printf '[1]\n\n'; cat "$dir/1"; printf '\n[2]\n\n'; cat "$dir/2"; } | diff - <(sed -n '/^\[1\]$/,$p' "$dir/both")
    # a model a language: each part has its language's name
    "$xlmr" "${a[@]}" --model "en=$base/run/best" "sw=$dir/other/final" --bootstrap 0 >"$dir/both"
    { sed '/^$/,$d' "$dir/1"; echo; sed -n '/^sw, by type/,$p' "$dir/2"; } | diff - <(sed -n '/^en, by type/,$p' "$dir/both")
    run ! grep -qF '[1]' "$dir/both"
}

@test "evaluate: sentences that do not fit are split and every word is scored; threads change nothing" {
    run -0 --separate-stderr "$xlmr" evaluate --task panx --split dev --model "$base/run/best" --data-dir "$base/data" --languages en --max-seq-length 8 \
        --threads 1 --output-dir "$dir/a"
    [[ $stderr == *"examples split to 8 tokens: en"* ]]
    diff <(awk '{ print ($0 == "") }' "$base/data/dev-en.tsv") <(awk '{ print ($0 == "") }' "$dir/a/panx/dev-en.tsv")
    grep -q '"words": '"$(grep -c . "$base/data/dev-en.tsv")" "$dir/a/results.json"
    "$xlmr" evaluate --quiet --task panx --split dev --model "$base/run/best" --data-dir "$base/data" --languages en --max-seq-length 8 \
        --threads 2 --output-dir "$dir/b" >/dev/null
    cmp "$dir/a/panx/dev-en.tsv" "$dir/b/panx/dev-en.tsv"
}

@test "evaluate: tags that the model has not learnt are misses, with one warning; a file that has no other is refused" {
    mkdir "$dir/data" "$dir/strange"
    sed '/B-LOC/{s/^\([bdf].*\)B-LOC/\1B-DATE/; s/^\([gk].*\)B-LOC/\1B-EVENT/}' "$base/data/dev-en.tsv" >"$dir/data/dev-en.tsv"
    gzip -dc "$base/data/dev-sw.tsv.gz" | sed 's/B-LOC/B-DATE/' >"$dir/data/dev-sw.tsv"
    dates=$(grep -h B-DATE "$dir/data/"*.tsv | wc -l)
    events=$(grep -c B-EVENT "$dir/data/dev-en.tsv")
    local a=(evaluate --task panx --split dev --data-dir "$dir/data" --per-type)
    run -0 --separate-stderr "$xlmr" "${a[@]}" --model "$base/run/best" --output-dir "$dir/out"
    [ "$(grep -c 'has not learnt' <<<"$stderr")" -eq 1 ]
    [[ $stderr == *"warning: $base/run/best: tags that the model has not learnt, with how many words have them: "*"; they count as missed"* ]]
    [[ $stderr == *"B-DATE ($dates)"* && $stderr == *"B-EVENT ($events)"* ]]
    [[ $output =~ DATE\ +0\.00\ +0\.00\ +0\.00 ]]
    # the same figures as those of the predictions alone, for which no tag is unknown
    "$xlmr" "${a[@]}" --quiet --predictions "$dir/out" | sed 1d | diff <(sed 1d <<<"$output") -
    # their words have no loss, which would be infinite
    [ "$(grep -c '"loss": [0-9.]*,$' "$dir/out/results.json")" -eq 2 ]
    run ! grep -v '"loss":[0-9.]*,' "$dir/out/errors.jsonl"
    sed 's/B-LOC/B-DATE/; s/[BI]-PER/B-EVENT/' "$base/data/dev-en.tsv" >"$dir/strange/dev-en.tsv"
    line=$(grep -n -m1 '[BI]-' "$dir/strange/dev-en.tsv" | cut -d: -f1)
    run -65 --separate-stderr "$xlmr" evaluate --task panx --split dev --model "$base/run/best" --data-dir "$dir/strange"
    [[ $stderr == *"$dir/strange/dev-en.tsv:$line: unknown tags, and no other but O; with how many words have them: B-"*"B-"*"; the known tags are: "* ]]
    # training is as strict as it was
    run -65 "$xlmr" finetune --task tag --model "$base/model" --train-file "$base/data/dev-en.tsv" --validation-file "$dir/data/dev-sw.tsv" --output-dir "$dir/no"
    [[ $output == *"dev-sw.tsv:"*": unknown tag 'B-DATE'"* ]]
}

@test "predict: the tags of evaluate, and entities" {
    "$xlmr" evaluate --quiet --task panx --split dev --model "$base/run/best" --data-dir "$base/data" --languages sw --output-dir "$dir/out" >/dev/null
    awk 'function flush() { if (s != "") print "{\"tokens\": [" s "]}"; s = "" }
        $0 == "" { flush(); next } { s = s (s == "" ? "" : ", ") "\"" $1 "\"" } END { flush() }' "$base/data/dev-yo.tsv" >"$dir/in"
    "$xlmr" predict --quiet --model "$base/run/best" "$dir/in" >"$dir/lines"
    sed 's/.*"tags": \[\([^]]*\)\].*/\1/; s/"//g; s/, /\n/g; $!s/$/\n/' "$dir/lines" | cmp - "$dir/out/panx/dev-sw.tsv"
    "$xlmr" predict --quiet --format tsv --model "$base/run/best" "$base/data/dev-yo.tsv" | cmp - "$dir/lines"
    "$xlmr" predict --quiet --format tsv --model "$base/run/best" "$base/data/dev-sw.tsv.gz" | cmp - "$dir/lines"
    run -0 --separate-stderr "$xlmr" predict --quiet --model "$base/run/best" < <(echo '{"text": "lo bado  za kiru zunoma"}')
    [[ $output == '{"tokens": ["lo", "bado", "za", "kiru", "zunoma"], "tags": ["O", "B-LOC", "O", "B-PER", "I-PER"], "entities": [{"type": "LOC", '* ]]
    [[ $output == *'{"type": "PER", "begin": 3, "end": 5, "text": "kiru zunoma", "start_char": 12, "end_char": 23, "start_byte": 12, "end_byte": 23, "score": '* ]]
    run -0 --separate-stderr "$xlmr" predict --quiet --model "$base/run/best" --grouping first < <(echo '{"text": "lo bado  za kiru zunoma"}')
    [[ $output == '{"entities": [{"entity_group": "'*'"start_char": '*'"end_byte": '* ]]
}

@test "a model keeps its head when it is trained further on the same tags" {
    run -0 --separate-stderr "$xlmr" finetune --task tag --model "$base/run/best" --train-file "$base/data/dev-sw.tsv.gz" --num-epochs 1 --output-dir "$dir/run" \
        --class-weights balanced --label-smoothing 0.1 --micro-batch-size 7
    [[ $stderr == *"keeps its head"* ]]
    run -0 --separate-stderr "$xlmr" finetune --task tag --model "$base/run/best" --train-file "$base/data/dev-sw.tsv.gz" --num-epochs 1 --output-dir "$dir/run2" \
        --label-map B-LOC=B-ORG
    [[ $stderr == *"freshly initialised"* && $stderr == *"labels: B-ORG, B-PER, I-PER, O"* ]]
}

@test "the wrong task is a usage error, wrong data name file and line" {
    run -2 "$xlmr" evaluate --task xnli --split dev --model "$base/run/best" --data-dir "$base/data"
    [[ $output == *"classifies words; score it with --task panx"* ]]
    run -2 "$xlmr" evaluate --task panx --split dev --model "$base/run/best" --data-dir "$base/data" --confusion
    [[ $output == *"--confusion: --task panx has no classes"* ]]
    run -65 "$xlmr" evaluate --task udpos --split dev --model "$base/run/best" --data-dir "$base/data"
    [[ $output == *"--task udpos scores plain tags word by word, and these spell entities; score it with --task panx"* ]]
    run -65 "$xlmr" evaluate --task panx --model "$base/model" --data-dir "$base/data" --split dev
    [[ $output == *"another head, masked_lm"* ]]
    run -2 "$xlmr" finetune --task tag --model "$base/model" --train-file "$base/data/dev-en.tsv" --metric f1_micro --output-dir "$dir/run"
    [[ $output == *"has: f1 f1_strict precision recall f1_macro accuracy loss"* ]]
    run -2 "$xlmr" finetune --task tag --model "$base/model" --train-file "$base/data/dev-en.tsv" --label-column 2 --output-dir "$dir/run"
    [[ $output == *"--label-column: --task tag reads lines"* ]]
    run -65 "$xlmr" finetune --task tag --model "$base/model" --train-file "$base/data/dev-yo.tsv" --output-dir "$dir/run"
    [[ $output == *"dev-yo.tsv:1: no tag behind"* ]]
    run -65 "$xlmr" predict --quiet --model "$base/run/best" "$base/data/dev-en.tsv"
    [[ $output == *'dev-en.tsv:1: is no JSON object; a tagger reads JSON lines, {"tokens": ["word", …]} or {"text": "…"}; give --format tsv'* ]]
    printf 'bado\tNOUN\nkiru\tB-PER\n' >"$dir/pos.tsv"
    run -65 "$xlmr" finetune --task tag --model "$base/model" --train-file "$dir/pos.tsv" --output-dir "$dir/run"
    [[ $output == *"pos.tsv:2: the tag 'B-PER' has a prefix, but 'NOUN' of line 1 has none"* ]]
    [ ! -e "$dir/run" ]
}

@test "a stopped run goes on to the same bits" {
    args=(--quiet --task tag --model "$base/model" --train-file "$base/data/dev-en.tsv" --validation-file "$base/data/dev-sw.tsv.gz" --num-epochs 2 --batch-size 8)
    "$xlmr" finetune "${args[@]}" --output-dir "$dir/a" >/dev/null
    run -75 "$xlmr" finetune "${args[@]}" --output-dir "$dir/b" --max-time 0.05s
    [[ $output == *"the same command goes on"* ]]
    "$xlmr" finetune "${args[@]}" --output-dir "$dir/b" >/dev/null
    cmp "$dir/a/metrics.jsonl" "$dir/b/metrics.jsonl"
    cmp "$dir/a/best/model.safetensors" "$dir/b/best/model.safetensors"
}
