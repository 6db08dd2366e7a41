#!/usr/bin/env bats
# xlmr estimate: memory within 15 % of what a run then shows, figures that agree with a run's log, refusals, and what would fit.

load helpers

setup_file() {
    make_tiny_model
    local xlmr="${XLMR_BUILD:-build}/xlmr" at=$BATS_FILE_TMPDIR
    "$xlmr" init --quiet --preset mini --tokenizer "$at/spm.model" --output-dir "$at/mini" >/dev/null
    "$xlmr" prepare --quiet --lang en --model "$at/model" --output-dir "$at/store" "$at/corpus.txt" >/dev/null
}
setup() { common_setup; at=$BATS_FILE_TMPDIR; }

# like_run COMMAND OPTIONS...: estimates the run, runs it, and compares the highest memory and the operations.
like_run() {
    local command=$1
    shift
    "$xlmr" estimate "$command" --quiet --json "$@" >"$dir/estimate" 2>"$dir/err"
    run ! grep -v 'no AVX512-BF16' "$dir/err"       # which the machine may lack
    rm -rf "$dir/run"
    "$xlmr" "$command" --quiet --json --output-dir "$dir/run" "$@" >"$dir/summary"
    jq -e --slurpfile summary "$dir/summary" --slurpfile log "$dir/run/timing.jsonl" '
        (.memory_mb.total / $summary[0].peak_rss_mb) as $memory
        | ([$log[] | .gflops * .step_ms] | add / length) as $gflop_of_a_step
        | (1000 * .gflop.all / $gflop_of_a_step) as $work
        | [.memory_mb.total, $summary[0].peak_rss_mb, $memory, $work] | debug
        | $memory > 0.85 and $memory < 1.15 and $work > 0.95 and $work < 1.05' "$dir/estimate"
}

@test "memory of fine-tuning, within 15 % of the run's" {
    [ -z "${SAN-}" ] || skip "sanitizers take memory of their own"
    like_run finetune --model "$model" --train-file "$train" --max-steps 4 --batch-size 32 --logging-steps 2
    like_run finetune --model "$model" --train-file "$train" --validation-file "$dev" --num-epochs 2 --batch-size 32 --logging-steps 1
    like_run finetune --model "$at/mini" --train-file "$train" --max-steps 2 --batch-size 32 --logging-steps 1
    like_run finetune --model "$at/mini" --train-file "$train" --max-steps 2 --batch-size 32 --logging-steps 1 --recompute --micro-batch-size 8
    like_run finetune --model "$at/mini" --train-file "$train" --max-steps 2 --batch-size 32 --logging-steps 1 --precision bf16
    like_run finetune --model "$at/mini" --train-file "$train" --max-steps 2 --batch-size 32 --logging-steps 1 --ema 0.999
}

@test "memory of pretraining, within 15 % of the run's" {
    [ -z "${SAN-}" ] || skip "sanitizers take memory of their own"
    like_run pretrain --model "$model" --train-data "$at/store" --max-steps 4 --block-length 128 --batch-size 64 --logging-steps 2
    like_run pretrain --model "$at/mini" --train-data "$at/store" --max-steps 2 --block-length 128 --batch-size 8 --logging-steps 1 --precision bf16
    like_run pretrain --model "$at/mini" --train-data "$at/store" --max-steps 2 --block-length 128 --batch-size 8 --micro-batch-size 4 --logging-steps 1 \
        --freeze-layers 3 --recompute
}

@test "without data or weights: sizes from a preset, config.json or a directory, lengths from the options" {
    "$xlmr" estimate finetune --preset nano --vocab-size 500 --batch-size 8 --mean-length 40 --json --quiet >"$dir/a"
    jq -e '.update.tokens == 320 and .lengths == "--mean-length" and .update.in_all == null and .expected.training_s == null' "$dir/a"
    mkdir "$dir/m"
    cp "$model/config.json" "$dir/m/"
    "$xlmr" estimate pretrain --model "$dir/m" --batch-size 4 --block-length 64 --max-steps 100 --json --quiet >"$dir/b"
    "$xlmr" estimate pretrain --config-json "$dir/m/config.json" --batch-size 4 --block-length 64 --max-steps 100 --json --quiet >"$dir/c"
    jq -e --slurpfile c "$dir/c" '.parameters == $c[0].parameters and .gflop == $c[0].gflop and .update.in_all == 100' "$dir/b"
    # two newest checkpoints and one being written; with --keep-every those of updates 20, 40, … 100 as well
    for more in '--save-steps 10' '--save-steps 10 --keep-every 20'; do
        # shellcheck disable=SC2086  # words
        "$xlmr" estimate pretrain --model "$dir/m" --batch-size 4 --block-length 64 --max-steps 100 $more --json
    done | jq -es '((.[1].disk_mb.all - .[0].disk_mb.all) / .[0].disk_mb.checkpoint - 5) | fabs < 0.01'
    # every part is in the text, too
    run -0 "$xlmr" estimate pretrain --model "$dir/m" --batch-size 4 --block-length 64 --max-steps 100
    for part in 'pretrain of 0.1 million' 'activations' 'program and libraries' 'together' 'an update: 256 tokens of 4 sequences in 1 micro-batches' \
        'optimizer' 'tokens/s' 'for 100 updates' 'disk: ' 'fits: '; do
        [[ $output == *"$part"* ]]
    done
}

@test "raw text is not read; its amount is not known" {
    accepted 'is raw text, which an estimate does not read' -- estimate pretrain --model "$model" --train-data "$at/corpus.txt" --block-length 64 --batch-size 2 --json
    jq -e '.lengths == "--block-length" and .update.in_all == null' "$dir/out"
}

@test "what cannot be estimated is refused" {
    refused 2 'first name the command that it is about' -- estimate
    refused 2 'first name the command that it is about' -- estimate predict
    refused 2 'needs one of --model DIR' 'found none' -- estimate pretrain
    refused 2 'needs one of --model DIR' 'found several' -- estimate pretrain --preset nano --model "$model"
    refused 2 'reading data needs the tokenizer' -- estimate finetune --preset nano --train-file "$train"
    refused 2 'reading data needs the tokenizer' -- estimate pretrain --preset nano --train-data "$at/store"
    refused 66 'does not exist' -- estimate pretrain --model "$model" --train-data "$dir/none"
    refused 66 'none/config.json' -- estimate pretrain --model "$dir/none"
    refused 2 '--freeze-layers 9: the model has 2 layers' -- estimate finetune --preset nano --freeze-layers 9
    refused 2 'is an option of finetune' -- estimate pretrain --preset nano --train-file "$train"
    refused 2 'unknown option of estimate' -- estimate pretrain --preset nano --no-such 1
}

@test "what does not fit: says so, and what would" {
    big=(pretrain --preset mini --batch-size 4096 --micro-batch-size 4096 --block-length 500)
    "$xlmr" estimate "${big[@]}" --json --quiet >"$dir/a"
    if jq -e .fits "$dir/a"; then skip "this machine has more memory than the test expects"; fi
    jq -e '.memory_mb.total > .machine.memory_mb and .remedy.memory_mb < .memory_mb.total
        and .remedy.fits == (.remedy.memory_mb <= .machine.memory_mb)' "$dir/a"
    if ! jq -e .remedy.fits "$dir/a"; then skip "nothing fits this machine"; fi
    run -0 "$xlmr" estimate "${big[@]}"
    [[ $output == *'does not fit: '*'would fit: '*'--micro-batch-size'* ]]
    # taken at its word, it fits
    "$xlmr" estimate "${big[@]}" --micro-batch-size "$(jq .remedy.micro_batch_size "$dir/a")" --json --quiet >"$dir/b"
    jq -e '.fits' "$dir/b"
}

@test "operations in the log are those that the kernels count, and never in metrics.jsonl" {
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --max-steps 4 --batch-size 8 --logging-steps 2 --profile --output-dir "$dir/r" >"$dir/out" 2>"$dir/err"
    jq -es 'all(.[]; . as $l | ([.phase_gflops | to_entries[] | .value * $l.phase_ms[.key]] | add) as $counted
        | .gflops * .step_ms / $counted > 0.99 and .gflops * .step_ms / $counted < 1.01)' "$dir/r/timing.jsonl"
    run ! grep -q 'gflops\|gemm_share' "$dir/r/metrics.jsonl"
    jq -es 'all(.[]; .gemm_share == null)' "$dir/r/timing.jsonl"       # so short a run does not measure the machine
}
