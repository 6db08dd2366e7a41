#!/usr/bin/env bats
# make install: what lies where, and that a program compiled against it by pkg-config alone runs.

bats_require_minimum_version 1.5.0

setup_file() {
    export build="${XLMR_BUILD:-build}" prefix="$BATS_FILE_TMPDIR/p"
    scripts/install.sh "$build" "$prefix" "$prefix" 0.1.0
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
}

# runs PROGRAM: the usage line and status 2 of examples/classify.c.
runs() {
    run -2 env LD_LIBRARY_PATH="$prefix/lib" "$1"
    [ "$output" = "usage: classify DIR TEXT [PAIR [PRECISION]]" ]
    run -1 env LD_LIBRARY_PATH="$prefix/lib" "$1" /nowhere text
    [[ $output == "classify: /nowhere"* ]]
}

@test "the program runs where it is installed, with a man page for each command" {
    run -0 "$prefix/bin/xlmr" --version
    n=0
    for verb in $("$prefix/bin/xlmr" --help | sed -n '/^Commands/,/^$/s/^  \([a-z-]*\) .*/\1/p'); do
        grep -q '^\.SH SYNOPSIS' "$prefix/share/man/man1/xlmr-$verb.1"
        n=$((n + 1))
    done
    [ "$n" -ge 8 ]
    # xlmr(1) points to each of them
    diff <(sed -n 's/^\.BR xlmr\\-\(.*\) (1)/xlmr-\1.1/p' "$prefix/share/man/man1/xlmr.1" | tr -d '\\' | sort) \
        <(cd "$prefix/share/man/man1" && ls xlmr-*)
    if command -v groff >/dev/null; then [ -z "$(groff -man -Tutf8 -ww -z "$prefix/share/man/man1/xlmr.1" 2>&1)" ]; fi
    bash -n "$prefix/share/bash-completion/completions/xlmr"
}

@test "a program against the shared library" {
    [ -z "${SAN-}" ] || skip "needs a library without sanitizers"
    # shellcheck disable=SC2046
    cc -o "$BATS_TEST_TMPDIR/shared" examples/classify.c $(pkg-config --cflags --libs xlmr) -lm
    runs "$BATS_TEST_TMPDIR/shared"
    ldd "$BATS_TEST_TMPDIR/shared" | grep -q 'libxlmr\.so\.0'
}

@test "a program that loads the shared library as a plugin, and lets it go" {
    [ -z "${SAN-}" ] || skip "needs a library without sanitizers"
    cat >"$BATS_TEST_TMPDIR/plugin.c" <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
int main(int argc, char **argv)
{
    for (int i = 0; i < 3 && argc == 2; i++) {
        void *lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL), *(*open)(const char *, int);
        *(void **)&open = dlsym(lib, "xr_open");
        if (open("/nowhere", 0) || dlclose(lib) != 0)
            return 1;
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);      /* in which its threads wake up */
    }
    return puts("fine") < 0;
}
C
    cc -o "$BATS_TEST_TMPDIR/plugin" "$BATS_TEST_TMPDIR/plugin.c" -ldl
    for policy in passive active; do
        run -0 env OMP_NUM_THREADS=4 OMP_WAIT_POLICY=$policy timeout 60 "$BATS_TEST_TMPDIR/plugin" "$prefix/lib/libxlmr.so.0"
        [ "$output" = fine ]
    done
}

@test "a program against the archive" {
    [ -z "${SAN-}" ] || skip "needs a library without sanitizers"
    libs=$(pkg-config --static --libs xlmr) cc=gcc
    # The archive's parallel loops call the OpenMP runtime of the compiler that made it.
    if nm "$prefix/lib/libxlmr.a" 2>/dev/null | grep -q __kmpc_fork_call; then cc=clang; fi
    # shellcheck disable=SC2046,SC2086
    $cc -o "$BATS_TEST_TMPDIR/static" examples/classify.c $(pkg-config --cflags xlmr) ${libs/-lxlmr/-l:libxlmr.a} -lm
    runs "$BATS_TEST_TMPDIR/static"
    run ! grep -q libxlmr < <(ldd "$BATS_TEST_TMPDIR/static")
    # the OpenBLAS that the installed program was linked with, whatever flavour the system's alternatives point to
    blas() { ldd "$1" | awk '/libopenblas/ { print $3 }'; }
    [ -n "$(blas "$prefix/bin/xlmr")" ]
    [ "$(blas "$BATS_TEST_TMPDIR/static")" = "$(blas "$prefix/bin/xlmr")" ]
}

@test "pkg-config --static names every library of the build, and where OpenBLAS lies" {
    libs=" $(pkg-config --static --libs xlmr) "
    for lib in openblas hdf5 sentencepiece jansson yaml z lzma zstd xxhash; do
        [[ $libs == *" -l$lib "* ]]
    done
    path=$(readelf -d "$build/libxlmr.so" | sed -n 's/.*R\(UN\)*PATH.*\[\(.*\)\]/\2/p')
    [[ -z $path || $libs == *" -Wl,-rpath,$path "* ]]
    run ! grep -q -- -rpath < <(pkg-config --libs xlmr)
}

@test "the header compiles as C++ and as strict C11" {
    echo '#include <xr.h>' >"$BATS_TEST_TMPDIR/a.c"
    # shellcheck disable=SC2046
    cc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only $(pkg-config --cflags xlmr) "$BATS_TEST_TMPDIR/a.c"
    # shellcheck disable=SC2046
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ $(pkg-config --cflags xlmr) "$BATS_TEST_TMPDIR/a.c"
}

@test "libxlmr.so shows the functions of xr.h and no others" {
    nm -D --defined-only "$prefix/lib/libxlmr.so" | awk '$2 ~ /[TDBWVu]/ { print $3 }' | sort >"$BATS_TEST_TMPDIR/shown"
    grep -o '^XR_API .*(' "$prefix/include/xr.h" | sed 's/ (\*.*//' | grep -oE 'xr_[a-z_]+\(' | tr -d '(' | sort -u >"$BATS_TEST_TMPDIR/declared"
    diff "$BATS_TEST_TMPDIR/declared" "$BATS_TEST_TMPDIR/shown"
}

@test "uninstall removes what install put there, and nothing else" {
    local at=$BATS_TEST_TMPDIR
    mkdir -p "$at/p/lib" "$at/p/share/man/man1"
    echo theirs | tee "$at/p/lib/libother.so" "$at/p/share/man/man1/other.1" >/dev/null
    (cd "$at/p" && find . | sort) >"$at/before"
    scripts/install.sh "$build" "$at/p" /usr 0.0.9
    scripts/install.sh "$build" "$at/p" /usr 0.1.0
    [ -e "$at/p/lib/libxlmr.so.0.0.9" ]
    make uninstall PREFIX=/p DESTDIR="$at"
    (cd "$at/p" && find . | sort) | diff "$at/before" -
    run -2 make uninstall PREFIX=/p DESTDIR="$at"
    [[ $output == *"$at/p/share/xlmr/installed: does not exist"* ]]
    # what others put into a folder that install made stays, with the folder
    scripts/install.sh "$build" "$at/p" /usr 0.1.0
    echo theirs >"$at/p/bin/other"
    make uninstall PREFIX=/p DESTDIR="$at"
    [ "$(find "$at/p/bin" -type f)" = "$at/p/bin/other" ]
}

@test "make clean removes the build folder and nothing else, with blanks in its name too" {
    mkdir "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b" "$BATS_TEST_TMPDIR/a b"
    make -C "$BATS_TEST_TMPDIR" -f "$PWD/Makefile" clean BUILD="a b"
    [ "$(ls "$BATS_TEST_TMPDIR")" = "$(printf 'a\nb')" ]
}
