#!/usr/bin/env bats
# The hostile user, second half: labelled data and what a fine-tuning run does with it.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

H='text\tlabel\n'
G='a cat\tpos\nthe dog\tneg\n'
A='{"text":"a cat","label":"pos"}\n{"text":"the dog","label":"neg"}\n'

# data NAME TEXT: a file of these bytes (as printf %b).
data() { printf '%b' "$2" >"$dir/$1"; }

plan() { echo finetune --model "$model" --train-file "$dir/$1" --output-dir "$dir/o" --dry-run; }

bad_tsv() { data d.tsv "$1"; shift; refused 65 "$dir/d.tsv" "$@" -- $(plan d.tsv); }
good_tsv() { data d.tsv "$1"; shift; accepted "$@" -- $(plan d.tsv); [ ! -e "$dir/o" ]; }
bad_csv() { data d.csv "$1"; shift; refused 65 "$dir/d.csv" "$@" -- $(plan d.csv); }
bad_jsonl() { data d.jsonl "$1"; shift; refused 65 "$dir/d.jsonl" "$@" -- $(plan d.jsonl); }
good_jsonl() { data d.jsonl "$1"; shift; accepted "$@" -- $(plan d.jsonl); }

@test "TSV: column counts, quotes, line ends, headers" {
    bad_tsv "${H}${G}one\n" ':4: the row has 1 column; expected 2'
    bad_tsv "${H}${G}one\ttwo\tthree\n" ':4: the row has 3 columns; expected 2'
    good_tsv "${H}${G}\"a cat\tpos\n" '3 examples'
    good_tsv "${H}a cat\tpos\r\nthe\vdog\xe2\x80\xa8s\fx\tneg\nb\rc\tpos" '3 examples'
    good_tsv "\xef\xbb\xbf${H}${G}" '2 examples' 'labels: neg, pos'
    bad_tsv "phrase\tlabel\n${G}" ":1: " "'phrase', 'label'" '--text-column'
    bad_tsv "text\ntwo\nthree\n" ':2: the row has no label'
    bad_tsv '' 'no examples'
    bad_tsv "$H" 'no examples'
    bad_tsv '\n\n' 'no examples'
    good_tsv "phrase\tclass\n${G}${G}${G}" "d.tsv:1: the label 'class' of the first row comes only once: is this row a header?"
    data d.tsv "${H}${G}"
    refused 65 "no column 'foo'" "'text', 'label'" -- $(plan d.tsv) --text-column foo
    refused 65 "no column number '7'" -- $(plan d.tsv) --label-column 7
}

@test "CSV: quotes by RFC 4180" {
    bad_csv 'text,label\na cat,pos\n"the dog,neg\nx,pos\n' ':3: the quote that opens here is never closed'
    bad_csv 'text,label\n"a"x,pos\nb,neg\n' ':2: text after a closing quote'
    data d.csv 'text,label\n"a ""cat\nbb",pos\nthe dog,neg\nx,pos'
    accepted '3 examples' -- $(plan d.csv)
}

@test "data of another task or with another separator: what they look like, and what to do" {
    data s.csv 'text;label\na cat, a dog;pos\nthe dog;neg\n'
    for name in s.csv s.tsv; do
        [ "$name" = s.csv ] || mv "$dir/s.csv" "$dir/s.tsv"
        refused 65 "$dir/$name:1: " "the columns found are 'text;label'; the row has semicolons" 'save the file with' -- $(plan "$name")
    done
    data q.json '{"version": "1", "data": [{"paragraphs": [{"context": "a cat", "qas": []}]}]}'
    data w.conllu '# sent_id = 1\n1\tcat\tcat\tNOUN\tNN\t_\t0\troot\t_\t_\n\n'
    data c.jsonl '{"premise":"a","choice1":"b","choice2":"c","label":0}\n'
    data t.jsonl "$A"
    for task in classify tag choice qa; do
        [ "$task" = qa ] || refused 65 "$dir/q.json:1: looks like SQuAD's JSON" 'give --task qa' -- $(plan q.json) --task "$task"
        [ "$task" = tag ] || refused 65 "$dir/w.conllu:2: looks like CoNLL-U" 'give --task tag' -- $(plan w.conllu) --task "$task"
        [ "$task" = choice ] || refused 65 "$dir/c.jsonl:1: looks like JSON lines of questions with choices" 'give --task choice' -- $(plan c.jsonl) --task "$task"
        [ "$task" = classify ] || refused 65 "$dir/t.jsonl:1: looks like JSON lines of texts" 'give --task classify' -- $(plan t.jsonl) --task "$task"
    done
}

@test "JSON lines: syntax, keys, types, a cut last line" {
    good_jsonl "$A\n$A" '4 examples'
    bad_jsonl "$A"'{"text":"x","label":"pos",}\n' ':3: not valid JSON'
    bad_jsonl "$A"'{"text":"x","label":"pos"}{"text":"x","label":"pos"}\n' ':3: not valid JSON'
    bad_jsonl "$A"'["x","pos"]\n' ':3: the line holds a list'
    bad_jsonl "$A"'{"text":"x"}\n' ':3: the row has no label'
    bad_jsonl "$A"'{"label":"pos"}\n' ":3: the key 'text' is missing"
    bad_jsonl "$A"'{"text":5,"label":"pos"}\n' ":3: the key 'text' holds a number"
    bad_jsonl "$A"'{"text":null,"label":"pos"}\n' ":3: the key 'text' holds null"
    bad_jsonl "$A"'{"text":"x","label":{"a":1}}\n' ":3: the label 'label' holds an object"
    bad_jsonl "$A"'{"text":"x","text":"y","label":"pos"}\n' ':3: not valid JSON: duplicate object key'
    bad_jsonl "$A"'{"text":"a\\u0000b","label":"pos"}\n' ':3: not valid JSON'
    bad_jsonl "$A"'{"text":"a\\ud800b","label":"pos"}\n' ':3: not valid JSON: invalid Unicode'
    bad_jsonl "$A$(printf '[%.0s' $(seq 5000))\n" ':3: ' depth
    bad_jsonl "$A"'{"text":"x","lab' ':3: truncated at end'
}

@test "encodings, compression and files that are none" {
    bad_tsv "${H}a\tpos\n\xe9\tneg\n" ':3: byte 0xE9' 'iconv'
    bad_tsv '\xff\xfet\x00e\x00' 'UTF-16' iconv
    bad_tsv "${H}a\x00b\tpos\n" ':2: a NUL byte at byte 1'
    bad_tsv '\x1f\x8b\x08\x00garbage' 'cut off inside gzip member 1'
    printf '%b' "$H$G" | gzip | head -c 30 >"$dir/d.tsv"
    refused 65 "$dir/d.tsv" 'cut off' -- $(plan d.tsv)
    { printf '%b' "$H$G"; head -c 17000000 /dev/zero | tr '\0' a; printf '\tpos\n'; } >"$dir/d.tsv"
    refused 65 "$dir/d.tsv:4: " '16 MiB' -- $(plan d.tsv)
    refused 66 'is a directory' -- finetune --model "$model" --train-file "$dir" --output-dir "$dir/o"
    refused 66 "$dir/none" -- finetune --model "$model" --train-file "$dir/none" --output-dir "$dir/o"
    refused 66 "$dir/none" -- finetune --model "$model" --train-file "$train" --validation-file "$dir/none" --output-dir "$dir/o"
}

@test "labels: spaces, aliases, no gold, one only, unknown in the validation data" {
    good_tsv "${H}${G}x\tpos \n" '1 labels end in white space' 'labels: neg, pos'
    good_tsv 'premise\thypothesis\tlabel\na\tb\tentailment\na\tc\tcontradictory\nb\tb\tneutral\n' "'contradictory' as 'contradiction'" \
        'labels: entailment, neutral, contradiction'
    good_tsv "${H}${G}x\t-\n" '1 rows without gold label'
    bad_tsv "${H}${G}x\t\n" ':4: the row has no label'
    bad_tsv "${H}a\tpos\nb\tpos\n" "have the label 'pos'" 'at least two'
    data dev.tsv "${H}a\tpos\nc\tmeh\n"
    refused 65 "$dir/dev.tsv:3: unknown label 'meh'" 'neg, pos' --  finetune --model "$model" --train-file "$train" --validation-file "$dir/dev.tsv" --output-dir "$dir/o"
    data dev.tsv "${H}a\tpos\nc\tpos\n"
    accepted 'have the same label' -- finetune --model "$model" --train-file "$train" --validation-file "$dir/dev.tsv" --output-dir "$dir/o" --dry-run
    accepted '64 of the 64 validation examples also stand in the training data' -- finetune --model "$model" --train-file "$train" \
        --validation-file "$train" --output-dir "$dir/o" --dry-run
}

@test "values to predict and names of classes do not mix" {
    data d.tsv "${H}a\t1.5\nb\tnan\n"
    refused 65 "$dir/d.tsv:3: the label 'nan' is not a number" 'line 2' '--problem-type' -- $(plan d.tsv)
    data d.tsv "${H}a\t1.5\nb\tfoo\n"
    refused 65 "$dir/d.tsv:3: the label 'foo'" -- $(plan d.tsv)
    for v in nan inf foo 1e400 1,5; do
        data d.tsv "${H}a\t1.5\nb\t$v\n"
        refused 65 "$dir/d.tsv:3: the value '$v' is not a finite number" -- $(plan d.tsv) --problem-type regression
    done
    accepted 'labels: 1,5, 1.5' -- $(plan d.tsv) --problem-type single_label
}

@test "labels that are hardly meant so: values or classes, one class or two, a missing value" {
    bad_tsv "${H}a\t1.5\nb\t\n" ':3: the row has no label'
    bad_tsv "${H}a\t1,5\nb\t-0,25\nc\t3\n" ":2: the label '1,5'" 'decimal comma' '--problem-type multi_label or single_label'
    good_tsv "${H}a\t1,5\nb\tx\n" 'labels: 1,5, x'
    good_tsv "${H}a\t1.0\nb\t0.0\n" 'd.tsv:2: labels such as this one, whole numbers' '--problem-type single_label' 'labels: one value'
    good_tsv "${H}a\t1.0\nb\t0.5\n" 'labels: one value'
    run ! grep 'whole numbers' "$dir/err"
    accepted "the labels '1.0' and '1' differ only in" "--label-map '1.0=1'" -- $(plan d.tsv) --problem-type single_label --label-map 0.5=1
    good_tsv "${H}a\tNeg\nb\tneg\nc\tpos\nd\tpos\xc2\xa0\n" "the labels 'Neg' and 'neg' differ only in case" ', as others do, and are two' \
        "--label-map 'Neg=neg'"
    accepted "the labels 'pos"$'\xc2\xa0'"' and 'pos' differ" -- $(plan d.tsv) --label-map 'Neg=neg'
    good_tsv "${H}${G}c\tNA\nd\tNone\n" "the label 'NA' is a class like the others" "--label-map 'NA=-'" 'labels: NA, None, neg, pos'
    run ! grep -E "'None' is|differ only" "$dir/err"
    accepted '1 rows without gold label' 'labels: None, neg, pos' -- $(plan d.tsv) --label-map 'NA=-'
}

@test "empty texts: refused, skipped up to the share allowed; an empty second text is fine" {
    bad_tsv "${H}${G}\tpos\n" ':4: the text is empty'
    data d.tsv "${H}${G}\tpos\n"
    refused 65 '1 of 3 rows are bad' '--max-bad-fraction' -- $(plan d.tsv) --on-bad-record skip
    accepted "skipped: $dir/d.tsv:4" '1 of 3 rows skipped' '2 examples' -- $(plan d.tsv) --on-bad-record skip --max-bad-fraction 0.5
    good_tsv 'sentence1\tsentence2\tlabel\na\t\tx\nb\tc\ty\n' '2 examples'
}

@test "standard input and pipes are read once, whole, or not at all" {
    mkfifo "$dir/pipe"
    refused 2 '--train-file -' '--problem-type' -- finetune --model "$model" --train-file - --output-dir "$dir/o"
    refused 2 "$dir/pipe" 'read only once' -- finetune --model "$model" --train-file "$dir/pipe" --output-dir "$dir/o"
    "$xlmr" finetune --model "$model" --train-file - --problem-type single_label --output-dir "$dir/o" --dry-run <"$train" 2>"$dir/err"
    grep -q '64 examples' "$dir/err"
}

@test "flags of finetune that contradict the model or the data" {
    local m v
    for v in a a= =b a=b=c a=b, , ; do
        refused 2 'label map' 'FROM=TO' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --label-map "$v"
    done
    refused 2 "'a' is mapped twice" -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --label-map a=b,a=c
    accepted 'labels: bad, good' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --dry-run --label-map pos=good,neg=bad
    for v in 1 1,2,3 a,b -1,1 , 1,, 1,,2 0,0 0,1 nan,1; do
        refused 2 "--class-weights $v: " 'in the order neg, pos' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --class-weights="$v"
    done
    refused 2 '--max-seq-length 513' 'at most 512' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --max-seq-length 513
    refused 2 '--metric pearson' accuracy -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --metric pearson
    refused 2 '--validation-file' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --early-stopping-patience 2
    refused 2 'nothing to do' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --num-epochs 0
    refused 2 '--warmup-steps 100' '6 updates' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --warmup-steps 100
    refused 2 '--freeze-layers 3' '2 layers' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --freeze-layers 3
}

@test "dry run: a plan, and nothing else" {
    accepted '2 updates an epoch' -- finetune --model "$model" --train-file "$train" --validation-file "$dev" --output-dir "$dir/o" --dry-run
    [ ! -e "$dir/o" ]
    # The estimate covers what the run then takes, less the program itself.
    "$xlmr" finetune --model "$model" --train-file "$train" --output-dir "$dir/o" --dry-run --json --quiet >"$dir/plan"
    jq -e '.dry_run and .steps == 6 and .memory_mb > 1 and .memory_mb < 2000' "$dir/plan"
}

# --- runs --------------------------------------------------------------------------------------------------------

tune() { "$xlmr" finetune --model "$model" --train-file "$train" --max-seq-length 32 --quiet "$@"; }

@test "output directory: taken, a file, under a file; overwriting keeps what is not the run's" {
    mkdir "$dir/p" && echo mine >"$dir/p/mine" && : >"$dir/f"
    refused 73 "$dir/p: is not empty" '--overwrite-output-dir' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/p"
    refused 73 "$dir/f: is not a directory" -- finetune --model "$model" --train-file "$train" --output-dir "$dir/f"
    refused 73 "$dir/f" 'in the way' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/f/x" --max-steps 1 --quiet
    refused 73 '/proc/x' -- finetune --model "$model" --train-file "$train" --output-dir /proc/x --max-steps 1 --quiet
    tune --output-dir "$dir/p" --overwrite-output-dir --max-steps 1
    [ "$(cat "$dir/p/mine")" = mine ]
    [ -s "$dir/p/final/model.safetensors" ]
    # The model to start from must not be removed by its own run.
    refused 73 "$dir/p/final" 'would remove' -- finetune --model "$dir/p/final" --train-file "$train" --output-dir "$dir/p" --overwrite-output-dir
    [ -s "$dir/p/final/model.safetensors" ]
    copy_model
    refused 73 "$dir/m: is also an input" -- finetune --model "$dir/m" --train-file "$train" --output-dir "$dir/m" --overwrite-output-dir
    [ ! -e "$dir/m/config.yaml" ]
}

@test "init and features: outputs that cannot be made, directories with other people's files" {
    : >"$dir/f"
    local spm=$BATS_FILE_TMPDIR/spm.model
    refused 73 "$dir/f" -- init --preset nano --tokenizer "$spm" --output-dir "$dir/f"
    refused 73 "$dir/f" -- init --preset nano --tokenizer "$spm" --output-dir "$dir/f/x"
    refused 73 /proc/x -- init --preset nano --tokenizer "$spm" --output-dir /proc/x
    refused 73 "$dir/f/x.h5" -- features --model "$model" --output "$dir/f/x.h5" "$train"
    refused 73 "$dir" 'is a directory' -- features --model "$model" --output "$dir" "$train"
    refused 73 "$dir" 'is a directory' -- train-tokenizer --vocab-size 100 --output "$dir" "$BATS_FILE_TMPDIR/corpus.txt"
    mkdir "$dir/p" && echo mine >"$dir/p/thesis.tex"
    refused 73 "$dir/p: holds thesis.tex" -- init --preset nano --tokenizer "$spm" --output-dir "$dir/p" --overwrite-output-dir
    [ "$(cat "$dir/p/thesis.tex")" = mine ]
}

@test "--overfit-batch: the loss falls to nearly zero" {
    tune --output-dir "$dir/o" --overfit-batch --batch-size 8 --max-steps 120 --learning-rate 3e-3 --hidden-dropout 0 --attention-dropout 0 \
        --classifier-dropout 0 >/dev/null
    awk -F'"loss":' '/"step":120/ { split($2, v, ","); found = v[1] < 0.02 } END { exit !found }' "$dir/o/metrics.jsonl"
}

@test "regression and multi-label: trained, saved with problem_type, read again with the same head" {
    awk 'NR == 1 { print; next } { printf "%s\t%.2f\n", $0, NR / 50 }' FS='\t' <(cut -f1 "$train") | sed '1s/$/\tlabel/' >"$dir/r.tsv"
    awk -F'\t' 'NR > 1 { printf "{\"text\":\"%s\",\"label\":[%s]}\n", $1, NR % 3 ? (NR % 2 ? "\"a\",\"b\"" : "\"a\"") : "" }' "$train" >"$dir/m.jsonl"
    tune --train-file "$dir/r.tsv" --help >/dev/null
    "$xlmr" finetune --quiet --model "$model" --train-file "$dir/r.tsv" --validation-file "$dir/r.tsv" --output-dir "$dir/r" --max-steps 2 >/dev/null 2>&1
    grep -q '"problem_type": "regression"' "$dir/r/final/config.json"
    grep -q '"pearson"' "$dir/r/metrics.jsonl"
    accepted 'keeps its head' -- finetune --model "$dir/r/final" --train-file "$dir/r.tsv" --output-dir "$dir/o" --dry-run
    "$xlmr" finetune --quiet --model "$model" --train-file "$dir/m.jsonl" --validation-file "$dir/m.jsonl" --output-dir "$dir/m" --max-steps 2 >/dev/null 2>&1
    grep -q '"problem_type": "multi_label_classification"' "$dir/m/final/config.json"
    grep -q '"f1_micro"' "$dir/m/metrics.jsonl"
    grep -q '"auc"' "$dir/m/metrics.jsonl"
    accepted 'keeps its head' -- finetune --model "$dir/m/final" --train-file "$dir/m.jsonl" --output-dir "$dir/o" --dry-run
}

@test "the same labels keep the head; other labels get a new one, and the run says so" {
    tune --output-dir "$dir/a" --max-steps 1 >/dev/null
    accepted 'keeps its head, trained on the same labels' -- finetune --model "$dir/a/final" --train-file "$train" --output-dir "$dir/o" --dry-run
    data d.tsv "${H}a cat\tx\nthe dog\ty\nbad\tz\n"
    accepted 'freshly initialised' 'for these labels' 'labels: x, y, z' -- finetune --model "$dir/a/final" --train-file "$dir/d.tsv" --output-dir "$dir/o" --dry-run
    run ! grep -q 'keeps its head' "$dir/err"
    command -v jq >/dev/null || skip "jq is not installed"
    jq '.id2label = {"0":"a","1":"a"} | del(.label2id)' "$dir/a/final/config.json" >"$dir/j" && mv "$dir/j" "$dir/a/final/config.json"
    refused 65 "$dir/a/final/config.json" -- finetune --model "$dir/a/final" --train-file "$train" --output-dir "$dir/o" --dry-run
}

# tensors FILE PATTERN: names and digests of the tensors that match, in file order.
tensors() {
    local header name from to
    header=$(od -An -tu4 -N4 "$1" | tr -d ' ')
    tail -c +9 "$1" | head -c "$header" | grep -o '"[A-Za-z0-9_.]*":{"dtype":"F32","shape":\[[0-9,]*\],"data_offsets":\[[0-9,]*\]}' |
        sed 's/"\([^"]*\)".*data_offsets":\[\([0-9]*\),\([0-9]*\)\]}/\1 \2 \3/' | grep -E "$2" |
        while read -r name from to; do
            echo "$name $(tail -c +$((9 + header + from)) "$1" | head -c $((to - from)) | md5sum)"
        done
}

@test "--freeze-layers leaves those tensors alone to the bit, and only those" {
    tune --output-dir "$dir/o" --max-steps 3 --learning-rate 1e-2 --weight-decay 0.1 --freeze-layers 1 >/dev/null
    local frozen='embeddings|layer\.0\.' before after
    before=$(tensors "$model/model.safetensors" "$frozen")
    [ "$(wc -l <<<"$before")" -eq 21 ]
    [ "$before" = "$(tensors "$dir/o/final/model.safetensors" "$frozen")" ]
    before=$(tensors "$model/model.safetensors" 'layer\.1\..*query\.weight')
    after=$(tensors "$dir/o/final/model.safetensors" 'layer\.1\..*query\.weight')
    [ -n "$before" ] && [ "$before" != "$after" ]
}

# series KEY FILE: the values of a key of metrics.jsonl.
series() { grep -o "\"$1\":[^,}]*" "$2" | cut -d: -f2; }

@test "one micro-batch of 32 and eight of 4: the same gradients, dropout on" {
    tune --output-dir "$dir/a" --max-steps 2 --logging-steps 1 --batch-size 32 --micro-batch-size 32 >/dev/null
    tune --output-dir "$dir/b" --max-steps 2 --logging-steps 1 --batch-size 32 --micro-batch-size 4 >/dev/null
    for key in grad_norm loss; do
        paste <(series $key "$dir/a/metrics.jsonl") <(series $key "$dir/b/metrics.jsonl") |
            awk '{ n++; d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > 1e-6) bad = 1; print } END { exit bad || n != 2 }'
    done
}

@test "threads: the same bits with one, two and four, and a warning for more than there are" {
    for t in 1 2 4; do tune --output-dir "$dir/t$t" --max-steps 2 --threads $t >/dev/null 2>"$dir/err$t"; done
    cmp "$dir/t1/final/model.safetensors" "$dir/t2/final/model.safetensors"
    cmp "$dir/t1/final/model.safetensors" "$dir/t4/final/model.safetensors"
    cmp "$dir/t1/metrics.jsonl" "$dir/t4/metrics.jsonl"
    [ "$(nproc)" -ge 4 ] || grep -q 'warning: --threads 4 on a machine with' "$dir/err4"
}
