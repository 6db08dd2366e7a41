#!/usr/bin/env bats
# scripts/real_run.sh: a run that stopped goes on, and with whole data. A stand-in for xlmr keeps the files that it is given.

bats_require_minimum_version 1.5.0

setup() {
    dir=$BATS_TEST_TMPDIR
    mkdir -p "$dir/data/text/wiki-paragraphs"
    cat >"$dir/xlmr" <<'STANDIN'
#!/bin/bash
verb=$1
while [ $# -gt 1 ]; do case $1 in --output | --output-dir) to=$2 ;; esac; shift; done
case $verb in
pretrain) exit 9 ;;
*) mkdir -p "$to" ;;
esac
STANDIN
    chmod +x "$dir/xlmr"
}

# paragraphs WORD: 100 of them, each its own.
paragraphs() { for i in {1..100}; do printf '%s %d\n\n' "$1" "$i"; done; }

@test "a run that stopped in its text step makes the text whole when it goes on" {
    local text=$dir/data/text/wiki-paragraphs
    paragraphs one | gzip >"$text/en.txt.gz"
    paragraphs zwei | gzip >"$dir/de.txt.gz"
    head -c 60 "$dir/de.txt.gz" >"$text/de.txt.gz"
    run ! env XLMR="$dir/xlmr" LANGS="en de sw" scripts/real_run.sh "$dir/data" "$dir/out"
    [ ! -e "$dir/out/text" ]
    cp "$dir/de.txt.gz" "$text/de.txt.gz"
    paragraphs tatu | gzip >"$text/sw.txt.gz"
    run -9 env XLMR="$dir/xlmr" LANGS="en de sw" scripts/real_run.sh "$dir/data" "$dir/out"
    for lang in en de sw; do
        [ "$(grep -c . "$dir/out/text/train/wiki-paragraphs/$lang.txt")" -eq 96 ]
        [ "$(grep -c . "$dir/out/text/held-out/wiki-paragraphs/$lang.txt")" -eq 4 ]
    done
    [ ! -e "$dir/out/text.part" ]
}
