#!/bin/sh
# Runs test programs that were built for ThreadSanitizer (make tsan), each with 4 threads. A finding fails its program.
#   tsan.sh BUILD TEST_PROGRAM...
# LLVM's OpenMP loads Archer, which tells the sanitizer what OpenMP orders. Libraries that were not built for it are taken as they are: OpenMP
# itself, HDF5, sentencepiece and the C++ library; ours call them from one thread at a time.
set -eu

export TSAN_OPTIONS="ignore_noninstrumented_modules=1:exitcode=66:history_size=4:second_deadlock_stack=1"
export OMP_NUM_THREADS=4 OMP_WAIT_POLICY=passive

# clang 14's shadow memory has no room for the widest address randomisation of newer kernels.
watch=
! setarch -R true 2>/dev/null || watch='setarch -R'

# A sanitizer that finds nothing may be one that sees nothing.
race=$1/tests/race
$watch "$race" >/dev/null || { echo "tsan: $race has no race, and one was found: is Archer (libarcher.so of LLVM's OpenMP) there?" >&2; exit 1; }
status=0
$watch "$race" unordered >/dev/null 2>&1 || status=$?
[ $status -eq 66 ] || { echo "tsan: $race unordered has a race that was not found (status $status)" >&2; exit 1; }

WATCH=$watch SHELL_TESTS='' exec scripts/run_tests.sh "$@"
