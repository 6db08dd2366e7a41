#!/bin/sh
# shellcheck disable=SC2013,SC2016,SC2044  # file names here hold no spaces; backquotes are literal
# Include directions (docs/decisions.md, "Layers"), where foreign libraries and OpenMP may be used, long lines, the README map, shell scripts.
set -u
bad=0
say() { echo "lint: $*" >&2; bad=1; }

# layer: the folders it may include from, besides its own.
allowed() {
    case $1 in
    util) echo "" ;;
    kernels) echo "util" ;;
    autograd) echo "util kernels" ;;
    data) echo "util" ;;
    model) echo "util kernels autograd data/batch.h" ;;
    optim) echo "util kernels autograd/params.h" ;;
    train) echo "util kernels autograd data model optim" ;;
    cli) echo "util kernels autograd data model optim train" ;;
    esac
}

for layer in util kernels autograd data model optim train cli; do
    for file in $(find "src/$layer" -name '*.[ch]' -o -name '*.cc' | sort); do
        for inc in $(sed -n 's/^#include "\([a-z_]*\/[^"]*\)".*/\1/p' "$file"); do
            from=${inc%%/*} good=0
            [ "$from" = "$layer" ] && good=1
            for a in $(allowed "$layer"); do
                if [ "$a" = "$from" ] || [ "$a" = "$inc" ]; then good=1; fi
            done
            [ $good -eq 1 ] || say "$file includes $inc, which $layer may not"
        done
    done
done

# only PATTERN in FILES: foreign borders are one file wide.
border() {
    pattern=$1 where=$2
    for file in $(grep -rlE "$pattern" src --include='*.c' --include='*.h' --include='*.cc' | sort); do
        echo "$file" | grep -qE "$where" || say "$file: '$pattern' belongs only in $where"
    done
}
border '#include <hdf5\.h>' '^src/util/h5_lib\.h$'
border '#include "util/h5_lib\.h"' '^src/util/h5(_read|_whole|_list)?\.c$'
border '#include <cblas' '^src/kernels/gemm\.c$'
border '#include <yaml\.h>' '^src/util/yaml\.c$'
border '#include <jansson\.h>' '^src/(util|model|train|cli)/[a-z_]*\.h$'
border '#include <sentencepiece' '^src/data/tokenizer(_train)?\.cc$'
border '#include <zlib\.h>' '^src/util/decode_gzip\.c$'
border '#include <lzma\.h>' '^src/util/decode_xz\.c$'
border '#include <zstd' '^src/util/decode_zstd\.c$'
border '#include <xxhash\.h>' '^src/util/xxh\.c$'
border '#include <Random123' '^src/util/rng\.c$'
border '#include <immintrin\.h>' '^src/kernels/isa/simd\.h$'
border '#include <omp\.h>|#pragma omp' '^src/kernels/'
border '[^_a-z](malloc|calloc|realloc|free|strdup)\(' '^src/util/alloc\.c$|\.cc$'
border '[^_a-z]exit\(' '^src/cli/'

for file in $(find src tests bench examples include -name '*.[ch]' -o -name '*.cc'); do
    awk -v f="$file" 'length($0) > 160 { printf "lint: %s:%d: line of %d characters\n", f, FNR, length($0); n++ } END { exit n > 0 }' "$file" >&2 || bad=1
done
grep -rnE 'TODO|FIXME' src include scripts tests --include='*' | grep -v 'scripts/lint.sh' && say 'promises left in the code'

# The map in README.md names folders and files that exist.
if [ -f README.md ]; then
    for path in $(sed -n '/^## The map/,/^## /p' README.md | grep -oE '`(src|include|configs|scripts|tests|bench|examples|docs)/[A-Za-z0-9_./-]*`' | tr -d '\`'); do
        [ -e "$path" ] || say "README.md names $path, which is not there"
    done
fi
if command -v shellcheck >/dev/null 2>&1; then
    shellcheck scripts/*.sh bench/*.sh .ci/run || bad=1
fi
exit $bad
