#!/usr/bin/env bats
# The program as a whole: exit codes, messages, where they go, help, config.

bats_require_minimum_version 1.5.0

setup() {
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$(mktemp -d)
    unset OPENBLAS_CORETYPE
}

teardown() { rm -rf "$dir"; }

# refused CODE TEXT ARGUMENTS...: nothing on standard output, TEXT in the message on standard error.
refused() {
    local code=$1 text=$2 status=0
    shift 2
    "$xlmr" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    cat "$dir/err"
    [ "$status" -eq "$code" ]
    [ ! -s "$dir/out" ]
    grep -q '^xlmr: error: ' "$dir/err"
    grep -qF -- "$text" "$dir/err"
}

@test "help and version go to standard output" {
    run -0 "$xlmr" --help
    [[ $output == *"usage: xlmr COMMAND"* && $output == *fill-mask* && $output == *finetune* ]]
    run -0 "$xlmr" --version
    [[ $output =~ ^xlmr\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    run -0 "$xlmr" init -h
    [[ $output == *"--preset nano|mini|base|large"* && $output != *"--verbose"* ]]
    run -0 "$xlmr" init --help
    [[ $output == *"--verbose"* && $output == *Examples* && $output == *"[default 42; 0 to 4294967295]"* ]]
}

@test "every command has help, short help, a man page and a config it reads back" {
    for verb in $("$xlmr" --help | sed -n '/^Commands/,/^$/s/^  \([a-z-]*\) .*/\1/p'); do
        echo "# $verb"
        run -0 "$xlmr" "$verb" -h
        [[ $output == *"  xlmr $verb "* ]]
        run -0 "$xlmr" "$verb" --help
        [[ $output == *"--threads N"* ]]
        "$xlmr" help --man "$verb" >"$dir/man"
        grep -q '^\.TH' "$dir/man"
        if command -v groff >/dev/null; then [ -z "$(groff -man -Tutf8 -ww -z "$dir/man" 2>&1)" ]; fi
        "$xlmr" "$verb" --print-config >"$dir/a.yaml"
        "$xlmr" "$verb" --config "$dir/a.yaml" --print-config >"$dir/b.yaml"
        diff <(sed 's/  # .*//' "$dir/a.yaml") <(sed 's/  # .*//' "$dir/b.yaml")
    done
}

@test "print-config says where each value came from" {
    printf 'learning-rate: 1e-4\nnum_epochs: 2\n' >"$dir/c.yaml"
    run -0 "$xlmr" finetune --print-config --config "$dir/c.yaml" --num-epochs 5
    [[ $output == *"learning_rate: 0.0001  # $dir/c.yaml:1"* ]]
    [[ $output == *"num_epochs: 5  # flag"* ]]
    [[ $output == *"batch_size: 32  # default"* ]]
    run -0 "$xlmr" finetune --print-config --json
    [[ $output == *'"learning_rate":2e-05'* || $output == *'"learning_rate":2e-5'* ]]
}

# completes WORDS... -- REPLIES...: what TAB behind the last word offers.
completes() {
    local -a words=() got
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1)) COMPREPLY=()
    _xlmr
    mapfile -t got < <(printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort)
    echo "${words[*]}: ${got[*]@Q}, expected ${*@Q}"
    [ "${got[*]@Q}" = "${*@Q}" ]
}

@test "bash completion knows commands, flags and choices" {
    source <("$xlmr" help --completion bash)
    completes xlmr fill -- fill-mask
    completes xlmr --v -- --version
    completes xlmr finetune --learning -- --learning-rate
    completes xlmr estimate pretrain --block -- --block-length
    completes xlmr init --preset b -- base
    completes xlmr finetune --task = c -- choice classify
    completes xlmr finetune --task = -- choice classify qa tag
    completes xlmr help fi -- fill-mask finetune
    completes xlmr help --man fi -- fill-mask finetune
    completes xlmr help --man x -- xlmr
    completes xlmr estimate "" -- finetune pretrain
}

@test "bash completion takes file names as they are, and tells bash that they are file names" {
    source <("$xlmr" help --completion bash)
    compopt() { echo "$*" >>"$dir/told"; }      # bash's own works only behind a TAB
    mkdir "$dir/f"
    cd "$dir/f"
    touch "a b.txt" "a*" "finetune"
    completes xlmr predict a -- "a b.txt" "a*"
    completes xlmr predict --model = "a " -- "a b.txt"
    [ "$(sort -u "$dir/told")" = "-o filenames" ]
    rm "$dir/told"
    completes xlmr estimate fi -- finetune
    [ ! -e "$dir/told" ]
}

@test "wrong command lines are 2" {
    refused 2 "no command given"
    refused 2 "did you mean finetune?" finetun
    refused 2 "did you mean --learning-rate?" finetune --learning-raet 1
    refused 2 "is an option of train-tokenizer, estimate, not of init" init --vocab-size 10
    refused 2 "expected one of nano, mini, base, large" init --preset huge
    refused 2 "expected an integer from 0 to 4294967295" init --seed -1
    refused 2 "init needs --tokenizer FILE" init --preset nano --output-dir "$dir/m"
    refused 2 "unexpected argument" doctor now
    refused 2 "options stand behind the command" --threads 2 doctor
    refused 2 "goes behind --" fill-mask -x
}

@test "wrong configs are 78 with the line, missing ones 66" {
    printf 'seed: 1\nlearning_raet: 2\n' >"$dir/c.yaml"
    refused 78 "$dir/c.yaml:2: learning_raet" finetune --config "$dir/c.yaml"
    refused 78 "did you mean learning_rate?" finetune --config "$dir/c.yaml"
    printf 'hidden_dropout: 1.5\n' >"$dir/c.yaml"
    refused 78 "expected a number from 0 to 0.99, or config" finetune --config "$dir/c.yaml"
    printf 'seed: 1\nseed: 2\n' >"$dir/c.yaml"
    refused 78 "$dir/c.yaml:2" finetune --config "$dir/c.yaml"
    head -c 1100000 /dev/zero | tr '\0' '[' >"$dir/c.yaml"
    refused 78 "1 MiB" finetune --config "$dir/c.yaml"
    refused 66 "$dir/none.yaml" finetune --config "$dir/none.yaml"
}

@test "a full disk is 74, a closed pipe 141 and quiet" {
    [ -e /dev/full ] || skip "no /dev/full"
    status=0
    "$xlmr" init --help >/dev/full 2>"$dir/err" || status=$?
    [ "$status" -eq 74 ]
    grep -q 'standard output' "$dir/err"
    # bash reports the status of each command of the pipe; man pages of all commands overflow no pipe, so write until it is closed.
    ( set +e; trap '' PIPE; while :; do "$xlmr" init --help 2>>"$dir/pipe"; s=$?; [ $s -eq 0 ] || { echo $s >"$dir/status"; break; }; done | true )
    [ "$(cat "$dir/status")" -eq 141 ]
    [ ! -s "$dir/pipe" ]
}

@test "no colour and no control characters off a terminal; more threads than cores is a warning" {
    "$xlmr" help --threads 4096 >/dev/null 2>"$dir/err"
    grep -q '^xlmr: warning: --threads 4096 on a machine with' "$dir/err"
    [ "$(tr -d '[:print:]\n' <"$dir/err" | wc -c)" -eq 0 ]
}

@test "doctor finds the machine usable and gives JSON" {
    run -0 "$xlmr" doctor
    [[ $output == *"agrees in every bit"* && $output == *openblas* && $output == *libzstd* ]]
    "$xlmr" doctor --json --quiet 2>/dev/null >"$dir/j"
    [ "$(wc -l <"$dir/j")" -eq 1 ]
    grep -q '"ok":true' "$dir/j"
    jq -e '.speed.gemm_gflops > 0 and .speed.memory_gb_per_s > 0 and (.speed.gemm_gflops_bf16 > 0) == .kernels.bf16
        and .machine.cores >= .machine.cores_allowed and .machine.memory_mib >= .machine.memory_available_mib and (.advice | type) == "array"
        and .precisions.bf16.fast == (.kernels.bf16 and (.kernels.used | IN("avx512", "amx")) and .speed.gemm_gflops_bf16 >= 1.15 * .speed.gemm_gflops)
        and (.precisions.bf16.why | length) > 0 and (.precisions.int8.why | length) > 0' "$dir/j"
    OMP_PROC_BIND=close OMP_PLACES=cores run -0 "$xlmr" doctor --threads 1
    [[ $output == *"speed now"* && $output != *"wander"* ]]
}

@test "the portable kernels can be asked for" {
    XR_ISA=portable run -0 "$xlmr" doctor
    [[ $output == *"portable; the machine can do"* && $output == *"agrees in every bit"* ]]
    [[ $output == *"not fast       bf16: "* && $output == *"not fast       int8: "* ]]
}

@test "init refuses both sizes, neither, a missing tokenizer and a taken directory" {
    printf 'x' >"$dir/bad.model"
    refused 2 "found neither" init --tokenizer "$dir/bad.model" --output-dir "$dir/m"
    refused 2 "found both" init --preset nano --config-json "$dir/c" --tokenizer "$dir/bad.model" --output-dir "$dir/m"
    refused 66 "$dir/none.model" init --preset nano --tokenizer "$dir/none.model" --output-dir "$dir/m"
    refused 65 "$dir/bad.model" init --preset nano --tokenizer "$dir/bad.model" --output-dir "$dir/m"
    [ ! -e "$dir/m" ]
}

@test "init writes a model directory, the same for the same seed" {
    model=${XLMR_DATA:-../shared/data}/spm
    spm=$model/xlmr-trimmed-2427.model
    [ -e "$spm" ] || skip "no $spm (XLMR_DATA)"
    run -0 "$xlmr" init --preset nano --tokenizer "$spm" --output-dir "$dir/dry" --dry-run
    [[ $output == *"nothing written"* ]]
    [ ! -e "$dir/dry" ]
    run -0 "$xlmr" init --preset nano --tokenizer "$spm" --output-dir "$dir/m"
    [[ $output == *"parameters"* ]]
    cmp "$spm" "$dir/m/sentencepiece.bpe.model"
    [ -s "$dir/m/config.json" ]
    refused 73 "--overwrite-output-dir" init --preset nano --tokenizer "$spm" --output-dir "$dir/m"
    "$xlmr" init --preset nano --tokenizer "$spm" --output-dir "$dir/n" --threads 1 --json | grep -q '"hidden_size":64'
    cmp "$dir/m/model.safetensors" "$dir/n/model.safetensors"
    "$xlmr" init --preset nano --tokenizer "$spm" --output-dir "$dir/n" --seed 7 --overwrite-output-dir
    run ! cmp -s "$dir/m/model.safetensors" "$dir/n/model.safetensors"
    "$xlmr" init --preset nano --tokenizer "$spm" --output-dir "$dir/s" --position-init sinusoidal
    [ "$(cmp -l "$dir/m/model.safetensors" "$dir/s/model.safetensors" | wc -l)" -gt 60000 ]     # 512 x 64 floats, and nothing but them
    [ "$(cmp -l "$dir/m/model.safetensors" "$dir/s/model.safetensors" | wc -l)" -le $((512 * 64 * 4)) ]
    [ "$(find "$dir" -mindepth 1 -maxdepth 1 -name '*tmp*' | wc -l)" -eq 0 ]
}
