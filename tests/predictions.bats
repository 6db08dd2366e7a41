#!/usr/bin/env bats
# xlmr evaluate --predictions: files of predictions in a model's place; what does not fit is refused with counts (catalogue 67).

load helpers

setup() {
    common_setup
    mkdir -p "$dir/data" "$dir/p/xnli" "$dir/tags"
    printf 'a\tb\tentailment\nc\td\tneutral\ne\tf\tcontradiction\ng\th\tneutral\n' | tee "$dir/data/test-en.tsv" >"$dir/data/test-sw.tsv"
    printf 'entailment\nneutral\nneutral\nneutral\n' >"$dir/p/xnli/test-en.tsv"
    printf 'contradiction\n neutral \ncontradiction\nneutral\n' >"$dir/p/xnli/test-sw.tsv"
    printf 'A\tO\nB\tB-PER\n\nC\tB-LOC\n' >"$dir/tags/test-en.tsv"
}

figure() { # FILE LANGUAGE NAME: a number of results.json
    awk -v lang="\"$2\": {" -v name="\"$3\":" 'index($0, lang) { in_lang = 1 } in_lang && $1 == name { sub(/,$/, "", $2); print $2; exit }' "$1"
}

@test "a folder as XTREME lays it out: scored, and written again as it was" {
    accepted -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p" --output-dir "$dir/e"
    grep -q "^en  *4  *75.00  *60.00" "$dir/out"
    grep -q "^sw  *4  *75.00  *55.56" "$dir/out"
    cmp "$dir/p/xnli/test-en.tsv" "$dir/e/xnli/test-en.tsv"
    [ "$(figure "$dir/e/results.json" en loss)" = null ]        # only a model has one
    [ "$(figure "$dir/e/results.json" en auc)" = null ]         # of classes alone it would be another figure than the model's
    [ "$(figure "$dir/e/results.json" en accuracy)" = 0.75 ]
    grep -qF "\"predictions\": \"$dir/p\"" "$dir/e/results.json"
    run ! grep -q '^  "model"' "$dir/e/results.json"
}

@test "one file, and a class that the gold labels do not have" {
    printf 'entailment\nneutral\nother\nneutral\n' >"$dir/f.tsv"
    accepted -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/f.tsv" --languages en --confusion
    grep -q '^ *entailment  *neutral  *contradiction  *other$' "$dir/out"
    refused 2 "one file for 2 languages" "--languages" -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/f.tsv"
}

@test "a gap of nothing but rounding is 0.00, in the table as on the page" {
    for language in en:2 de:1 fr:2 sw:3; do       # (0.1 + 0.2 + 0.3) / 3 is more than 0.2
        for i in $(seq 10); do printf 'a %s\tb\tneutral\n' "$i"; done >"$dir/data/test-${language%:*}.tsv"
        for i in $(seq 10); do [ "$i" -le "${language#*:}" ] && echo neutral || echo entailment; done >"$dir/p/xnli/test-${language%:*}.tsv"
    done
    accepted -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p" --output-dir "$dir/e"
    grep -q '"transfer_gap": -2.77' "$dir/e/results.json"
    grep -q '^transfer gap  *0\.00 ' "$dir/out"
    "$xlmr" report "$dir/e" --output "$dir/page.html" >/dev/null
    grep -A2 'transfer gap' "$dir/page.html" | grep -q '>0\.00<'
}

@test "a row without a gold label in one language: its rows are no longer those of the others, and are drawn apart" {
    for i in $(seq 40); do printf 'a %s\tb\tneutral\n' "$i"; done | tee "$dir/data/test-en.tsv" >"$dir/data/test-sw.tsv"
    for _ in $(seq 20); do printf 'neutral\nentailment\n'; done | tee "$dir/p/xnli/test-en.tsv" >"$dir/p/xnli/test-sw.tsv"
    accepted -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p" --bootstrap 1000
    [ "$(grep -oE '\[.*\]' "$dir/out" | uniq | wc -l)" = 1 ]           # drawn together: languages that are alike tell nothing new
    sed -i '1i z\tb\t-' "$dir/data/test-sw.tsv"
    sed -i '1i neutral' "$dir/p/xnli/test-sw.tsv"
    accepted -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p" --bootstrap 1000
    [ "$(grep -oE '\[.*\]' "$dir/out" | uniq | wc -l)" = 3 ]
    cp "$dir/data/test-sw.tsv" "$dir/data/test-en.tsv"                 # in both: the same rows again
    cp "$dir/p/xnli/test-sw.tsv" "$dir/p/xnli/test-en.tsv"
    accepted -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p" --bootstrap 1000
    [ "$(grep -oE '\[.*\]' "$dir/out" | uniq | wc -l)" = 1 ]
}

@test "what does not fit the gold file is 65 with counts" {
    echo neutral >>"$dir/p/xnli/test-sw.tsv"
    refused 65 "test-sw.tsv: 5 predictions;" "has 4 pairs" -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p"
    printf 'neutral\n\nneutral\nneutral\n' >"$dir/p/xnli/test-sw.tsv"
    refused 65 "test-sw.tsv:2: an empty line" -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p"
    rm "$dir/p/xnli/test-sw.tsv"
    refused 66 "no file test-sw.tsv" "--languages" -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p"
}

@test "tags: sentence by sentence" {
    printf 'O\nB-PER\n \t\nI-LOC\n' >"$dir/t.tsv"        # nothing but white space is an empty line
    accepted -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv"
    grep -q '^en  *2  *100.00' "$dir/out"
    printf 'O\nB-PER\nB-LOC\n' >"$dir/t.tsv"
    refused 65 "t.tsv:3: 3 tags in sentence 1" "has 2 words there" -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv"
    printf 'O\nB-PER\n' >"$dir/t.tsv"
    refused 65 "t.tsv: 1 sentences with 2 tags" "2 sentences with 3 words" -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv"
    printf 'O\nNOUN\n\nO\n' >"$dir/t.tsv"
    refused 65 "'NOUN' is no tag of an entity" -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv"
}

@test "tags: IOB1, and the same entities in IOB2, are as good as the gold tags" {
    printf 'A\tI-PER\nB\tI-PER\nC\tB-PER\nD\tO\nE\tI-LOC\n\nF\tI-LOC\nG\tI-PER\n' >"$dir/tags/test-en.tsv"
    printf 'I-PER\nI-PER\nB-PER\nO\nI-LOC\n\nI-LOC\nI-PER\n' >"$dir/t.tsv"
    printf 'B-PER\nI-PER\nB-PER\nO\nB-LOC\n\nB-LOC\nB-PER\n' >"$dir/u.tsv"
    for file in t u; do
        accepted -- evaluate --task conll --data-dir "$dir/tags" --predictions "$dir/$file.tsv" --output-dir "$dir/$file"
        grep -q '^en  *2  *100.00  *100.00  *100.00  *100.00' "$dir/out"        # the last: strict
        [ "$(figure "$dir/$file/results.json" en accuracy)" = 1.0 ]
    done
    # seqeval 1.2.2: default F1, mode='strict' with scheme=IOB1, accuracy
    printf 'I-PER\nI-PER\nO\nB-PER\nI-LOC\n\nI-LOC\nI-LOC\n' >"$dir/t.tsv"
    accepted -- evaluate --task conll --data-dir "$dir/tags" --predictions "$dir/t.tsv" --output-dir "$dir/v"
    [ "$(figure "$dir/v/results.json" en f1)" = 0.4444444444444445 ]
    [ "$(figure "$dir/v/results.json" en f1_strict)" = 0.5 ]
    [ "$(figure "$dir/v/results.json" en precision_strict)" = 0.6666666666666666 ]
    [ "$(figure "$dir/v/results.json" en accuracy)" = 0.5714285714285714 ]
    [ "$(figure "$dir/v/results.json" en scheme)" = '"IOB1"' ]
}

@test "a model or predictions, one of them" {
    refused 2 "--model DIR" "--predictions DIR" -- evaluate --task xnli --data-dir "$dir/data"
    refused 2 "leave one out" -- evaluate --task xnli --data-dir "$dir/data" --predictions "$dir/p" --model "$dir/m"
}

@test "classes and types that a task does not have are refused before anything is read, as with a model" {
    local t
    for t in xquad mlqa tydiqa qa panx conll xcopa choice tatoeba bucc2018; do
        refused 2 "--confusion: --task $t has no classes; leave it out" -- evaluate --task $t --data-dir "$dir/none" --predictions "$dir/none" --confusion
    done
    for t in xquad mlqa tydiqa qa xnli pawsx classify xcopa choice tatoeba bucc2018; do
        refused 2 "--per-type: --task $t has no figures by type; leave it out" -- evaluate --task $t --data-dir "$dir/none" --predictions "$dir/none" --per-type
    done
    printf 'O\nB-PER\n\nI-LOC\n' >"$dir/t.tsv"
    refused 2 "--confusion: --task panx" -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv" --confusion
    refused 2 "--confusion: --task panx" -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv" --confusion --json
    accepted -- evaluate --task panx --data-dir "$dir/tags" --predictions "$dir/t.tsv" --per-type
    grep -qE '^LOC +100\.00 +100\.00 +100\.00 +1 ' "$dir/out"
}

@test "retrieval: numbers of lines, pairs of ids" {
    mkdir "$dir/tat" "$dir/bucc"
    printf 'moja\nmbili\ntatu\n' >"$dir/tat/sw-en.sw"
    printf 'one\ntwo\nthree\n' >"$dir/tat/sw-en.en"
    printf '0\n2\n2\n' >"$dir/t.tsv"
    accepted -- evaluate --task tatoeba --data-dir "$dir/tat" --predictions "$dir/t.tsv" --output-dir "$dir/e"
    grep -q '^sw  *3  *66.67' "$dir/out"
    cmp "$dir/t.tsv" "$dir/e/tatoeba/test-sw.tsv"
    printf '0\n2\n' >"$dir/t.tsv"
    rm -r "$dir/e"
    refused 65 "t.tsv: 2 numbers for 3 lines" -- evaluate --task tatoeba --data-dir "$dir/tat" --predictions "$dir/t.tsv"
    printf '0\n2\n3\n' >"$dir/t.tsv"
    refused 65 "t.tsv:3: '3' is no line of the 3" -- evaluate --task tatoeba --data-dir "$dir/tat" --predictions "$dir/t.tsv"

    printf 'd1\teins\nd2\tzwei\nd3\tdrei\n' >"$dir/bucc/de-en.test.de"
    printf 'e1\tone\ne2\ttwo\ne3\tthree\n' >"$dir/bucc/de-en.test.en"
    printf 'd1\te1\nd2\te2\n' >"$dir/bucc/de-en.test.gold"
    printf 'd2\te2\nd3\te1\nd2\te2\nd1\te3\n' >"$dir/t.tsv"           # one pair twice
    accepted -- evaluate --task bucc2018 --data-dir "$dir/bucc" --predictions "$dir/t.tsv"
    grep -Eq '^de +3 +40.00 +33.33 +50.00' "$dir/out"
    printf 'd9\te2\n' >"$dir/t.tsv"
    refused 65 "t.tsv:1: 'd9' is no pair of ids" -- evaluate --task bucc2018 --data-dir "$dir/bucc" --predictions "$dir/t.tsv"
}
