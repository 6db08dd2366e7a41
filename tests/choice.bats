#!/usr/bin/env bats
# Multiple choice as commands: finetune --task choice, predict, evaluate --task xcopa; on made-up questions that can be learnt in seconds.

bats_require_minimum_version 1.5.0

# questions SEED N: XCOPA's lines; the right choice begins with the premise's first word.
questions() {
    awk -v seed="$1" -v n="$2" 'function word(  w, k) { w = ""; for (k = 0; k < 2; k++)
        w = w substr("bdfgkmnprst", 1 + int(11 * rand()), 1) substr("aeiou", 1 + int(5 * rand()), 1); return w }
    BEGIN { srand(seed); for (i = 0; i < n; i++) { kind = rand() < 0.5; y = rand() < 0.5
        right = (kind ? "zaza " : "lolo ") word(); wrong = (kind ? "lolo " : "zaza ") word()
        printf "{\"premise\": \"%s %s\", \"choice1\": \"%s\", \"choice2\": \"%s\", \"question\": \"%s\", \"label\": %d, \"idx\": %d, \"changed\": false}\n",
            kind ? "zaza" : "lolo", word(), y ? wrong : right, y ? right : wrong, rand() < 0.5 ? "cause" : "effect", y, i } }'
}

train() {
    "$xlmr" finetune --quiet --task choice --model "$base/model" --train-file "$base/train.jsonl" --validation-file "$base/data/val.en.jsonl" \
        --learning-rate 3e-3 --num-epochs 4 --batch-size 16 --hidden-dropout 0 --attention-dropout 0 "$@"
}

setup_file() {
    export base
    base=$(mktemp -d)
    xlmr="${XLMR_BUILD:-build}/xlmr"
    unset OPENBLAS_CORETYPE
    questions 1 400 >"$base/train.jsonl"
    tr -d '{}":,' <"$base/train.jsonl" >"$base/corpus.txt"
    "$xlmr" train-tokenizer --quiet --vocab-size 120 --threads 1 --output "$base/spm" "$base/corpus.txt" >/dev/null
    "$xlmr" init --quiet --preset nano --tokenizer "$base/spm" --output-dir "$base/model" >/dev/null
    mkdir "$base/data"
    questions 2 80 >"$base/data/val.en.jsonl"
    questions 3 60 >"$base/data/test.et.jsonl"
    questions 4 50 | gzip >"$base/data/test.qu.jsonl.gz"
    train --output-dir "$base/run" >"$base/said"
}

teardown_file() { rm -rf "$base"; }

setup() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$(mktemp -d)
    unset OPENBLAS_CORETYPE
}

teardown() { rm -rf "$dir"; }

@test "finetune: it learns, chooses by accuracy, and writes transformers' multiple-choice model" {
    [[ $(head -1 "$base/said") =~ ^best\ accuracy\ (0\.9|1\.0) ]]
    grep -q XLMRobertaForMultipleChoice "$base/run/best/config.json"
    ! grep -q id2label "$base/run/best/config.json"
    grep -q 'pipeline_tag: multiple-choice' "$base/run/best/README.md"
    grep -q '| chance | 0.5000 |' "$base/run/best/README.md"
    grep '"event":"eval"' "$base/run/metrics.jsonl" | grep -q '"chance":0.5'
    grep '"event":"start"' "$base/run/metrics.jsonl" | grep -q '"train_examples":400'
}

@test "finetune: threads and a stop change nothing; a model trained for choices keeps its head" {
    train --threads 1 --max-steps 12 --output-dir "$dir/a" >/dev/null
    train --threads 2 --max-steps 12 --max-time 1s --save-steps 5 --output-dir "$dir/b" >/dev/null || true
    train --threads 2 --max-steps 12 --save-steps 5 --output-dir "$dir/b" >/dev/null
    cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
    run -0 --separate-stderr "$xlmr" finetune --task choice --model "$base/run/best" --train-file "$base/train.jsonl" --max-steps 1 --output-dir "$dir/c"
    [[ $stderr == *"keeps its head"* && $stderr != *"freshly initialised"* ]]
    run -0 --separate-stderr "$xlmr" finetune --task choice --model "$base/model" --train-file "$base/train.jsonl" --max-steps 1 --output-dir "$dir/d"
    [[ $stderr == *"freshly initialised"*"classifier.weight"* && $stderr == *"labels: the right one of the choices"* ]]
}

@test "finetune: options of other tasks are refused" {
    for option in "--label-column x" "--problem-type regression" "--format tsv" "--label-map a=b" "--classifier-dropout 0.1" "--label-smoothing 0.1" \
        "--class-weights balanced" "--metric f1"; do
        # shellcheck disable=SC2086
        run -2 --separate-stderr train $option --output-dir "$dir/run"
        [[ $stderr == *"${option%% *}"* ]]
        [ ! -e "$dir/run" ]
    done
}

@test "predict: a line for each question, the best choice first named" {
    "$xlmr" predict --quiet --model "$base/run/best" <"$base/data/test.et.jsonl" >"$dir/out"
    [ "$(wc -l <"$dir/out")" = 60 ]
    paste -d'\n' "$base/data/test.et.jsonl" "$dir/out" | awk 'NR % 2 { split($0, a, "\"label\": "); gold = substr(a[2], 1, 1); next }
        { n++; good += substr($2, 1, 1) == gold } END { exit !(n == 60 && good > 50) }'
    run -2 --separate-stderr "$xlmr" predict --model "$base/run/best" --top-k 1 "$base/data/test.et.jsonl"
    [[ $stderr == *"--top-k"* ]]
    for option in "--grouping simple" "--n-best 3" "--text-column a"; do
        # shellcheck disable=SC2086
        run -2 --separate-stderr "$xlmr" predict --model "$base/run/best" $option "$base/data/test.et.jsonl"
        [[ $stderr == *"${option%% *} has no effect with $base/run/best: a multiple-choice model"*"leave it out"* ]]
    done
    printf 'n_best: 3\n' >"$dir/shared.yaml"     # a configuration may serve models of several kinds
    "$xlmr" predict --quiet --config "$dir/shared.yaml" --model "$base/run/best" "$base/data/test.et.jsonl" | cmp - "$dir/out"
}

@test "predict: a document in SQuAD's layout is told to be one" {
    echo '{"version": "1.1", "data": []}' >"$dir/squad.json"
    run -65 --separate-stderr "$xlmr" predict --model "$base/run/best" "$dir/squad.json"
    [[ $stderr == *"squad.json: is a document in SQuAD's layout, but a multiple-choice model"*"finetune --task qa"* ]]
    run -65 --separate-stderr "$xlmr" predict --model "$base/run/best" --on-bad-record skip --max-bad-fraction 1 <"$dir/squad.json"
    [[ $stderr == *"<stdin>: is a document in SQuAD's layout"* && -z $output ]]
    printf '{"data": {"premise": "a"}}\n' >"$dir/nested.json"
    run -65 --separate-stderr "$xlmr" predict --model "$base/run/best" "$dir/nested.json"
    [[ $stderr != *SQuAD* && $stderr == *"nested.json:1: "* ]]
    printf '{\n "premise": "a"\n}\n' >"$dir/pretty.json"
    run -65 --separate-stderr "$xlmr" predict --model "$base/run/best" "$dir/pretty.json"
    [[ $stderr == *"pretty.json:1: a JSON object over several lines"*"one object a line"*"(jq -c '.')"* ]]
}

@test "evaluate: XCOPA's files and XTREME-R's, the accuracy of training, predictions as XTREME-R takes them" {
    run -0 --separate-stderr "$xlmr" evaluate --task xcopa --split dev --model "$base/run/best" --data-dir "$base/data" --output-dir "$dir/dev"
    accuracy=$(sed -n 's/^best accuracy \(.*\) at.*/\1/p' "$base/said")
    awk -v want="$accuracy" '$1 == "en" { exit !(sprintf("%.4f", $3) == want) }' "$dir/dev/results.tsv"
    run -0 --separate-stderr "$xlmr" evaluate --task xcopa --model "$base/run/best" --data-dir "$base/data" --output-dir "$dir/a" --threads 1
    [ "${lines[0]}" = "XCOPA, test: $base/run/best" ]
    [[ ${lines[1]} =~ ^language\ +n\ +accuracy\ +chance && ${lines[2]} =~ ^et\ +60\ +[0-9.]+\ +50\.00 && ${lines[3]} =~ ^qu\ +50\  ]]
    paste "$dir/a/xcopa/test-et.jsonl" "$base/data/test.et.jsonl" | awk '{ split($0, a, "\"label\": "); good += substr(a[2], 1, 1) == substr(a[3], 1, 1) }
        END { printf "%.2f\n", 100 * good / NR }' >"$dir/right"
    [[ ${lines[2]} =~ ^et\ +60\ +$(cat "$dir/right") ]]
    "$xlmr" evaluate --quiet --task choice --model "$base/run/best" --data-dir "$base/data" --output-dir "$dir/mine" >"$dir/said"      # the same as one's own data
    grep -q "/data, test: $base/run/best$" "$dir/said"
    cmp "$dir/a/xcopa/test-et.jsonl" "$dir/mine/choice/test-et.jsonl"
    "$xlmr" evaluate --quiet --task xcopa --predictions "$dir/a" --data-dir "$base/data" >"$dir/again"
    [ "$(awk '$1 == "et" { print $3 }' "$dir/again")" = "$(cat "$dir/right")" ]
    echo '{"label": 2}' >"$dir/one"
    run ! --separate-stderr "$xlmr" evaluate --task xcopa --predictions "$dir/one" --languages et --data-dir "$base/data"
    [[ $stderr == *"one:1: no choice of the 2"* ]]
    mkdir -p "$dir/xtreme" "$dir/own/et"
    cp "$base/data/test.et.jsonl" "$dir/xtreme/test-et.jsonl"
    cp "$base/data/test.et.jsonl" "$dir/own/et"
    for folder in xtreme own; do
        "$xlmr" evaluate --quiet --task xcopa --model "$base/run/best" --data-dir "$dir/$folder" --output-dir "$dir/b-$folder" --threads 2 >/dev/null
        cmp "$dir/a/xcopa/test-et.jsonl" "$dir/b-$folder/xcopa/test-et.jsonl"
    done
}

@test "evaluate: questions without labels are answered; other heads and empty folders are refused" {
    mkdir "$dir/data"
    sed 's/, "label": [01]//' "$base/data/test.et.jsonl" >"$dir/data/test-et.jsonl"
    run -0 --separate-stderr "$xlmr" evaluate --task xcopa --model "$base/run/best" --data-dir "$dir/data" --output-dir "$dir/out"
    [[ ${lines[2]} =~ ^et\ +60\ +- && $(wc -l <"$dir/out/xcopa/test-et.jsonl") = 60 ]]
    run -2 --separate-stderr "$xlmr" evaluate --task xcopa --model "$base/model" --data-dir "$base/data"
    [[ $stderr == *"no head for multiple choice; train one with: xlmr finetune --task choice"* ]]
    run ! --separate-stderr "$xlmr" evaluate --task xcopa --split dev --model "$base/run/best" --data-dir "$dir/data"
    [[ $stderr == *"no val.{language}.jsonl"* ]]
    run ! --separate-stderr "$xlmr" evaluate --task xnli --model "$base/run/best" --data-dir "$dir/data"
    [[ $stderr == *"expected"* ]]
}
