#!/usr/bin/env bats
# xlmr prepare by its command line: what it prints, what it refuses and how, and that other programs can read what it wrote.

load helpers

setup_file() { make_tiny_model; }

setup() {
    common_setup
    mkdir "$dir/in"
    local n=0 lang
    for lang in en de sw; do
        n=$((n + 200))
        sed -n "$((n - 199)),${n}p" "$BATS_FILE_TMPDIR/corpus.txt" | awk 'NR % 5 == 0 { print "" } { print }' >"$dir/in/$lang.txt"
    done
    gzip "$dir/in/de.txt"
    out=$dir/o
}

prepare() { "$xlmr" prepare --quiet --model "$model" --output-dir "$out" "$@"; }
manifest() { "$xlmr" prepare --quiet --json --model "$model" --output-dir "$out" "$@"; }

@test "a table of languages, and a store that h5ls and h5dump read" {
    run -0 --separate-stderr prepare "$dir"/in/*
    [[ "${lines[0]}" =~ ^language\ +documents\ +sentences\ +tokens\ +bytes\ of\ text$ ]]
    [[ "${lines[1]}" =~ ^de\ +41\ +200\ +[0-9]+\ +[0-9]+$ ]]
    [[ "${lines[4]}" =~ ^all\ +123\ +600\ +[0-9]+\ +[0-9]+$ ]]
    [[ "${lines[5]}" =~ :\ 3\ inputs,\ 3\ shards,\ digest\ [0-9a-f]{32}$ ]]
    [ "$(ls "$out")" = "$(printf '%s\n' manifest.json shard-00000.h5 shard-00001.h5 shard-00002.h5)" ]
    if ! command -v h5ls >/dev/null; then skip "no h5ls here (package hdf5-tools)"; fi
    run -0 h5ls "$out/shard-00001.h5"
    [[ "${lines[0]}" =~ ^doc_offsets\ +Dataset\ \{42/Inf\}$ ]]
    [[ "${lines[1]}" =~ ^lang\ +Dataset\ \{41/Inf\}$ ]]
    [[ "${lines[2]}" =~ ^tokens\ +Dataset\ \{[0-9]+/Inf\}$ ]]
    run -0 h5dump -p -H "$out/shard-00001.h5"
    [ "$(grep -c 'CHECKSUM FLETCHER32' <<<"$output")" -eq 3 ]
    [ "$(grep -c 'CHUNKED' <<<"$output")" -eq 3 ]
    # the first sentence of en: the ids of tokenize, closed by </s>
    ids=$(head -n 1 "$dir/in/en.txt" | "$xlmr" tokenize --model "$model" --no-specials | sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/')
    n=$(($(tr -cd , <<<"$ids" | wc -c) + 2))
    run -0 h5dump -d /tokens -s 0 -c "$n" -w 0 -m %u "$out/shard-00001.h5"
    [ "$(sed -n 's/^ *([0-9]*): \([0-9]*\),*$/\1/p' <<<"$output" | paste -sd,)" = "$ids,2" ]
}

@test "the same bytes with one worker and with three, compressed or not" {
    for deflate in 0 6; do
        out=$dir/one prepare --workers 1 --deflate $deflate "$dir"/in/* >"$dir/a"
        out=$dir/three prepare --workers 3 --deflate $deflate "$dir"/in/* >"$dir/b"
        diff -r "$dir/one" "$dir/three"
        sed 's/three/one/' "$dir/b" | diff "$dir/a" -
        rm -r "$dir/one" "$dir/three"
    done
}

@test "parts of a job array and --merge give the store of one run" {
    out=$dir/whole prepare "$dir"/in/* >/dev/null
    for i in 2 1 3; do
        prepare --shard $i/3 "$dir"/in/* >"$dir/out"
        grep -q "part $i/3: 1 inputs; when all are done: xlmr prepare --merge --output-dir $out" "$dir/out"
        if [ $i != 3 ]; then
            run ! --separate-stderr "$xlmr" prepare --merge --output-dir "$out"
            [[ "$stderr" == *"missing"*"3/3; run xlmr prepare --shard"* ]]
            run ! --separate-stderr "$xlmr" prepare --merge --dry-run --output-dir "$out"
            [[ "$stderr" == *"missing"*"3/3; run xlmr prepare --shard"* ]]
        fi
    done
    find "$out" | sort >"$dir/before"
    run -0 --separate-stderr "$xlmr" prepare --merge --dry-run --output-dir "$out"
    [[ $output == "$out: all 3 parts are done and can be joined"*"nothing was written"* ]]
    find "$out" | sort | diff "$dir/before" -
    run -0 --separate-stderr "$xlmr" prepare --merge --output-dir "$out"
    [[ "${lines[4]}" =~ ^all\ +123\ +600 ]]
    diff -r "$dir/whole" "$out"
    rm -r "$out"
    refused 2 "--shard 4/3: expected I/N" -- prepare --model "$model" --output-dir "$dir/o" --shard 4/3 "$dir/in/en.txt"
    refused 2 "--merge takes neither inputs nor --shard" -- prepare --merge --output-dir "$out" "$dir/in/en.txt"
}

@test "killed and started again: what was done stays, the result is the same" {
    for k in $(seq 40); do cat "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/in/en-$k.txt"; done
    out=$dir/whole prepare "$dir"/in/* >/dev/null
    "$xlmr" prepare --quiet --workers 2 --model "$model" --output-dir "$out" "$dir"/in/* >/dev/null 3>&- &
    until [ "$(find "$out" -name '0*.json' 2>/dev/null | wc -l)" -ge 5 ]; do sleep 0.01; done
    kill -9 $!
    run wait $!
    [ ! -e "$out/manifest.json" ]
    "$xlmr" prepare --model "$model" --output-dir "$out" "$dir"/in/* >/dev/null 2>"$dir/err"
    grep -Eq 'note: .*: [0-9]+ of 43 inputs were done before' "$dir/err"
    diff -r "$dir/whole" "$out"
    run -0 --separate-stderr "$xlmr" prepare --model "$model" --output-dir "$out" "$dir"/in/*
    [[ "$stderr" == *"already there, of the same text and options"* ]]
}

@test "a signal ends it with 75, and the same command goes on" {
    for k in $(seq 40); do cat "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/in/en-$k.txt"; done
    "$xlmr" prepare --quiet --workers 2 --model "$model" --output-dir "$out" "$dir"/in/* >/dev/null 2>"$dir/err" 3>&- &
    until [ "$(find "$out" -name '0*.json' 2>/dev/null | wc -l)" -ge 3 ]; do sleep 0.01; done
    kill -TERM $!
    status=0
    wait $! || status=$?
    cat "$dir/err"
    [ "$status" -eq 75 ]
    grep -q 'the same command goes on' "$dir/err"
    prepare "$dir"/in/* >/dev/null
}

@test "other options, another tokenizer, other files in the folder: refused, or replaced when asked" {
    prepare "$dir/in/en.txt" >/dev/null
    cp -r "$out" "$dir/kept"
    run ! --separate-stderr prepare --dedup "$dir/in/en.txt"
    [[ "$status" -eq 73 && "$stderr" == *"dedup was false, now true; choose another --output-dir, or give --overwrite-output-dir"* ]]
    "$xlmr" train-tokenizer --quiet --vocab-size 90 --output "$dir/other.model" "$BATS_FILE_TMPDIR/corpus.txt" >/dev/null
    run ! --separate-stderr "$xlmr" prepare --quiet --model "$dir/other.model" --output-dir "$out" "$dir/in/en.txt"
    [[ "$status" -eq 73 && "$stderr" == *"by the tokenizer of sha256 \"$(sha256sum <"$model/sentencepiece.bpe.model" | cut -c1-64)\", now \"$(
        sha256sum <"$dir/other.model" | cut -c1-64)\""* ]]
    diff -r "$dir/kept" "$out"
    prepare --dedup --overwrite-output-dir "$dir/in/en.txt" >/dev/null
    run ! diff -rq "$dir/kept" "$out"
    rm -r "$out"
    mkdir "$dir/full" && echo x >"$dir/full/thesis.tex"
    refused 73 "is not empty" -- prepare --model "$model" --output-dir "$dir/full" "$dir/in/en.txt"
    refused 73 "thesis.tex, which is no part of a token store" -- prepare --model "$model" --output-dir "$dir/full" --overwrite-output-dir "$dir/in/en.txt"
    [ "$(cat "$dir/full/thesis.tex")" = x ]
}

@test "--dry-run says what there is to do and writes nothing" {
    run -0 --separate-stderr prepare --dry-run "$dir"/in/*
    [[ "${lines[0]}" == "3 inputs, "*" bytes; 0 of them done before" ]]
    [ ! -e "$out" ]
    refused 66 "none.txt: does not exist" -- prepare --dry-run --model "$model" --output-dir "$out" "$dir/none.txt"
}

@test "inputs that are not there or no files" {
    mkfifo "$dir/pipe"
    refused 2 "no input; name one or more files" -- prepare --model "$model" --output-dir "$out"
    refused 2 "--model is required" -- prepare --output-dir "$out" "$dir/in/en.txt"
    refused 66 "none.txt: does not exist" -- prepare --model "$model" --output-dir "$out" "$dir/in/en.txt" "$dir/none.txt"
    refused 66 "in: is a directory; name the files in it" -- prepare --model "$model" --output-dir "$out" "$dir/in"
    refused 66 "pipe: is no plain file" -- prepare --model "$model" --output-dir "$out" "$dir/pipe"
    refused 66 "map: cannot be opened" -- prepare --model "$model" --output-dir "$out" --lang-map "$dir/map" "$dir/in/en.txt"
    refused 2 "--lang 1: is no name of a language" -- prepare --model "$model" --output-dir "$out" --lang 1 "$dir/in/en.txt"
    refused 2 "--lang xx yy: is no name of a language" -- prepare --model "$model" --output-dir "$out" --lang 'xx yy' "$dir/in/en.txt"
    refused 2 "--lang de,fr: is no name of a language" -- prepare --model "$model" --output-dir "$out" --lang de,fr "$dir/in/en.txt"
    refused 73 "en.txt: the directory cannot be created" -- prepare --model "$model" --output-dir "$dir/in/en.txt" "$dir/in/en.txt"
    refused 73 "a file with that name is in the way" -- prepare --model "$model" --output-dir "$dir/in/en.txt/o" "$dir/in/en.txt"
    accepted "en.txt: comes twice among the inputs; used once" -- prepare --model "$model" --output-dir "$out" "$dir/in/en.txt" "$dir/in/../in/en.txt"
}

@test "compressed files that are cut, damaged, mislabelled or compressed twice (69-77)" {
    head -c $(($(stat -c %s "$dir/in/de.txt.gz") - 400)) "$dir/in/de.txt.gz" >"$dir/cut-de.txt.gz"
    refused 65 "cut-de.txt.gz" "--allow-truncated" -- prepare --model "$model" --output-dir "$out" "$dir/cut-de.txt.gz"
    accepted "cut-de.txt.gz" -- prepare --model "$model" --output-dir "$out" --allow-truncated --json "$dir/cut-de.txt.gz"
    grep -q '"skipped":{"truncated":1}' "$dir/out"
    rm -r "$out"
    { cat "$dir/in/de.txt.gz"; echo garbage; } >"$dir/tail-de.txt.gz"
    refused 65 "tail-de.txt.gz" -- prepare --model "$model" --output-dir "$out" "$dir/tail-de.txt.gz"
    gzip -c "$dir/in/de.txt.gz" >"$dir/twice.txt.gz"
    refused 65 "twice.txt.gz: the file is gzip inside gzip" -- prepare --model "$model" --output-dir "$out" "$dir/twice.txt.gz"
    # the name does not matter: gzip as .txt, text as .gz, two members
    cp "$dir/in/de.txt.gz" "$dir/de_gz.txt"
    cp "$dir/in/en.txt" "$dir/en.gz"
    cat "$dir/in/de.txt.gz" "$dir/in/de.txt.gz" >"$dir/de_two.txt.gz"
    run -0 --separate-stderr manifest "$dir/de_gz.txt" "$dir/en.gz" "$dir/de_two.txt.gz"
    [[ "$output" == *'"languages":{"de":{"documents":122,"sentences":600,'* ]]
    rm -r "$out"
    : >"$dir/en-empty.txt"
    accepted "en-empty.txt" -- prepare --model "$model" --output-dir "$out" "$dir/en-empty.txt" "$dir/in/en.txt"
}

@test "WARC with responses is refused with a word on WET; a WET record that is damaged is skipped and counted (78-82)" {
    printf 'WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: 10\r\n\r\n0123456789\r\n\r\n' >"$dir/x.warc"
    refused 65 "x.warc" "WET" -- prepare --model "$model" --output-dir "$out" "$dir/x.warc"
    record() {
        printf 'WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nWARC-Identified-Content-Language: %s\r\nContent-Length: %s\r\n\r\n%s\r\n\r\n' \
            "$1" "${3:-${#2}}" "$2" | gzip
    }
    { record deu "the cat sat"; record eng,deu "a mat" -5; record eng,deu "dog ran fast"; record sqi "over lazy"; } >"$dir/x.wet.gz"
    refused 65 "x.wet.gz" "1 of 4" -- prepare --model "$model" --output-dir "$out" "$dir/x.wet.gz"
    run -0 --separate-stderr manifest --max-bad-fraction 0.5 "$dir/x.wet.gz"
    [[ "$output" == *'"languages":{"de":{"documents":1,'*'"en":{"documents":1,'*'"sq":{"documents":1,'* ]]
    [[ "$output" == *'"skipped":{"bad_length":1}'* ]]
    [[ "$stderr" == *"x.wet.gz:"* ]]
}

@test "every other reason a WET shard can give for leaving a record out is in the manifest" {
    member() { printf "$@" | gzip; }
    text() { member 'WARC/1.0\r\nWARC-Type: conversion\r\n%bContent-Length: %d\r\n\r\n%s\r\n\r\n' "$1" "${3:-${#2}}" "$2"; }
    {
        member 'WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n'
        text '' "the cat sat on a mat"
        member 'no record at all\r\n\r\n'
        text 'WARC-Block-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n' "another text than it was"
        text '' "of 100 MB" 100000000
        text '' "short"
        text '' "over lazy brown fox, damaged" | head -c 60
        head -c 30 /dev/zero
        text '' "tree water light dark open"
        member 'WARC/1.0\nWARC-Type: conversion\nContent-Length: 26\n\nsome more people close time\n\n'
    } >"$dir/x.wet.gz"
    run -0 --separate-stderr manifest --max-bad-fraction 1 --verify-digest --min-length 10 --lang en "$dir/x.wet.gz"
    echo "$output$stderr"
    [[ "$output" == *'"skipped":{"bad_header":1,"digest":1,"too_long":1,"damaged":1,"not_conversion":1,"short":1},"noted":{"lf_headers":1}'* ]]
}

@test "bytes that are no UTF-8, NUL, other encodings (85-87)" {
    for i in $(seq 300); do echo "the cat sat"; echo; done >"$dir/en-bad.txt"
    printf 'bad \xff\xc0\xaf text\n\nnul \0 byte\n\nend\n' >>"$dir/en-bad.txt"
    run -0 --separate-stderr manifest "$dir/en-bad.txt"
    [[ "$output" == *'"documents":301,"sentences":301'*'"skipped":{"bad_utf8":1,"nul":1}'* ]]
    [[ "$stderr" == *"en-bad.txt:601"* ]]
    rm -r "$out"
    refused 65 "en-bad.txt:601" "UTF-8" -- prepare --model "$model" --output-dir "$out" --on-bad-record error "$dir/en-bad.txt"
    refused 65 "en-bad.txt" -- prepare --model "$model" --output-dir "$out" --max-bad-fraction 0.001 "$dir/en-bad.txt"
    run -0 --separate-stderr manifest --replace-bad-utf8 "$dir/en-bad.txt"
    [[ "$output" == *'"documents":302,"sentences":302'*'"skipped":{"nul":1},"noted":{"replaced":1}'* ]]
    rm -r "$out"
    iconv -f UTF-8 -t UTF-16 "$dir/in/en.txt" >"$dir/en-16.txt"
    refused 65 "en-16.txt" "UTF-16" -- prepare --model "$model" --output-dir "$out" "$dir/en-16.txt"
}

@test "<mask> and </s> in a corpus are text, as is a line of a megabyte without a space (89, 90)" {
    printf 'the <mask> sat </s> on <s>a<pad> mat\n' >"$dir/en.txt"
    prepare "$dir/en.txt" >/dev/null
    if command -v h5dump >/dev/null; then
        run -0 h5dump -d /tokens -w 0 -m %u "$out/shard-00000.h5"
        data=$(sed -n 's/^ *([0-9]*): \([0-9]*\),*$/\1/p' <<<"$output" | paste -sd,)
        run ! grep -qE '(^|,)(0|1|101)(,|$)' <<<"$data"
        [ "$(grep -oE '(^|,)2(,|$)' <<<"$data" | wc -l)" -eq 1 ]
    fi
    rm -r "$out"
    head -c 3000000 /dev/zero | tr '\0' t >"$dir/en.txt"
    run -0 --separate-stderr manifest "$dir/en.txt"
    [[ "$output" == *'"text_bytes":3000000'* ]]
}

@test "JSON lines: filters, fields and duplicates are counted in the manifest" {
    {
        for i in $(seq 200); do
            printf '{"raw_content": "the cat sat\\non a mat %s", "language": "en", "language_score": 0.9, "perplexity": 100.5, "bucket": "head", "url": "u"}\n' "$i"
        done
        printf '{"raw_content": "dog ran", "language": "de", "language_score": 0.2, "perplexity": 100.5, "bucket": "head"}\n'
        printf '{"raw_content": "fox fox", "language": "sw", "language_score": 0.9, "perplexity": 900.5, "bucket": "tail"}\n'
        printf '{"raw_content": "", "language": "sw"}\n{"url": "no text"}\n{broken\n'
    } >"$dir/shard.json"
    run -0 --separate-stderr manifest --max-bad-fraction 0.1 --min-language-score 0.5 --max-perplexity 500 --dedup "$dir/shard.json"
    # a mat 1, 12, 123: digits are one, numbers of digits are not
    [[ "$output" == *'"documents":3,"sentences":4,'* ]]
    [[ "$output" == *'"skipped":{"bad_json":1,"no_text_field":1,"filtered":3,"duplicate":396}'* ]]
    rm -r "$out"
    refused 65 "shard.json:204" -- prepare --model "$model" --output-dir "$out" --on-bad-record error "$dir/shard.json"
}

@test "JSON that is no JSON lines is refused with the command that makes it so" {
    printf '[{"text": "the cat"},\n{"text": "sat"}]\n' >"$dir/list-en.json"
    refused 65 "list-en.json:1: a JSON list over several lines; expected JSON lines, one object a line; write each record on one line (jq -c '.[]')" -- \
        prepare --model "$model" --output-dir "$out" --on-bad-record error "$dir/list-en.json"
    printf '{\n  "text": "the cat"\n}\n' >"$dir/one-en.json"
    refused 65 "one-en.json:1: a JSON object over several lines" "(jq -c '.')" -- \
        prepare --model "$model" --output-dir "$out" --on-bad-record error "$dir/one-en.json"
}

@test "a store of nothing is told, with the option that left all out; training on it names it" {
    printf '{"raw_content": "the cat sat", "language": "en", "bucket": "head", "url": "u"}\n%.0s' 1 2 3 >"$dir/shard.json"
    accepted 'no document was kept: the store is empty; most were left out as filtered by --buckets (3)' -- \
        prepare --model "$model" --output-dir "$dir/none" --text-format ccnet --buckets foo "$dir/shard.json"
    refused 65 "--train-data $dir/none: there is no text in it that makes a block" -- \
        pretrain --model "$model" --train-data "$dir/none" --max-steps 1 --output-dir "$dir/o"
    printf '\n' >"$dir/en.txt"
    accepted 'no document was kept: the store is empty, for there is no text' -- prepare --model "$model" --output-dir "$dir/o2" "$dir/en.txt"
}

@test "a language nobody names is und, with a warning; --lang-map and --lang name it" {
    cp "$dir/in/en.txt" "$dir/corpus.txt"
    accepted '41 documents, the first in corpus.txt, do not say their language' 'kept as "und"' -- prepare --model "$model" --output-dir "$out" "$dir/corpus.txt"
    grep -Eq '^und +41 ' "$dir/out"
    echo 'corp* yor' >"$dir/map"
    accepted -- prepare --model "$model" --output-dir "$dir/o2" --lang-map "$dir/map" "$dir/corpus.txt"
    grep -Eq '^yo +41 ' "$dir/out"
    accepted -- prepare --model "$model" --output-dir "$dir/o3" --lang nds "$dir/corpus.txt"
    grep -Eq '^nds +41 ' "$dir/out"
    printf 'corp*\n' >"$dir/map"
    rm -r "$out"
    refused 65 "map:1: expected the name of a file or a pattern" -- prepare --model "$model" --output-dir "$dir/o4" --lang-map "$dir/map" "$dir/corpus.txt"
}

@test "one note says how many files may have been cut between two members, whoever read them" {
    local part note='are compressed in several members: one that was cut exactly between two of them would look whole; compare the sizes'
    for part in a b c; do cat "$dir/in/de.txt.gz" "$dir/in/de.txt.gz" >"$dir/in/de.$part.txt.gz"; done
    xz -k "$dir/in/en.txt"
    accepted "note: 3 of 7 inputs, the first de.a.txt.gz, $note" -- prepare --model "$model" --output-dir "$out" --workers 1 "$dir"/in/*
    [ "$(grep -c "$note" "$dir/err")" -eq 1 ]
    accepted "note: 3 of 7 inputs, the first de.a.txt.gz, $note" -- prepare --model "$model" --output-dir "$dir/o3" --workers 3 "$dir"/in/*
    [ "$(grep -c "$note" "$dir/err")" -eq 1 ]
    cmp "$out/manifest.json" "$dir/o3/manifest.json"
    accepted -- prepare --model "$model" --output-dir "$dir/o4" "$dir/in/de.txt.gz" "$dir/in/en.txt" "$dir/in/en.txt.xz"
    run ! grep "several members" "$dir/err"
    # a part of two that goes on: the first input was done before
    accepted "note: 2 of 4 inputs, the first de.a.txt.gz" -- prepare --model "$model" --output-dir "$dir/o5" --shard 1/2 "$dir"/in/*
    rm "$dir/o5/part-1-of-2/manifest.json" "$dir/o5/part-1-of-2/00002.json"
    accepted "3 of 4 inputs were done before" "note: 2 of 4 inputs, the first de.a.txt.gz" -- prepare --model "$model" --output-dir "$dir/o5" --shard 1/2 "$dir"/in/*
}

@test "a refusal takes nothing from a folder of others" {
    mkdir "$dir/theirs"
    echo '{"my": "plan"}' >"$dir/theirs/plan.json"
    refused 73 'choose another --output-dir' -- prepare --model "$model" --output-dir "$dir/theirs" "$dir/in/en.txt"
    grep -q my "$dir/theirs/plan.json"
}

@test "a refusal leaves the parts of a job array as they are" {
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/s" --shard 1/2 "$dir/in/en.txt" "$dir/in/de.txt.gz" >/dev/null
    refused 73 'in 2 part(s), now 1' -- prepare --model "$model" --output-dir "$dir/s" "$dir/in/en.txt" "$dir/in/de.txt.gz"
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/s" --shard 2/2 "$dir/in/en.txt" "$dir/in/de.txt.gz" >/dev/null
    "$xlmr" prepare --quiet --merge --output-dir "$dir/s" >/dev/null
    [ -s "$dir/s/manifest.json" ]
}

@test "a manifest whose counts were edited beyond all numbers is refused" {
    "$xlmr" prepare --quiet --lang en --model "$model" --output-dir "$dir/s" "$dir/in/en.txt" "$dir/in/de.txt.gz" >/dev/null
    sed -i 's/"sentences": *[0-9]*/"sentences": 9223372036854775807/' "$dir/s/manifest.json"
    refused 65 'damaged or edited' -- trim --model "$model" --corpus "$dir/s" --output-dir "$dir/o"
}
