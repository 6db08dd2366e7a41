#!/usr/bin/env bats
# prepare in a folder that holds something else already.

load helpers

setup_file() { make_tiny_model; }
setup() {
    common_setup
    head -40 "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/en.txt"
    sed -n 41,80p "$BATS_FILE_TMPDIR/corpus.txt" >"$dir/de.txt"
}

@test "a refusal takes nothing from a folder of others" {
    mkdir "$dir/theirs"
    echo '{"my": "plan"}' >"$dir/theirs/plan.json"
    refused 73 'choose another --output-dir' -- prepare --model "$model" --output-dir "$dir/theirs" "$dir/en.txt"
    grep -q my "$dir/theirs/plan.json"
}

@test "a refusal leaves the parts of a job array as they are" {
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/s" --shard 1/2 "$dir/en.txt" "$dir/de.txt" >/dev/null
    refused 73 'in 2 part(s), now 1' -- prepare --model "$model" --output-dir "$dir/s" "$dir/en.txt" "$dir/de.txt"
    "$xlmr" prepare --quiet --model "$model" --output-dir "$dir/s" --shard 2/2 "$dir/en.txt" "$dir/de.txt" >/dev/null
    "$xlmr" prepare --quiet --merge --output-dir "$dir/s" >/dev/null
    [ -s "$dir/s/manifest.json" ]
}

@test "a manifest whose counts were edited beyond all numbers is refused" {
    "$xlmr" prepare --quiet --lang en --model "$model" --output-dir "$dir/s" "$dir/en.txt" "$dir/de.txt" >/dev/null
    sed -i 's/"sentences": *[0-9]*/"sentences": 9223372036854775807/' "$dir/s/manifest.json"
    refused 65 'damaged or edited' -- trim --model "$model" --corpus "$dir/s" --output-dir "$dir/o"
}
