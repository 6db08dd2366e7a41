#!/usr/bin/env bats
# xlmr report as a command: what it prints, the file, exit codes; a real run and a real evaluation with their worst errors.

load helpers

setup_file() {
    export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
    unset OPENBLAS_CORETYPE
    make_tiny_model
    local xlmr="${XLMR_BUILD:-build}/xlmr" at=$BATS_FILE_TMPDIR
    "$xlmr" finetune --quiet --model "$at/model" --train-file "$at/train.tsv" --validation-file "$at/dev.tsv" --learning-rate 1e-3 --num-epochs 2 \
        --eval-steps 2 --logging-steps 1 --output-dir "$at/run" >/dev/null
    mkdir "$at/data"
    printf 'text\tlabel\n%s\tpos\n%s\tneg\n%s\tpos\n%s\tneg\n' '<script>alert("1")</script> & the cat' 'the cat ran </body>' \
        'שלום the dog (מה)' 'نص عربي the dog' >"$at/data/test-he.tsv"
    "$xlmr" evaluate --quiet --task classify --model "$at/run/best" --data-dir "$at/data" --worst-errors 3 --output-dir "$at/eval" >/dev/null
}

setup() { common_setup; }

# A page that an XML parser takes. Without one there is still tests/test_report.c.
well_formed() {
    command -v xmllint >/dev/null || skip "no xmllint here"
    xmllint --noout "$1"
}

@test "report: a run and an evaluation on one page, without scripts or links to elsewhere" {
    run -0 --separate-stderr "$xlmr" report "$BATS_FILE_TMPDIR/run" "$BATS_FILE_TMPDIR/eval" --output "$dir/page.html"
    [[ $output =~ ^"$dir/page.html: 1 run, 1 evaluation, "[0-9]+" kB"$ ]]
    [ -z "$stderr" ]
    run ! grep -qiE '<script|<link|<img|<iframe|src=|https?://[^w]|url\(|@import' "$dir/page.html"
    grep -qF 'Content-Security-Policy' "$dir/page.html"
    grep -qF '<figcaption>Loss</figcaption>' "$dir/page.html"
    grep -qF 'xlmr finetune --model' "$dir/page.html"
    grep -qE 'xlmr evaluate .*--task classify' "$dir/page.html"
    grep -qF 'Trained by xlmr 0.' "$dir/page.html"
    grep -qF '<h3>Confusion</h3>' "$dir/page.html"
    cp "$dir/page.html" "$dir/first.html"
    "$xlmr" report "$BATS_FILE_TMPDIR/run" "$BATS_FILE_TMPDIR/eval" --output "$dir/page.html"
    cmp "$dir/first.html" "$dir/page.html"
    well_formed "$dir/page.html"
}

@test "report: the worst errors have their texts, escaped, the worst first" {
    local errors=$BATS_FILE_TMPDIR/eval/errors.jsonl
    [ "$(wc -l <"$errors")" -le 3 ]
    wrong=$(paste <(tail -n +2 "$BATS_FILE_TMPDIR/data/test-he.tsv" | cut -f2) "$BATS_FILE_TMPDIR/eval/classify/test-he.tsv" | awk '$1 != $2' | wc -l)
    [ "$(wc -l <"$errors")" -eq "$((wrong < 3 ? wrong : 3))" ]
    sed 's/.*"loss":\([0-9.]*\).*/\1/' "$errors" >"$dir/losses"
    sort -rg -c "$dir/losses"
    "$xlmr" report "$BATS_FILE_TMPDIR/eval" --output "$dir/page.html"
    [ "$(grep -c 'class="error"' "$dir/page.html")" -eq "$(wc -l <"$errors")" ]
    run ! grep -qE '<script|</body>.*gold' "$dir/page.html"
    [ "$(grep -c 'dir="auto"' "$dir/page.html")" -ge "$(wc -l <"$errors")" ]
}

@test "evaluate --worst-errors 0 writes no errors.jsonl; the report does without" {
    "$xlmr" evaluate --quiet --task classify --model "$BATS_FILE_TMPDIR/run/best" --data-dir "$BATS_FILE_TMPDIR/data" --worst-errors 0 \
        --output-dir "$dir/eval" >/dev/null
    [ ! -e "$dir/eval/errors.jsonl" ]
    "$xlmr" report "$dir/eval" --output "$dir/page.html"
    run ! grep -q 'Worst errors' "$dir/page.html"
}

@test "report --json, and the default file" {
    cd "$dir"
    run -0 --separate-stderr "$(cd - >/dev/null && realpath "$xlmr")" report "$BATS_FILE_TMPDIR/run" --json
    [[ $output =~ ^'{"output":"report.html","runs":1,"evaluations":0,"bytes":'[0-9]+'}'$ ]]
    [ "$(wc -c <report.html)" -eq "$(sed 's/.*"bytes":\([0-9]*\).*/\1/' <<<"$output")" ]
}

@test "report: wrong paths are told with a remedy, and leave no page" {
    refused 66 "no such directory; name a run directory" -- report "$dir/none" --output "$dir/o"
    refused 66 "a model or checkpoint, without logs" -- report "$BATS_FILE_TMPDIR/run/best" --output "$dir/o"
    refused 66 "is a file; name the directory" -- report "$BATS_FILE_TMPDIR/run/metrics.jsonl" --output "$dir/o"
    refused 2 "nothing to report on" -- report --output "$dir/o"
    refused 66 "neither a run" -- report "$BATS_FILE_TMPDIR/run" "$BATS_FILE_TMPDIR/data" --output "$dir/o"
}

@test "report: a page that cannot be written is 73" {
    run -73 "$xlmr" report "$BATS_FILE_TMPDIR/run" --output "$dir/no/such/page.html"
    [[ $output == *"$dir/no/such"* ]]
}

@test "report: a run that is being written" {
    cp -r "$BATS_FILE_TMPDIR/run" "$dir/run"
    head -c 700 "$BATS_FILE_TMPDIR/run/metrics.jsonl" >"$dir/run/metrics.jsonl"
    "$xlmr" report "$dir/run" --output "$dir/page.html"
    grep -qF 'the last line is cut and was left out' "$dir/page.html"
    grep -qF 'The run has not ended' "$dir/page.html"
    well_formed "$dir/page.html"
}
