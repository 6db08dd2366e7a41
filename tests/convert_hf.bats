#!/usr/bin/env bats
# scripts/convert_hf.py: what it refuses, in one message with the file and what to do. PYTHON: one with torch and safetensors, for the second half.

bats_require_minimum_version 1.5.0

setup() {
    python=$(command -v "${PYTHON:-python3}") || skip "no python3"
    script=$PWD/scripts/convert_hf.py
    mkdir -p "$BATS_TEST_TMPDIR/w/m"
    cd "$BATS_TEST_TMPDIR/w"
    echo '{"model_type": "xlm-roberta"}' >m/config.json
}

needs_torch() { "$python" -c 'import torch, safetensors' 2>/dev/null || skip "needs torch and safetensors (PYTHON)"; }

# refused OUTPUT TEXT...: 65, one message on standard error with every TEXT, nothing on standard output, no OUTPUT and no leftovers.
refused() {
    local output_path=$1 text before
    shift
    before=$(find . | sort)
    run --separate-stderr -65 "$python" "$script" m "$output_path"
    echo "$stderr"
    [ -z "$output" ]
    [ "$(grep -c '^convert_hf.py: error: ' <<<"$stderr")" -eq 1 ]
    [[ $stderr != *Traceback* ]]
    stderr=$(tail -n 1 <<<"$stderr")        # torch warns of some files
    for text in "$@"; do
        echo "expected: $text"
        [[ $stderr == *"$text"* ]]
    done
    [ "$(find . | sort)" = "$before" ]
}

# weights CODE: m/pytorch_model.bin holds what the expression makes.
weights() { "$python" -c "import sys, torch; torch.save(eval(sys.argv[1]), 'm/pytorch_model.bin')" "$1"; }

@test "outputs that cannot be made" {
    : >m/pytorch_model.bin
    mkdir empty full
    : >full/file
    ln -s nowhere dangling
    ln -s empty link
    refused full "full: exists and is not an empty directory"
    refused dangling "dangling: is a symbolic link"
    refused link "link: is a symbolic link"
    refused m/config.json/x "m/config.json/x: cannot be made" "choose another output"
    [ ! -d /proc/self ] || refused /proc/x "/proc/x: cannot be made in /proc" "choose another output"
    cd empty
    run --separate-stderr -65 "$python" "$script" ../m .
    [[ $stderr == *": .: is the directory you are in"*"choose another output"* ]]
    [ -z "$(ls)" ]
}

@test "a config.json that is none" {
    : >m/pytorch_model.bin
    rm m/config.json
    refused o "m/config.json: is missing"
    printf '{"a": "\xff"}' >m/config.json
    refused o "m/config.json: is not JSON in UTF-8" "get the file again"
    echo '{"a": "\ud800"}' >m/config.json
    refused o "m/config.json: is not JSON in UTF-8" "get the file again"
    echo '{"a": ' >m/config.json
    refused o "m/config.json: is not JSON in UTF-8" "get the file again"
    head -c 100000 /dev/zero | tr '\0' '[' >m/config.json
    refused o "m/config.json: is not JSON in UTF-8" "get the file again"
    echo '[]' >m/config.json
    refused o "m/config.json: holds a list" "get the file again"
    rm m/config.json
    mkdir m/config.json
    refused o "m/config.json: " "give a path that can be read"
}

@test "an index that is none" {
    local index=m/pytorch_model.bin.index.json
    echo '[]' >$index
    refused o "$index: holds a list" "get the file again"
    echo '{"weight_map": ["a.bin"]}' >$index
    refused o "$index: has no weight_map" "get the file again"
    for name in 1 null '["a.bin"]' '""' '".."' '"../a.bin"' '"a\u0000"'; do
        echo "{\"weight_map\": {\"a\": \"a.bin\", \"b\": $name}}" >$index
        refused o "$index: shard " "is not a plain file name" "get the file again"
    done
    echo '{"weight_map": {"a": "a.bin"}}' >$index
    refused o "m/a.bin: shard is missing" "download the directory completely"
}

@test "weights that are not names and tensors with values" {
    needs_torch
    local file=m/pytorch_model.bin
    weights '[torch.zeros(2)]'
    refused o "$file: holds a list" "save model.state_dict()"
    weights '{3: torch.zeros(2)}'
    refused o "$file: has the key 3" "save model.state_dict()"
    weights '{"a": 1.0}'
    refused o "$file: 'a' is a float" "save model.state_dict()"
    weights '{"a": torch.zeros(2, device="meta")}'
    refused o "$file: a has a shape and no values" "after its weights are loaded"
    weights '{"a": torch.eye(2).to_sparse()}'
    refused o "$file: a has the layout torch.sparse_coo" "save it dense"
    weights '{"a": torch.zeros(0, 4)}'
    refused o "$file: a is empty (shape [0, 4])" "get the file again"
    weights '{"a": torch.zeros(2, dtype=torch.float64)}'
    refused o "m: a has type torch.float64" "save it as float32"
    truncate -s 300 $file
    refused o "$file: cannot be read" "get it again"
}

@test "fairseq checkpoints that are damaged" {
    needs_torch
    checkpoint() { weights "{'args': None, **$1}"; mv m/pytorch_model.bin m/model.pt; }
    checkpoint '{"model": {1: torch.zeros(2)}}'
    refused o "m/model.pt: has the key 1" "save model.state_dict()"
    checkpoint '{"model": {"embed_tokens.weight": torch.tensor(1.0), "embed_positions.weight": torch.zeros(4, 2), "emb_layer_norm.weight": torch.zeros(2)}}'
    refused o "word_embeddings.weight has the shape []" "get it again"
    checkpoint '{"cfg": [1], "model": {"embed_tokens.weight": torch.zeros(6, 2), "embed_positions.weight": torch.zeros(4, 2), "emb_layer_norm.weight": torch.zeros(2)}}'
    refused o "layers [] are not numbered from 0"
    checkpoint '{"model": {"embed_tokens.weight": torch.zeros(6, 2), "embed_positions.weight": torch.zeros(4, 2), "emb_layer_norm.weight": torch.zeros(2),
        "layers.0.fc2.bias": torch.zeros(2)}}'
    refused o "intermediate.dense.weight is missing" "get it again"
}

@test "whole weights are converted, into a new directory and into an empty one" {
    needs_torch
    weights '{"roberta.embeddings.word_embeddings.weight": torch.ones(3, 2), "lm_head.decoder.weight": torch.ones(3, 2), "roberta.embeddings.position_ids": torch.arange(4)}'
    mkdir empty
    for to in new/deep empty; do
        run -0 "$python" "$script" m "$to"
        [[ $output == *"$to: 1 tensors, 6 parameters"* ]]
        [ "$(ls "$to" | tr '\n' ' ')" = "config.json model.safetensors " ]
    done
    [ -z "$(find . -name '*.tmp-*')" ]
}
