# Shared by the .bats files: a scratch folder, one tiny model for a file's tests, and what a refusal must look like.

# Generated text and a model of 100 pieces, 2 layers x 64, in $BATS_FILE_TMPDIR. Call from setup_file.
make_tiny_model() {
    local xlmr="${XLMR_BUILD:-build}/xlmr" at=$BATS_FILE_TMPDIR
    awk 'function roll(n) { x = (x * 16807) % 2147483647; return x % n }    # the same text on every awk
    BEGIN {
        x = 1
        n = split("the cat sat on a mat dog ran fast over lazy brown fox good bad nice awful great poor film was it very not really some more people close time house river tree water light dark open", w, " ")
        for (i = 0; i < 2000; i++) {
            line = ""
            for (j = 4 + roll(10); j > 0; j--)
                line = line (line == "" ? "" : " ") w[1 + roll(n)]
            print line
        }
    }' >"$at/corpus.txt"
    "$xlmr" train-tokenizer --quiet --vocab-size 100 --output "$at/spm.model" "$at/corpus.txt" >/dev/null
    "$xlmr" init --quiet --preset nano --tokenizer "$at/spm.model" --output-dir "$at/model" >/dev/null
    labelled 1 64 >"$at/train.tsv"
    labelled 65 96 >"$at/dev.tsv"
}

# WORK_DIR, a file's scratch folder, in memory where there is such a folder: of thousands of runs a disk takes most of the time, for the fsyncs.
work_in_memory() {
    export WORK_DIR=$BATS_FILE_TMPDIR
    if [ -w /dev/shm ]; then WORK_DIR=$(mktemp -d /dev/shm/xlmr-test-XXXXXX); fi
    BATS_FILE_TMPDIR=$WORK_DIR make_tiny_model
}

leave_memory() { if [ "$WORK_DIR" != "$BATS_FILE_TMPDIR" ]; then rm -rf "$WORK_DIR"; fi; }

# labelled FROM TO: those lines of the corpus as TSV with a header; the label depends on the words.
labelled() {
    awk -v from="$1" -v to="$2" 'BEGIN { print "text\tlabel" }
        NR >= from && NR <= to { print $0 "\t" (/good|cat|tree/ ? "pos" : "neg") }' "$BATS_FILE_TMPDIR/corpus.txt"
}

common_setup() {
    bats_require_minimum_version 1.5.0
    xlmr="${XLMR_BUILD:-build}/xlmr"
    dir=$BATS_TEST_TMPDIR
    model=$BATS_FILE_TMPDIR/model
    train=$BATS_FILE_TMPDIR/train.tsv
    dev=$BATS_FILE_TMPDIR/dev.tsv
    unset OPENBLAS_CORETYPE
    export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
}

# refused CODE TEXT... -- ARGUMENTS...: the exit code, nothing on standard output, every TEXT in the one message on standard error, and no output
# ($dir/o) nor temporary left behind. A text that begins with ! must be absent.
refused() {
    local code=$1 status=0 text
    local -a texts=()
    shift
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    "$xlmr" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    echo "expected $code, got $status: xlmr $*"
    cat -v "$dir/err"
    [ "$status" -eq "$code" ]
    [ ! -s "$dir/out" ]
    [ "$(grep -c '^xlmr: error: ' "$dir/err")" -eq 1 ]
    for text in "${texts[@]}"; do
        echo "expected in the message: $text"
        grep '^xlmr: error: ' "$dir/err" | grep -qF -- "$text"
    done
    [ ! -e "$dir/o" ]
    no_leftovers "$dir"
}

# accepted TEXT... -- ARGUMENTS...: exit 0, no error, every TEXT somewhere on standard error.
accepted() {
    local status=0 text
    local -a texts=()
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    "$xlmr" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    echo "expected 0, got $status: xlmr $*"
    cat -v "$dir/err"
    [ "$status" -eq 0 ]
    run ! grep -q '^xlmr: error: ' "$dir/err"
    for text in "${texts[@]}"; do
        echo "expected on standard error: $text"
        grep -qF -- "$text" "$dir/err"
    done
}

no_leftovers() {
    local left
    left=$(find "$1" \( -name '*.tmp-*' -o -name '*.was-*' \) 2>/dev/null)
    echo "leftovers: $left"
    [ -z "$left" ]
}

# copy_model: a fresh copy of the tiny model in $dir/m, to be damaged.
copy_model() {
    rm -rf "$dir/m"
    cp -r "$model" "$dir/m"
}

# tests/shim/fault.c in `shim`, for LD_PRELOAD; sanitizers want to be loaded first.
find_shim() {
    local first
    shim=$(realpath "${XLMR_BUILD:-build}/tests/fault.so")
    first=$(ldd "$xlmr" | awk '/lib[alt]san/ { print $3 }')
    shim=${first:+$first:}$shim
}
