#!/usr/bin/env bats
# xlmr pretrain as a user meets it: raw text or stores in, a run directory out; stopped anywhere, it goes on to the same bytes.

load helpers

setup_file() {
    make_tiny_model
    cd "$BATS_FILE_TMPDIR" || return
    mkdir -p raw held
    # documents of 5 lines
    awk 'NR <= 900 { print } NR % 5 == 0 && NR <= 900 { print "" }' corpus.txt >raw/en.txt
    awk 'NR > 900 && NR <= 1300 { print toupper($0) } NR % 5 == 0 { print "" }' corpus.txt | gzip -n >raw/de.txt.gz
    sed -n 1301,1360p corpus.txt >held/en.txt
    sed -n 1361,1420p corpus.txt | tr a-z A-Z >held/de.txt
}
setup() {
    common_setup
    raw=$BATS_FILE_TMPDIR/raw held=$BATS_FILE_TMPDIR/held
    data=(--train-data "$raw/en.txt" --train-data "$raw/de.txt.gz" --validation-data "$held/en.txt" --validation-data "$held/de.txt")
    recipe=(--block-length 32 --batch-size 8 --micro-batch-size 3 --max-steps 30 --eval-steps 10 --learning-rate 2e-3 --logging-steps 1 --threads 1)
}

pretrain() { "$xlmr" pretrain --model "$model" "${data[@]}" "${recipe[@]}" "$@"; }

# same_run A B: what two runs must share to the byte.
same_run() {
    cmp "$1/metrics.jsonl" "$2/metrics.jsonl"
    diff -r "$1/final" "$2/final"
    diff -r "$1/best" "$2/best"
}

@test "raw text: prepared into the run, the table of languages, a better model in both languages" {
    pretrain --output-dir "$dir/r" >"$dir/out" 2>"$dir/err"
    grep -qE 'language +blocks +tokens +of data +of batches +epochs +<unk>' "$dir/err"
    grep -qE 'de .* %' "$dir/err"
    [ -f "$dir/r/data/train/manifest.json" ] && [ -f "$dir/r/data/validation/manifest.json" ]
    for f in best final; do
        [ -f "$dir/r/$f/model.safetensors" ] && [ -f "$dir/r/$f/sentencepiece.bpe.model" ]
        grep -q XLMRobertaForMaskedLM "$dir/r/$f/config.json"
        grep -q 'xlmr pretrain --config FILE' "$dir/r/$f/README.md"
    done
    # de upper-cased has more unknown characters than the tokenizer of lower-case text knows
    grep -q 'tokens that are <unk>: .*; the tokenizer has no piece for some of their characters' "$dir/err"
    # the loss of both languages fell between the first evaluation and the last
    [ "$(grep -c '"event":"eval"' "$dir/r/metrics.jsonl")" -eq 4 ]
    awk -F'"loss":' '/"event":"eval"/ { split($2, a, ","); split($3, b, ","); split($4, c, ","); if (!n++) { m = a[1]; x = b[1]; y = c[1] } }
        END { print m, a[1], x, b[1], y, c[1]; exit !(a[1] < m && b[1] < x && c[1] < y) }' "$dir/r/metrics.jsonl"
    grep -qE '^mean +[0-9]' "$dir/out"
    grep -q "final model after step 30: $dir/r/final" "$dir/out"
    no_leftovers "$dir"
}

@test "the same bytes again, at 1, 2 and 4 threads, from raw text or from a store" {
    pretrain --output-dir "$dir/a" --quiet >/dev/null
    pretrain --output-dir "$dir/b" --quiet --threads 2 >/dev/null
    cmp "$dir/a/metrics.jsonl" "$dir/b/metrics.jsonl"
    cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
    data=(--train-data "$dir/a/data/train" --validation-data "$dir/a/data/validation")
    pretrain --output-dir "$dir/c" --quiet --threads 4 >/dev/null
    cmp "$dir/a/metrics.jsonl" "$dir/c/metrics.jsonl"
    cmp "$dir/a/final/model.safetensors" "$dir/c/final/model.safetensors"
}

# until_step N: waits for the run's log line of update N.
until_step() {
    for _ in $(seq 600); do
        grep -qs "\"step\":$1," "$dir/r/metrics.jsonl" && return
        sleep 0.01
    done
    return 1
}

@test "stopped at several updates by a signal, or killed, and repeated: the same run" {
    pretrain --output-dir "$dir/r" --quiet --save-steps 4 >/dev/null
    mv "$dir/r" "$dir/a"        # its model cards name the directory
    local at status
    for at in 2:TERM 9:KILL 15:TERM 20:KILL 26:INT; do
        "$xlmr" pretrain --model "$model" "${data[@]}" "${recipe[@]}" --output-dir "$dir/r" --quiet --save-steps 4 >/dev/null 2>"$dir/err" &
        until_step "${at%:*}"
        kill -"${at#*:}" $!
        status=0
        wait $! || status=$?
        echo "at $at: $status"
        cat "$dir/err"
        [ "$status" -eq 75 ] || [ "$status" -eq 137 ] || [ "$status" -eq 0 ]   # 0: it was faster
    done
    pretrain --output-dir "$dir/r" --quiet --save-steps 4 >/dev/null
    same_run "$dir/a" "$dir/r"
}

@test "a dry run says what there would be, and writes nothing" {
    run pretrain --output-dir "$dir/o" --dry-run
    [ "$status" -eq 2 ]
    [[ $output == *"is raw text"*"xlmr prepare"* ]]
    [ ! -e "$dir/o" ]
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/store" "$raw/en.txt" "$raw/de.txt.gz" >/dev/null
    data=(--train-data "$dir/store")
    pretrain --output-dir "$dir/o" --dry-run >"$dir/out" 2>"$dir/err"
    grep -q '^30 updates of 8 blocks, 3 at once; ' "$dir/out"
    grep -qE '^xlmr: note: en +[0-9]+ +[0-9]+ ' "$dir/err"
    [ ! -e "$dir/o" ]
    pretrain --output-dir "$dir/o" --dry-run --json 2>/dev/null | grep -q '"languages":{"de":{"blocks":'
}

@test "new pieces: a larger vocabulary from the first update on, stopped and resumed; validation on the training data is told" {
    printf '\xe2\x96\x81FOX\nDOG\nWATER\n' >"$dir/pieces"
    data=(--train-data "$raw/en.txt" --train-data "$raw/de.txt.gz" --validation-data "$raw/en.txt" --validation-data "$raw/de.txt.gz")
    refused 2 'leave out --extend-vocab for the plan' -- pretrain --model "$model" "${data[@]}" "${recipe[@]}" --output-dir "$dir/o" \
        --extend-vocab "$dir/pieces" --dry-run
    pretrain --output-dir "$dir/r" --extend-vocab "$dir/pieces" --max-time 0.01s >/dev/null 2>"$dir/err" && return 1
    grep -q 'vocabulary of 103 instead of 100 ids' "$dir/err"
    grep -q 'is also trained on' "$dir/err"
    pretrain --output-dir "$dir/r" --extend-vocab "$dir/pieces" >/dev/null 2>"$dir/err"
    grep -q '"vocab_size": 103' "$dir/r/final/config.json"
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/old" "$raw/en.txt" >/dev/null
    run pretrain --output-dir "$dir/t" --extend-vocab "$dir/pieces" --train-data "$dir/old"
    [ "$status" -eq 65 ]
    [[ $output == *"old: was not made with the tokenizer that --extend-vocab made"*"--model $dir/t/data/extended-model"* ]]
    "$xlmr" prepare --quiet --model "$dir/t/data/extended-model" --output-dir "$dir/new" "$raw/en.txt" >/dev/null
    "$xlmr" pretrain --quiet --model "$model" "${recipe[@]}" --output-dir "$dir/t" --extend-vocab "$dir/pieces" --train-data "$dir/new" >/dev/null
    refused 66 "$dir/r/config.json: cannot be opened; $dir/r is a run: give $dir/r/best or $dir/r/final" -- \
        fill-mask --model "$dir/r" 'the <mask>'
    refused 66 "$dir/r/sentencepiece.bpe.model: cannot be opened; $dir/r is a run: give $dir/r/best or $dir/r/final" -- \
        prepare --model "$dir/r" --output-dir "$dir/o" "$raw/en.txt"
    printf 'the FOX\n' | "$xlmr" tokenize --model "$dir/r/final" | grep -q '▁FOX'
    pretrain --output-dir "$dir/s" --extend-vocab "$dir/pieces" --quiet >/dev/null
    cmp "$dir/r/metrics.jsonl" "$dir/s/metrics.jsonl"
    cmp "$dir/r/final/model.safetensors" "$dir/s/final/model.safetensors"
}

@test "what does not belong together is refused" {
    "$xlmr" train-tokenizer --quiet --vocab-size 90 --output "$dir/other.model" "$BATS_FILE_TMPDIR/corpus.txt" >/dev/null
    copy_model
    cp "$dir/other.model" "$dir/m/sentencepiece.bpe.model"
    refused 65 '90 ids' '88 sentencepiece pieces' 'vocab_size 100' -- pretrain --model "$dir/m" "${data[@]}" --block-length 32 --output-dir "$dir/o"
    "$xlmr" init --quiet --preset nano --tokenizer "$dir/other.model" --output-dir "$dir/n" >/dev/null
    "$xlmr" prepare --quiet --model "$dir/n" --output-dir "$dir/store" "$raw/en.txt" >/dev/null
    refused 65 "$dir/store" 'tokenizer' -- pretrain --model "$model" --train-data "$dir/store" --block-length 32 --output-dir "$dir/o"
    refused 66 "$raw: is a folder, but no token store" -- pretrain --model "$model" --train-data "$raw" --output-dir "$dir/o"
    refused 66 "$dir/none.txt: does not exist" -- pretrain --model "$model" --train-data "$dir/none.txt" --output-dir "$dir/o"
    refused 2 '--block-length 600' 'at most 512' -- pretrain --model "$model" "${data[@]}" --block-length 600 --output-dir "$dir/o"
}

@test "a store that is named twice counts twice, with a warning" {
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/store" "$raw/en.txt" >/dev/null
    accepted "store: holds the text of $dir/store, which is named, too" -- pretrain --model "$model" --train-data "$dir/store" \
        --train-data "$dir/./store" --block-length 32 --dry-run --output-dir "$dir/r"
}

@test "text that changed under a run is refused, with a word on what --overwrite-output-dir would take" {
    cp "$raw/en.txt" "$dir/en.txt"
    run -75 "$xlmr" pretrain --quiet --model "$model" --train-data "$dir/en.txt" --block-length 32 --max-steps 50 --max-time 0.001s --output-dir "$dir/r"
    echo 'the fox ran' >>"$dir/en.txt"
    refused 73 "en.txt had" "give the run the text and options that it began with" "--overwrite-output-dir to begin the run again" -- \
        pretrain --quiet --model "$model" --train-data "$dir/en.txt" --block-length 32 --max-steps 50 --output-dir "$dir/r"
    [ -d "$dir/r/checkpoints/step-00000001" ]
}

@test "a run is not mixed into a directory that is none, whatever --overwrite-output-dir says" {
    copy_model
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/store" "$raw/en.txt" >/dev/null
    mkdir "$dir/text"
    cp "$raw/en.txt" "$dir/text"
    find "$dir/m" "$dir/store" "$dir/text" -type f -exec sha256sum {} + >"$dir/before"
    local over
    for over in '' --overwrite-output-dir; do
        refused 73 "$dir/store: holds " 'no part of a run' 'move that away' -- pretrain --model "$model" --train-data "$dir/store" \
            --output-dir "$dir/store" $over
        refused 73 "$dir/m: holds " -- pretrain --model "$dir/m" "${data[@]}" --output-dir "$dir/m" $over
        refused 73 "$dir/text: holds en.txt" -- pretrain --model "$model" --train-data "$dir/text/en.txt" --output-dir "$dir/text" $over
    done
    sha256sum --quiet -c "$dir/before"
    [ "$(find "$dir/m" "$dir/store" "$dir/text" -type f | wc -l)" -eq "$(wc -l <"$dir/before")" ]
    # of a run: its own final model as an input, and notes that somebody put there
    pretrain --output-dir "$dir/r" --max-steps 1 --quiet >/dev/null
    refused 73 "$dir/r/final" 'would remove' -- pretrain --model "$dir/r/final" "${data[@]}" --output-dir "$dir/r" --overwrite-output-dir
    cp "$dir/text/en.txt" "$dir/r/best/pieces"
    refused 73 "$dir/r/best/pieces" 'would remove' -- pretrain --model "$model" "${data[@]}" --extend-vocab "$dir/r/best/pieces" --output-dir "$dir/r" \
        --overwrite-output-dir
    pretrain --output-dir "$dir/r" --max-steps 2 --quiet --overwrite-output-dir >/dev/null
    echo mine >"$dir/r/notes"
    pretrain --output-dir "$dir/r" --max-steps 2 --quiet >/dev/null     # a finished run may have notes
    refused 73 "$dir/r: holds notes" -- pretrain --model "$model" "${data[@]}" --output-dir "$dir/r" --overwrite-output-dir
}
