#!/bin/sh
# Runs the test programs and the .bats files, shows their output as TAP, and closes with one line: N passed, N failed, N skipped.
#   run_tests.sh BUILD TEST_PROGRAM...
# WATCH is a command that the programs are run by (make tsan, make valgrind); SHELL_TESTS are the .bats files, all if it is not set.
set -u

build=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0 without_data=0 names=''
XLMR_BUILD=$(cd "$build" && pwd)
export XLMR_BUILD
export XLMR_DATA="${XLMR_DATA:-$(pwd)/../shared/data}"
# A core type forced from outside would test other kernels than users run.
unset OPENBLAS_CORETYPE
export OMP_WAIT_POLICY=passive
export CMOCKA_MESSAGE_OUTPUT=TAP
if [ -n "${SAN-}" ]; then
    export SAN
    # detect_stack_use_after_return is off: gcc puts such frames at addresses that 64-byte vectors may not have.
    export ASAN_OPTIONS="${ASAN_OPTIONS-detect_stack_use_after_return=0:allocator_may_return_null=1}"
    export LSAN_OPTIONS="${LSAN_OPTIONS-suppressions=$(pwd)/tests/lsan.supp:print_suppressions=0}"
    export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1}"
fi

# Adds up what the log says. cmocka writes a skipped test as "not ok N # SKIP". A test that was announced (1..N) and has no result is a
# failure, and so is a program that ends with a status and no failed test, or that ran nothing.
count() {
    name=$1 status=$2
    # shellcheck disable=SC2046  # five numbers
    set -- $(awk '
        /^1\.\.[0-9]+/ { plan += substr($1, 4) }
        /^(not )?ok [0-9]+.*# *(SKIP|skip)/ { skip++; next }
        /^ok [0-9]/ { ok++ }
        /^not ok [0-9]/ { bad++ }
        END { print ok + 0, bad + 0, skip + 0, plan - ok - bad - skip }' "$log") "$(grep -c XLMR_DATA "$log")"
    bad=$2
    if [ "$4" -gt 0 ]; then
        bad=$((bad + $4))
        echo "not ok - $name: $4 tests without a result; status $status"
    elif [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ $(($1 + $3)) -eq 0 ]; }; then
        bad=1
        echo "not ok - $name: $(($1 + $3)) tests ran, none failed, status $status"
    fi
    passed=$((passed + $1)) failed=$((failed + bad)) skipped=$((skipped + $3))
    without_data=$((without_data + ($5 < $3 ? $5 : $3)))
    [ "$bad" -eq 0 ] || names="$names $name"
}

# one NAME COMMAND...: runs and counts.
one() {
    name=$1 begin=$(date +%s)
    shift
    echo "# $name"
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    sed 's/^not ok \([0-9]* # SKIP\)/ok \1/' "$log"
    count "$name" $status
    took=$(($(date +%s) - begin))
    [ $took -le 5 ] || echo "# $name took $took s"
}

for t in "$@"; do
    # shellcheck disable=SC2086  # a list of words
    one "$(basename "$t")" ${WATCH-} "$t"
done
for t in ${SHELL_TESTS-tests/*.bats}; do
    one "$t" bats --formatter tap "$t"
done

[ "$failed" -eq 0 ] || echo "# failed in:$names"
[ "$without_data" -eq 0 ] || echo "# $without_data skipped for lack of the data folder: XLMR_DATA is $XLMR_DATA"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
