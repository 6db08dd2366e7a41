#!/usr/bin/env bats
# The hostile user, first half: command line, config files, model directories. Each entry is the exit code and what the message must say.

load helpers

setup_file() { make_tiny_model; }
setup() { common_setup; }

# config TEXT: a config file with these bytes (as printf %b), line 1 unless it says otherwise.
config() { printf '%b' "$1" >"$dir/c.yaml"; }

bad_config() {
    config "$1"
    shift
    refused 78 "$dir/c.yaml" "$@" -- finetune --config "$dir/c.yaml" --model "$model" --train-file "$train" --output-dir "$dir/o"
}

good_config() {
    config "$1"
    shift
    "$xlmr" finetune --config "$dir/c.yaml" --print-config >"$dir/out"
    grep -q "^$1 " "$dir/out"
}

@test "config: unknown and duplicate keys, wrong types, ranges, with line and remedy" {
    bad_config 'seed: 1\nlearning_raet: 1\n' ':2: learning_raet' 'did you mean learning_rate?'
    bad_config 'seed: 1\nlearning_rate: 1e-4\nseed: 2\n' ':3: ' '"seed" appears twice' 'line 1'
    bad_config 'batch-size: 1\nbatch_size: 2\n' ':2: ' 'appears twice'
    bad_config 'max_steps: ten\n' ':1: max_steps: "ten" is not an integer; expected an integer from 0'
    bad_config 'max_steps: 1.5\n' 'is not an integer'
    bad_config 'max_steps:\n' 'is not an integer'
    bad_config 'max_steps: [1, 2]\n' 'a list; expected one value'
    bad_config 'max_steps: {a: 1}\n' ':1: '
    bad_config 'overfit_batch: maybe\n' 'expected true or false'
    bad_config 'metric: bogus\n' 'expected one of auto, accuracy'
    bad_config 'hidden_dropout: 1.5\n' 'expected a number from 0 to 0.99'
    bad_config 'learning_rate: -1\n' 'out of range; expected a number from 0 to 10'
    bad_config 'learning_rate: nan\n' 'is not a number'
    bad_config 'learning_rate: .inf\n' 'is not a number'
    bad_config 'learning_rate: 1,5\n' 'is not a number'
    bad_config 'max_steps: 99999999999999999999999\n' 'out of range'
    bad_config 'seed: 4294967296\n' 'out of range; expected an integer from 0 to 4294967295'
    bad_config 'seed: 18446744073709551617\n' 'out of range'
}

@test "config: numbers in every usual form; a byte order mark" {
    for v in 1e-4 1E-4 0.0001 .0001 1.0e-4 +0.0001; do
        good_config "learning_rate: $v\n" 'learning_rate: 0.0001'
    done
    good_config 'max_steps: 1e4\n' 'max_steps: 10000'
    good_config '\xef\xbb\xbfseed: 7\n' 'seed: 7'
}

@test "config: no anchors, aliases, tags, second documents, depth; no other bytes than UTF-8" {
    bad_config 'seed: &a 1\n' ':1: ' 'anchor' 'not supported'
    bad_config 'seed: *a\n' 'alias' 'not supported'
    bad_config 'seed: !!int 1\n' 'tag' 'not supported'
    bad_config 'seed: 1\n---\nseed: 2\n' ':2: ' 'second document'
    bad_config "a: $(printf '[%.0s' $(seq 2000))" ':1: '
    bad_config 'a:\n\tb: 1\n' ':2:1: ' 'indent with spaces'
    bad_config 'seed: 1\nmodel: "a\xff"\n' ':2: byte 17' 'UTF-8'
    bad_config '\xff\xfes\x00' 'byte 0 is not UTF-8'
    bad_config 'a\x00b: 1\n' 'control characters'
    bad_config 'seed\n' 'key: value'
    bad_config 'seed: "1\n' 'end of stream'
    refused 66 'is a directory' -- finetune --config "$dir"
    refused 78 'more than 1 MiB' -- finetune --config /dev/zero
    refused 2 'given twice' -- finetune --config "$dir/c.yaml" --config "$dir/c.yaml"
}

@test "flags: unknown, empty, missing values" {
    refused 2 'did you mean --learning-rate?' -- finetune --learnin-rate 1
    refused 2 '--model "" is empty' -- finetune --model '' --train-file x --output-dir "$dir/o"
    refused 2 '--output-dir has no value' -- finetune --model "$model" --output-dir
    refused 2 'needs --model DIR' -- finetune
    refused 2 'needs --train-file' -- finetune --model "$model" --output-dir "$dir/o"
    refused 2 'extra.tsv: unexpected argument' -- finetune --model "$model" --train-file "$train" --output-dir "$dir/o" extra.tsv
}

# --- safetensors -------------------------------------------------------------------------------------------------

le8() {
    local v=$1 i s=
    for i in 1 2 3 4 5 6 7 8; do s+=$(printf '\\x%02x' $((v & 255))); v=$((v >> 8)); done
    printf '%b' "$s"
}

# weights HEADER [BYTES]: replaces the copy's weights by this header and so many zero bytes.
weights() {
    { le8 "$(printf '%s' "$1" | wc -c)"; printf '%s' "$1"; head -c "${2:-0}" /dev/zero; } >"$dir/m/model.safetensors"
}

bad_weights() {
    local code=$1
    shift
    refused "$code" "$@" -- fill-mask --model "$dir/m" 'a <mask>'
}

@test "safetensors: lengths and headers" {
    copy_model
    local f=$dir/m/model.safetensors v
    : >"$f"; bad_weights 65 "$f: too short: 0 bytes"
    printf abc >"$f"; bad_weights 65 "$f: too short: 3 bytes"
    le8 0 >"$f"; bad_weights 65 "$f: header length 0"
    le8 1000 >"$f"; bad_weights 65 "$f: header length 1000"
    for v in '\x00\x00\x00\x00\x00\x00\x00\x80' '\xff\xff\xff\xff\xff\xff\xff\xff' '\x00\x00\x00\x08\x00\x00\x00\x00'; do
        printf "$v{}" >"$f"; bad_weights 65 "$f: header length"
    done
    weights 'hello'; bad_weights 65 "'{' first"
    weights ' {}'; bad_weights 65 "'{' first"
    { le8 4; printf '{}\0\0'; } >"$f"; bad_weights 65 'padded by spaces only'
    weights $'{"a\xff":1}'; bad_weights 65 "$f" 'not valid JSON' '0xff'
    weights '{}'; bad_weights 65 'holds neither'
    printf 'PK\3\4garbage' >"$f"; bad_weights 65 'zip archive' 'convert_hf.py'
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n' >"$f"; bad_weights 65 'Git LFS pointer' 'git lfs pull'
}

@test "safetensors: tensors of hostile headers" {
    copy_model
    local t='"dtype":"F32","shape":[2],"data_offsets":[0,8]' v
    weights "{\"a\":{$t},\"a\":{$t}}" 8; bad_weights 65 'duplicate object key'
    weights "{\"a\":{$t,\"dtype\":\"F32\"}}" 8; bad_weights 65 'duplicate object key'
    weights "{\"__metadata__\":{\"a\":1},\"a\":{$t}}" 8; bad_weights 65 '__metadata__'
    for v in Q9 f32 F4; do
        weights "{\"a\":{\"dtype\":\"$v\",\"shape\":[2],\"data_offsets\":[0,8]}}" 8; bad_weights 65 "tensor 'a': dtype '$v'" 'expected one of F32'
    done
    for v in '[-1,8]' '[0.5,8]' '[8,0]' '[0,800]' '[0]' '"x"' '[4,12]' '[0,1e1]'; do
        weights "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":$v}}" 12; bad_weights 65 "tensor 'a'"
    done
    weights "{\"a\":{$t},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}" 12; bad_weights 65 "tensor 'b'" overlap
    weights "{\"a\":{$t},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}" 20; bad_weights 65 "tensor 'b'" gap
    for v in '[3]' '[4294967296,4294967296,4294967296]' '[-2]' '[2.0]' '"2"'; do
        weights "{\"a\":{\"dtype\":\"F32\",\"shape\":$v,\"data_offsets\":[0,8]}}" 8; bad_weights 65 "tensor 'a'"
    done
    weights "{\"a\":{\"dtype\":\"F32\",\"shape\":[$(yes 1, | head -100000 | tr -d '\n')2],\"data_offsets\":[0,8]}}" 8; bad_weights 65 '8 numbers'
    weights "{\"a\":{$t}}" 9; bad_weights 65 '1 bytes follow'
    weights "{\"$(head -c 100000 /dev/zero | tr '\0' a)\":{$t}}" 8; bad_weights 65 'longer than 512'
    weights "{\"../x\":{$t}}" 8; bad_weights 65 'path'
}

@test "messages hold no control characters of what they quote" {
    copy_model
    weights '{"a\u001b[31m":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' 8
    bad_weights 65 '[31m' 'control characters'
    refused 66 'none' -- fill-mask --model $'none\e[31m\a\xc2\x9b' 'a <mask>'
    run ! grep -q $'\e\\|\a\\|\xc2\x9b' "$dir/err"
}

# edit FROM TO: within the header, same length.
edit() { LC_ALL=C sed -i "1s/$1/$2/" "$dir/m/model.safetensors"; }

@test "safetensors against config.json: dtype, shape, missing and extra tensors, a cut file" {
    copy_model; edit '"dtype":"F32"' '"dtype":"I32"'; bad_weights 65 'word_embeddings.weight has dtype I32' 'expected F32'
    copy_model; edit '\[64,128\]' '[128,64]'; bad_weights 65 'has shape [128, 64]' 'must be [64, 128]' transposed
    copy_model; edit 'query.weight' 'quern.weight'; bad_weights 65 'missing' 'layer.0.attention.self.query.weight'
    copy_model; sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 1/' "$dir/m/config.json"
    bad_weights 65 '16 tensors have no place' 'layer.1' ' and 6 more'
    copy_model; sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' "$dir/m/config.json"
    bad_weights 65 '16 tensors are missing' 'layer.2'
    copy_model; head -c 200000 "$model/model.safetensors" >"$dir/m/model.safetensors"; bad_weights 65 'reach to' 'data section has'
    copy_model; mv "$dir/m/model.safetensors" "$dir/m/pytorch_model.bin"; bad_weights 65 'pickles are never read' 'convert_hf.py'
}

@test "shards: missing, escaping, and an index that lies" {
    copy_model
    local i=$dir/m/model.safetensors.index.json
    mv "$dir/m/model.safetensors" "$dir/m/model-00001-of-00001.safetensors"
    echo '{}' >"$i"; bad_weights 65 "$i" 'weight_map'
    echo '{' >"$i"; bad_weights 65 "$i" 'not valid JSON'
    echo '{"weight_map":{"a":"model-00002-of-00002.safetensors"}}' >"$i"; bad_weights 66 'shard is missing'
    for v in ../m/x.safetensors /etc/passwd; do echo "{\"weight_map\":{\"a\":\"$v\"}}" >"$i"; bad_weights 65 "$v" 'plain name'; done
    echo '{"weight_map":{"a":"model-00001-of-00001.safetensors"}}' >"$i"; bad_weights 65 'do not belong together'
}

# nan_at OFFSET: four bytes of a NaN at this offset of the tensor data.
nan_at() {
    local header
    header=$(od -An -tu4 -N4 "$dir/m/model.safetensors" | tr -d ' ')
    printf '\x00\x00\xc0\x7f' | dd of="$dir/m/model.safetensors" bs=1 seek=$((8 + header + $1)) conv=notrunc status=none
}

@test "NaN in the weights: a warning that names the tensor when they are read, a refusal when they answer" {
    copy_model
    nan_at 160000           # of the second half of the position table's neighbour: a weight of the first layer
    bad_weights 65 "$dir/m" NaN
    printf 'a cat\n' >"$dir/t"
    refused 65 "$dir/m" NaN -- features --model "$dir/m" --output "$dir/o" "$dir/t"
    refused 80 'not finite' -- finetune --model "$dir/m" --train-file "$train" --output-dir "$dir/p" --max-steps 1 --quiet
    grep -q 'warning: .*NaN or infinity in the weights: roberta\.' "$dir/err"
    [ ! -e "$dir/p/final" ]
}

# --- config.json and tokenizer -----------------------------------------------------------------------------------

# bad_json FILTER TEXT...: config.json changed by jq.
bad_json() {
    copy_model
    jq "$1" "$model/config.json" >"$dir/m/config.json"
    shift
    bad_weights 65 "$@"
}

@test "config.json: values" {
    command -v jq >/dev/null || skip "jq is not installed"
    bad_json '.model_type = "bert"' 'found "bert", expected "xlm-roberta"'
    bad_json 'del(.model_type)' 'model_type: found nothing'
    bad_json '.vocab_size = 101' '[100, 64]' '[101, 64]' vocab_size
    bad_json '.vocab_size = -1' 'vocab_size: found -1'
    bad_json '.vocab_size = "100"' 'vocab_size: found "100"'
    bad_json 'del(.vocab_size)' 'vocab_size is missing'
    bad_json '.pad_token_id = 0' 'pad_token_id: found 0, expected 1'
    bad_json '.type_vocab_size = 2' 'type_vocab_size: found 2, expected 1'
    bad_json '.hidden_act = "swish"' 'hidden_act: found "swish", expected "gelu"'
    bad_json '.position_embedding_type = "relative_key"' 'expected "absolute"'
    bad_json '.num_attention_heads = 3' 'hidden_size 64 is not divisible by num_attention_heads 3'
    bad_json '.num_attention_heads = 0' 'num_attention_heads: found 0'
    bad_json '.hidden_size = 1000000000' 'hidden_size: found 1000000000'
    bad_json '.num_hidden_layers = 2000000000' 'num_hidden_layers: found'
    bad_json '.max_position_embeddings = 2' 'max_position_embeddings: found 2'
    bad_json '.layer_norm_eps = -1' 'layer_norm_eps: found -1'
    bad_json '.hidden_dropout_prob = 1.5' 'hidden_dropout_prob: found 1.5'
    bad_json '.problem_type = "foo"' 'problem_type: found "foo"'
    bad_json '.id2label = {"0":"a","2":"b"}' 'missing: 1'
    bad_json '.id2label = {"0":"a","1":"b"} | .label2id = {a:1,b:0}' "label2id disagrees with id2label about 'a'"
    bad_json '[.]' 'not a JSON object'
}

@test "config.json: bytes" {
    copy_model
    local c=$dir/m/config.json
    printf '{"vocab_size": 1, // c\n}' >"$c"; bad_weights 65 "$c:1:" 'not valid JSON'
    printf '{"a":NaN}' >"$c"; bad_weights 65 "$c" 'not valid JSON'
    printf '{"a":1,"a":2}' >"$c"; bad_weights 65 'duplicate object key'
    printf '{"vocab_size": 99999999999999999999999}' >"$c"; bad_weights 65 'too big integer'
    : >"$c"; bad_weights 65 "$c" 'not valid JSON'
    printf '\xff\xfe{' >"$c"; bad_weights 65 "$c" '0xff'
    printf '[%.0s' $(seq 5000) >"$c"; bad_weights 65 'depth'
    head -c 20000000 /dev/zero >"$c"; bad_weights 65 'more than 16777216 bytes'
    rm "$c"; bad_weights 66 "$c"
    mkdir "$c"; bad_weights 66 "$c" directory
    refused 66 'does not exist' 'nothing is downloaded' -- fill-mask --model xlm-roberta-base 'a <mask>'
    refused 66 'is not a directory' -- fill-mask --model "$train" 'a <mask>'
}

@test "sentencepiece model: not one, cut, of another model" {
    copy_model
    local s=$dir/m/sentencepiece.bpe.model
    : >"$s"; bad_weights 65 "$s" empty
    printf 'hello\n' >"$s"; bad_weights 65 "$s" 'expected a sentencepiece model'
    printf '<!DOCTYPE html><html>' >"$s"; bad_weights 65 HTML 'error page'
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n' >"$s"; bad_weights 65 'Git LFS pointer'
    head -c 1500 "$model/sentencepiece.bpe.model" >"$s"; bad_weights 65 "$s" 'byte '
    head -c 70000000 /dev/zero >"$s"; bad_weights 65 'more than 67108864 bytes'
    rm "$s"; bad_weights 66 "$s"
    "$xlmr" train-tokenizer --quiet --vocab-size 90 --output "$s" "$BATS_FILE_TMPDIR/corpus.txt" >/dev/null
    bad_weights 65 "$s" '90 ids' '100' 'do not belong together'
    refused 65 "$s" '90 ids' 'vocab_size 100' -- finetune --model "$dir/m" --train-file "$train" --output-dir "$dir/o"
}

# --- texts -------------------------------------------------------------------------------------------------------

@test "fill-mask: no mask, several masks, no words, bad bytes, too long" {
    refused 65 "no <mask> in the text 'plain'" -- fill-mask --model "$model" plain
    refused 65 'no <mask>' -- fill-mask --model "$model" ''
    refused 65 '0xFF' UTF-8 -- fill-mask --model "$model" $'\xff <mask>'
    refused 65 'the model takes 512' -- fill-mask --model "$model" "<mask> $(head -c 20000 "$BATS_FILE_TMPDIR/corpus.txt" | tr '\n' ' ')"
    run -0 --separate-stderr "$xlmr" fill-mask --model "$model" '<mask> b <mask>'
    [[ $output == *'mask 1 of 2'* && $output == *'mask 2 of 2'* ]]
}

@test "special tokens in a text are tokens for fill-mask and features, letters with --no-specials" {
    run -0 --separate-stderr bash -c "echo 'a <mask>' | '$xlmr' tokenize --model '$model'"
    [[ $output == *'"<mask>"'* ]]
    run -0 --separate-stderr bash -c "echo 'a <mask>' | '$xlmr' tokenize --model '$model' --specials=false"
    [[ $output != *'"<mask>"'* ]]
}
