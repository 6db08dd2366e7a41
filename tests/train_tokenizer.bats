#!/usr/bin/env bats
# xlmr train-tokenizer reads the raw text that prepare reads: the same paragraphs give the same model, whatever they come in.

load helpers

setup_file() { make_tiny_model; }
setup() {
    common_setup
    corpus=$BATS_FILE_TMPDIR/corpus.txt
}

trained() { "$xlmr" train-tokenizer --quiet --vocab-size 100 --output "$dir/m" "$@" >/dev/null; }
same() {
    rm -f "$dir/m"
    trained "$@"
    cmp "$dir/m" "$BATS_FILE_TMPDIR/spm.model"
}
json_lines() { awk '{ print "{\"url\": \"http://example.org/" NR "\", \"'"$1"'\": \"" $0 "\"}" }' "$corpus"; }
record() { printf 'WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: %s\r\n\r\n%s\r\n\r\n' "${2:-${#1}}" "$1"; }

@test "JSON lines, cc_net and WET give the model of their text alone" {
    json_lines text >"$dir/a.jsonl"
    json_lines raw_content | gzip >"$dir/a.json.gz"
    json_lines body >"$dir/body.jsonl"
    { record "$(head -n 700 "$corpus")" | gzip; record "$(tail -n +701 "$corpus")" | gzip; } >"$dir/a.wet.gz"
    same "$dir/a.jsonl"
    same "$dir/a.json.gz"
    same --text-field body "$dir/body.jsonl"
    same "$dir/a.wet.gz"
    same - <"$dir/a.jsonl"
    head -n 700 "$corpus" >"$dir/first.txt"
    tail -n +701 "$dir/a.jsonl" >"$dir/second.jsonl"
    same "$dir/first.txt" "$dir/second.jsonl"
    if command -v xz >/dev/null; then
        xz -k "$dir/a.jsonl"
        same "$dir/a.jsonl.xz"
    fi
    same --on-bad-record skip "$corpus"
    # what looks like JSON can be said to be text
    trained --text-format plain "$dir/a.jsonl"
    run ! cmp -s "$dir/m" "$BATS_FILE_TMPDIR/spm.model"
}

@test "bad records end the training, or are left out when that is said; a shard that was cut" {
    { json_lines text; echo '{"text": 5}'; } >"$dir/bad.jsonl"
    refused 65 "$dir/bad.jsonl:2001" 'holds no string' -- train-tokenizer --vocab-size 100 --output "$dir/o" "$dir/bad.jsonl"
    same --on-bad-record skip "$dir/bad.jsonl"
    refused 65 'more than the share of 0 ' -- train-tokenizer --quiet --vocab-size 100 --on-bad-record skip --max-bad-fraction 0 --output "$dir/o" "$dir/bad.jsonl"
    { record "$(cat "$corpus")"; record "cut off" 99; } >"$dir/cut.wet"
    refused 65 "$dir/cut.wet" '--allow-truncated' -- train-tokenizer --vocab-size 100 --output "$dir/o" "$dir/cut.wet"
    same --allow-truncated "$dir/cut.wet"
    refused 65 "$dir/none.jsonl:1" '--text-field' -- train-tokenizer --vocab-size 100 --output "$dir/o" \
        "$(json_lines other >"$dir/none.jsonl"; echo "$dir/none.jsonl")"
    printf 'WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: 2\r\n\r\n01\r\n\r\n' >"$dir/x.warc"
    refused 65 x.warc WET -- train-tokenizer --vocab-size 100 --output "$dir/o" "$dir/x.warc"
}
