#!/usr/bin/env python3
"""Turns pickled XLM-R weights into a directory that xlmr (and transformers) loads: config.json and model.safetensors.

    python3 scripts/convert_hf.py SOURCE OUTPUT

SOURCE is one of
  - a Hugging Face directory with pytorch_model.bin, or with shards and pytorch_model.bin.index.json;
  - a fairseq checkpoint (model.pt, checkpoint_best.pt), or a directory with one, as published: model.pt, dict.txt, sentencepiece.bpe.model.
Tokenizer files beside it are copied. OUTPUT must not exist or be an empty directory; it appears only when it is whole.

Needs torch, numpy and safetensors. Pickles can run code when they are read; torch's restricted reader (weights_only) is used, which refuses
everything but tensors and plain values. Values keep their type (f32, f16, bf16); xlmr widens them when it reads.
"""
import argparse
import json
import math
import os
import pathlib
import pickle
import re
import shutil
import sys

TOKENIZER_FILES = ("sentencepiece.bpe.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
FAIRSEQ_FILES = ("model.pt", "checkpoint_best.pt", "checkpoint_last.pt")

# fairseq's name in a layer -> Hugging Face's
LAYER = {"self_attn.q_proj": "attention.self.query", "self_attn.k_proj": "attention.self.key", "self_attn.v_proj": "attention.self.value",
         "self_attn.out_proj": "attention.output.dense", "self_attn_layer_norm": "attention.output.LayerNorm", "fc1": "intermediate.dense",
         "fc2": "output.dense", "final_layer_norm": "output.LayerNorm"}


class Refused(Exception):
    """Something the person must know; the message says what was found, what was expected and what to do."""


# ---- reading -----------------------------------------------------------------------------------------------------------

def read_pickle(path):
    import torch
    with path.open("rb") as file:
        if file.read(23) == b"version https://git-lfs":
            raise Refused(f"{path}: is a Git LFS pointer, not the file itself; fetch it with: git lfs pull")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):    # fairseq keeps its command line in the checkpoint
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        # torch's own text advises to switch the protection off; only the name of what it refused is of use.
        name = re.search(r"GLOBAL (\S+)", str(e))
        raise Refused(f"{path}: holds more than tensors and plain values{f' ({name[1]})' if name else ''} and is not unpickled, since that can "
                      "run code; where it was made, save the weights alone: torch.save(model.state_dict(), path)") from e
    except Exception as e:      # of a damaged file, whatever the step that it damaged raises
        raise Refused(f"{path}: cannot be read as a PyTorch file; it is cut or damaged: get it again") from e


def read_object(path):
    """The JSON object in a file."""
    if not path.exists():
        raise Refused(f"{path}: is missing; get it from where the weights came from")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")       # half a character, as "\\ud800", is found here
    except (ValueError, RecursionError) as e:
        raise Refused(f"{path}: is not JSON in UTF-8 ({e}); get the file again") from e
    if not isinstance(value, dict):
        raise Refused(f"{path}: holds a {type(value).__name__}; a JSON object ({{...}}) was expected: get the file again")
    return value


def shard_names(index):
    """The files that pytorch_model.bin.index.json names, each once."""
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise Refused(f"{index}: has no weight_map; get the file again")
    for name in weight_map.values():
        if not isinstance(name, str) or name in ("", "..") or "\0" in name or pathlib.PurePath(name).name != name:
            raise Refused(f"{index}: shard {name!r} is not a plain file name; get the file again")
    return sorted(set(weight_map.values()))


def state_dict(path, part):
    """`part`, which came from `path`, if it is names and tensors that hold values."""
    import torch
    if not isinstance(part, dict):
        raise Refused(f"{path}: holds a {type(part).__name__}; a state dict (names and tensors) was expected: save model.state_dict()")
    for name, value in part.items():
        if not isinstance(name, str):
            raise Refused(f"{path}: has the key {name!r}, which is no name; a state dict (names and tensors) was expected: save model.state_dict()")
        if not isinstance(value, torch.Tensor):
            raise Refused(f"{path}: '{name}' is a {type(value).__name__}; a state dict of tensors was expected: save model.state_dict()")
        if value.is_meta:
            raise Refused(f"{path}: {name} has a shape and no values (it is on the device 'meta'); save the model after its weights are loaded")
        if value.layout != torch.strided:
            raise Refused(f"{path}: {name} has the layout {value.layout}; where it was made, save it dense: tensor.to_dense()")
        if value.numel() == 0:
            raise Refused(f"{path}: {name} is empty (shape {list(value.shape)}); the weights are not whole: get the file again")
    return part


def read_bin_directory(source):
    """All tensors of pytorch_model.bin or of its shards, and config.json."""
    config = read_object(source / "config.json")
    index = source / "pytorch_model.bin.index.json"
    names = ["pytorch_model.bin"] if (source / "pytorch_model.bin").exists() else shard_names(index)
    for name in names:
        if not (source / name).exists():
            raise Refused(f"{source / name}: shard is missing; {index.name} names it; download the directory completely")
    tensors = {}
    for name in names:
        part = read_pickle(source / name)
        tensors.update(state_dict(source / name, part.get("state_dict", part) if isinstance(part, dict) else part))
    return tensors, config


# ---- fairseq -----------------------------------------------------------------------------------------------------------

def plain(value):
    """argparse.Namespace or a dict -> dict."""
    return vars(value) if isinstance(value, argparse.Namespace) else value


def fairseq_arguments(checkpoint):
    """The model's own arguments: `args` (old) or `cfg.model` (since fairseq 0.10); {} when there are none."""
    cfg = plain(checkpoint.get("cfg"))
    for arguments in (plain(checkpoint.get("args")), plain(cfg.get("model")) if isinstance(cfg, dict) else None):
        if isinstance(arguments, dict) and arguments:
            return arguments
    return {}


def fairseq_name(name):
    """Hugging Face's name of a tensor, None for what has no place there."""
    name = re.sub(r"^(decoder|encoder)\.", "", name)            # RobertaModel calls its encoder `decoder` (old) or `encoder`
    name = re.sub(r"^sentence_encoder\.", "", name)
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", name)
    if layer and layer[2] in LAYER:
        return f"roberta.encoder.layer.{layer[1]}.{LAYER[layer[2]]}.{layer[3]}"
    fixed = {"embed_tokens.weight": "roberta.embeddings.word_embeddings.weight",
             "embed_positions.weight": "roberta.embeddings.position_embeddings.weight", "lm_head.weight": "lm_head.decoder.weight",
             "lm_head.bias": "lm_head.bias"}
    if name in fixed:
        return fixed[name]
    norm = re.fullmatch(r"(?:emb_layer_norm|layernorm_embedding)\.(weight|bias)", name)
    if norm:
        return f"roberta.embeddings.LayerNorm.{norm[1]}"
    if re.fullmatch(r"lm_head\.(dense|layer_norm)\.(weight|bias)", name):
        return name
    return None


def split_packed(tensors):
    """The oldest checkpoints keep query, key and value in one matrix."""
    import torch
    out = {}
    for name, value in tensors.items():
        packed = re.fullmatch(r"(.*self_attn\.)in_proj_(weight|bias)", name)
        if packed and value.dim() > 0:
            for part, piece in zip("qkv", torch.chunk(value, 3)):
                out[f"{packed[1]}{part}_proj.{packed[2]}"] = piece
        else:
            out[name] = value
    return out


def take_classifier(tensors, wanted):
    """classification_heads.<name>.{dense,out_proj} -> classifier.*; returns (the rest, the head)."""
    heads, rest = {}, {}
    for name, value in tensors.items():
        head = re.fullmatch(r"(?:model\.)?classification_heads\.([^.]+)\.((?:dense|out_proj)\.(?:weight|bias))", name)
        if head:
            heads.setdefault(head[1], {})[f"classifier.{head[2]}"] = value
        else:
            rest[name] = value
    if wanted is None and len(heads) > 1:
        raise Refused(f"the checkpoint has several classification heads: {', '.join(heads)}; choose one with --head")
    if wanted is not None and wanted not in heads:
        raise Refused(f"--head {wanted}: the checkpoint has no such classification head; it has: {', '.join(heads) or 'none'}")
    return rest, heads.get(wanted or next(iter(heads), None), {})


def head_count(arguments, hidden, given):
    """Heads do not show in any shape: taken from the arguments, or from --heads."""
    for key in ("encoder_attention_heads", "decoder_attention_heads"):
        if given is None and isinstance(arguments.get(key), int):
            given = arguments[key]
    if given is None:
        raise Refused("the checkpoint does not say how many attention heads it has, and the shapes cannot; give --heads (base 12, large 16)")
    if given < 1 or hidden % given:
        raise Refused(f"{given} attention heads do not divide the hidden size {hidden}; give the right number with --heads")
    return given


def dictionary_size(source):
    """<s> <pad> </s> <unk>, the lines of dict.txt, <mask>."""
    path = source.parent / "dict.txt"
    if not path.exists():
        return None
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip()) + 5


def check_dictionary(source, rows):
    expected = dictionary_size(source)
    if expected is None or expected == rows:
        return
    hint = " (one row short: the checkpoint was made before <mask> was added to the dictionary)" if rows == expected - 1 else ""
    raise Refused(f"{source}: the word embedding has {rows} rows, dict.txt beside it makes {expected} with the special tokens{hint}; "
                  "take checkpoint and dict.txt from one source")


def matrix(tensors, name):
    if name not in tensors or tensors[name].dim() != 2:
        found = f"has the shape {list(tensors[name].shape)}" if name in tensors else "is missing"
        raise Refused(f"{name} {found}; a matrix was expected: the checkpoint is incomplete or another model, get it again")
    return tensors[name]


def dropout(arguments, key, default):
    value = arguments.get(key, default)
    if not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise Refused(f"the checkpoint's argument {key} is {value!r}; a number from 0 to 1 was expected: the checkpoint is damaged, get it again")
    return value


def fairseq_config(tensors, arguments, heads, classifier):
    word, position = (matrix(tensors, f"roberta.embeddings.{k}_embeddings.weight") for k in ("word", "position"))
    layers = {int(m[1]) for m in (re.match(r"roberta\.encoder\.layer\.(\d+)\.", n) for n in tensors) if m}
    if not layers or layers != set(range(len(layers))):
        raise Refused(f"layers {sorted(layers)} are not numbered from 0 without gaps; the checkpoint is incomplete")
    hidden = word.shape[1]
    config = {
        "architectures": ["XLMRobertaForSequenceClassification" if classifier else "XLMRobertaForMaskedLM"], "model_type": "xlm-roberta",
        "attention_probs_dropout_prob": dropout(arguments, "attention_dropout", 0.1), "hidden_dropout_prob": dropout(arguments, "dropout", 0.1),
        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "hidden_act": "gelu", "hidden_size": hidden, "initializer_range": 0.02,
        "intermediate_size": matrix(tensors, "roberta.encoder.layer.0.intermediate.dense.weight").shape[0], "layer_norm_eps": 1e-5,
        "max_position_embeddings": position.shape[0], "num_attention_heads": head_count(arguments, hidden, heads),
        "num_hidden_layers": len(layers), "type_vocab_size": 1, "vocab_size": word.shape[0], "classifier_dropout": None,
    }
    if classifier:
        n = matrix(classifier, "classifier.out_proj.weight").shape[0]
        config["classifier_dropout"] = dropout(arguments, "pooler_dropout", 0.0)
        config["id2label"] = {str(i): f"LABEL_{i}" for i in range(n)}
        config["label2id"] = {f"LABEL_{i}": i for i in range(n)}
        print(f"note: fairseq does not keep the names of labels; the {n} labels are called LABEL_0 ...: put the right names into config.json "
              "(id2label and label2id; order as in the label dictionary of the training data)", file=sys.stderr)
    return config


def read_fairseq(source, heads, wanted_head):
    import torch
    checkpoint = read_pickle(source)
    tensors = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(tensors, dict):
        raise Refused(f"{source}: has no 'model' entry with tensors; a fairseq checkpoint was expected")
    state_dict(source, tensors)
    arguments = fairseq_arguments(checkpoint)
    # XL and XXL normalise before each block: a LayerNorm after the last layer shows it.
    if any(re.search(r"sentence_encoder\.layer_norm\.", n) for n in tensors):
        raise Refused(f"{source}: is XLM-R XL or XXL, which is another architecture (LayerNorm before each block) and not supported")
    rest, classifier = take_classifier(split_packed(tensors), wanted_head)
    out, unknown = {}, []
    for name, value in rest.items():
        new = fairseq_name(name)
        if new:
            out[new] = value
        elif not re.search(r"(^|\.)(version|_float_tensor)$", name):
            unknown.append(name)
    if unknown:
        raise Refused(f"{source}: {len(unknown)} tensors have no place in XLM-R: {', '.join(unknown[:10])}; is it another model?")
    missing = [n for n in ("word_embeddings.weight", "position_embeddings.weight", "LayerNorm.weight") if f"roberta.embeddings.{n}" not in out]
    if missing:
        raise Refused(f"{source}: has no {', '.join(missing)}; an XLM-R checkpoint was expected")
    check_dictionary(source, matrix(out, "roberta.embeddings.word_embeddings.weight").shape[0])
    config = fairseq_config(out, arguments, heads, classifier)
    # fairseq has no token types: one type whose vector is zero computes the same.
    word = out["roberta.embeddings.word_embeddings.weight"]
    out["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, word.shape[1], dtype=word.dtype)
    if classifier:
        out = {n: v for n, v in out.items() if not n.startswith("lm_head.")} | classifier
    return out, config


# ---- writing -----------------------------------------------------------------------------------------------------------

def drop_ties(tensors):
    """The decoder is the word embedding and is stored once; a decoder with other values is no XLM-R."""
    import torch
    out = dict(tensors)
    word = next((n for n in out if n.endswith("embeddings.word_embeddings.weight")), None)
    for copy, original in (("lm_head.decoder.weight", word), ("lm_head.decoder.bias", "lm_head.bias")):
        if copy not in out:
            continue
        if original not in out:
            raise Refused(f"{copy} is there, but not the tensor it is tied to; the checkpoint is incomplete")
        if out[copy].shape != out[original].shape or out[copy].dtype != out[original].dtype or not torch.equal(out[copy], out[original]):
            raise Refused(f"{copy} differs from {original}, to which XLM-R ties it; a decoder of its own is not supported")
        del out[copy]
    return {n: v for n, v in out.items() if not n.endswith("embeddings.position_ids")}


def check_tensors(source, tensors):
    import torch
    for name, value in tensors.items():
        if value.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise Refused(f"{source}: {name} has type {value.dtype}; where it was made, save it as float32, float16 or bfloat16")
    bad = [n for n, v in tensors.items() if not math.isfinite(v.float().abs().max().item())]
    if bad:
        print(f"warning: NaN or infinity in {', '.join(bad[:10])}; the model is damaged", file=sys.stderr)


def check_output(output):
    if output.is_symlink():
        raise Refused(f"{output}: is a symbolic link; name the directory that is to be written itself")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Refused(f"{output}: exists and is not an empty directory; choose another output")
    if os.path.realpath(output) == os.getcwd():
        raise Refused(f"{output}: is the directory you are in, which would be replaced under you; choose another output, as {output / 'model'}")


def make_scratch(output):
    """A folder that becomes `output`, in the nearest directory above that exists."""
    above = next(p for p in output.absolute().parents if p.exists())
    scratch = above / f"{output.name}.tmp-{os.getpid()}"
    try:
        scratch.mkdir()
    except OSError as e:
        raise Refused(f"{output}: cannot be made in {above} ({e.strerror}); choose another output") from e
    return scratch


def write_directory(output, scratch, tensors, config, beside):
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    try:
        # clone: tensors that share memory would be refused, and views would drag their whole storage along
        save_file({n: v.detach().clone().contiguous() for n, v in tensors.items()}, scratch / "model.safetensors", metadata={"format": "pt"})
        (scratch / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in TOKENIZER_FILES:
            if (beside / name).exists():
                shutil.copyfile(beside / name, scratch / name)
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(output)      # an empty directory of that name is replaced
    except (OSError, SafetensorError) as e:
        raise Refused(f"{output}: cannot be written ({e}); make room, or choose another output") from e


def read_source(source, heads, wanted_head):
    """Tensors, config, and the directory that they came from."""
    if source.is_dir():
        if (source / "model.safetensors").exists() or (source / "model.safetensors.index.json").exists():
            raise Refused(f"{source}: has safetensors already; nothing to convert")
        if (source / "pytorch_model.bin").exists() or (source / "pytorch_model.bin.index.json").exists():
            return *read_bin_directory(source), source
        source = next((source / n for n in FAIRSEQ_FILES if (source / n).exists()), source)
        if source.is_dir():
            raise Refused(f"{source}: has no pytorch_model.bin (or index) and none of {', '.join(FAIRSEQ_FILES)}")
    elif source.suffix == ".bin":
        raise Refused(f"{source}: give the directory that holds it, since config.json is needed too: {source.parent}")
    return *read_fairseq(source, heads, wanted_head), source.parent


def convert(source, output, heads, wanted_head):
    if not source.exists():
        raise Refused(f"{source}: does not exist; nothing is downloaded: get the model first")
    check_output(output)
    scratch = make_scratch(output)
    try:
        tensors, config, beside = read_source(source, heads, wanted_head)
        tensors = drop_ties(tensors)
        check_tensors(source, tensors)
        write_directory(output, scratch, tensors, config, beside)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{output}: {len(tensors)} tensors, {sum(v.numel() for v in tensors.values()):,} parameters")
    if not (output / TOKENIZER_FILES[0]).exists():
        print(f"note: no {TOKENIZER_FILES[0]} beside the source; put the model's tokenizer into {output}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="Turns pickled XLM-R weights (pytorch_model.bin, fairseq .pt) into safetensors.")
    parser.add_argument("source", type=pathlib.Path, help="directory or fairseq .pt file")
    parser.add_argument("output", type=pathlib.Path, help="directory to write")
    parser.add_argument("--heads", type=int, help="attention heads, where a fairseq checkpoint does not say (base 12, large 16)")
    parser.add_argument("--head", metavar="NAME", help="which classification head of a fairseq checkpoint to keep, if it has several")
    a = parser.parse_args()
    try:
        convert(a.source, a.output, a.heads, a.head)
    except ImportError as e:
        print(f"convert_hf.py: error: {e}; install it: pip install torch numpy safetensors", file=sys.stderr)
        return 69
    except OSError as e:
        print(f"convert_hf.py: error: {e.filename or a.source}: {e.strerror or e}; give a path that can be read", file=sys.stderr)
        return 65
    except Refused as e:
        print(f"convert_hf.py: error: {e}", file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main())
