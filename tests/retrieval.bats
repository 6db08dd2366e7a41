#!/usr/bin/env bats
# Finding translations as commands: evaluate --task tatoeba and bucc2018. A text and its copy are translations of each other that any encoder finds.

load helpers

setup_file() {
    make_tiny_model
    sort -u "$BATS_FILE_TMPDIR/corpus.txt" | sort -R --random-source=<(yes) >"$BATS_FILE_TMPDIR/lines"
}

setup() {
    common_setup
    mkdir "$dir/data"
}

tatoeba() { "$xlmr" evaluate --task tatoeba --model "$model" --data-dir "$dir/data" "$@"; }
bucc() { "$xlmr" evaluate --task bucc2018 --model "$model" --data-dir "$dir/data" "$@"; }

# numbered PREFIX: lines with an id before each.
numbered() { awk -v p="$1" '{ printf "%s-%06d\t%s\n", p, NR, $0 }'; }

@test "tatoeba: parallel lines of one's own; the same bytes from every number of threads" {
    head -300 "$BATS_FILE_TMPDIR/lines" | tee "$dir/data/de-en.en" >"$dir/data/de-en.de"
    head -50 "$BATS_FILE_TMPDIR/lines" | tee "$dir/data/sw-fr.fr" | gzip >"$dir/data/sw-fr.sw.gz"
    tatoeba --threads 1 --output-dir "$dir/a" >"$dir/said"
    grep -q '^Tatoeba, test: ' "$dir/said"
    grep -qE '^language +n +accuracy +reverse$' "$dir/said"
    grep -qE '^de +300 +100\.00 +100\.00$' "$dir/said"
    grep -qE '^sw-fr +50 +100\.00 +100\.00$' "$dir/said"
    seq 0 299 | cmp - "$dir/a/tatoeba/test-de.tsv"
    OMP_NUM_THREADS=3 tatoeba --quiet --threads 3 --batch-tokens 4096 --output-dir "$dir/b" >/dev/null
    cmp "$dir/a/tatoeba/test-de.tsv" "$dir/b/tatoeba/test-de.tsv"
    cmp "$dir/a/results.tsv" "$dir/b/results.tsv"
    # the file of predictions in the model's place
    "$xlmr" evaluate --quiet --task tatoeba --predictions "$dir/a" --data-dir "$dir/data" --output-dir "$dir/p" >"$dir/said"
    grep -qE '^de +300 +100\.00 +-$' "$dir/said"     # the way back is in no file: not known, rather than 0
    grep -qE '^average +100\.00 +- +of 2 languages$' "$dir/said"
    grep -A2 '"average"' "$dir/p/results.json" | grep -q '"reverse": null'
    grep -q '"languages": 2' "$dir/p/results.json"
    "$xlmr" report --quiet "$dir/p" --output "$dir/page.html" >/dev/null
    grep -qF '>average</th><td></td><td class="n">100.00</td><td class="n">-</td>' "$dir/page.html"
    grep -q '"layer": 1' "$dir/a/results.json"      # 7 / 12 of two layers
    grep -q '"pooling": "mean"' "$dir/a/results.json"
    ! grep -q '"tokens": 0' "$dir/a/results.json"
    tatoeba --layer 2 --pooling first --languages de --output-dir "$dir/c" >/dev/null
    grep -q '"layer": 2' "$dir/c/results.json"
    grep -q '"pooling": "first"' "$dir/c/results.json"
}

@test "tatoeba: XTREME's copy, where English is sorted: predictions, and figures once the answers are there" {
    head -200 "$BATS_FILE_TMPDIR/lines" >"$dir/data/de-en.de"
    LC_ALL=C sort "$dir/data/de-en.de" >"$dir/data/de-en.en"
    run -0 --separate-stderr tatoeba --output-dir "$dir/a"
    [[ $stderr == *"sorted, so they are not parallel"* && $output == *-* ]]
    # line n of English is the line of German that was predicted for it
    awk 'NR == FNR { de[FNR - 1] = $0; next } { print de[$1] }' "$dir/data/de-en.de" "$dir/a/tatoeba/test-de.tsv" | cmp - "$dir/data/de-en.en"
    cp "$dir/a/tatoeba/test-de.tsv" "$dir/data/test-de.tsv"
    tatoeba | grep -qE '^de +200 +100\.00 +100\.00$'
    sed -i '1s/.*/200/' "$dir/data/test-de.tsv"
    refused 65 "test-de.tsv:1: '200' is no line of the 200" -- evaluate --task tatoeba --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
}

@test "the worst errors of both, with their texts, and on the page" {
    head -60 "$BATS_FILE_TMPDIR/lines" | tee "$dir/data/de-en.en" >"$dir/data/de-en.de"
    { echo 1; echo 0; seq 2 59; } >"$dir/data/test-de.tsv"      # two answers said to be wrong
    tatoeba --quiet --output-dir "$dir/a" >/dev/null
    [ "$(wc -l <"$dir/a/errors.jsonl")" -eq 2 ]
    python3 - "$dir/a/errors.jsonl" "$dir/data/de-en.de" <<'PY'
import json, sys
errors = [json.loads(line) for line in open(sys.argv[1])]
lines = open(sys.argv[2]).read().splitlines()
assert sorted(e["row"] for e in errors) == [1, 2]
for e in errors:
    i = e["row"] - 1
    assert e["text"] == lines[i] == e["predicted"] and e["gold"] == lines[1 - i] and abs(e["similarity"] - 1) < 1e-5 and e["gold_similarity"] < 1
PY
    "$xlmr" report --quiet "$dir/a" --output "$dir/page.html" >/dev/null
    grep -q "similarity of the right one" "$dir/page.html"
    rm "$dir/data/"*
    for split in dev test; do
        [ $split = dev ] && from=1 || from=400
        tail -n +$from "$BATS_FILE_TMPDIR/lines" | head -40 | numbered de >"$dir/data/de-en.$split.de"
        tail -n +$from "$BATS_FILE_TMPDIR/lines" | head -40 | numbered en >"$dir/data/de-en.$split.en"
        seq 1 40 | awk '{ printf "de-%06d\ten-%06d\n", $1, $1 }' >"$dir/data/de-en.$split.gold"
    done
    sed -i 's/^de-000001.*/de-000001\ten-000002/' "$dir/data/de-en.test.gold"
    bucc --quiet --output-dir "$dir/b" >/dev/null
    python3 - "$dir/b/errors.jsonl" "$dir/data/de-en.test.en" <<'PY'
import json, sys
errors = [json.loads(line) for line in open(sys.argv[1])]
e = errors[0]       # pairs that were not given come behind
lines = [line.split("\t")[1] for line in open(sys.argv[2]).read().splitlines()]
assert e["row"] == 1 and e["predicted"] == e["text"] == lines[0] and e["gold"] == lines[1] and e["margin"] > 0
PY
}

@test "tatoeba: refusals" {
    refused 66 "pair of files such as de-en.de" -- evaluate --task tatoeba --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
    printf 'a\nb\n' >"$dir/data/de-en.de"
    refused 66 "file of the other language is not beside it" -- evaluate --task tatoeba --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
    echo a >"$dir/data/de-en.en"
    refused 65 "2 lines, and 1 in the other language" -- evaluate --task tatoeba --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
    refused 2 "--split dev" -- evaluate --task tatoeba --split dev --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
    refused 2 "layer 3: the model has layers" -- evaluate --task tatoeba --layer 3 --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
    refused 2 "--confusion" -- evaluate --task tatoeba --confusion --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
}

@test "bucc2018: the threshold comes from dev, repeated sentences are left out, ids in pairs" {
    for split in dev test; do
        [ $split = dev ] && from=1 || from=400
        tail -n +$from "$BATS_FILE_TMPDIR/lines" | head -150 >"$dir/x"
        tail -n +$((from + 100)) "$BATS_FILE_TMPDIR/lines" | head -180 >"$dir/y"       # 50 in common
        numbered de <"$dir/x" >"$dir/data/de-en.$split.de"
        { cat "$dir/y"; tail -1 "$dir/x"; } | numbered en >"$dir/data/de-en.$split.en"        # the last of the 50 stands twice
        awk -F'\t' 'NR == FNR { id[$2] = $1; next } $2 in id { print id[$2] "\t" $1 }' "$dir/data/de-en.$split.de" "$dir/data/de-en.$split.en" \
            | head -50 >"$dir/data/de-en.$split.gold"
    done
    bucc --threads 1 --output-dir "$dir/a" >"$dir/said"
    grep -q '^BUCC 2018, test: ' "$dir/said"
    awk '$1 == "de" { exit !($2 == 150 && $3 > 90 && $5 == "98.00") }' "$dir/said"          # 49 of 50 can be found
    grep -q '"threshold_from": "dev"' "$dir/a/results.json"
    [ "$(sort "$dir/a/bucc2018/test-de.tsv" "$dir/data/de-en.test.gold" | uniq -d | wc -l)" = 49 ]
    n=$(wc -l <"$dir/a/bucc2018/test-de.tsv")
    awk -v n="$n" '$1 == "de" { exit !($4 == sprintf("%.2f", 4900 / n) && $3 == sprintf("%.2f", 9800 / (n + 50))) }' "$dir/said"
    "$xlmr" evaluate --quiet --task bucc2018 --predictions "$dir/a" --data-dir "$dir/data" >"$dir/again"
    cmp <(grep '^de' "$dir/said") <(grep '^de' "$dir/again")
    OMP_NUM_THREADS=2 bucc --quiet --threads 2 --output-dir "$dir/b" >/dev/null
    cmp "$dir/a/bucc2018/test-de.tsv" "$dir/b/bucc2018/test-de.tsv"
    cmp "$dir/a/results.tsv" "$dir/b/results.tsv"
    # as in XTREME's own folder, without the answers
    mv "$dir/data/de-en.test.gold" "$dir/gold"
    bucc --output-dir "$dir/c" >"$dir/said"
    cmp "$dir/a/bucc2018/test-de.tsv" "$dir/c/bucc2018/test-de.tsv"
    grep -qE '^de +150 +- +- +-$' "$dir/said"
    rm "$dir/data/de-en.dev.gold"
    refused 66 "no right pairs to find a threshold with" -- evaluate --task bucc2018 --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
    mv "$dir/gold" "$dir/data/de-en.test.gold"
    run -0 --separate-stderr bucc
    [[ $stderr == *"F1 is an upper bound"* ]]
    run -0 --separate-stderr "$xlmr" evaluate --task bucc2018 --predictions "$dir/a" --data-dir "$dir/data"     # pairs are given, no threshold is looked for
    [[ $stderr != *"upper bound"* ]]
    echo "de-000001" >>"$dir/data/de-en.test.gold"
    refused 65 "de-en.test.gold:51: 'de-000001' is no pair of ids" -- evaluate --task bucc2018 --model "$model" --data-dir "$dir/data" --output-dir "$dir/o"
}
