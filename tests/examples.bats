#!/usr/bin/env bats
# Both programs in examples/, as a user of the library runs them: on a tiny model directory that xlmr makes from text of our own.

bats_require_minimum_version 1.5.0

setup_file() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    xlmr=$(realpath "$xlmr") examples=$(realpath "${XLMR_BUILD:-build}/examples")
    export xlmr examples
    export model="$BATS_FILE_TMPDIR/model"
    awk 'BEGIN {
        n = split("I You We Wir Ihr Sie", who); m = split("live see find wohnen sehen finden", what); k = split("here there today hier dort heute", where)
        for (i = 0; i < 2000; i++)
            printf "%s %s %s%s\n", who[i % n + 1], what[i % 7 % m + 1], where[i % 11 % k + 1],
                i % 3 ? ". Das ist ein Haus; this is a house." : "? Was ist das? Where do you live?"
    }' >"$BATS_FILE_TMPDIR/text"
    "$xlmr" train-tokenizer --quiet --vocab-size 60 --output "$BATS_FILE_TMPDIR/spm.model" "$BATS_FILE_TMPDIR/text"
    "$xlmr" init --quiet --preset nano --tokenizer "$BATS_FILE_TMPDIR/spm.model" --output-dir "$model"
    "$examples/train_step" "$model" "$BATS_FILE_TMPDIR/trained" >"$BATS_FILE_TMPDIR/steps" 2>"$BATS_FILE_TMPDIR/notes"
}

@test "train_step learns its four sentences and saves a directory" {
    cat "$BATS_FILE_TMPDIR/steps" "$BATS_FILE_TMPDIR/notes"
    [ "$(grep -c '^step [0-9]*: loss [0-9.]*$' "$BATS_FILE_TMPDIR/steps")" -eq 4 ]
    awk '/^step 1:/ { first = $4 } /^step 30:/ { last = $4 } END { exit !(first > 0.3 && last > 0 && last < 0.9 * first) }' "$BATS_FILE_TMPDIR/steps"
    [ "$(tail -n 1 "$BATS_FILE_TMPDIR/steps")" = "4 of 4 right; saved in $BATS_FILE_TMPDIR/trained" ]
    [ -s "$BATS_FILE_TMPDIR/trained/model.safetensors" ]
    cmp "$BATS_FILE_TMPDIR/spm.model" "$BATS_FILE_TMPDIR/trained/sentencepiece.bpe.model"
}

@test "what train_step saved classifies the same four texts right" {
    while IFS='|' read -r want text; do
        run -0 "$examples/classify" "$BATS_FILE_TMPDIR/trained" "$text"
        echo "$output"
        [[ ${lines[0]} =~ ^tokens:\ 0(\ [0-9]+(=[^ ]+)?)+\ 2$ ]]
        [ "${#lines[@]}" -eq 3 ]
        best=$(printf '%s\n' "${lines[@]:1}" | sort -k 2 -n -r | head -n 1)
        [ "${best%% *}" = "$want" ]
        printf '%s\n' "${lines[@]:1}" | awk '{ sum += $2 } END { exit !(sum > 0.999 && sum < 1.001) }'
    done <<'TEXTS'
question|Where do you live?
statement|I live here.
question|Was ist das?
statement|Das ist ein Haus.
TEXTS
}

@test "xlmr predict agrees with classify" {
    run -0 --separate-stderr "$xlmr" predict --model "$BATS_FILE_TMPDIR/trained" < <(echo '{"text": "Was ist das?"}')
    [[ $output == *'"label":"question"'* || $output == *'"label": "question"'* ]]
}

@test "classify and predict agree in every precision, and the precisions do not" {
    cd "$BATS_TEST_TMPDIR"
    for p in f32 bf16 int8; do
        for text in 'Was ist das?' 'You see here today.' 'Wir wohnen dort heute. Das ist ein Haus; this is a house.' 'Sie finden there'; do
            "$examples/classify" "$BATS_FILE_TMPDIR/trained" "$text" '' $p | awk '$1 == "question" { print $2 }' >>ours-$p
            echo "{\"text\": \"$text\"}" | "$xlmr" predict --quiet --model "$BATS_FILE_TMPDIR/trained" --precision $p |
                jq '.scores.question' | awk '{ printf "%.4f\n", $1 }' >>theirs-$p
        done
        paste ours-$p theirs-$p
        cmp ours-$p theirs-$p
    done
    run -1 cmp -s ours-f32 ours-int8
    run -1 "$examples/classify" "$BATS_FILE_TMPDIR/trained" text '' fp16
    [[ $output == *"f32, bf16 or int8"* ]]
}

@test "classify shows values and probabilities of several labels as predict gives them" {
    cd "$BATS_TEST_TMPDIR"
    awk 'BEGIN { print "text\tlabel"; for (i = 0; i < 40; i++) printf "%s\t%.2f\n", i % 2 ? "I live here." : "Was ist das?", i % 2 ? 2.5 : -1.5 }' >values.tsv
    awk 'BEGIN { for (i = 0; i < 40; i++) printf "{\"text\": \"%s\", \"label\": [%s]}\n", i % 2 ? "I live here." : "Was ist das?",
                     i % 4 == 0 ? "\"a\", \"b\"" : i % 4 == 1 ? "\"b\"" : "" }' >several.jsonl
    for kind in values.tsv several.jsonl; do
        "$xlmr" finetune --quiet --model "$model" --train-file $kind --output-dir run-$kind --max-steps 10 --learning-rate 1e-3 >/dev/null 2>&1
    done
    for text in 'Was ist das?' 'You see here today.'; do
        run -0 "$examples/classify" run-values.tsv/final "$text"
        [ "${#lines[@]}" -eq 2 ]
        want=$(echo "{\"text\": \"$text\"}" | "$xlmr" predict --quiet --model run-values.tsv/final | jq .value)
        [ "$(awk '{ print $2 }' <<<"${lines[1]}")" = "$(printf '%.4f' "$want")" ]
        run -0 "$examples/classify" run-several.jsonl/final "$text"
        [ "${#lines[@]}" -eq 3 ]
        for label in a b; do
            want=$(echo "{\"text\": \"$text\"}" | "$xlmr" predict --quiet --model run-several.jsonl/final | jq ".scores.$label")
            [ "$(printf '%s\n' "${lines[@]}" | awk -v l=$label '$1 == l { print $2 }')" = "$(printf '%.4f' "$want")" ]
        done
    done
}

@test "a runtime that grants fewer threads than were asked for gives the same answer, at once" {
    want=$("$examples/classify" "$BATS_FILE_TMPDIR/trained" 'Was ist das?')
    for limit in OMP_THREAD_LIMIT=1 OMP_DYNAMIC=true; do
        run -0 env OMP_NUM_THREADS=2 $limit timeout 60 "$examples/classify" "$BATS_FILE_TMPDIR/trained" 'Was ist das?'
        [ "$output" = "$want" ]
    done
}

@test "classify says where its tokens are not those of the answer" {
    run -0 "$examples/classify" "$BATS_FILE_TMPDIR/trained" "Was ist das?"
    [[ $output != *"note: "* ]]
    run -0 "$examples/classify" "$BATS_FILE_TMPDIR/trained" "Was ist das?" "I </s> live here."
    [[ ${lines[1]} == "note: the answer is for other tokens: to xr_classify \"</s>\" and the like are ordinary characters" ]]
}

@test "classify reads pairs" {
    run -0 "$examples/classify" "$BATS_FILE_TMPDIR/trained" "I live here." "Das ist ein Haus."
    [[ ${lines[0]} =~ ^tokens:\ 0\ .*\ 2\ 2\ .*\ 2$ ]]
}

@test "failures are one sentence and a status" {
    run -1 "$examples/classify" "$BATS_FILE_TMPDIR/none" text
    [[ $output == "classify: "*"$BATS_FILE_TMPDIR/none"* ]]
    run -1 "$examples/train_step" "$model" "$BATS_FILE_TMPDIR/trained"
    [[ $output == *"train_step: "*"$BATS_FILE_TMPDIR/trained"* ]]
    run -2 "$examples/train_step"
    [[ $output == "usage: "* ]]
}
