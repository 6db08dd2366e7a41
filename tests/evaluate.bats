#!/usr/bin/env bats
# xlmr evaluate and xlmr predict as commands: what goes where, exit codes, files that appear whole or not at all.

bats_require_minimum_version 1.5.0

setup_file() {
    export base
    base=$(mktemp -d)
    xlmr="${XLMR_BUILD:-build}/xlmr"
    unset OPENBLAS_CORETYPE
    awk 'BEGIN { srand(1); for (i = 0; i < 600; i++) { s = ""; for (k = 0; k < 8; k++) {
        s = s substr("bdfgklmnprst", 1 + int(12 * rand()), 1) substr("aeiou", 1 + int(5 * rand()), 1)
        if (k % 3 == 2) s = s " " } print s } }' >"$base/corpus.txt"
    cp -r tests/golden/tiny-cls "$base/model"
    "$xlmr" train-tokenizer --quiet --vocab-size 120 --threads 1 --output "$base/model/sentencepiece.bpe.model" \
        "$base/corpus.txt" >/dev/null
    mkdir "$base/data"
    for lang in en sw; do
        head -30 "$base/corpus.txt" | awk -v OFS='\t' \
            '{ n = split("entailment neutral contradiction", l, " "); print $1, $2 " " $3, l[NR % n + 1] }' \
            >"$base/data/test-$lang.tsv"
    done
    gzip "$base/data/test-sw.tsv"
}

teardown_file() { rm -rf "$base"; }

setup() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$(mktemp -d)
    unset OPENBLAS_CORETYPE
}

teardown() { rm -rf "$dir"; }

@test "evaluate: the table and nothing else on standard output" {
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$base/data"
    [ "${lines[0]}" = "XNLI, test: $base/model" ]
    [[ ${lines[2]} =~ ^en\ +30\ +[0-9.]+\ +[0-9.]+$ && ${lines[3]} =~ ^sw\ +30\  ]]
    [[ $stderr == *"evaluate en"* && $stderr == *30/30* ]]
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$base/data" --quiet --json
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == '{"task":"xnli","split":"test",'*'"languages":{"en":{'* && $stderr != *"evaluate en"* ]]
}

@test "evaluate: a name of two letters that no language has is left out of the table, unless it is asked for" {
    mkdir "$dir/data"
    for name in en v2 zz-old sh gsw; do cp "$base/data/test-en.tsv" "$dir/data/test-$name.tsv"; done
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$dir/data"
    [[ $output == *"average "*"of 3 languages"* && $output == *$'\nsh '* && $output == *$'\ngsw '* && $output != *v2* && $output != *zz* ]]
    [[ $stderr == *"data/test-v2.tsv: left out; no language is called 'v2'; to score it as one, name it with --languages"* ]]
    [[ $stderr == *"no language is called 'zz-old'"* ]]
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$dir/data" --languages 'en, v2 '
    [[ $output == *"of 2 languages"* && $output == *$'\nv2 '* ]]
}

@test "evaluate: unknown characters of Latin text are not called a script" {
    mkdir "$dir/data"
    tr b-g B-G <"$base/data/test-en.tsv" | sed 's/\t[^\t]*$/\tneutral/' >"$dir/data/test-en.tsv"
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$dir/data"
    [[ $stderr == *"tokens that are <unk>: en "*" %; the tokenizer has no piece for some of their characters, which the model does not see"* ]]
    [[ $stderr != *script* ]]
}

@test "evaluate: options of other tasks are told to have no effect, and only when they were given" {
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$base/data" --languages en --layer 1 --n-best 3
    [[ $stderr == *"layer has no effect with --task xnli; these tasks have it: bucc2018 tatoeba"* ]]
    [[ $stderr == *"n_best has no effect with --task xnli; these tasks have it: mlqa qa tydiqa xquad"* && $stderr != *tag_stride* ]]
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$base/data" --languages en
    [[ $stderr != *"no effect"* ]]
}

@test "evaluate: --on-bad-record skip leaves bad rows out, says so, and keeps its limit" {
    mkdir "$dir/data"
    cp "$base/data/test-en.tsv" "$dir/data/test-en.tsv"
    printf 'ba\tbe\tno such label\n' >>"$dir/data/test-en.tsv"
    run -65 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$dir/data"
    [[ $stderr == *"test-en.tsv:31:"*"no such label"* ]]
    run -65 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$dir/data" --on-bad-record skip
    [[ $stderr == *"1 of 31 rows are bad; at most a share of 0.01"*"--max-bad-fraction"* ]]
    run -0 --separate-stderr "$xlmr" evaluate --model "$base/model" --data-dir "$dir/data" --on-bad-record skip --max-bad-fraction 0.1 --output-dir "$dir/out"
    [[ $stderr == *"1 bad record was left out"*"no submission"* && ${lines[2]} =~ ^en\ +30\  ]]
    [ "$(wc -l <"$dir/out/xnli/test-en.tsv")" = 30 ]
    "$xlmr" evaluate --quiet --model "$base/model" --data-dir "$base/data" --languages en >"$dir/good"
    grep "^en" "$dir/good" | cmp - <(printf '%s\n' "${lines[2]}")
}

@test "evaluate: several models come into one table, the same however they are named and at any number of threads" {
    sed 's/"entailment"/"x"/; s/"neutral"/"entailment"/; s/"x"/"neutral"/' "$base/model/config.json" >"$dir/config"
    mkdir "$dir/other"
    cp "$base/model/"* "$dir/other/"
    cp "$dir/config" "$dir/other/config.json"
    "$xlmr" evaluate --quiet --model "$base/model" "$dir/other" --data-dir "$base/data" --output-dir "$dir/out" --threads 1 >"$dir/a"
    "$xlmr" evaluate --quiet --data-dir "$base/data" --model "$base/model" --model "$dir/other" --threads 2 >"$dir/b"
    cmp "$dir/a" "$dir/b"
    [ "$(sed -n 1p "$dir/a")" = "XNLI, test" ] && [ "$(sed -n 4p "$dir/a")" = "[2] $dir/other" ]
    [[ $(sed -n 7p "$dir/a") =~ ^language\ +n\ +accuracy\ +macro\ F1\ +95\ %\ interval\ +accuracy\ +macro\ F1\ +95\ %\ interval\ +p$ ]]
    [[ $(sed -n 8p "$dir/a") =~ ^en\ +30\ +[0-9.]+\ +[0-9.]+\ +\[[0-9.]+,\ [0-9.]+\]\ +[0-9.]+\ +[0-9.]+\ +\[[0-9.]+,\ [0-9.]+\]\ +[01]\.[0-9]{4}$ ]]
    grep -q '^p: two-sided' "$dir/a"
    [ "$(wc -l <"$dir/out/model-2/xnli/test-sw.tsv")" -eq 30 ] && [ "$(wc -l <"$dir/out/results.tsv")" -eq 5 ]
    grep -q '<svg' "$dir/out/plot.svg" && grep -q '\[2\] ' "$dir/out/plot.svg"
    "$xlmr" report --quiet "$dir/out" --output "$dir/report.html" >/dev/null
    grep -q 'model-1' "$dir/report.html" && grep -q 'model-2' "$dir/report.html"
    run ! cmp -s "$dir/out/model-1/xnli/test-en.tsv" "$dir/out/model-2/xnli/test-en.tsv"
    run -2 "$xlmr" evaluate --model "$base/model" --data-dir "$base/data" --selection per-language
    [[ $output == *"chooses among several models"* ]]
    run -66 "$xlmr" evaluate --model "$base/model" "$dir/none" --data-dir "$base/data" --output-dir "$dir/out2"
    [ ! -e "$dir/out2" ]
}

@test "evaluate: pairs of PAWS-X need a model whose labels are 0 and 1" {
    mkdir "$dir/pawsx"
    printf 'bado\tki\t0\nlemu\tno\t1\n' >"$dir/pawsx/test-de.tsv"
    run -65 "$xlmr" evaluate --task pawsx --model "$base/model" --data-dir "$dir/pawsx"
    [[ $output == *"PAWS-X needs exactly 0 (no paraphrase) and 1"* ]]
    "$xlmr" init --quiet --preset nano --tokenizer "$base/model/sentencepiece.bpe.model" --output-dir "$dir/m" >/dev/null
    "$xlmr" finetune --quiet --model "$dir/m" --train-file "$dir/pawsx/test-de.tsv" --num-epochs 1 --output-dir "$dir/run" >/dev/null
    "$xlmr" evaluate --quiet --task pawsx --model "$dir/run/final" --data-dir "$dir/pawsx" --output-dir "$dir/out" >"$dir/table"
    [ "$(sed -n 1p "$dir/table")" = "PAWS-X, test: $dir/run/final" ]
    [ "$(grep -cxE '0|1' "$dir/out/pawsx/test-de.tsv")" -eq 2 ]
    mkdir -p "$dir/x-final/de" "$dir/x-final/en"
    { printf 'id\tsentence1\tsentence2\tlabel\n'; awk '{ print NR "\t" $0 }' "$dir/pawsx/test-de.tsv"; } >"$dir/x-final/de/test_2k.tsv"
    "$xlmr" evaluate --quiet --task pawsx --model "$dir/run/final" --data-dir "$dir/x-final" >"$dir/own"
    diff "$dir/table" "$dir/own"
    run -66 "$xlmr" evaluate --task pawsx --model "$dir/run/final" --data-dir "$dir/x-final" --split dev
    [[ $output == *"no files dev-{language}.tsv"*"and no {language}/dev_2k.tsv"* ]]
}

@test "evaluate: a missing language is 66 and leaves nothing behind" {
    run -66 "$xlmr" evaluate --model "$base/model" --data-dir "$base/data" --languages en,zh --output-dir "$dir/out"
    [[ $output == *"test-zh.tsv: no such file"*"the folder has: en, sw"* ]]
    [ -z "$(ls -A "$dir")" ]
}

@test "evaluate: prediction files have a line a row; a full folder is 73" {
    "$xlmr" evaluate --quiet --model "$base/model" --data-dir "$base/data" --output-dir "$dir/out" >"$dir/table"
    [ "$(wc -l <"$dir/out/xnli/test-sw.tsv")" -eq 30 ]
    [ -z "$(grep -vxE 'entailment|neutral|contradiction' "$dir/out/xnli/test-en.tsv")" ]
    run -73 "$xlmr" evaluate --model "$base/model" --data-dir "$base/data" --output-dir "$dir/out"
    [[ $output == *--overwrite-output-dir* ]]
}

@test "evaluate and predict agree, at any number of threads" {
    "$xlmr" evaluate --quiet --model "$base/model" --data-dir "$base/data" --output-dir "$dir/out" --threads 1 >/dev/null
    cut -f 1,2 "$base/data/test-en.tsv" >"$dir/pairs.tsv"
    for threads in 1 2 4; do
        "$xlmr" predict --quiet --model "$base/model" --threads "$threads" "$dir/pairs.tsv" >"$dir/p$threads"
        cmp "$dir/p1" "$dir/p$threads"
    done
    sed 's/^{"label": "\([a-z]*\)".*/\1/' "$dir/p1" | cmp - "$dir/out/xnli/test-en.tsv"
}

@test "predict: standard input, standard output, a file that appears whole" {
    printf '{"text": "bado", "text_pair": "ki"}\n{"text": "lemu", "text_pair": ""}\n' >"$dir/in"
    "$xlmr" predict --model "$base/model" <"$dir/in" >"$dir/a" 2>/dev/null
    [ "$(wc -l <"$dir/a")" -eq 2 ]
    gzip -c "$dir/in" | "$xlmr" predict --model "$base/model" - 2>/dev/null | cmp - "$dir/a"
    run -0 --separate-stderr "$xlmr" predict --quiet --model "$base/model" --output "$dir/b" "$dir/in"
    [ "$output" = "$dir/b: 2 predictions" ]
    cmp "$dir/a" "$dir/b"
    { printf 'bado\n' | gzip; printf 'lemu\n' | gzip; } | "$xlmr" predict --model "$base/model" - 2>/dev/null >"$dir/pieces"
    printf 'bado\nlemu\n' | "$xlmr" predict --model "$base/model" - 2>/dev/null | cmp - "$dir/pieces"     # the first is held while the second is read
    rm "$dir/pieces"
    cp "$dir/in" "$dir/same"
    ln -s same "$dir/link"
    run -0 --separate-stderr "$xlmr" predict --model "$base/model" < <(seq -s ' bado ' 1 900 | tr -d '0-9'; echo lemu)
    [[ $stderr == *"<stdin>: 1 of 2 records are longer than "*" tokens; what is behind that was not read"* ]]
    run -73 "$xlmr" predict --model "$base/model" --output "$dir/link" "$dir/same"
    [[ $output == *"link: is also an input ("*"same), which would be lost; name another file to write"* ]]
    run -73 "$xlmr" features --model "$base/model" --output "$dir/same" "$dir/same"
    cmp "$dir/in" "$dir/same"
    rm "$dir/same" "$dir/link"
    printf '{"text": "bado"}\n{"text": 1}\n' >"$dir/bad"
    run -65 "$xlmr" predict --model "$base/model" --output "$dir/c" "$dir/bad"
    [[ $output == *"bad:2: the key 'text' holds a number"* ]]
    [ ! -e "$dir/c" ] && [ "$(ls "$dir")" = "$(printf 'a\nb\nbad\nin')" ]
}

@test "predict: a full disk is 74" {
    [ -e /dev/full ] || skip "no /dev/full"
    status=0
    echo '{"text": "bado"}' | "$xlmr" predict --quiet --model "$base/model" >/dev/full 2>"$dir/err" || status=$?
    [ "$status" -eq 74 ]
    grep -q "standard output: cannot write" "$dir/err"
}

@test "a model without a classifier is 65 with what to do" {
    mkdir "$dir/m"
    "$xlmr" init --quiet --preset nano --tokenizer "$base/model/sentencepiece.bpe.model" --output-dir "$dir/m" >/dev/null
    run -65 "$xlmr" evaluate --model "$dir/m" --data-dir "$base/data"
    [[ $output == *"xlmr finetune --task classify|tag --model $dir/m"* ]]
}

@test "evaluate: SIGTERM ends it with 75 and leaves nothing beside the output directory" {
    mkdir "$dir/many"
    for _ in $(seq 200); do cat "$base/data/test-en.tsv"; done >"$dir/rows"
    for k in $(seq 30); do ln -s "$dir/rows" "$dir/many/test-x$k.tsv"; done
    "$xlmr" evaluate --model "$base/model" --data-dir "$dir/many" --output-dir "$dir/out" --batch-tokens 64 --quiet >"$dir/table" 2>"$dir/err" &
    pid=$!
    for _ in $(seq 200); do
        ! ls -d "$dir"/out.tmp-* >/dev/null 2>&1 || break
        sleep 0.05
    done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ $status -eq 75 ]
    grep -q 'stopped after' "$dir/err"
    [ ! -s "$dir/table" ] && [ ! -e "$dir/out" ]
    run -1 compgen -G "$dir/out.tmp-*"
}
