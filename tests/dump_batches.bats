#!/usr/bin/env bats
# --dump-batches: the batches of a run for scripts of other systems.

setup_file() {
    load helpers
    make_tiny_model
    awk 'NR % 7 == 0 { print "" } { print }' "$BATS_FILE_TMPDIR/corpus.txt" >"$BATS_FILE_TMPDIR/en.txt"
    "${XLMR_BUILD:-build}/xlmr" prepare --quiet --model "$BATS_FILE_TMPDIR/model" --lang en --output-dir "$BATS_FILE_TMPDIR/store" \
        "$BATS_FILE_TMPDIR/en.txt" >/dev/null
}

setup() {
    load helpers
    common_setup
}

pretrain() {
    "$xlmr" pretrain --quiet --model "$model" --train-data "$BATS_FILE_TMPDIR/store" --block-length 64 --batch-size 6 --micro-batch-size 4 "$@"
}

@test "pretraining: every <mask> among the ids has a target, and a share of the tokens has" {
    pretrain --max-steps 10 --dump-batches "$dir/all" --output-dir "$dir/run" >/dev/null
    [ "$(wc -l <"$dir/all")" -eq 20 ]
    # the mask is id 99 of this tokenizer's 100
    tr -d ' ' <"$dir/all" | awk '
        function list(name,    s) { s = $0; sub(".*\"" name "\":\\[\\[", "", s); sub("\\]\\].*", "", s); return s }
        {
            n = split(list("ids"), ids, /\],\[/); split(list("masked"), masked, /\],\[/); split(list("targets"), targets, /\],\[/)
            for (s = 1; s <= n; s++) {
                m = split(masked[s], at, ","); if (m < 1 || m != split(targets[s], x, ",")) exit 1
                split("", chosen); for (k = 1; k <= m; k++) chosen[at[k]] = 1
                t = split(ids[s], id, ",")
                if (t > 64 || m < int(0.15 * t) || m > int(0.15 * t) + 1) exit 1
                for (k = 1; k <= t; k++) if (id[k] == 99) { masks++; if (!chosen[k - 1]) exit 1 }
                all += m
            }
        }
        END { exit !(masks > 0.7 * all && masks < 0.9 * all) }'
}

@test "the data of the run are not written over" {
    cp "$BATS_FILE_TMPDIR/en.txt" "$dir/own.txt"
    run -73 "$xlmr" pretrain --model "$model" --train-data "$dir/own.txt" --block-length 64 --max-steps 1 --dump-batches "$dir/own.txt" --output-dir "$dir/r"
    [[ $output == *"own.txt: is also an input"* ]]
    printf 'a b\tyes\nc d\tno\n' >"$dir/own.tsv"
    cp "$dir/own.tsv" "$dir/kept"
    run -73 "$xlmr" finetune --model "$model" --train-file "$dir/own.tsv" --max-steps 1 --dump-batches "$dir/own.tsv" --output-dir "$dir/r"
    cmp "$dir/own.tsv" "$dir/kept"
    cmp "$dir/own.txt" "$BATS_FILE_TMPDIR/en.txt"
}

@test "a run that goes on goes on writing, and writes the same" {
    pretrain --max-steps 6 --dump-batches "$dir/whole" --output-dir "$dir/a" >/dev/null
    run -75 pretrain --max-steps 6 --max-time 0.001s --dump-batches "$dir/parts" --output-dir "$dir/b"
    first=$(wc -l <"$dir/parts")
    [ "$first" -ge 2 ] && [ "$first" -lt 12 ]
    pretrain --max-steps 6 --dump-batches "$dir/parts" --output-dir "$dir/b" >/dev/null
    cmp "$dir/whole" "$dir/parts"
    cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
}

@test "classification: an epoch holds every example once, with the ids and the label of its text" {
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --num-epochs 1 --batch-size 10 --dump-batches "$dir/all" --output-dir "$dir/run" >/dev/null
    tr -d ' ' <"$dir/all" | awk '
        { s = $0; sub(/.*"ids":\[\[/, "", s); sub(/\]\].*/, "", s); n = split(s, ids, /\],\[/)
          s = $0; sub(/.*"labels":\[/, "", s); sub(/\].*/, "", s); if (split(s, label, ",") != n) exit 1
          for (k = 1; k <= n; k++) print ids[k], label[k] }' | sort >"$dir/got"
    tail -n +2 "$train" | cut -f1 | "$xlmr" tokenize --model "$model" --max-seq-length 128 | sed 's/.*"ids": *\[\([^]]*\)\].*/\1/; s/ //g' |
        paste -d ' ' - <(tail -n +2 "$train" | awk -F'\t' '{ print $2 == "pos" }') | sort >"$dir/want"
    [ -s "$dir/want" ]
    cmp "$dir/want" "$dir/got"
}

@test "tags: first pieces of words and their tags" {
    printf 'cat\tB-A\nsat\tO\n\ndog\tB-B\nran\tO\nfast\tO\n\n' >"$dir/t.tsv"
    "$xlmr" finetune --quiet --task tag --model "$model" --train-file "$dir/t.tsv" --num-epochs 1 --dump-batches "$dir/all" --output-dir "$dir/run" >/dev/null
    [ "$(wc -l <"$dir/all")" -eq 1 ]
    # labels by name: B-A, B-B, O; the longer sentence comes first
    tr -d ' ' <"$dir/all" | grep -qF '"targets":[[1,2,2],[0,2]]' || { cat "$dir/all"; false; }
}

@test "choices: a label a question, and how many sequences it has" {
    for i in 0 1 0; do printf '{"context": "the cat sat", "choices": ["on a mat", "dog ran", "fast"], "label": %s}\n' $i; done >"$dir/c.jsonl"
    printf '{"context": "dog ran", "choices": ["fast", "over the lazy brown fox"], "label": 1}\n' >>"$dir/c.jsonl"
    "$xlmr" finetune --quiet --task choice --model "$model" --train-file "$dir/c.jsonl" --num-epochs 1 --dump-batches "$dir/all" --output-dir "$dir/run" >/dev/null
    tr -d ' ' <"$dir/all" >"$dir/line"
    cat "$dir/line"
    # by length, those of the same length in the order of the epoch
    [ "$(sed 's/.*"labels":\[\([^]]*\)\].*/\1/' "$dir/line" | tr , '\n' | sort | tr -d '\n')" = 0011 ]
    [ "$(sed 's/.*"choices":\[\([^]]*\)\].*/\1/' "$dir/line" | tr , '\n' | sort | tr -d '\n')" = 2333 ]
    [ "$(sed 's/.*"ids":\[\[//; s/\]\].*//; s/\],\[/\n/g' "$dir/line" | wc -l)" -eq 11 ]
}

@test "answers: the positions of an answer in its window" {
    printf '{"data": [{"paragraphs": [{"context": "cat sat mat", "qas": [{"id": "1", "question": "dog", "answers": [{"text": "sat", "answer_start": 4}]}]}]}]}' >"$dir/q.json"
    "$xlmr" finetune --quiet --task qa --model "$model" --train-file "$dir/q.json" --num-epochs 1 --dump-batches "$dir/all" --output-dir "$dir/run" >/dev/null
    tr -d ' ' <"$dir/all" >"$dir/line"
    cat "$dir/line"
    # the pieces at these positions are the answer's
    span=$(sed 's/.*"spans":\[\[\([0-9]*\),\([0-9]*\)\]\].*/\1 \2/' "$dir/line")
    want=$(echo sat | "$xlmr" tokenize --model "$model" --no-specials | sed 's/.*"ids": *\[\([^]]*\)\].*/\1/; s/ //g')
    got=$(sed 's/.*"ids":\[\[//; s/\]\].*//' "$dir/line" | tr , '\n' | sed -n "$((${span% *} + 1)),$((${span#* } + 1))p" | paste -sd,)
    [ -n "$want" ] && [ "$got" = "$want" ]
}

@test "a file that cannot be written is refused" {
    status=0
    pretrain --max-steps 1 --dump-batches "$dir/none/all" --output-dir "$dir/run" 2>"$dir/err" || status=$?
    [ "$status" -eq 73 ]
    grep -qF -- "--dump-batches $dir/none/all: cannot create" "$dir/err"
}
