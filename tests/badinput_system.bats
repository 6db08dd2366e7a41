#!/usr/bin/env bats
# The hostile machine: signals, full disks, closed pipes, little memory, wrong BLAS, other locales, files that change.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

# start_run [LAUNCHER...]: a run that would take very long, in the background; or one that goes on; returns when three more updates are logged. By
# default SIGHUP is what it is at a terminal, even when these tests run under nohup.
start_run() {
    [ $# -gt 0 ] || set -- env --default-signal=HUP
    # Job control gives the background program the default action for SIGINT, which a plain & of a script would ignore.
    set -m
    "$@" "$xlmr" finetune --model "$model" --train-file "$train" --max-steps 1000000 --batch-size 4 --logging-steps 1 --quiet --output-dir "$dir/p" \
        >"$dir/out" 2>"$dir/err" 3>&- &
    pid=$!
    set +m
    local seen
    seen=$(cat "$dir/p/metrics.jsonl" 2>/dev/null | wc -l)
    for _ in $(seq 400); do
        [ "$(cat "$dir/p/metrics.jsonl" 2>/dev/null | wc -l)" -gt $((seen + 3)) ] && return
        sleep 0.05
    done
    kill -KILL "$pid"
    return 1
}

@test "SIGINT, SIGTERM, SIGUSR1, SIGXCPU, SIGHUP: exit 75 with a checkpoint, from which the same command goes on" {
    for signal in INT TERM USR1 USR2 XCPU HUP; do
        start_run
        kill -$signal "$pid"
        status=0; wait "$pid" || status=$?
        cat "$dir/err"
        [ "$status" -eq 75 ]
        step=$(sed -n 's/^xlmr: error: stopped by a signal after update \([0-9]*\) of 1000000; the same command goes on from .*/\1/p' "$dir/err")
        [ -s "$dir/p/checkpoints/step-$(printf %08d "$step")/MANIFEST.json" ]
        [ "$step" -gt "${before:-0}" ]
        before=$step
        [ ! -e "$dir/p/final" ]
        [ ! -e "$dir/p/lock" ]
        no_leftovers "$dir/p"
    done
    [ "$(grep -c '"event":"start"' "$dir/p/metrics.jsonl")" -eq 1 ]
    # A line for every update, each once.
    [ "$(grep -o '^{"step":[0-9]*' "$dir/p/metrics.jsonl" | tail -1)" = "{\"step\":$step" ]
    [ "$(grep -c '^{"step":' "$dir/p/metrics.jsonl")" -eq "$step" ]
}

@test "SIGHUP: twice is still a clean stop; under nohup it changes nothing" {
    start_run
    kill -HUP "$pid"
    kill -HUP "$pid"
    status=0; wait "$pid" || status=$?
    [ "$status" -eq 75 ]
    trap '' HUP             # what nohup does
    start_run env
    trap - HUP
    kill -HUP "$pid"
    sleep 0.3
    seen=$(cat "$dir/p/metrics.jsonl" | wc -l)
    sleep 0.5
    [ "$(cat "$dir/p/metrics.jsonl" | wc -l)" -gt "$seen" ]
    kill -TERM "$pid"
    status=0; wait "$pid" || status=$?
    [ "$status" -eq 75 ]
}

@test "a second signal ends the program at once" {
    start_run
    kill -STOP "$pid"       # three wait until it goes on: the first two set the flag, the third must not
    kill -USR1 "$pid"
    kill -INT "$pid"
    kill -TERM "$pid"
    kill -CONT "$pid"
    status=0; wait "$pid" || status=$?
    [ "$status" -eq 130 ] || [ "$status" -eq 143 ]
    [ ! -e "$dir/p/final" ]
}

@test "predict and features: a signal ends them and leaves no unfinished file" {
    local command signal status
    yes 'the cat sat on a mat' | head -300000 >"$dir/texts"
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --max-steps 1 --output-dir "$dir/run" >/dev/null
    while read -r signal command; do
        set -m
        # shellcheck disable=SC2086
        "$xlmr" $command --quiet "$dir/texts" >/dev/null 2>"$dir/err" 3>&- &
        pid=$!
        set +m
        for _ in $(seq 400); do compgen -G "$dir/o.*" >/dev/null && break; sleep 0.02; done
        compgen -G "$dir/o.*.tmp-*"
        kill -"$signal" "$pid"
        status=0; wait "$pid" || status=$?
        cat "$dir/err"
        [ "$status" -eq $((128 + $(kill -l "$signal"))) ]
        run ! compgen -G "$dir/o.*"
    done <<END
TERM predict --model $dir/run/final --format tsv --output $dir/o.jsonl
USR1 features --model $model --output $dir/o.jsonl
XCPU features --model $model --output $dir/o.h5
END
}

@test "a full disk is 74 wherever results are printed" {
    [ -e /dev/full ] || skip "no /dev/full"
    while read -r words; do
        status=0
        "$xlmr" $words >/dev/full 2>"$dir/err" </dev/null || status=$?
        echo "$words: $status"
        [ "$status" -eq 74 ]
        grep -q '^xlmr: error: .*standard output: cannot write (No space left on device)' "$dir/err"
    done <<END
doctor
fill-mask --model $model a<mask>
tokenize --model $model $BATS_FILE_TMPDIR/corpus.txt
init --preset nano --tokenizer $BATS_FILE_TMPDIR/spm.model --output-dir $dir/i
END
}

@test "a directory that cannot be made is 73, named as given, with a way out" {
    for place in /proc/none; do
        refused 73 "$place: the directory cannot be created" "name a place that can be written to" -- init --preset nano --tokenizer "$model/sentencepiece.bpe.model" \
            --output-dir "$place"
        refused 73 "$place/deep/er: the directory cannot be created" "name a place that can be written to" -- finetune --quiet --model "$model" \
            --train-file "$train" --output-dir "$place/deep/er"
    done
    refused 73 "$train/a/b: the directory cannot be created: $train: a file with that name is in the way" "move the file away" -- init --preset nano \
        --tokenizer "$model/sentencepiece.bpe.model" --output-dir "$train/a/b"
}

@test "a reader that has had enough ends the program quietly" {
    set +o pipefail
    "$xlmr" tokenize --model "$model" "$BATS_FILE_TMPDIR/corpus.txt" 2>"$dir/err" | head -1 >/dev/null
    codes=("${PIPESTATUS[@]}")
    cat "$dir/err"
    [ "${codes[0]}" -eq 141 ]
    [ ! -s "$dir/err" ]
}

@test "who reads the messages of a run may go: it goes on" {
    set +o pipefail
    "$xlmr" finetune --model "$model" --train-file "$train" --validation-file "$dev" --max-steps 40 --eval-steps 1 --output-dir "$dir/run" 2>&1 >"$dir/out" |
        head -1 >/dev/null
    codes=("${PIPESTATUS[@]}")
    [ "${codes[0]}" -eq 0 ]
    grep -q "^final model after step 40" "$dir/out"
    "$xlmr" verify --quiet "$dir/run" >/dev/null
}

@test "closed streams: what is written to them reaches no file" {
    local run status
    tune() { "$xlmr" finetune --model "$model" --train-file "$train" --validation-file "$dev" --max-steps 3 --eval-steps 1 --output-dir "$1"; }
    tune "$dir/whole" >/dev/null 2>&1
    status=0; tune "$dir/a" <&- >&- 2>&- || status=$?
    [ "$status" -eq 74 ]                    # its results were to be printed
    status=0; tune "$dir/b" <&- 2>&- >"$dir/out" || status=$?
    [ "$status" -eq 0 ]
    for run in a b; do
        cmp "$dir/whole/metrics.jsonl" "$dir/$run/metrics.jsonl"
        cmp "$dir/whole/config.yaml" <(sed "s,$dir/$run,$dir/whole," "$dir/$run/config.yaml")
        "$xlmr" verify --quiet "$dir/$run" >/dev/null
    done
    status=0; "$xlmr" fill-mask --model "$model" <&- >"$dir/out" 2>"$dir/err" || status=$?
    [ "$status" -eq 74 ]
    grep -q 'Bad file descriptor' "$dir/err"
}

@test "a weight file cut short while it is mapped is 74, not a crash" {
    copy_model
    mkfifo "$dir/pipe"
    "$xlmr" fill-mask --model "$dir/m" <"$dir/pipe" >"$dir/out" 2>"$dir/err" 3>&- &
    pid=$!
    exec 9>"$dir/pipe"
    for _ in $(seq 200); do
        grep -qs 'model.safetensors' "/proc/$pid/maps" && break
        [ -r "/proc/$pid/maps" ] || skip "no /proc to see the mapping"
        sleep 0.05
    done
    : >"$dir/m/model.safetensors"
    echo 'a <mask>' >&9
    exec 9>&-
    status=0; wait "$pid" || status=$?
    cat "$dir/err"
    [ "$status" -eq 74 ]
    grep -q '^xlmr: error: a mapped file became shorter' "$dir/err"
}

@test "little memory is 71 with a sentence, and leaves nothing" {
    ! ldd "$xlmr" | grep -q 'libasan\|libtsan' || skip "sanitizers need all the address space"
    for limit in 250000 400000 600000; do
        status=0
        ( ulimit -v $limit && exec timeout 20 "$xlmr" finetune --model "$model" --train-file "$train" --max-steps 1 --output-dir "$dir/o" ) \
            >"$dir/out" 2>"$dir/err" || status=$?
        echo "ulimit -v $limit: $status"
        cat "$dir/err"
        [ "$status" -eq 71 ]
        grep -q '^xlmr: error: .*ulimit -v' "$dir/err"
        [ ! -e "$dir/o" ]
    done
}

@test "a limit on the size of files is 74 with the remedy, and leaves nothing" {
    local command status
    for command in "features --model $model --output $dir/o.h5 $BATS_FILE_TMPDIR/corpus.txt" "features --model $model --output $dir/o.jsonl $BATS_FILE_TMPDIR/corpus.txt" \
        "prepare --model $model --output-dir $dir/o $BATS_FILE_TMPDIR/corpus.txt" "train-tokenizer --vocab-size 100 --output $dir/o.spm $BATS_FILE_TMPDIR/corpus.txt" \
        "init --preset nano --tokenizer $model/sentencepiece.bpe.model --output-dir $dir/o"; do
        status=0
        # shellcheck disable=SC2086
        ( ulimit -c 0 -f 10; exec "$xlmr" $command --quiet >/dev/null 2>"$dir/err" ) || status=$?
        echo "${command%% *}: $status"
        cat "$dir/err"
        [ "$status" -eq 74 ]
        grep -q '^xlmr: error: .*: File too large' "$dir/err"
        grep -q '^xlmr: warning: .*(ulimit -f).*raise the limit' "$dir/err"
        run ! compgen -G "$dir/o*"
    done
}

@test "numbers are read and written with a point in every locale" {
    local charmap=/usr/share/i18n/charmaps/UTF-8.gz
    if locale -a 2>/dev/null | grep -qi '^de_DE.utf-\?8'; then
        export LC_ALL=de_DE.UTF-8
    elif command -v localedef >/dev/null && [ -e "$charmap" ] && mkdir "$dir/loc" && localedef -i de_DE -f UTF-8 "$dir/loc/de_DE.UTF-8" 2>/dev/null; then
        export LOCPATH=$dir/loc LC_ALL=de_DE.UTF-8
    else
        skip "no locale with a decimal comma can be made (package locales)"
    fi
    run -0 "$xlmr" finetune --print-config --learning-rate 0.5
    [[ $output == *'learning_rate: 0.5 '* ]]
    refused 2 'is not a number' -- finetune --learning-rate 0,5
    "$xlmr" finetune --quiet --model "$model" --train-file "$train" --max-steps 1 --output-dir "$dir/a"
    LC_ALL=C "$xlmr" finetune --quiet --model "$model" --train-file "$train" --max-steps 1 --output-dir "$dir/b"
    cmp "$dir/a/metrics.jsonl" "$dir/b/metrics.jsonl"
    cmp "$dir/a/final/config.json" "$dir/b/final/config.json"
}

@test "without /proc: the memory is known all the same, runs work, and a sweep says what it needs" {
    unshare -m mount -t tmpfs none /proc 2>/dev/null || skip "no tmpfs may be mounted here"
    cat >"$dir/script" <<END
mount -t tmpfs none /proc || exit 1
"$xlmr" doctor --json 2>/dev/null >"$dir/doctor"
"$xlmr" finetune --quiet --model "$model" --train-file "$train" --max-steps 1 --output-dir "$dir/run" || exit 2
"$xlmr" sweep --quiet --grid seed=1,2 --output-dir "$dir/sweep" -- --model "$model" --train-file "$train" --max-steps 1
[ \$? -eq 69 ]
END
    unshare -m bash "$dir/script" >"$dir/out" 2>"$dir/err"
    cat "$dir/err"
    jq -e '.machine.memory_mib > 0 and .machine.memory_available_mib > 0 and .machine.memory_available_mib <= .machine.memory_mib' "$dir/doctor"
    "$xlmr" verify --quiet "$dir/run/final"
    grep -q 'a run cannot be started: No such file or directory; see to it that /proc is mounted' "$dir/err"
}

@test "a run in a place where its lock cannot be made is 73, with a way out" {
    unshare -m mount -t tmpfs none "$dir" 2>/dev/null || skip "no tmpfs may be mounted here"
    local place=$BATS_FILE_TMPDIR/place
    mkdir -p "$place"
    status=0
    unshare -m bash -c 'mount -t tmpfs none "$0" && mkdir "$0/q" && mount -o remount,ro "$0" && exec "$@"' "$place" "$xlmr" finetune --quiet --model "$model" \
        --train-file "$train" --output-dir "$place/q" 2>"$dir/err" || status=$?
    cat "$dir/err"
    [ "$status" -eq 73 ]
    grep -q 'lock: cannot be created: Read-only file system; make its folder one that you may write to, or choose another --output-dir' "$dir/err"
}

@test "no environment at all" {
    run -0 --separate-stderr env -i "$xlmr" fill-mask --model "$model" 'a <mask>'
    [ -n "$output" ]
    run -0 --separate-stderr env -u HOME TERM= LANG=nonsense "$xlmr" fill-mask --model "$model" 'a <mask>'
}

@test "what the environment tells OpenMP changes no bit, and nothing waits for threads that do not come" {
    tune() { "$xlmr" finetune --quiet --model "$model" --train-file "$train" --max-steps 2 --threads 2 --output-dir "$1" >/dev/null; }
    tune "$dir/a"
    for setting in OMP_NUM_THREADS=4,2 OMP_DYNAMIC=true OMP_THREAD_LIMIT=1 OMP_MAX_ACTIVE_LEVELS=3 OPENBLAS_NUM_THREADS=3; do
        echo "$setting"
        ( export "$setting" && export -f tune && export xlmr model train && timeout 60 bash -c 'tune "$0"' "$dir/b" )
        cmp "$dir/a/final/model.safetensors" "$dir/b/final/model.safetensors"
        rm -r "$dir/b"
    done
}

@test "threads: as OMP_NUM_THREADS says if it says a number, or the processors that the process may use" {
    local first
    threads() { "$@" "$xlmr" doctor --json 2>"$dir/err" | jq .machine.threads; }
    first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
    [ "$(threads env OMP_NUM_THREADS=3)" -eq 3 ]
    [ "$(threads env 'OMP_NUM_THREADS= 3 ,2')" -eq 3 ]
    [ "$(threads env -u OMP_NUM_THREADS taskset -c "$first")" -eq 1 ]
    [ "$(threads env -u OMP_NUM_THREADS OMP_PROC_BIND=true taskset -c "$first")" -eq 1 ]
    [ "$(OMP_PROC_BIND=true taskset -c "$first" "$xlmr" doctor --json 2>/dev/null | jq .machine.cores_allowed)" -eq 1 ]
    for wrong in 0 -1 abc '' 4096000 1.5; do
        [ "$(threads env OMP_NUM_THREADS="$wrong" taskset -c "$first")" -eq 1 ]
        grep -qF "xlmr: warning: OMP_NUM_THREADS is \"$wrong\", which is no number of threads" "$dir/err"
    done
    if [ "$(nproc --all)" -gt 1 ]; then
        taskset -c "$first" "$xlmr" help --threads 2 >/dev/null 2>"$dir/err"
        grep -q '^xlmr: warning: --threads 2 where the process may run on 1 of ' "$dir/err"
    fi
}

@test "stacks that are too small, and threads that the system refuses, are 71 with a remedy" {
    ! ldd "$xlmr" | grep -q 'libasan\|libtsan' || skip "sanitizers have limits of their own"
    local as=()
    refused_by_limit() { status=0; "$@" fill-mask --model "$model" --threads 4 'a <mask>' >"$dir/out" 2>"$dir/err" </dev/null || status=$?; cat "$dir/err"; [ "$status" -eq 71 ]; }
    for size in 64k 512 '1000 K' 2000B; do
        refused_by_limit env OMP_STACKSIZE="$size" "$xlmr"
        grep -qF "xlmr: error: OMP_STACKSIZE is $size; threads need stacks of at least 1024 KiB: unset it" "$dir/err"
    done
    refused_by_limit bash -c 'ulimit -S -s 256; exec "$0" "$@"' "$xlmr"
    grep -q '^xlmr: error: the limit on the stack (ulimit -s) is below 1 MiB.*raise it' "$dir/err"
    bash -c 'ulimit -S -s 1024; exec "$0" "$@"' "$xlmr" fill-mask --model "$model" 'a <mask>'
    if [ "$(id -u)" -eq 0 ]; then as=(setpriv --reuid 54321 --regid 54321 --clear-groups); fi       # root has no such limit
    "${as[@]}" test -x "$(realpath "$xlmr")" || skip "another user cannot run the program"
    refused_by_limit "${as[@]}" bash -c 'ulimit -u 1; exec "$0" "$@"' "$(realpath "$xlmr")"
    grep -q '^xlmr: error: thread 2 of 4 cannot be started (Resource temporarily unavailable);.*ulimit -u.*give --threads 1' "$dir/err"
}

@test "OpenBLAS without threads is refused, with its own threads warned of" {
    # XLMR_TEST_BLAS: a folder with other flavours of the library, unpacked: find it anywhere below.
    [ -n "${XLMR_TEST_BLAS:-}" ] || skip "XLMR_TEST_BLAS names no folder with libopenblas0-serial and -pthread (dpkg -x)"
    local serial pthread
    serial=$(find "$XLMR_TEST_BLAS" -path '*openblas-serial/libopenblas.so.0' | head -1)
    pthread=$(find "$XLMR_TEST_BLAS" -path '*openblas-pthread/libopenblas.so.0' | head -1)
    [ -n "$serial" ] || skip "no openblas-serial/libopenblas.so.0 below $XLMR_TEST_BLAS"
    LD_LIBRARY_PATH=$(dirname "$serial") refused 69 'serial flavour' 'libopenblas0-openmp' -- fill-mask --model "$model" 'a <mask>'
    [ -n "$pthread" ] || return 0
    LD_LIBRARY_PATH=$(dirname "$pthread") accepted 'pthread flavour' -- fill-mask --model "$model" 'a <mask>'
}
