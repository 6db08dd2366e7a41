#!/usr/bin/env bats
# trim and export from the command line, and XLM-R's own tokenizer over real text of several scripts.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

@test "trim, fine-tune, export with the full vocabulary" {
    head -3 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/few.txt"
    "$xlmr" trim --model "$model" --corpus "$dir/few.txt" --output-dir "$dir/small" >"$dir/said"
    cat "$dir/said"
    grep -q ' of 100 ids' "$dir/said"
    "$xlmr" finetune --quiet --model "$dir/small" --train-file "$train" --validation-file "$dev" --max-steps 2 --output-dir "$dir/run" >/dev/null
    [ -s "$dir/run/best/trim.json" ]
    "$xlmr" export --from "$dir/run" --restore-vocab "$model" --output-dir "$dir/back" --json >"$dir/said"
    cat "$dir/said"
    grep -q '"vocab_size": *100\b' "$dir/said"
    cmp "$dir/back/sentencepiece.bpe.model" "$model/sentencepiece.bpe.model"
    echo '{"text": "the cat"}' | "$xlmr" predict --model "$dir/back" | grep -q label
    accepted -- export --from "$dir/run" --output-dir "$dir/small-again"
    diff -r "$dir/run/best" "$dir/small-again"
}

@test "a tokenizer that is not the model's is refused with all three numbers" {
    head -3 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/few.txt"
    "$xlmr" trim --quiet --model "$model" --corpus "$dir/few.txt" --output-dir "$dir/small" >/dev/null
    copy_model
    cp "$dir/small/sentencepiece.bpe.model" "$dir/m/"
    local n
    n=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$dir/small/config.json")
    for args in 'pretrain --train-data' 'trim --corpus'; do
        refused 65 "the tokenizer has $n ids ($((n - 2)) sentencepiece pieces and 2)" 'vocab_size 100' -- \
            ${args% *} --model "$dir/m" "${args#* }" "$dir/few.txt" --output-dir "$dir/o"
    done
}

@test "the corpus is raw text of any format, read with prepare's options" {
    head -3 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/a.txt"
    awk '{ printf "{\"text\": \"%s\"}\n", $0 }' "$dir/a.txt" >"$dir/b.jsonl"
    gzip -c "$dir/b.jsonl" >"$dir/c"
    for f in a.txt b.jsonl c; do
        "$xlmr" trim --quiet --model "$model" --corpus "$dir/$f" --output-dir "$dir/of-$f" >/dev/null
        cmp "$dir/of-a.txt/trim.json" "$dir/of-$f/trim.json"
    done
    echo '{"text": ' >>"$dir/b.jsonl"
    refused 65 'b.jsonl:4: ' -- trim --on-bad-record error --model "$model" --corpus "$dir/b.jsonl" --output-dir "$dir/o"
    "$xlmr" trim --max-bad-fraction 0.5 --model "$model" --corpus "$dir/b.jsonl" --output-dir "$dir/bad" 2>"$dir/err"
    cat "$dir/err"
    [ "$(grep -c 'b.jsonl:4: ' "$dir/err")" -eq 1 ]
    cmp "$dir/of-a.txt/trim.json" "$dir/bad/trim.json"
}

@test "refusals of trim and export leave nothing behind" {
    refused 66 missing.txt -- trim --model "$model" --corpus "$dir/missing.txt" --output-dir "$dir/o"
    refused 2 --corpus -- trim --model "$model" --output-dir "$dir/o"
    refused 66 'expected a model directory' -- export --from "$dir/none" --output-dir "$dir/o"
    refused 65 'has no trim.json' -- export --from "$model" --restore-vocab "$model" --output-dir "$dir/o"
}

# real_model: a model with XLM-R's own tokenizer, and a corpus of six scripts in $dir/text.txt.
real_model() {
    local spm=${XLMR_DATA:-}/spm/sentencepiece.bpe.rebuilt.model lang
    [ -f "$spm" ] || skip "XLMR_DATA has no spm/sentencepiece.bpe.rebuilt.model"
    for lang in ar bg el hi zh de; do
        gzip -dc "$XLMR_DATA/text/common-voice/$lang.txt.gz" | head -400
    done >"$dir/text.txt"
    sed 's/"hidden_size": *64/"hidden_size": 16/; s/"intermediate_size": *[0-9]*/"intermediate_size": 32/' "$model/config.json" >"$dir/narrow.json"
    "$xlmr" init --quiet --config-json "$dir/narrow.json" --tokenizer "$spm" --output-dir "$dir/real" >/dev/null
}

@test "real text of six scripts: pieces and hidden states stay, and the full model comes back" {
    real_model
    "$xlmr" trim --json --model "$dir/real" --corpus "$dir/text.txt" --output-dir "$dir/small" >"$dir/said"
    cat "$dir/said"
    for m in real small; do
        "$xlmr" tokenize --model "$dir/$m" "$dir/text.txt" | sed 's/"ids":[^a-z]*,"pieces"/"pieces"/' >"$dir/$m.pieces"
        "$xlmr" features --quiet --model "$dir/$m" --pooling mean --output "$dir/$m.jsonl" "$dir/text.txt"
    done
    grep -q '"pieces":\["<s>","▁' "$dir/real.pieces"
    cmp "$dir/real.pieces" "$dir/small.pieces"
    cmp "$dir/real.jsonl" "$dir/small.jsonl"
    "$xlmr" export --quiet --from "$dir/small" --restore-vocab "$dir/real" --output-dir "$dir/back"
    diff -r "$dir/real" "$dir/back"
}

@test "a checkpoint of a fine-tuning gives the model of its step" {
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --validation-file "$dev" --max-steps 4 --eval-steps 2 --save-steps 2 \
        --save-total-limit 0 --learning-rate 1e-3 --output-dir "$dir/run" >/dev/null
    ls "$dir/run/checkpoints"
    "$xlmr" export --from "$dir/run/checkpoints/step-00000004" --output-dir "$dir/four"
    cmp "$dir/four/model.safetensors" "$dir/run/final/model.safetensors"
    cmp "$dir/four/config.json" "$dir/run/final/config.json"
    "$xlmr" export --from "$dir/run/checkpoints/step-00000002" --output-dir "$dir/two"
    run ! cmp -s "$dir/two/model.safetensors" "$dir/four/model.safetensors"
    refused 2 'export it without --restore-vocab first' -- export --from "$dir/run/checkpoints/step-00000002" --restore-vocab "$model" --output-dir "$dir/o"
    printf 'x' >>"$dir/run/checkpoints/step-00000002/state.h5"
    refused 65 'the manifest says' -- export --from "$dir/run/checkpoints/step-00000002" --output-dir "$dir/o"
    mv "$dir/run/best" "$dir/run/worst"
    refused 65 'does not name the labels' -- export --from "$dir/run/checkpoints/step-00000004" --output-dir "$dir/o"
}

# pretrain_few MODEL OUTPUT ARGUMENTS...: a few updates on $dir/en.txt.
pretrain_few() {
    local from=$1 to=$2
    shift 2
    "$xlmr" pretrain --quiet --model "$from" --train-data "$dir/en.txt" --validation-data "$dir/en.txt" --block-length 32 --batch-size 4 \
        --max-steps 6 --learning-rate 1e-3 --threads 1 --output-dir "$to" "$@" >/dev/null
}

@test "pretraining with new pieces: they are trained, and a checkpoint of it gives the final model" {
    printf '▁very▁good\n' >"$dir/bad.txt"
    printf '▁lazybrown\n▁extremely\n' >"$dir/pieces.txt"
    sed 's/lazy brown/lazybrown/; 1s/.*/the lazybrown fox ran extremely fast/; 300q' "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/en.txt"
    refused 65 'bad.txt:1: U+2581' -- pretrain --model "$model" --extend-vocab "$dir/bad.txt" --train-data "$train" --output-dir "$dir/o"
    pretrain_few "$model" "$dir/run" --extend-vocab "$dir/pieces.txt" --save-steps 3 --save-total-limit 0
    grep -q '"vocab_size": *102' "$dir/run/final/config.json"
    echo 'lazybrown extremely' | "$xlmr" tokenize --model "$dir/run/final" | tee "$dir/said"
    grep -q '"ids":\[0,99,100,2\]' "$dir/said"
    "$xlmr" export --from "$dir/run/checkpoints/step-00000003" --output-dir "$dir/three"
    pretrain_few "$model" "$dir/again" --extend-vocab "$dir/pieces.txt" --save-steps 6
    cmp "$dir/run/final/model.safetensors" "$dir/again/final/model.safetensors"
    "$xlmr" export --from "$dir/again/checkpoints/step-00000006" --output-dir "$dir/six"
    diff -r "$dir/six" "$dir/run/final" -x README.md
    rm -r "$dir/run/checkpoints/step-00000006" "$dir/run/final" "$dir/run/best"
    "$xlmr" export --from "$dir/run" --output-dir "$dir/newest"
    diff -r "$dir/newest" "$dir/three"
    sed -i '$d' "$dir/run/metrics.jsonl"
    pretrain_few "$model" "$dir/run" --extend-vocab "$dir/pieces.txt" --save-steps 3 --save-total-limit 0
    cmp "$dir/run/final/model.safetensors" "$dir/again/final/model.safetensors"
}

@test "trim, pretrain, and back to the full vocabulary" {
    head -300 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/en.txt"
    "$xlmr" init --quiet --preset nano --tokenizer "$BATS_FILE_TMPDIR/spm.model" --output-dir "$dir/full" >/dev/null
    sed 's/[a-z]*q[a-z]*//g' "$dir/en.txt" | sed 's/poor film//' >"$dir/less.txt"
    "$xlmr" trim --quiet --model "$dir/full" --corpus "$dir/less.txt" --output-dir "$dir/small" >/dev/null
    pretrain_few "$dir/small" "$dir/run"
    "$xlmr" export --from "$dir/run" --restore-vocab "$dir/full" --output-dir "$dir/back"
    cmp "$dir/back/sentencepiece.bpe.model" "$dir/full/sentencepiece.bpe.model"
    echo 'the cat sat' >"$dir/t"
    for m in run/best back; do "$xlmr" features --quiet --model "$dir/$m" --pooling mean --output "$dir/${m%/*}.jsonl" "$dir/t"; done
    cmp "$dir/run.jsonl" "$dir/back.jsonl"
    "$xlmr" fill-mask --model "$dir/back" 'the <mask> sat' | grep -q '^0'
}
