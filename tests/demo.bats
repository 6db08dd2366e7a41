#!/usr/bin/env bats
# The demo in a short form, the same bits at any number of threads, a run that is stopped.

bats_require_minimum_version 1.5.0

setup_file() {
    unset OPENBLAS_CORETYPE
    export OMP_WAIT_POLICY=passive
    export xlmr="${XLMR_BUILD:-build}/xlmr" dir
    dir=$(mktemp -d)
    DEMO_LANGUAGES=en,ru,ar DEMO_TRAIN=3000 DEMO_SHARE=1500 DEMO_TEST=300 DEMO_VOCAB=340 \
        scripts/demo.sh "$xlmr" "$dir/demo" >"$dir/log" 2>&1 || { cat "$dir/log"; return 1; }
}

teardown_file() { rm -rf "$dir"; }

# train OUTPUT FLAGS...: a run with dropout on the demo's model and data; as=exec replaces the shell, for signals.
train() {
    local out=$1
    shift
    ${as:-} "$xlmr" finetune --config configs/demo.yaml --model "$dir/demo/nano" --train-file "$dir/demo/data/train-en.tsv" \
        --train-file "$dir/demo/data/train-ar.tsv" --validation-file "$dir/demo/data/dev-en.tsv" --output-dir "$out" \
        --hidden-dropout 0.1 --attention-dropout 0.1 --eval-steps 20 --logging-steps 1 --quiet "$@"
}

@test "the demo shows its steps, a table above chance and where the results are" {
    for n in 1 2 3 4 5 6 7; do grep -q "^$n\. " "$dir/log"; done
    for language in en ru ar average; do
        accuracy=$(sed -n "s/^$language  *\([0-9]* \)\{0,1\} *\([0-9.]*\) .*/\2/p" "$dir/log")
        echo "# $language $accuracy"
        awk -v a="$accuracy" -v least="$([ $language = en ] && echo 60 || echo 40)" 'BEGIN { exit !(a > least && a <= 100) }'
    done
    [ "$(grep -c '^{"label":' "$dir/log")" -eq 3 ]
    grep -q "^Done in [0-9]* s\. Everything is in $dir/demo" "$dir/log"
    [ -f "$dir/demo/run/best/model.safetensors" ] && [ -f "$dir/demo/run/final/model.safetensors" ]
}

@test "the demo replaces its own output only" {
    mkdir "$dir/mine" && echo kept >"$dir/mine/file"
    run -73 scripts/demo.sh "$xlmr" "$dir/mine"
    [[ $output == *"was not made by an earlier demo"* ]]
    [ "$(cat "$dir/mine/file")" = kept ]
}

@test "the corpus: known bytes, classes in balance, no premise in two splits, languages line by line" {
    mkdir "$dir/corpus"
    awk -f scripts/demo_corpus.awk -v dir="$dir/corpus" -v train=3000 -v share=300
    for file in "$dir"/corpus/*.tsv; do
        [ "$(cut -f3 "$file" | sort | uniq -c | awk '{ print $1 }' | uniq | wc -l)" -eq 1 ]
        [ "$(cut -f3 "$file" | sort -u | tr '\n' ' ')" = 'contradiction entailment neutral ' ]
    done
    cut -f1 "$dir/corpus/train-en.tsv" | sort -u >"$dir/a"
    cut -f1 "$dir"/corpus/dev-en.tsv "$dir"/corpus/test-en.tsv | sort -u >"$dir/b"
    [ -z "$(comm -12 "$dir/a" "$dir/b")" ]
    [ -z "$(cut -f1 "$dir/corpus/dev-en.tsv" | sort -u | comm -12 - <(cut -f1 "$dir/corpus/test-en.tsv" | sort -u))" ]
    for language in de es tr sw ru el ar hi zh; do
        cmp <(cut -f3 "$dir/corpus/test-en.tsv") <(cut -f3 "$dir/corpus/test-$language.tsv")
        iconv -f UTF-8 -t UTF-16 "$dir/corpus/test-$language.tsv" >/dev/null
    done
    [ "$(cat "$dir"/corpus/*.tsv | sha256sum | cut -c1-16)" = f17bcf5120eb707a ]
    run -2 awk -f scripts/demo_corpus.awk
    run -2 awk -f scripts/demo_corpus.awk -v dir="$dir/corpus" -v languages=en,xx
    [[ $output == *"'xx'"* ]]
}

@test "the same bits with 1, 2 and 4 threads" {
    for n in 1 2 4; do
        train "$dir/t$n" --max-steps 40 --threads $n
        (cd "$dir/t$n" && sha256sum final/model.safetensors best/model.safetensors metrics.jsonl) >"$dir/sum$n"
    done
    cat "$dir/sum1"
    cmp "$dir/sum1" "$dir/sum2"
    cmp "$dir/sum1" "$dir/sum4"
    train "$dir/other" --max-steps 40 --threads 1 --seed 43
    run -1 cmp -s "$dir/t1/final/model.safetensors" "$dir/other/final/model.safetensors"
}

@test "a run told to stop saves what it has, says so, and ends with 75" {
    as=exec train "$dir/stopped" --max-steps 1000000 >"$dir/out" 2>"$dir/err" 3>&- &
    pid=$!
    for _ in $(seq 200); do
        if [ -s "$dir/stopped/metrics.jsonl" ]; then break; fi
        sleep 0.1
    done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    cat "$dir/err"
    [ "$status" -eq 75 ]
    grep -q 'stopped by a signal after update [0-9]' "$dir/err"
    [ ! -e "$dir/stopped/final" ]
    [ -z "$(find "$dir/stopped" -name '*tmp*' -o -name '.*' ! -path "$dir/stopped")" ]
    [ -n "$(find "$dir/stopped/checkpoints" -name MANIFEST.json)" ]
}
