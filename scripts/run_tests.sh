#!/bin/sh
# Runs the test programs and the .bats files, shows their output as TAP, and closes with one line: N passed, N failed, N skipped.
#   run_tests.sh BUILD TEST_PROGRAM...
set -u

build=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0 names=''
XLMR_BUILD=$(cd "$build" && pwd)
export XLMR_BUILD
export XLMR_DATA="${XLMR_DATA:-$(pwd)/../shared/data}"
# A core type forced from outside would test other kernels than users run.
unset OPENBLAS_CORETYPE
export OMP_WAIT_POLICY=passive

# count NAME STATUS: adds up the TAP lines in the log; a program that died without a "not ok" is a failure of its own.
count() {
    ok=$(grep -c '^ok ' "$log")
    skip=$(grep -ci '^ok .*# *skip' "$log")
    bad=$(grep -c '^not ok ' "$log")
    if [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        echo "not ok - $1 ended with status $2"
    fi
    passed=$((passed + ok - skip)) skipped=$((skipped + skip)) failed=$((failed + bad))
    [ "$bad" -eq 0 ] || names="$names $1"
}

for t in "$@"; do
    echo "# $(basename "$t")"
    CMOCKA_MESSAGE_OUTPUT=TAP "$t" >"$log" 2>&1
    status=$?
    cat "$log"
    count "$(basename "$t")" $status
done
for t in tests/*.bats; do
    echo "# $t"
    bats --formatter tap "$t" >"$log" 2>&1
    status=$?
    cat "$log"
    count "$t" $status
done

[ "$skipped" -eq 0 ] || [ -d "$XLMR_DATA" ] || echo "# skipped tests need the data folder: set XLMR_DATA (now $XLMR_DATA, which is not there)"
[ "$failed" -eq 0 ] || echo "# failed in:$names"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
