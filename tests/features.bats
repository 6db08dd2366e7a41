#!/usr/bin/env bats
# features and fill-mask read records or lines of text: all of a line or a refusal, and what they print about themselves is JSON whatever the path.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

@test "a NUL byte in a line is refused, not the end of the text" {
    printf 'the cat\nthe \0 dog\n' >"$dir/t"
    refused 65 "$dir/t:2: a NUL byte" -- features --model "$model" --output "$dir/o" "$dir/t"
    run -65 "$xlmr" fill-mask --model "$model" < <(printf 'the <mask>\nthe <mask> \0 dog\n')
    [[ $output == *":2: a NUL byte at byte 11"* ]]
}

@test "texts that are cut at the longest that the model takes are counted, in each file" {
    local long
    long=$(printf 'the cat sat on the mat %.0s' $(seq 120))
    printf '%s\nthe cat\n%s\n' "$long" "$long" >"$dir/t"
    echo "$long" >"$dir/u"
    accepted "note: $dir/t: 2 of 3 records are longer than 512 tokens; what is behind that was not read" "note: $dir/u: 1 of 1 records" -- \
        features --model "$model" --output "$dir/v.jsonl" "$dir/t" "$dir/u"
    echo 'the cat sat on the mat' | "$xlmr" features --model "$model" --max-seq-length 4 --output "$dir/v.jsonl" 2>"$dir/err"
    grep -q '<stdin>: 1 of 1 records are longer than 4 tokens' "$dir/err"
    accepted -- features --model "$model" --output "$dir/v.jsonl" "$train"
    run ! grep -q 'longer than' "$dir/err"
    refused 2 '--max-seq-length 513: the model has positions for 512 tokens' -- features --model "$model" --max-seq-length 513 --output "$dir/o" "$dir/t"
}

# same_vectors FILE ARGUMENTS...: those of the lines of $dir/want.
same_vectors() {
    "$xlmr" features --quiet --model "$model" --pooling mean --output "$dir/got.jsonl" "$@" 2>"$dir/err"
    "$xlmr" features --quiet --model "$model" --pooling mean --output "$dir/want.jsonl" --format plain "$dir/want"
    cat "$dir/err"
    diff "$dir/want.jsonl" "$dir/got.jsonl"
}

@test "features reads the files that predict takes, and everything else line by line" {
    printf 'the cat sat\non a "mat"\n' >"$dir/want"
    printf '{"text": "the cat sat", "label": "pos"}\n\n{"text": "on a \\"mat\\""}\n' >"$dir/a.jsonl"
    printf 'text\tlabel\nthe cat sat\tpos\non a "mat"\tneg\n' >"$dir/a.txt"
    printf 'text,label\n"the cat sat",pos\n"on a ""mat""",neg\n' | gzip >"$dir/a.csv.gz"
    printf 'pos\tthe cat sat\nneg\ton a "mat"\n' >"$dir/a.tsv"
    for name in a.jsonl a.txt a.csv.gz; do same_vectors "$dir/$name"; done
    for name in a.jsonl a.txt; do same_vectors <"$dir/$name"; done
    same_vectors --text-column 2 "$dir/a.tsv"
    same_vectors --text-column 2 <"$dir/a.tsv"
    same_vectors --format tsv --text-column 2 <"$dir/a.tsv"
    same_vectors <"$dir/want"
    [ ! -s "$dir/err" ]
    run -65 --separate-stderr "$xlmr" features --model "$model" --output "$dir/v.jsonl" < <(printf 'the cat\rsat')
    [[ $stderr == *'<stdin>:1: lines end in CR alone'*'give --format plain' ]]
    "$xlmr" features --quiet --model "$model" --format plain --output "$dir/v.jsonl" < <(printf 'the cat\rsat')
    [ "$(wc -l <"$dir/v.jsonl")" -eq 1 ]
    printf '\n{"text": 1}\n\n' >"$dir/want"
    same_vectors --format plain "$dir/want"
    accepted "$dir/b.txt: read as plain text, a line a text" "--format tsv" -- features --model "$model" --output "$dir/v.jsonl" \
        "$(printf 'a cat\ta dog\n' >"$dir/b.txt" && echo "$dir/b.txt")"
    accepted -- features --model "$model" --format plain --output "$dir/v.jsonl" "$dir/b.txt"
    [ ! -s "$dir/err" ]
}

@test "a pair has one vector, of the input that a classifier would get" {
    echo '{"text": "a cat", "text_pair": "a dog", "label": "x"}' | "$xlmr" features --quiet --model "$model" --output "$dir/v.jsonl"
    ids=$(printf 'a cat\ta dog\n' | "$xlmr" tokenize --model "$model" --pair | sed 's/^{"ids":\(.*\),"pieces.*/\1/')
    grep -F "\"ids\": $ids," "$dir/v.jsonl"
    echo '{"text": "a cat", "text_pair": "a dog"}' | "$xlmr" features --quiet --model "$model" --text-column text --output "$dir/v.jsonl"
    ids=$(echo 'a cat' | "$xlmr" tokenize --model "$model" | sed 's/^{"ids":\(.*\),"pieces.*/\1/')
    grep -F "\"ids\": $ids," "$dir/v.jsonl"
}

@test "what features cannot read as the table that it seems is refused, with the way to take it line by line" {
    echo '{curly} text' >"$dir/t"
    refused 65 "$dir/t:1: not valid JSON" '--format plain' -- features --model "$model" --output "$dir/o" "$dir/t"
    accepted -- features --model "$model" --format plain --output "$dir/v.jsonl" "$dir/t"
    echo '{"tokens": ["a", "cat"]}' >"$dir/t"
    refused 65 "$dir/t:1: no known text key" "'tokens'" '--format plain' -- features --model "$model" --output "$dir/o" "$dir/t"
    refused 65 "$dir/t:1: no known text key" -- features --model "$model" --format jsonl --output "$dir/o" "$dir/t"
    run ! grep -q 'format plain' "$dir/err"
    refused 2 '--text-pair-column has no effect with --format plain' -- features --model "$model" --format plain --text-pair-column 2 --output "$dir/o" "$dir/t"
}

@test "fill-mask reads the same from standard input, and says that a file is no text" {
    printf 'the <mask> sat\n\na <mask>\n' >"$dir/t"
    printf '{"text": "the <mask> sat"}\n{"text": ""}\n{"text": "a <mask>", "label": "x"}\n' >"$dir/t.jsonl"
    "$xlmr" fill-mask --model "$model" <"$dir/t" >"$dir/want"
    [ "$(wc -l <"$dir/want")" -eq 10 ]
    "$xlmr" fill-mask --model "$model" <"$dir/t.jsonl" | diff "$dir/want" -
    printf 'x\tthe <mask> sat\ny\ta <mask>\n' | "$xlmr" fill-mask --model "$model" --text-column 2 | diff "$dir/want" -
    run -65 "$xlmr" fill-mask --model "$model" <<<'{"text": "a <mask>", "text_pair": "a <mask>"}'
    [[ $output == *"<stdin>:1: the record has two texts"*"--text-column"* ]]
    refused 2 "$dir/t: is a file" "< $dir/t" -- fill-mask --model "$model" "$dir/t"
    refused 65 "no <mask> in the text '$dir'" -- fill-mask --model "$model" "$dir"
}

@test "tokenize takes lines as they stand, and warns when they look like records" {
    echo '{"text": "a cat"}' >"$dir/t"
    accepted "warning: $dir/t: looks like jsonl" 'jq -r .text' -- tokenize --model "$model" "$dir/t"
    grep -qF '[17,17]]' "$dir/out"
    printf 'a cat\ta dog\n' >"$dir/t.tsv"
    accepted "warning: $dir/t.tsv: looks like tsv" -- tokenize --model "$model" "$dir/t.tsv"
    accepted -- tokenize --model "$model" --pair "$dir/t.tsv"
    [ ! -s "$dir/err" ]
    accepted "warning: $train: looks like tsv" -- tokenize --model "$model" --pair "$train"
    accepted -- tokenize --model "$model" "$BATS_FILE_TMPDIR/corpus.txt"
    [ ! -s "$dir/err" ]
}

@test "the summary of features is JSON for every path" {
    echo 'the cat sat' >"$dir/t"
    run -0 --separate-stderr "$xlmr" features --model "$model" --pooling mean --json --output "$dir/a\"b\\c.jsonl" "$dir/t"
    echo "$output"
    [[ $output == *'/a\"b\\c.jsonl"'* && $output == *'"texts"'* ]]
    [ -s "$dir/a\"b\\c.jsonl" ]
}

@test "any layer, and batches of any size, also of a model with one layer" {
    sed 's/"num_hidden_layers": *2/"num_hidden_layers": 1/' "$model/config.json" >"$dir/c.json"
    grep -q '"num_hidden_layers": 1' "$dir/c.json"
    "$xlmr" init --quiet --config-json "$dir/c.json" --tokenizer "$BATS_FILE_TMPDIR/spm.model" --output-dir "$dir/m"
    for _ in 1 2 3; do cat "$BATS_FILE_TMPDIR/corpus.txt"; done >"$dir/t"
    "$xlmr" features --quiet --model "$dir/m" --pooling mean --batch-tokens 1000000 --output "$dir/big.jsonl" "$dir/t"
    "$xlmr" features --quiet --model "$dir/m" --pooling mean --batch-tokens 500 --output "$dir/small.jsonl" "$dir/t"
    [ "$(wc -l <"$dir/big.jsonl")" -eq 6000 ]
    [ "$(wc -l <"$dir/small.jsonl")" -eq 6000 ]
    refused 2 'layer 2' -- features --model "$dir/m" --layer 2 --output "$dir/o" "$dir/t"
}

@test "candidates of a mask are in order, also when all of them are asked for" {
    "$xlmr" fill-mask --model "$model" --json --top-k 1000000 'the <mask> sat' | tr '{' '\n' |
        sed -n 's/.*"score": *\([^,}]*\).*"token": *\([0-9]*\).*/\1 \2/p' >"$dir/all"
    head -3 "$dir/all"
    [ "$(wc -l <"$dir/all")" -eq "$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$model/config.json")" ]
    [ "$(cut -d' ' -f2 "$dir/all" | sort -u | wc -l)" -eq "$(wc -l <"$dir/all")" ]
    awk 'NR > 1 && ($1 > last || ($1 == last && $2 < id)) { exit 1 } { last = $1; id = $2 }' "$dir/all"
    "$xlmr" fill-mask --model "$model" --json --top-k 7 'the <mask> sat' | tr '{' '\n' |
        sed -n 's/.*"score": *\([^,}]*\).*"token": *\([0-9]*\).*/\1 \2/p' >"$dir/some"
    head -7 "$dir/all" | diff - "$dir/some"
}

@test "an output that cannot be written is refused in words, before the work, and nothing is left of a run that failed" {
    echo 'the cat sat' >"$dir/t"
    for name in v.jsonl v.h5; do
        refused 73 "$dir/none/$name: cannot be created: No such file or directory" -- \
            features --model "$model" --output "$dir/none/$name" "$dir/t"
        refused 66 "$dir/missing" -- features --model "$model" --batch-tokens 8 --output "$dir/$name" "$dir/t" "$dir/missing"
        [ ! -e "$dir/$name" ]
    done
}

# The last layer is computed for the first tokens alone then; layer 1 of 2 for all.
@test "pooling first gives the first token's vector" {
    head -40 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/t"
    for layer in 1 2; do
        "$xlmr" features --quiet --model "$model" --layer $layer --pooling none --output "$dir/all.jsonl" "$dir/t"
        "$xlmr" features --quiet --model "$model" --layer $layer --pooling first --output "$dir/first.jsonl" "$dir/t"
        sed 's/.*"features": \[\[\([^]]*\)\].*/\1/' "$dir/all.jsonl" | tr ',' '\n' >"$dir/want"
        sed 's/.*"features": \[\([^]]*\)\].*/\1/' "$dir/first.jsonl" | tr ',' '\n' >"$dir/got"
        [ "$(wc -l <"$dir/want")" -eq "$(wc -l <"$dir/got")" ]
        [ "$(wc -l <"$dir/want")" -ge 640 ]
        paste "$dir/want" "$dir/got" | awk '{ d = $1 - $2; if (d * d > 4e-12) exit 1 }'
    done
}

# The first pass of a process keeps no packed copy of the weights, the second makes them and gives the mapped pages back; portable kernels for 110 tokens
# and 12 are different ones, so that a text has the same bits in every company only with others.
@test "a text is answered the same alone, after another that had the weights packed, and together with others" {
    printf 'the cat sat on the mat %.0s' $(seq 60) >"$dir/long"
    echo 'the cat sat on the mat, the cat sat on the mat' >"$dir/short"
    echo >>"$dir/long"
    cat "$dir/long" "$dir/short" "$dir/long" "$dir/short" >"$dir/both"
    for f in both long short; do
        "$xlmr" features --quiet --model "$model" --max-seq-length 110 --batch-tokens 112 --pooling mean --output "$dir/$f.jsonl" "$dir/$f"
        sed -i 's/"text": [0-9]*/"text"/' "$dir/$f.jsonl"
    done
    cat "$dir/long.jsonl" "$dir/short.jsonl" "$dir/long.jsonl" "$dir/short.jsonl" >"$dir/alone.jsonl"
    diff "$dir/alone.jsonl" "$dir/both.jsonl"
    if "$xlmr" doctor | grep -q '^kernels *avx'; then
        "$xlmr" features --quiet --model "$model" --max-seq-length 110 --pooling mean "$dir/both" --output "$dir/both.jsonl"
        sed 's/"text": [0-9]*/"text"/' "$dir/both.jsonl" | diff "$dir/alone.jsonl" -
    fi
    [ "$("$xlmr" tokenize --model "$model" <"$dir/long" | tr , '\n' | wc -l)" -gt 330 ]
}
