#!/usr/bin/env bats
# Answering questions as commands: finetune --task qa, predict; on made-up texts, so that it can be learnt in seconds.

bats_require_minimum_version 1.5.0

# questions SEED N NONE: N texts in SQuAD's layout, each with two questions: the name behind "za", and the one behind "lo"; NONE: some texts have no "lo".
questions() {
    awk -v seed="$1" -v n="$2" -v none="$3" 'function word(  w, k) { w = ""; for (k = 0; k < 2 + int(2 * rand()); k++)
        w = w substr("bdfgkmnprst", 1 + int(11 * rand()), 1) substr("aeiou", 1 + int(5 * rand()), 1); return w }
    function put(w) { at = length(text) + (text != ""); text = text (text == "" ? "" : " ") w }
    function ask(id, q, a, at) {
        return "{\"id\": \"" id "\", \"question\": \" " q "\", \"answers\": [" (a == "" ? "" : "{\"text\": \"" a "\", \"answer_start\": " at "}") "]" \
            (none ? ", \"is_impossible\": " (a == "" ? "true" : "false") : "") "}" }
    BEGIN { srand(seed); printf "{\"version\": \"1.1\", \"data\": [{\"title\": \"x\", \"paragraphs\": ["
        for (i = 0; i < n; i++) { text = ""; za = lo = ""; first = rand() < 0.5; missing = none && rand() < 0.4
            put(word())
            for (k = 0; k < 2; k++) {
                if (k == first) { put("za"); za = word(); put(za); za_at = at }
                else if (!missing) { put("lo"); lo = word(); put(lo); lo_at = at }
                put(word()) }
            printf "%s{\"context\": \"%s\", \"qas\": [%s, %s]}", i ? ", " : "", text, ask("z" i, "za?", za, za_at), ask("l" i, "lo?", lo, lo_at) }
        print "]}]}" }'
}

setup_file() {
    export base
    base=$(mktemp -d)
    xlmr="${XLMR_BUILD:-build}/xlmr"
    unset OPENBLAS_CORETYPE
    export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
    questions 1 600 0 | grep -o '"context": "[^"]*"\|"question": "[^"]*"' | cut -d'"' -f4 >"$base/corpus.txt"
    "$xlmr" train-tokenizer --quiet --vocab-size 120 --threads 1 --output "$base/spm" "$base/corpus.txt" >/dev/null
    "$xlmr" init --quiet --preset nano --tokenizer "$base/spm" --output-dir "$base/model" >/dev/null
    questions 2 1000 1 | gzip >"$base/train.json.gz"
    questions 3 60 1 >"$base/dev.json"
    "$xlmr" finetune --quiet --task qa --model "$base/model" --train-file "$base/train.json.gz" --validation-file "$base/dev.json" \
        --learning-rate 2e-3 --num-epochs 16 --batch-size 32 --hidden-dropout 0 --attention-dropout 0 --max-seq-length 64 --doc-stride 16 \
        --max-query-length 8 --output-dir "$base/run" >"$base/said"
}

teardown_file() { rm -rf "$base"; }

setup() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$(mktemp -d)
    unset OPENBLAS_CORETYPE
    export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
}

teardown() { rm -rf "$dir"; }

@test "finetune: it learns, chooses by F1, and writes transformers' model for questions" {
    cat "$base/said"
    [[ $(head -1 "$base/said") =~ ^best\ f1\ (0\.9|1) ]]
    grep -q XLMRobertaForQuestionAnswering "$base/run/best/config.json"
    ! grep -q id2label "$base/run/best/config.json"
    grep -q 'pipeline_tag: question-answering' "$base/run/best/README.md"
    grep -q '| F1 (rules: SQuAD 2.0) | [01]' "$base/run/best/README.md"
    grep '"event":"eval"' "$base/run/metrics.jsonl" | grep -q '"exact":'
}

@test "predict: a file of questions, and the three files of run_qa" {
    "$xlmr" predict --quiet --model "$base/run/best" --doc-stride 16 --max-query-length 8 --output-dir "$dir/out" "$base/dev.json" >"$dir/lines"
    [ "$(wc -l <"$dir/lines")" -eq 120 ]
    python3 - "$base/dev.json" "$dir/out" "$dir/lines" <<'PY'
import json, sys
data, out, lines = json.load(open(sys.argv[1])), sys.argv[2], [json.loads(l) for l in open(sys.argv[3])]
best, nbest, odds = (json.load(open(f"{out}/{n}.json")) for n in ("predictions", "nbest_predictions", "null_odds"))
pairs = [(p["context"], q) for a in data["data"] for p in a["paragraphs"] for q in p["qas"]]
assert list(best) == list(nbest) == list(odds) == [q["id"] for _, q in pairs] == [l["id"] for l in lines]
right = 0
for (context, q), line in zip(pairs, lines):
    assert context[line["start"]:line["end"]] == line["answer"] == best[q["id"]]
    assert context.encode()[line["start_byte"]:line["end_byte"]].decode() == line["answer"]
    assert abs(sum(a["probability"] for a in nbest[q["id"]]) - 1) < 1e-9 and "" in [a["text"] for a in nbest[q["id"]]]
    assert (best[q["id"]] == "") == (odds[q["id"]] > 0) and abs(odds[q["id"]] - line["null_odds"]) < 1e-4
    right += best[q["id"]] in ([a["text"] for a in q["answers"]] or [""])
assert right >= 108, right
PY
    # another threshold: an answer to everything
    "$xlmr" predict --quiet --model "$base/run/best" --doc-stride 16 --max-query-length 8 --null-threshold 1000 "$base/dev.json" >"$dir/all"
    ! grep -q '"answer": ""' "$dir/all"
    grep -q '"answer": ""' "$dir/lines"
}

@test "predict: JSON lines, offsets in code points and bytes, windows, the best few" {
    cat >"$dir/in.jsonl" <<'J'
{"question": "za?", "context": "é bo za kiru ta lo tano mi"}
{"id": 7, "question": "lo?", "context": "é bo za kiru ta lo tano mi"}
J
    run -0 --separate-stderr "$xlmr" predict --quiet --model "$base/run/best" --max-seq-length 24 --doc-stride 6 --max-query-length 8 --top-k 2 "$dir/in.jsonl"
    [ "${#lines[@]}" -eq 2 ]
    [[ ${lines[0]} =~ ^\{\"answer\":\ \"kiru\",\ \"score\":\ [0-9.e-]+,\ \"start\":\ 8,\ \"end\":\ 12,\ \"start_byte\":\ 9,\ \"end_byte\":\ 13,\ \"null_odds\":\ [0-9.e-]+,\ \"answers\":\ \[\{\"answer\":\ \"kiru\" ]]
    [[ ${lines[1]} =~ ^\{\"id\":\ \"7\",\ \"answer\":\ \"tano\" ]]
    # --n-best is the same where --top-k does not say otherwise
    "$xlmr" predict --quiet --model "$base/run/best" --max-seq-length 24 --doc-stride 6 --max-query-length 8 --n-best 2 "$dir/in.jsonl" >"$dir/best"
    [ "$(head -1 "$dir/best" | grep -o '"answer": ' | wc -l)" = 3 ]
    "$xlmr" predict --quiet --model "$base/run/best" --max-seq-length 24 --doc-stride 6 --max-query-length 8 "$dir/in.jsonl" >"$dir/one"
    [ "$(head -1 "$dir/one" | grep -o '"answer": ' | wc -l)" = 1 ]
    # standard input, in both layouts
    head -1 "$dir/in.jsonl" | "$xlmr" predict --quiet --model "$base/run/best" --doc-stride 16 --max-query-length 8 | grep -q '"answer": "kiru"'
    "$xlmr" predict --quiet --model "$base/run/best" --doc-stride 16 --max-query-length 8 <"$base/dev.json" | grep -q '"id": "z0"'
}

@test "records of their own, as Hugging Face has them, train the same model and are answered" {
    jq -c '.data[].paragraphs[] | .context as $c | .qas[] | {id, title: "x", context: $c, question, answers: {text: [.answers[].text],
        answer_start: [.answers[].answer_start]}}' "$base/dev.json" >"$dir/lines.json"
    jq -cs '{version: "2", data: .}' "$dir/lines.json" >"$dir/flat.json"
    for file in "$base/dev.json" "$dir/lines.json" "$dir/flat.json"; do
        "$xlmr" finetune --quiet --task qa --model "$base/model" --train-file "$file" --validation-file "$file" --max-steps 6 --batch-size 16 \
            --doc-stride 16 --max-query-length 8 --max-seq-length 64 --output-dir "$dir/of-$(basename "$file")" >/dev/null
        cmp "$dir/of-dev.json/final/model.safetensors" "$dir/of-$(basename "$file")/final/model.safetensors"
        "$xlmr" predict --quiet --model "$base/run/best" --doc-stride 16 --max-query-length 8 "$file" >"$dir/said"
        [ "$(grep -c '"answer": ' "$dir/said")" = 120 ]
    done
}

@test "what is wrong is told with its place and a way out" {
    no() { run -"$1" "$xlmr" "${@:3}"; [[ $output == *"$2"* ]] || { echo "$output"; false; }; }
    p=(predict --model "$base/run/best" --doc-stride 16 --max-query-length 8)
    t=(finetune --task qa --model "$base/model" --doc-stride 16 --max-query-length 8 --output-dir "$dir/o")
    echo '{"question": "za?"}' >"$dir/a.jsonl"
    no 65 'a.jsonl:1: "question" or "context" is missing' "${p[@]}" "$dir/a.jsonl"
    echo '{"question": "\u3000", "context": "za"}' >"$dir/a.jsonl"
    no 65 'a.jsonl:1: "question" or "context" is missing, empty' "${p[@]}" "$dir/a.jsonl"
    printf 'za?\tkiru\n' >"$dir/table.tsv"
    no 65 'table.tsv:1: is no JSON object; expected a line {"question"' "${p[@]}" "$dir/table.tsv"
    no 2 'is no file in SQuAD' "${p[@]}" --output-dir "$dir/x" "$dir/a.jsonl"
    no 2 'give one file' "${p[@]}" --output-dir "$dir/x" "$base/dev.json" "$base/dev.json"
    [ ! -e "$dir/x" ]
    run -0 --separate-stderr "$xlmr" "${p[@]}" --on-bad-record skip --max-bad-fraction 1 "$dir/a.jsonl"
    [[ ${lines[0]} == '{"error": '* ]]
    printf 'za?\tkiru\n' >"$dir/table.json"
    no 65 'table.json: is no JSON; expected one JSON document in SQuAD' "${t[@]}" --train-file "$dir/table.json"
    : >"$dir/empty.json"
    no 65 'empty.json: is empty; expected one JSON document in SQuAD' "${t[@]}" --train-file "$dir/empty.json"
    no 66 'none.json: cannot be opened: No such file or directory; check the path' "${t[@]}" --train-file "$dir/none.json"
    sed 's/"answer_start": \([0-9]*\)/"answer_start": 9\1/g' "$base/dev.json" >"$dir/far.json"
    no 65 'far.json: data[0].paragraphs[0].qas[0], id z0: answer_start is 9' "${t[@]}" --train-file "$dir/far.json"
    no 65 'are bad; at most a share of 0.01 may be left out' "${t[@]}" --on-bad-record skip --train-file "$dir/far.json"
    no 2 '--label-column: --task qa reads questions' "${t[@]}" --label-column x --train-file "$base/dev.json"
    no 2 '--max-seq-length 20: 4 specials, --max-query-length 8 and --doc-stride 16' "${t[@]}" --max-seq-length 20 --train-file "$base/dev.json"
    no 2 '--metric accuracy: a problem of this type has: f1 exact loss' "${t[@]}" --metric accuracy --train-file "$base/dev.json" --validation-file "$base/dev.json"
    sed 's/"l0"/"z0"/' "$base/dev.json" >"$dir/twice.json"
    no 65 'qas[1], id z0: another question of the file has the same id' "${t[@]}" --train-file "$base/dev.json" --validation-file "$dir/twice.json"
    [ ! -e "$dir/o" ]
    no 65 'no head' predict --model "$base/model/../model" "$base/dev.json" || no 65 'another head' predict --model "$base/model" "$base/dev.json"
}

@test "a stopped run goes on to the same bytes" {
    tune() { "$xlmr" finetune --quiet --task qa --model "$base/model" --train-file "$base/dev.json" --validation-file "$base/dev.json" --max-steps 6 \
        --save-steps 3 --batch-size 8 --max-seq-length 24 --doc-stride 6 --max-query-length 8 --hidden-dropout 0.1 --output-dir "$@"; }
    tune "$dir/a" >/dev/null
    tune "$dir/b" >/dev/null
    rm -rf "$dir/b/final" "$dir/b/best" "$dir/b"/checkpoints/*6*
    tune "$dir/b" >/dev/null
    cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
}
