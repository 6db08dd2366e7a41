#!/usr/bin/env bats
# xlmr sweep: a grid of small runs, stopped, killed, repeated, extended; what fails alone; and event files for TensorBoard as the runs write them.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

# sweep DIR ARGUMENT...: of runs that take a moment; arguments before the -- are the sweep's, those behind it the runs'.
sweep() {
    local out=$1
    local -a own=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do own+=("$1"); shift; done
    [ $# -eq 0 ] || shift
    "$xlmr" sweep "${own[@]}" --output-dir "$out" -- --model "$model" --train-file "$train" --validation-file "$dev" --max-seq-length 16 --batch-size 8 \
        --max-steps 6 --eval-steps 3 --logging-steps 3 "$@"
}

@test "a grid of seeds and rates: every run, mean and deviation a setting, the best marked, files that say the same" {
    run -0 --separate-stderr sweep "$dir/s" --grid seed=1,2,3 --grid learning-rate=1e-5,1e-3
    [ -d "$dir/s/runs/seed=2,learning_rate=1e-3/best" ]
    [ "$(grep -c '^seed=[123],learning_rate=1e-[35]  *finished ' <<<"$output")" -eq 6 ]
    [ "$(grep -c '  best$' <<<"$output")" -eq 1 ]
    grep -q '"lr"' "$dir/s/runs/seed=1,learning_rate=1e-5/metrics.jsonl"
    [ "$(wc -l <"$dir/s/results.tsv")" -eq 7 ]
    # mean and deviation once more, by awk, from the runs' own logs
    for rate in 1e-5 1e-3; do
        sed -n 's/.*"event":"end".*"best":\([0-9.e-]*\).*/\1/p' "$dir"/s/runs/seed=?,learning_rate=$rate/metrics.jsonl >"$dir/values"
        [ "$(wc -l <"$dir/values")" -eq 3 ]
        want=$(awk '{ n++; s += $1; v[n] = $1; if (n == 1 || $1 < lo) lo = $1; if (n == 1 || $1 > hi) hi = $1 }
            END { m = s / n; for (i in v) q += (v[i] - m) ^ 2; printf "3 %.4f %.4f %.4f %.4f", m, sqrt(q / (n - 1)), lo, hi }' "$dir/values")
        got=$(awk -v key="learning_rate=$rate" '$1 == key { print $2, $3, $4, $5, $6 }' <<<"$output")
        [ "$got" = "$want" ]
    done
    run -0 --separate-stderr sweep "$dir/s" --grid seed=1,2,3 --grid learning-rate=1e-5,1e-3 --json
    grep -q '"metric":"accuracy","best_run":"seed=' <<<"$output"
}

@test "a TAB in a value is no column of results.tsv, nor of the table" {
    tabbed="$dir/a"$'\t'"b.tsv"
    cp "$train" "$tabbed"
    run -0 --separate-stderr "$xlmr" sweep --grid "train_file=$tabbed" --output-dir "$dir/s" -- --model "$model" --max-seq-length 16 --batch-size 8 --max-steps 1
    [[ $output != *$'\t'* ]]
    [ "$(awk -F '\t' '{ print NF }' "$dir/s/results.tsv" | uniq)" = 9 ]
    [ "$(awk -F '\t' 'NR == 2 { print $2, $3 }' "$dir/s/results.tsv")" = "$dir/a b.tsv finished" ]
}

@test "by the loss on several validation sets: the least is marked in the table, in results.json and on the report's page" {
    cp "$dev" "$dir/dev-en.tsv"
    head -17 "$dev" >"$dir/dev-de.tsv"
    run -0 --separate-stderr "$xlmr" sweep --grid learning-rate=1e-5,3e-3 --output-dir "$dir/s" -- --model "$model" --train-file "$train" --max-seq-length 16 \
        --validation-file "$dir/dev-en.tsv" --validation-file "$dir/dev-de.tsv" --metric loss --batch-size 8 --max-steps 6 --eval-steps 3
    # by the runs' own last lines
    best=$(for r in "$dir"/s/runs/*; do sed -n 's|.*"event":"end".*"best":\([0-9.e-]*\).*|\1 '"${r##*/}"'|p' "$r/metrics.jsonl"; done | sort -g | head -1)
    best=${best#* }
    [ "$(awk '$NF == "best" { print $1 }' <<<"$output")" = "$best" ]
    [[ $output == *"its best run: $dir/s/runs/$best/best" ]]
    [ "$(jq -r '.best_run, (.settings[] | select(.best) | "learning_rate=" + .values.learning_rate)' "$dir/s/results.json")" = "$best"$'\n'"$best" ]
    "$xlmr" report --quiet "$dir/s" --output "$dir/page.html" >/dev/null
    [ "$(grep -c "<bdi>$best</bdi></a></th>.*<td>best</td></tr>" "$dir/page.html")" -eq 1 ]
    grep -q '"metric":"mean loss of en, de","higher_is_better":false,' "$dir/s/runs/learning_rate=1e-5/metrics.jsonl"
}

@test "the seeds differ, and a run is what finetune alone makes of the same options" {
    sweep "$dir/s" --quiet --grid seed=7,8 -- --learning-rate 1e-3 >/dev/null
    run ! cmp -s "$dir/s/runs/seed=7/final/model.safetensors" "$dir/s/runs/seed=8/final/model.safetensors"
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --validation-file "$dev" --max-seq-length 16 --batch-size 8 --max-steps 6 --eval-steps 3 \
        --logging-steps 3 --learning-rate 1e-3 --seed 8 --output-dir "$dir/alone" >/dev/null
    cmp "$dir/alone/metrics.jsonl" "$dir/s/runs/seed=8/metrics.jsonl"
    cmp "$dir/alone/final/model.safetensors" "$dir/s/runs/seed=8/final/model.safetensors"
}

@test "stopped by a signal: exit 75, and the same command goes on to the same results; finished runs are not touched" {
    local pid status=0 first seed
    sweep "$dir/whole" --quiet --grid seed=1,2,3 -- --max-steps 60 --save-steps 20 >/dev/null
    "$xlmr" sweep --grid seed=1,2,3 --output-dir "$dir/s" -- --model "$model" --train-file "$train" --validation-file "$dev" --max-seq-length 16 \
        --batch-size 8 --max-steps 60 --eval-steps 3 --logging-steps 3 --save-steps 20 >"$dir/out" 2>"$dir/err" &
    pid=$!
    for _ in $(seq 600); do grep -q 'seed=2: begins' "$dir/err" && break; sleep 0.02; done
    kill -TERM "$pid"
    wait "$pid" || status=$?
    [ "$status" -eq 75 ]
    grep -q 'stopped by a signal with . of 3 runs to do; the same command goes on' "$dir/err"
    grep -q '^seed=3  *to do ' "$dir/out"
    first=$(stat -c %Y.%i "$dir/s/runs/seed=1/final/model.safetensors")
    sweep "$dir/s" --quiet --grid seed=1,2,3 -- --max-steps 60 --save-steps 20 >/dev/null
    [ "$first" = "$(stat -c %Y.%i "$dir/s/runs/seed=1/final/model.safetensors")" ]
    for seed in 1 2 3; do
        cmp "$dir/whole/runs/seed=$seed/metrics.jsonl" "$dir/s/runs/seed=$seed/metrics.jsonl"
        cmp "$dir/whole/runs/seed=$seed/final/model.safetensors" "$dir/s/runs/seed=$seed/final/model.safetensors"
    done
    cmp <(sed "s|$dir/whole||" "$dir/whole/results.tsv") <(sed "s|$dir/s||" "$dir/s/results.tsv")
}

@test "a larger grid in the same folder trains only what is new; two at once give the same bytes" {
    sweep "$dir/s" --quiet --grid seed=1,2 >/dev/null
    run -0 --separate-stderr sweep "$dir/s" --grid seed=1,2,3,4 --jobs 2
    [ "$(grep -c '(before this sweep began)' <<<"$stderr")" -eq 2 ]
    [ "$(grep -c ': begins' <<<"$stderr")" -eq 2 ]
    sweep "$dir/t" --quiet --grid seed=3,4 >/dev/null
    cmp "$dir/s/runs/seed=4/final/model.safetensors" "$dir/t/runs/seed=4/final/model.safetensors"
}

@test "one run fails: the others do not, the table and the exit code say so, and it is tried again" {
    run -2 --separate-stderr sweep "$dir/s" --grid max-seq-length=600,16 --grid seed=1,2
    grep -q '^max_seq_length=16,seed=2 *finished ' <<<"$output"
    grep -q '^max_seq_length=600,seed=1 *failed ' <<<"$output"
    [[ $stderr == *"2 of 4 runs failed, max_seq_length=600,seed=1 first (exit 2: --max-seq-length 600: the model has positions"* ]]
    grep -q 'the model has positions' "$dir/s/logs/max_seq_length=600,seed=1.log"
    grep -q '"state": "failed"' "$dir/s/results.json"
}

@test "every run's best model is scored by evaluate, once" {
    mkdir "$dir/data"
    cp "$dev" "$dir/data/test-en.tsv"
    head -17 "$dev" >"$dir/data/test-sw.tsv"
    run -0 --separate-stderr sweep "$dir/s" --grid seed=1,2 -- --learning-rate 1e-3 -- --task classify --data-dir "$dir/data"
    grep -q 'evaluate: accuracy' <<<"$output"
    "$xlmr" report --quiet "$dir/s" --output "$dir/page.html" | grep -q 'page.html: 2 runs, 0 evaluations'
    grep -q '<h1>Sweep: s</h1>' "$dir/page.html"
    [ "$(grep -c '<a href="#run[12]"><bdi>seed=[12]</bdi></a></th><td class="n">[12]</td><td>finished</td>' "$dir/page.html")" -eq 2 ]
    [ -s "$dir/s/eval/seed=2/results.json" ]
    before=$(stat -c %i "$dir/s/eval/seed=1/results.json")
    sweep "$dir/s" --quiet --grid seed=1,2 -- --learning-rate 1e-3 -- --task classify --data-dir "$dir/data" >/dev/null
    [ "$before" = "$(stat -c %i "$dir/s/eval/seed=1/results.json")" ]
    sweep "$dir/s" --quiet --grid seed=1,2 -- --learning-rate 1e-3 -- --task classify --data-dir "$dir/data" --languages en >/dev/null
    [ "$before" != "$(stat -c %i "$dir/s/eval/seed=1/results.json")" ]
}

@test "the plan: commands and what is there already; nothing is written" {
    run -0 --separate-stderr sweep "$dir/o" --grid seed=1,2 --dry-run
    [[ $output == "2 runs of finetune, 1 settings, 1 at once"* && $output == *"seed=1: new"* && $output == *" --seed=2 --output-dir=$dir/o/runs/seed=2"* ]]
    [ ! -e "$dir/o" ]
    run -0 --separate-stderr sweep "$dir/o" --grid seed=1,2 --jobs 2 --threads 4 --dry-run       # threads are shared out
    [[ $output == *"xlmr finetune --threads=2 --model"* ]]
}

@test "mistakes are told before the first run" {
    refused 2 'expected KEY=VALUE,VALUE' -- sweep --grid seed --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'did you mean --learning-rate?' -- sweep --grid learning_rat=1 --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'run learning_rate=x' 'is not a number' -- sweep --grid learning_rate=1,x --output-dir "$dir/o" -- --model m --train-file t
    refused 2 '1 stands there twice' -- sweep --grid seed=1,1 --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'a value is empty' -- sweep --grid seed=1, --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'put all into one --grid' -- sweep --grid seed=1 --grid seed=2 --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'is not for runs to differ in' -- sweep --grid output_dir=1,2 --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'finetune needs --model' -- sweep --grid seed=1,2 --output-dir "$dir/o" -- --train-file t
    refused 2 'give it before the --' -- sweep --grid seed=1,2 --output-dir "$dir/o" -- --model m --train-file t --output-dir x
    refused 2 'options of the runs, --config among them, stand behind a --' -- sweep --grid seed=1,2 --learning-rate 1 --output-dir "$dir/o" -- --model m
    refused 2 'expected finetune or pretrain' -- sweep --grid seed=1,2 --output-dir "$dir/o" evaluate -- --model m
    refused 2 '--grid seed=1,2,3' -- sweep --seed 1 --grid batch_size=1,2 --output-dir "$dir/o" -- --model m --train-file t
    refused 2 'evaluation of the runs' 'evaluate needs --data-dir' -- sweep --grid seed=1,2 --output-dir "$dir/o" -- --model m --train-file t -- --task xnli
    mkdir "$dir/other"
    touch "$dir/other/thesis.tex"
    refused 73 'holds thesis.tex, which is no part of a sweep' -- sweep --grid seed=1,2 --output-dir "$dir/other" -- --model m --train-file t
    sweep "$dir/s" --quiet --grid seed=1 >/dev/null
    run -78 sweep "$dir/s" --grid seed=1 -- --learning-rate 1e-4
    [[ $output == *"run seed=1: "*"another recipe: learning_rate"* ]]
}

@test "a run killed with the sweep goes on; nothing of it is left behind" {
    sweep "$dir/whole" --quiet --grid seed=1 -- --max-steps 200 --save-steps 10 >/dev/null
    "$xlmr" sweep --quiet --grid seed=1 --output-dir "$dir/s" -- --model "$model" --train-file "$train" --validation-file "$dev" --max-seq-length 16 \
        --batch-size 8 --max-steps 200 --eval-steps 3 --logging-steps 3 --save-steps 10 >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 600); do [ -d "$dir/s/runs/seed=1/checkpoints/step-00000010" ] && break; sleep 0.02; done
    kill -KILL "$pid"
    wait "$pid" || true
    for _ in $(seq 200); do [ -e "$dir/s/runs/seed=1/lock" ] || break; sleep 0.05; done      # the run was told, and has saved
    sweep "$dir/s" --quiet --grid seed=1 -- --max-steps 200 --save-steps 10 >/dev/null
    cmp "$dir/whole/runs/seed=1/metrics.jsonl" "$dir/s/runs/seed=1/metrics.jsonl"
    no_leftovers "$dir"
}

@test "--tensorboard: a file a start, none without; an overwritten run begins again" {
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --validation-file "$dev" --max-seq-length 16 --max-steps 4 --tensorboard --output-dir "$dir/r" >/dev/null
    [ "$(find "$dir/r/tensorboard" -name 'events.out.tfevents.*' | wc -l)" -eq 1 ]
    grep -q 'train/grad_norm' "$dir"/r/tensorboard/*
    grep -q 'eval/accuracy' "$dir"/r/tensorboard/*
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --validation-file "$dev" --max-seq-length 16 --max-steps 4 --overwrite-output-dir --output-dir "$dir/r" >/dev/null
    [ ! -e "$dir/r/tensorboard" ]
}

@test "a sweep from YAML; Ctrl-C of a terminal, which reaches the runs too, saves them" {
    printf 'grid: ["seed=1,2", "learning_rate=1e-3,2e-3"]\njobs: 2\noutput_dir: %s\n' "$dir/s" >"$dir/sweep.yaml"
    local status=0 pid
    setsid "$xlmr" sweep --config "$dir/sweep.yaml" -- --model "$model" --train-file "$train" --max-seq-length 16 --max-steps 3000 >/dev/null 2>"$dir/err" &
    pid=$!
    for _ in $(seq 600); do [ "$(find "$dir/s" -name timing.jsonl -size +0 2>/dev/null | wc -l)" -eq 2 ] && break; sleep 0.02; done
    kill -INT -- "-$pid"
    wait "$pid" || status=$?
    [ "$status" -eq 75 ]
    [ "$(find "$dir/s/runs" -name 'step-*' | wc -l)" -eq 2 ]
    run -75 --separate-stderr "$xlmr" sweep --config "$dir/sweep.yaml" -- --model "$model" --train-file "$train" --max-seq-length 16 --max-steps 3000 --max-time 0.01s
    [ "$(grep -c ': goes on (run' <<<"$stderr")" -eq 2 ]
    [ "$(grep -c '  interrupted ' <<<"$output")" -eq 4 ]
}

@test "verify checks every run of a sweep; inspect, and both of an evaluation, say what can be given" {
    run -0 --separate-stderr sweep "$dir/s" --grid seed=1,2
    run -0 --separate-stderr "$xlmr" verify "$dir/s"
    for seed in 1 2; do grep -q "^ok   $dir/s/runs/seed=$seed/best/model.safetensors: digest" <<<"$output"; done
    refused 65 "$dir/s: is a sweep, of 2 runs; give one, such as $dir/s/runs/seed=1" -- inspect "$dir/s"
    refused 65 "such as $dir/s/runs/seed=1" -- inspect --diff "$dir/s" "$model"
    truncate -s 1000 "$dir/s/runs/seed=2/final/model.safetensors"
    run -65 --separate-stderr "$xlmr" verify "$dir/s"
    grep -q "^BAD  $dir/s/runs/seed=2/final/model.safetensors" <<<"$output"
    run ! grep -q "^BAD .*seed=1" <<<"$output"
    rm -r "$dir/s/runs/seed=2"
    run -65 --separate-stderr "$xlmr" verify "$dir/s"
    [ "$(grep '^BAD' <<<"$output")" = "BAD  $dir/s/runs/seed=2: is not there, and results.json says that it is finished; put it back, or repeat the sweep" ]

    mkdir "$dir/data"
    cp "$dev" "$dir/data/test-en.tsv"
    "$xlmr" evaluate --quiet --task classify --model "$dir/s/runs/seed=1/best" --data-dir "$dir/data" --output-dir "$dir/e"
    for verb in verify inspect; do
        refused 65 "$dir/e: is what evaluate wrote" "xlmr report $dir/e shows it" "give $dir/s/runs/seed=1/best" -- $verb "$dir/e"
        refused 65 "$dir/data: is no run directory" -- $verb "$dir/data"
    done
    echo '{' >"$dir/data/results.json"
    refused 65 "$dir/data: is no run directory" -- verify "$dir/data"
}
