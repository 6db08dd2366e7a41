#!/usr/bin/env bats
# xlmr evaluate on questions: names of the files, by whose rules, predictions read back and refused (catalogue 67).

load helpers

# squad FILE CONTEXT [ID QUESTION ANSWER]...: an empty answer is none that the passage has.
squad() {
    local file=$1 context=$2 sep='' answers impossible
    shift 2
    {
        printf '{"data": [{"paragraphs": [{"context": "%s", "qas": [' "$context"
        while [ $# -gt 0 ]; do
            answers='' impossible=true
            if [ -n "$3" ]; then
                answers="{\"text\": \"$3\", \"answer_start\": $(($(printf '%s' "${context%%"$3"*}" | wc -m)))}" impossible=false
            fi
            printf '%s{"id": "%s", "question": "%s", "is_impossible": %s, "answers": [%s]}' "$sep" "$1" "$2" "$impossible" "$answers"
            sep=', '
            shift 3
        done
        printf ']}]}]}\n'
    } >"$file"
}

setup() {
    common_setup
    export LC_ALL=C.UTF-8
    mkdir -p "$dir/d" "$dir/p"
}

@test "xquad: SQuAD's rules in every language, and said so" {
    squad "$dir/d/xquad.en.json" "The dog saw a cat." a "Who saw?" "The dog" b "Saw what?" "a cat"
    squad "$dir/d/xquad.de.json" "Der Hund sah die Katze." a "Wer sah?" "Der Hund" b "Was sah er?" "die Katze"
    echo '{"a": "dog!", "b": "the cat dog"}' >"$dir/p/test-en.json"
    echo '{"a": "Hund", "b": "Die Katze."}' >"$dir/p/test-de.json"
    accepted -- evaluate --task xquad --data-dir "$dir/d" --predictions "$dir/p" --output-dir "$dir/e"
    grep -Eq '^en +2 +83.33 +50.00' "$dir/out"
    grep -Eq '^de +2 +83.33 +50.00' "$dir/out"          # "der" is no article here
    grep -q "^scored by: SQuAD 1.1's rules" "$dir/out"
    grep -q '"rules": "SQuAD 1.1"' "$dir/e/results.json"
    grep -F '"language":"de"' "$dir/e/errors.jsonl" >"$dir/errors"
    [ "$(wc -l <"$dir/errors")" -eq 1 ]                 # the other answer is right
    grep -qF '"gold":["Der Hund"],"predicted":"Hund"' "$dir/errors"
    grep -qF '"question":"Wer sah?","passage":"Der Hund sah die Katze."' "$dir/errors"
    accepted -- evaluate --task xquad --data-dir "$dir/d" --predictions "$dir/e"        # what was written can be read
    grep -Eq '^average +83.33 +50.00' "$dir/out"
}

@test "mlqa: the passage's language decides, crossed pairs are scored when named" {
    squad "$dir/d/test-context-de-question-de.json" "Der Hund sah die Katze." a "Wer sah?" "Der Hund"
    squad "$dir/d/test-context-de-question-en.json" "Der Hund sah die Katze." a "Who saw?" "Der Hund"
    squad "$dir/d/test-context-zh-question-zh.json" "北京在中国。" b "?" "北京"
    echo '{"a": "„Hund“"}' | tee "$dir/p/test-de.json" >"$dir/p/test-de-en.json"
    echo '{"b": "北京在"}' >"$dir/p/test-zh.json"
    accepted -- evaluate --task mlqa --data-dir "$dir/d" --predictions "$dir/p"
    grep -Eq '^de +1 +100.00 +100.00' "$dir/out"
    grep -Eq '^zh +1 +80.00 +0.00' "$dir/out"           # two of three characters
    run ! grep -q '^de-en' "$dir/out"
    accepted -- evaluate --task mlqa --data-dir "$dir/d" --predictions "$dir/p" --languages de-en --json
    grep -qF '"rules":"MLQA (de)"' "$dir/out"
    mv "$dir/d/test-context-zh-question-zh.json" "$dir/d/test-th.json"
    rm "$dir/d/"*context*
    echo '{"b": ""}' >"$dir/p/test-th.json"
    refused 65 "no rules for answers in 'th'" -- evaluate --task mlqa --data-dir "$dir/d" --predictions "$dir/p"
}

@test "tydiqa: the dev files are XTREME's test set, in their own folder too" {
    mkdir "$dir/d/tydiqa-goldp-v1.1-dev"
    squad "$dir/d/tydiqa-goldp-v1.1-dev/tydiqa.goldp.sw.dev.json" "Mbwa aliona paka." a "Nani?" "Mbwa"
    echo '{"a": "mbwa"}' >"$dir/p/test-sw.json"
    accepted -- evaluate --task tydiqa --data-dir "$dir/d" --predictions "$dir/p"
    grep -Eq '^sw +1 +100.00 +100.00' "$dir/out"
    grep -q "as XTREME$" "$dir/out"
}

@test "qa: questions without an answer go by SQuAD 2.0's rules, with the best threshold of the null odds" {
    squad "$dir/d/dev-en.json" "The dog saw a cat." a "Who saw?" "The dog" b "Who slept?" ""
    echo '{"a": "dog", "b": "a cat"}' >"$dir/p/dev-en.json"
    echo '{"a": -1.5, "b": 0.5}' >"$dir/p/null_odds-dev-en.json"
    accepted -- evaluate --task qa --split dev --data-dir "$dir/d" --predictions "$dir/p" --json
    grep -qF '"rules":"SQuAD 2.0"' "$dir/out"
    grep -qF '"unanswerable":{"n":1,"exact_sum":0.0,"f1_sum":0.0}' "$dir/out"
    grep -qF '"best":{"exact_sum":2.0,"exact_threshold":-1.5,"f1_sum":2.0,"f1_threshold":-1.5}' "$dir/out"
    cp "$dir/d/dev-en.json" "$dir/d/xquad.en.json"
    cp "$dir/p/dev-en.json" "$dir/p/test-en.json"
    refused 65 "question 'b' has no answer" "--task qa" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$dir/p"
    echo '{"a": -1.5}' >"$dir/p/null_odds-dev-en.json"
    refused 65 "no null odds of 'b'" -- evaluate --task qa --split dev --data-dir "$dir/d" --predictions "$dir/p"
}

@test "predictions that do not fit the questions are 65 with counts" {
    squad "$dir/d/xquad.en.json" "The dog saw a cat." a "Who saw?" "The dog" b "Saw what?" "a cat"
    local f="$dir/p.json"
    echo '{"a": "dog"}' >"$f"
    refused 65 "1 of the 2 questions" "0 ids" "--missing-predictions wrong" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$f"
    accepted "1 of the 2 questions" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$f" --missing-predictions wrong
    grep -Eq '^en +2 +50.00 +50.00' "$dir/out"
    echo '{"a": "dog", "b": "cat", "c": "x"}' >"$f"
    refused 65 "0 of the 2 questions" "1 ids" "such as 'c'" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$f" --missing-predictions wrong
    echo '{"a": "dog", "b": 7}' >"$f"
    refused 65 "prediction of 'b' is no string" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$f"
    echo '["dog"]' >"$f"
    refused 65 "the document is no object" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$f"
    echo '{"a": "dog", "a": "cat"}' >"$f"
    refused 65 "p.json" -- evaluate --task xquad --data-dir "$dir/d" --predictions "$f"
}

@test "a model: its predictions, n-best lists and null odds; scored again from its files they give the same" {
    awk 'BEGIN { srand(1); for (i = 0; i < 600; i++) { s = ""; for (k = 0; k < 8; k++) {
        s = s substr("bdfgklmnprst", 1 + int(12 * rand()), 1) substr("aeiou", 1 + int(5 * rand()), 1)
        if (k % 3 == 2) s = s " " } print s } }' >"$dir/corpus.txt"
    cp -r tests/golden/tiny-qa tests/golden/tiny-cls "$dir"
    for m in qa cls; do
        "$xlmr" train-tokenizer --quiet --vocab-size 120 --threads 1 --output "$dir/tiny-$m/sentencepiece.bpe.model" "$dir/corpus.txt" >/dev/null
    done
    squad "$dir/d/xquad.en.json" "kata bado lina sufe bado kata rime" a "kata?" "lina" b "bado?" "rime"
    accepted -- evaluate --task xquad --data-dir "$dir/d" --model "$dir/tiny-qa" --output-dir "$dir/e"
    for f in test-en nbest-test-en null_odds-test-en; do [ -s "$dir/e/xquad/$f.json" ]; done
    grep '^en' "$dir/out" >"$dir/first"
    [ "$(grep -o '"text"' "$dir/e/xquad/nbest-test-en.json" | wc -l)" -gt 2 ]
    accepted -- evaluate --task xquad --data-dir "$dir/d" --model "$dir/tiny-qa" --output-dir "$dir/few" --n-best 1 --max-answer-length 2
    [ "$(grep -o '"text"' "$dir/few/xquad/nbest-test-en.json" | wc -l)" -eq 2 ]
    refused 2 "--doc-stride" -- evaluate --task xquad --data-dir "$dir/d" --model "$dir/tiny-qa" --doc-stride 200
    accepted -- evaluate --task xquad --data-dir "$dir/d" --predictions "$dir/e"
    grep '^en' "$dir/out" | cmp - "$dir/first"
    refused 65 "no head that finds answers" "--task qa" -- evaluate --task xquad --data-dir "$dir/d" --model "$dir/tiny-cls"
}
