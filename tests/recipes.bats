#!/usr/bin/env bats
# The recipes in configs/ with a benchmark's folder: all one types is --config, --data-dir, --model and --output-dir.

load helpers

setup_file() {
    make_tiny_model
    at=$BATS_FILE_TMPDIR
    mkdir "$at/pairs" "$at/pawsx" "$at/pawsx/en" "$at/names" "$at/tags" "$at/squad" "$at/tydi"
    # pairs FROM TO: XNLI's form, with MultiNLI's own spelling of the third label
    pairs() {
        awk -v from="$1" -v to="$2" -v labels="$3" 'BEGIN { n = split(labels, l, " ") }
            NR >= from && NR <= to { print $0 "\t" $1 " " $2 "\t" l[1 + NR % n] }' "$at/corpus.txt"
    }
    for lang in en de; do
        { printf 'premise\thypo\tlabel\n'; pairs 1 60 "neutral entailment contradictory"; } | gzip >"$at/pairs/multinli.train.$lang.tsv.gz"
        pairs 61 90 "neutral entailment contradiction" >"$at/pairs/dev-$lang.tsv"
    done
    { printf 'id\tsentence1\tsentence2\tlabel\n'; pairs 1 60 "0 1" | awk '{ print NR "\t" $0 }'; } >"$at/pawsx/en/train.tsv"
    { printf 'id\tsentence1\tsentence2\tlabel\n'; pairs 61 90 "0 1" | awk '{ print NR "\t" $0 }'; } >"$at/pawsx/en/dev_2k.tsv"
    # words FROM TO TAGS: one a line
    words() {
        awk -v from="$1" -v to="$2" -v tags="$3" 'BEGIN { n = split(tags, t, " ") }
            NR >= from && NR <= to { for (i = 1; i <= NF; i++) print $i "\t" t[1 + length($i) % n]; print "" }' "$at/corpus.txt"
    }
    words 1 60 "O B-PER B-LOC" >"$at/names/train-en.tsv"
    words 61 90 "O B-PER B-LOC" >"$at/names/dev-en.tsv"
    words 61 90 "O B-PER B-LOC" >"$at/names/dev-de.tsv"
    words 1 60 "NOUN VERB DET" >"$at/tags/train-en.tsv"
    words 61 90 "NOUN VERB DET" >"$at/tags/dev-en.tsv"
    # squad FROM TO: a question about the third word of each line
    squad() {
        awk -v from="$1" -v to="$2" 'BEGIN { printf "{\"version\": \"1.1\", \"data\": [{\"title\": \"t\", \"paragraphs\": [" }
            NR >= from && NR <= to { printf("%s{\"context\": \"%s\", \"qas\": [{\"id\": \"q%d\", \"question\": \"%s?\", \"answers\": [{\"text\": \"%s\", \"answer_start\": %d}]}]}",
                (NR > from) ? ", " : "", $0, NR, $2, $3, length($1) + length($2) + 2) }
            END { print "]}]}" }' "$at/corpus.txt"
    }
    squad 1 60 >"$at/squad/train-v1.1.json"
    squad 61 90 >"$at/squad/dev-v1.1.json"
    for lang in en ko; do squad 1 60 | gzip >"$at/tydi/tydiqa.goldp.$lang.train.json.gz"; squad 61 90 >"$at/tydi/tydiqa.goldp.$lang.dev.json"; done
}
setup() { common_setup; }

plan() {
    run -0 --separate-stderr "$xlmr" finetune --config "configs/$1.yaml" --model "$model" --data-dir "$BATS_FILE_TMPDIR/$2" --output-dir "$dir/o" --dry-run "${@:3}"
    [ ! -e "$dir/o" ]
}

@test "XNLI: MultiNLI in English with its dev set, whatever else is there" {
    for recipe in xnli xnli-large xnli-authors; do
        plan "$recipe" pairs
        [[ $output == "60 training examples, 30 for validation; "* ]]
        [[ $stderr == *"multinli.train.en.tsv.gz: 60 examples"* && $stderr == *"labels: entailment, neutral, contradiction"* && $stderr != *train.de* ]]
    done
}

@test "XNLI: the other protocols, and one language" {
    plan xnli pairs --protocol translate-train-all
    [[ $output == "120 training examples, 60 for validation; "* ]]
    plan xnli pairs --protocol translate-train --languages de
    [[ $output == "60 training examples, 30 for validation; "* && $stderr == *"multinli.train.de.tsv.gz: 60 examples"* ]]
}

@test "PAWS-X in its own layout, PAN-X in XTREME's" {
    plan pawsx pawsx
    [[ $output == "60 training examples, 30 for validation; "* && $stderr == *"dev_2k.tsv"* ]]
    plan pawsx-large pawsx
    plan panx names
    [[ $output == "60 training examples, 30 for validation; "* && $stderr == *"labels: B-LOC, B-PER, O"* && $stderr != *dev-de* ]]
    plan panx-large names
}

@test "UD-POS: tags without B- and I-" {
    plan udpos tags
    [[ $output == "60 training examples, 30 for validation; "* && $stderr == *"labels: DET, NOUN, VERB"* ]]
}

@test "questions: SQuAD for XQuAD and MLQA, the English part of TyDi" {
    plan xquad squad --warmup-steps 1
    [[ $output == "60 training examples, 30 for validation; "* && $stderr == *"train-v1.1.json: 60 questions"* && $stderr == *"dev-v1.1.json: 30 questions"* ]]
    plan mlqa squad --warmup-steps 1
    plan tydiqa tydi
    [[ $output == "60 training examples, 30 for validation; "* && $stderr != *goldp.ko* ]]
}

@test "a file that is named wins over the folder's, the other still comes from there" {
    head -5 "$BATS_FILE_TMPDIR/pairs/dev-de.tsv" >"$dir/mine.tsv"
    plan xnli pairs --validation-file "$dir/mine.tsv"
    [[ $output == "60 training examples, 5 for validation; "* ]]
    plan xnli pairs --train-file "$dir/mine.tsv"
    [[ $output == "5 training examples, 30 for validation; "* ]]
}

@test "a run from a folder goes to its end and on repetition is the same run; another protocol is another recipe" {
    run=("$xlmr" finetune --quiet --config configs/panx.yaml --model "$model" --data-dir "$BATS_FILE_TMPDIR/names" --max-seq-length 16 --max-steps 2 --output-dir "$dir/r")
    "${run[@]}" >/dev/null
    grep -q "^data_dir: .*names$" "$dir/r/config.yaml"
    grep -q 'names/train-en.tsv' "$dir/r/best/README.md"
    run -0 --separate-stderr "${run[@]}"
    run -78 "${run[@]}" --protocol translate-train --languages en
    [[ $output == *'protocol is "zero-shot" there and "translate-train" here'* ]]
}

@test "what is missing or makes no sense is said with what was looked for" {
    mkdir "$dir/empty"
    refused 66 'no training file' 'train-{lang}.tsv' -- finetune --config configs/xnli.yaml --model "$model" --data-dir "$dir/empty" --output-dir "$dir/o"
    refused 66 'no such folder' -- finetune --config configs/xnli.yaml --model "$model" --data-dir "$dir/none" --output-dir "$dir/o"
    refused 66 'no training file in fr' 'there are those of: en, de' -- finetune --config configs/xnli.yaml --model "$model" --data-dir "$BATS_FILE_TMPDIR/pairs" \
        --languages fr --output-dir "$dir/o"
    refused 2 'finetune needs --train-file FILE' '--data-dir DIR' -- finetune --config configs/xnli.yaml --model "$model" --output-dir "$dir/o"
    refused 2 '--languages en: says which files of --data-dir' -- finetune --model "$model" --train-file "$train" --languages en --output-dir "$dir/o"
    refused 2 '--protocol zero-shot: says which files of --data-dir' -- finetune --model "$model" --train-file "$train" --protocol zero-shot --output-dir "$dir/o"
    refused 2 '--protocol translate-test: not an arrangement of training data; expected zero-shot' -- finetune --model "$model" --data-dir "$dir/empty" \
        --protocol translate-test --output-dir "$dir/o"
    refused 2 'has no effect' -- finetune --model "$model" --train-file "$train" --validation-file "$dev" --data-dir "$dir/empty" --output-dir "$dir/o"
}

@test "every recipe says how it is started and resolves to a configuration" {
    for file in configs/*.yaml; do
        verb=finetune
        grep -q 'xlmr pretrain --config' "$file" && verb=pretrain
        grep -q "xlmr $verb --config $file" "$file" || [ "$file" = configs/demo-english.yaml ]
        "$xlmr" "$verb" --config "$file" --print-config >/dev/null
    done
}
