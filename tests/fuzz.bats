#!/usr/bin/env bats
# The fuzz targets on their seeds, and on inputs made of them. `make fuzz` goes on from there.

@test "every fuzz target stands its seeds, and changes of them" {
    local n=0 name
    for target in "${XLMR_BUILD:-build}"/tests/seeds/*; do
        [ -x "$target" ] || continue
        name=$(basename "$target")
        mkdir "$BATS_TEST_TMPDIR/$name"
        echo "$name"
        "$target" "$BATS_TEST_TMPDIR/$name"
        n=$((n + 1))
    done
    [ "$n" -eq "$(find tests/fuzz -name '*.c' | wc -l)" ]
}
