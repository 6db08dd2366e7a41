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

@test "report: the transfer gap is that of the language the evaluation was told" {
    mkdir "$dir/data"
    cp "$dev" "$dir/data/test-de.tsv"
    head -17 "$dev" >"$dir/data/test-en.tsv"
    "$xlmr" evaluate --quiet --task classify --model "$BATS_FILE_TMPDIR/run/best" --data-dir "$dir/data" --training-language de --output-dir "$dir/e" >/dev/null
    "$xlmr" report "$dir/e" --output "$dir/page.html"
    grep -qF '<span>de minus the mean of the others</span>' "$dir/page.html"
}

@test "report: the page does not take the place of a log" {
    cp -r "$BATS_FILE_TMPDIR/run" "$dir/run"
    run -73 "$xlmr" report "$dir/run" --output "$dir/run/metrics.jsonl"
    [[ $output == *"metrics.jsonl: is also an input"* ]]
    cmp "$dir/run/metrics.jsonl" "$BATS_FILE_TMPDIR/run/metrics.jsonl"
}

@test "report --json, and the default file" {
    cd "$dir"
    run -0 --separate-stderr "$(cd - >/dev/null && realpath "$xlmr")" report "$BATS_FILE_TMPDIR/run" --json
    [[ $output =~ ^'{"output":"report.html","runs":1,"evaluations":0,"bytes":'[0-9]+'}'$ ]]
    [ "$(wc -c <report.html)" -eq "$(sed 's/.*"bytes":\([0-9]*\).*/\1/' <<<"$output")" ]
}

@test "report: wrong paths are told with a remedy, and leave no page" {
    refused 66 "no such directory; name a directory of pretrain, finetune or sweep" -- report "$dir/none" --output "$dir/o"
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

# errors FILE: the lines of errors.jsonl without their losses and probabilities.
errors() { sed -E 's/"(loss|probability)":[-0-9.e]+,?//g; s/,\}/}/' "$1"; }

@test "errors of tagged words: the sentences with wrong tags, with both tags of every word" {
    mkdir "$dir/d" "$dir/p"
    printf 'a\tO\nParis\tB-LOC\n\nright\tO\n\nعمر\tB-PER\n<b>\tI-PER\n' >"$dir/d/test-en.tsv"
    printf 'O\nO\n\nO\n\nB-PER\nB-LOC\n' >"$dir/p/test-en.tsv"
    accepted -- evaluate --task panx --data-dir "$dir/d" --predictions "$dir/p" --output-dir "$dir/e"
    diff - "$dir/e/errors.jsonl" <<'END'
{"language":"en","row":1,"words":[["a","O","O"],["Paris","B-LOC","O"]]}
{"language":"en","row":3,"words":[["عمر","B-PER","B-PER"],["<b>","I-PER","B-LOC"]]}
END
    "$xlmr" report "$dir/e" --output "$dir/page.html"
    grep -qF '<span class="word">Paris<small class="gold" dir="ltr">B-LOC</small><small class="wrong" dir="ltr">O</small></span>' "$dir/page.html"
    well_formed "$dir/page.html"
}

@test "errors of tagged words and of choices behind skipped records: their own texts" {
    mkdir "$dir/d" "$dir/c"
    # learnt the wrong way round; left out: tags on half of the words, bytes that are no UTF-8, a word without a tag
    printf 'a\tB-LOC\nParis\tO\n\nدبي\tO\nright\tB-LOC\n' >"$dir/train.tsv"
    printf 'bad\tB-LOC\nbad\n\na\tO\nParis\tB-LOC\n\n\377\tO\n\nhalf\tO\nhalf\n\nدبي\tB-LOC\nright\tO\n' >"$dir/d/test-en.tsv"
    "$xlmr" finetune --quiet --task tag --model "$model" --train-file "$dir/train.tsv" --max-steps 60 --learning-rate 3e-3 --output-dir "$dir/tags" >/dev/null
    accepted -- evaluate --task panx --model "$dir/tags/final" --data-dir "$dir/d" --on-bad-record skip --max-bad-fraction 0.9 --output-dir "$dir/e"
    jq -c '[.row, .words]' "$dir/e/errors.jsonl" | sort | diff - <(printf '%s\n' '[1,[["a","O","B-LOC"],["Paris","B-LOC","O"]]]' '[2,[["دبي","B-LOC","O"],["right","O","B-LOC"]]]')
    for i in 0 1 2 3 4 5 6 7; do
        echo "{\"premise\":\"the cat $i\",\"choice1\":\"dog $i\",\"choice2\":\"mat $i\",\"question\":\"cause\",\"label\":$((i % 2))}"
        [ $((i % 3)) -ne 1 ] || echo '{"premise":"no choices"}'
        [ "$i" -ne 5 ] || echo '{"premise"'
    done >"$dir/c/test.en.jsonl"
    grep 'cat' "$dir/c/test.en.jsonl" >"$dir/train.jsonl"
    "$xlmr" finetune --quiet --task choice --model "$model" --train-file "$dir/train.jsonl" --max-steps 1 --output-dir "$dir/choices" >/dev/null
    accepted -- evaluate --task xcopa --model "$dir/choices/final" --data-dir "$dir/c" --on-bad-record skip --max-bad-fraction 0.9 --output-dir "$dir/f"
    [ "$(wc -l <"$dir/f/errors.jsonl")" -ge 1 ]
    jq -e '(.row - 1 | tostring) as $i | .gold | endswith($i)' "$dir/f/errors.jsonl"
}

@test "errors of questions: the least F1 first, every gold answer once, the passage" {
    mkdir "$dir/d" "$dir/p"
    printf '{"data":[{"paragraphs":[{"context":"The dog saw a cat.","qas":[%s,%s,%s]}]}]}' \
        '{"id":"x","question":"Who saw?","answers":[{"text":"The dog","answer_start":0},{"text":"The dog","answer_start":0}]}' \
        '{"id":"y","question":"Saw what?","answers":[{"text":"a cat","answer_start":12}]}' \
        '{"id":"z","question":"Did what?","answers":[{"text":"saw a cat","answer_start":8}]}' >"$dir/d/xquad.en.json"
    echo '{"x": "the dog", "y": "<i>", "z": "saw"}' >"$dir/p/test-en.json"
    accepted -- evaluate --task xquad --data-dir "$dir/d" --predictions "$dir/p" --output-dir "$dir/e"
    [ "$(wc -l <"$dir/e/errors.jsonl")" -eq 2 ]
    head -1 "$dir/e/errors.jsonl" | grep -qF '"row":2,"id":"y","gold":["a cat"],"predicted":"<i>","f1":0.0,"question":"Saw what?","passage":"The dog saw a cat."}'
    tail -1 "$dir/e/errors.jsonl" | grep -qF '"gold":["saw a cat"],"predicted":"saw","f1":0.666'
    "$xlmr" report "$dir/e" --output "$dir/page.html"
    grep -qF '<bdi class="wrong">&lt;i&gt;</bdi>' "$dir/page.html"
    well_formed "$dir/page.html"
}

@test "errors of questions with choices: the choices themselves" {
    for i in 0 1 2 3 4 5 6 7; do
        echo "{\"premise\":\"the cat $i\",\"choice1\":\"the dog\",\"choice2\":\"a mat\",\"question\":\"cause\",\"label\":$((i % 2))}"
    done >"$dir/train.jsonl"
    mkdir "$dir/d"
    cp "$dir/train.jsonl" "$dir/d/test.en.jsonl"
    "$xlmr" finetune --quiet --task choice --model "$model" --train-file "$dir/train.jsonl" --max-steps 1 --output-dir "$dir/run" >/dev/null
    accepted -- evaluate --task xcopa --model "$dir/run/final" --data-dir "$dir/d" --output-dir "$dir/e"
    [ "$(wc -l <"$dir/e/errors.jsonl")" -ge 1 ]
    errors "$dir/e/errors.jsonl" | head -1 >"$dir/first"
    cat "$dir/first"
    grep -qE '"gold":"(the dog|a mat)","predicted":"(the dog|a mat)","given":".*the cat [0-7]' "$dir/first"
    run ! grep -qE '"gold":"([^"]*)","predicted":"\1"' "$dir/first"
    "$xlmr" report "$dir/e" --output "$dir/page.html"
    grep -qF '<bdi class="gold">' "$dir/page.html"
}
