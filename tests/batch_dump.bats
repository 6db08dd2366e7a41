#!/usr/bin/env bats
# xlmr batch-dump: the batches of pretraining for scripts of other systems.

setup_file() {
    load helpers
    make_tiny_model
    awk 'NR % 7 == 0 { print "" } { print }' "$BATS_FILE_TMPDIR/corpus.txt" >"$BATS_FILE_TMPDIR/en.txt"
    "${XLMR_BUILD:-build}/xlmr" prepare --quiet --model "$BATS_FILE_TMPDIR/model" --lang en --output-dir "$BATS_FILE_TMPDIR/store" \
        "$BATS_FILE_TMPDIR/en.txt" >/dev/null
}

setup() {
    load helpers
    common_setup
    store=$BATS_FILE_TMPDIR/store
}

dump() {
    "$xlmr" batch-dump train_data="$store" block_length=64 batch_size=6 "$@"
}

@test "batch-dump: any steps are what they are in the whole" {
    dump micro_batch_size=4 steps=8 >"$dir/all"
    [ "$(wc -l <"$dir/all")" -eq 16 ]
    dump micro_batch_size=4 from=3 steps=2 | cmp - <(sed -n 7,10p "$dir/all")
    dump micro_batch_size=4 from=1000000 steps=1 | grep -c '^{"step":1000000,"micro":[01],"epoch":[0-9.]*,"ids":\[\[' | grep -qx 2
    [ "$(dump steps=2 seed=1)" != "$(dump steps=2)" ]
}

@test "batch-dump: every position of ids that is <mask> is among the masked, with a target" {
    # the mask is id 99 of this tokenizer's 100
    dump steps=20 | tr -d ' ' | awk '
        function list(name,    s) { s = $0; sub(".*\"" name "\":\\[\\[", "", s); sub("\\]\\].*", "", s); return s }
        {
            n = split(list("ids"), ids, /\],\[/); split(list("masked"), masked, /\],\[/); split(list("targets"), targets, /\],\[/)
            for (s = 1; s <= n; s++) {
                m = split(masked[s], at, ","); if (m < 1 || m != split(targets[s], x, ",")) exit 1
                split("", chosen); for (k = 1; k <= m; k++) chosen[at[k]] = 1
                t = split(ids[s], id, ",")
                if (t > 64 || m < int(0.15 * t) || m > int(0.15 * t) + 1) exit 1
                for (k = 1; k <= t; k++) if (id[k] == 99) { masks++; if (!chosen[k - 1]) exit 1 }
                all += m
            }
        }
        END { exit !(masks > 0.7 * all && masks < 0.9 * all) }'
}

@test "batch-dump: what it cannot do is refused" {
    refused 2 'not an argument of batch-dump' -- batch-dump block=64
    refused 2 'train_data=STORE is needed' -- batch-dump
    refused 2 'not a number this key takes' -- batch-dump train_data="$store" steps=-1
    refused 2 'names that pretrain knows' -- batch-dump train_data="$store" break_mode=lines
    refused 2 'needs tokenizer=DIR' -- batch-dump train_data="$store" whole_word=1
    refused 66 'manifest.json' -- batch-dump train_data="$dir"
    dump whole_word=1 tokenizer="$model" steps=1 >"$dir/words"
    [ -s "$dir/words" ]
}
