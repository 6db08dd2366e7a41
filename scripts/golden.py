#!/usr/bin/env python3
"""Writes the golden files in tests/golden/: values of PyTorch and transformers that the C tests compare with.

    make golden PYTHON=python3        python3 being one that has torch, transformers, safetensors and numpy

The tests never need Python; this script is run only when a group is added or changed. Everything is computed in float64 and stored as
float32 (ids and offsets too: exact below 2^24); the script itself checks that torch in float32 gives the same. Two runs write the same bytes.

Groups, one safetensors file each, read with xr_st_open, xr_st_find and xr_st_read_f32:

ops.safetensors     "<op>.<name>" or "<op>_<case>.<name>", for every op of autograd/ops.h that has no random numbers. Inputs and parameters
    under their names in ops.h; "out"; "dout", the upstream gradient (xr_backward's seed; [1] for losses); then "d<input>".
      embedding       word [V,D] position type [1,D] id [N] pos [N]; id 1 and position 1 are padding_idx: no gradient there
      linear, linear_nobias          x w b
      bias_gelu, bias_gelu_nobias    x b; x reaches from -6 to 6
      tanh            x
      add_norm, add_norm_noresidual  x residual gamma beta eps [1]
      attention       q k v offsets [B+1] heads [1]; sequences of 5, 1 and 9 tokens, 3 heads of 8
      attention_wide  the same, 2 heads of 64, sequences of 33, 1 and 7
      attention_pruned    queries are only the packed rows q_row [M]; q, out, dout, dq are [M,D]
      select          x index [M]
      masked_lm       h w b target [M]; V is larger than a tile
      cross_entropy, cross_entropy_weight, cross_entropy_smooth, cross_entropy_weight_smooth
                      logits target [B], class_weight [C], smoothing [1]; sums, not means
      mse, bce        x target [B,C]; sums
      choice_entropy  logits [M,1] group [G+1] target [G]; sum

NAME.safetensors, beside NAME/, a directory as transformers writes it:
      tiny, wide             XLMRobertaForMaskedLM; weights of standard deviation 0.02 and 0.2 (4 heads of 8; 2 heads of 16)
      tiny-cls, wide-cls     XLMRobertaForSequenceClassification, three labels
      tiny-reg, tiny-multi   the same with one label (regression) and four (multi-label); gradients of the head and the embeddings only
      wide-choice            XLMRobertaForMultipleChoice; group [Q+1] are the first sequences of the questions, labels [Q] their right choices
      tiny-tag               XLMRobertaForTokenClassification, five tags; mask_row are the first pieces of words, mask_target their tags
      tiny-qa                XLMRobertaForQuestionAnswering
    a.ids [N] a.offsets [B+1] a.mask_row [M] a.mask_target [M] a.labels [B], a.target [B,C] or a.span [B,2]: the batch; b.*: a second one, for training
    hidden.0 .. hidden.L [N,D]    logits ([M,V] or [M,C] at mask_row, [B,C] or [N,2])    loss [1] (mean)    grad.<parameter>, of the mean loss, batch a
    tiny-cls also: weighted.*, smoothed.*, both.* = class_weight [C] and/or smoothing [1], loss, and the gradients of the classifier
    tiny and tiny-cls also: losses10 [10] norms10 [10] (before clipping) weights10.<parameter>: ten AdamW steps over a, b, a, b, …; rate 1e-3,
      linear schedule with 3 warm-up steps of 10, weight decay 0.01 on all but biases and LayerNorm, clipping at 1.0
    tol.<name> [1]   for each of these the largest |difference| allowed. Deviation 0.02: 1e-5 of the largest value (key
      biases: of the query bias's largest), losses10 and norms10 1e-4, weights10 5e-5 or, if less, 20 times torch's own
      noise. Deviation 0.2: three times what torch's float32 differs from its float64, rounded up to a power of two
      (parity.py says more)

MANIFEST.json names the groups, the versions of torch and transformers, and the SHA-256 of every file.
"""
import argparse
import dataclasses
import hashlib
import json
import math
import pathlib
import shutil

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import save_file

import parity

LABELS = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-LOC", "B-PER", "I-LOC", "I-PER"]


# ---- ops -----------------------------------------------------------------------------------------------------------

class Ops:
    """Runs f on named inputs in float64, checks it in float32, and collects inputs, output and gradients."""

    def __init__(self):
        self.out, self.rng = {}, np.random.default_rng(20)

    def values(self, *shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    def add(self, name, f, inputs, constants=(), scalar=False):
        runs = []
        for dtype in (torch.float64, torch.float32):
            leaf = {k: torch.tensor(v, dtype=dtype, requires_grad=True) for k, v in inputs.items()}
            out = f(leaf)
            dout = runs[0]["dout"] if runs else self.values(*((1,) if scalar else out.shape))
            out.backward(torch.tensor(dout, dtype=dtype).reshape(out.shape))
            runs.append({"out": parity.array(out).reshape(dout.shape), "dout": dout} |
                        {f"d{k}": parity.array(v.grad) for k, v in leaf.items()})
        for k, ref in runs[0].items():
            assert np.abs(runs[1][k] - ref).max() <= 1e-5 * np.abs(ref).max(), (name, k)
        for k, v in {**inputs, **dict(constants), **runs[0]}.items():
            self.out[f"{name}.{k}"] = np.asarray(v, dtype=np.float32)


def attend(lengths, heads, q_row=None):
    """The eager attention of transformers on packed rows, one sequence at a time."""
    offsets = np.cumsum([0] + list(lengths))

    def f(x):
        def split(a):
            return a.reshape(len(a), heads, -1).transpose(0, 1)

        rows = np.arange(offsets[-1]) if q_row is None else q_row
        parts = []
        for begin, end in zip(offsets[:-1], offsets[1:]):
            mine = [i for i, r in enumerate(rows) if begin <= r < end]
            q, k, v = split(x["q"][mine]), split(x["k"][begin:end]), split(x["v"][begin:end])
            p = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1)
            parts.append((p @ v).transpose(0, 1).reshape(len(mine), -1))
        return torch.cat(parts)

    return f, {"offsets": offsets, "heads": [heads]} | ({} if q_row is None else {"q_row": q_row})


def norm(x, residual):
    s = x["x"] + x["residual"] if residual else x["x"]
    return F.layer_norm(s, s.shape[-1:], x["gamma"], x["beta"], 1e-5)


def add_attention(ops):
    for name, lengths, heads, d, q_row in (("attention", (5, 1, 9), 3, 24, None), ("attention_wide", (33, 1, 7), 2, 128, None),
                                           ("attention_pruned", (5, 1, 9), 3, 24, [0, 3, 5, 6, 10, 14])):
        f, constants = attend(lengths, heads, q_row)
        n, m = sum(lengths), len(q_row or range(sum(lengths)))
        ops.add(name, f, {"q": ops.values(m, d, scale=2), "k": ops.values(n, d, scale=2), "v": ops.values(n, d)}, constants)


def add_losses(ops):
    target = np.array([0, 2047, 2048, 2299, 17, 1200, 1])
    ops.add("masked_lm", lambda x: F.cross_entropy(x["h"] @ x["w"].T + x["b"], torch.tensor(target), reduction="sum"),
            {"h": ops.values(7, 8), "w": ops.values(2300, 8), "b": ops.values(2300)}, {"target": target}, scalar=True)
    label, weight, smoothing = np.array([2, 0, 1, 2, 3]), np.array([0.5, 2.0, 1.0, 1.25], dtype=np.float32), 0.125
    for name, w, e in (("", None, 0.0), ("_weight", weight, 0.0), ("_smooth", None, smoothing), ("_weight_smooth", weight, smoothing)):
        def loss(x):
            wt = None if w is None else torch.tensor(w, dtype=x["logits"].dtype)
            return F.cross_entropy(x["logits"], torch.tensor(label), weight=wt, label_smoothing=e, reduction="sum")
        constants = {"target": label} | ({} if w is None else {"class_weight": w}) | ({"smoothing": [e]} if e else {})
        ops.add("cross_entropy" + name, loss, {"logits": ops.values(5, 4, scale=3)}, constants, scalar=True)
    target = ops.values(5, 3)
    ops.add("mse", lambda x: F.mse_loss(x["x"], torch.tensor(target, dtype=x["x"].dtype), reduction="sum"),
            {"x": ops.values(5, 3)}, {"target": target}, scalar=True)
    bits = ops.rng.integers(0, 2, size=(5, 3)).astype(np.float32)
    ops.add("bce", lambda x: F.binary_cross_entropy_with_logits(x["x"], torch.tensor(bits, dtype=x["x"].dtype), reduction="sum"),
            {"x": ops.values(5, 3, scale=4)}, {"target": bits}, scalar=True)
    group, right = [0, 3, 4, 9], np.array([2, 0, 3])
    ops.add("choice_entropy", lambda x: sum(F.cross_entropy(x["logits"][a:b].T, torch.tensor([int(r)]), reduction="sum")
                                            for a, b, r in zip(group, group[1:], right)),
            {"logits": ops.values(9, 1, scale=3)}, {"group": group, "target": right}, scalar=True)


def make_ops():
    ops = Ops()
    ids, pos = np.array([0, 7, 1, 7, 9, 2, 0, 3, 2]), np.array([2, 3, 1, 4, 5, 6, 2, 3, 4])
    ops.add("embedding",
            lambda x: F.embedding(torch.tensor(ids), x["word"], padding_idx=1) + x["type"][0]
            + F.embedding(torch.tensor(pos), x["position"], padding_idx=1),
            {"word": ops.values(11, 6), "position": ops.values(8, 6), "type": ops.values(1, 6)}, {"id": ids, "pos": pos})
    ops.add("linear", lambda x: F.linear(x["x"], x["w"], x["b"]), {"x": ops.values(9, 20), "w": ops.values(13, 20), "b": ops.values(13)})
    ops.add("linear_nobias", lambda x: F.linear(x["x"], x["w"]), {"x": ops.values(9, 20), "w": ops.values(13, 20)})
    ramp = np.linspace(-6, 6, 9 * 21, dtype=np.float32).reshape(9, 21)
    ops.add("bias_gelu", lambda x: F.gelu(x["x"] + x["b"]), {"x": ramp, "b": ops.values(21, scale=0.3)})
    ops.add("bias_gelu_nobias", lambda x: F.gelu(x["x"]), {"x": ramp})
    ops.add("tanh", lambda x: torch.tanh(x["x"]), {"x": ramp / 2})
    d = {"x": ops.values(9, 20), "residual": ops.values(9, 20), "gamma": ops.values(20), "beta": ops.values(20)}
    ops.add("add_norm", lambda x: norm(x, True), d, {"eps": [1e-5]})
    del d["residual"]
    ops.add("add_norm_noresidual", lambda x: norm(x, False), d, {"eps": [1e-5]})
    add_attention(ops)
    index = np.array([0, 3, 4, 8])
    ops.add("select", lambda x: x["x"][torch.tensor(index)], {"x": ops.values(9, 6)}, {"index": index})
    add_losses(ops)
    return ops.out


# ---- models --------------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Case:
    name: str
    std: float
    heads: int
    labels: int = 0                 # 0: masked LM
    problem: str | None = None      # "tags", "choice", "answers": heads that have no problem_type
    train: bool = False
    full: bool = True               # every gradient; otherwise those of the head and the embeddings


CASES = [Case("tiny", 0.02, 4, train=True),
         Case("tiny-cls", 0.02, 4, 3, "single_label_classification", train=True),
         Case("tiny-reg", 0.02, 4, 1, "regression", full=False),
         Case("tiny-multi", 0.02, 4, 4, "multi_label_classification", full=False),
         Case("tiny-tag", 0.02, 4, 5, "tags", full=False),
         Case("tiny-qa", 0.02, 4, 0, "answers"),
         Case("wide", 0.2, 2), Case("wide-cls", 0.2, 2, 3, "single_label_classification"),
         Case("wide-choice", 0.2, 2, 0, "choice")]


def head_of(case):
    return {"tags": "tag", "choice": "choice", "answers": "qa"}.get(case.problem, "cls" if case.labels else "mlm")


def make_directory(case, directory):
    names = {i: n for i, n in enumerate({3: LABELS, 5: TAGS}.get(case.labels, [f"LABEL_{i}" for i in range(case.labels)]))}
    labels = dict(id2label=names, label2id={n: i for i, n in names.items()}) if case.labels else {}
    if head_of(case) == "cls":
        labels["problem_type"] = case.problem
    config = parity.sizes(vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=case.heads, intermediate_size=64,
                          max_position_embeddings=40, initializer_range=case.std, **labels)
    parity.scatter(parity.CLASSES[head_of(case)](config), case.std, seed=3).save_pretrained(directory)


def batches(case):
    """Two batches of three sequences: lengths differ, one token and the longest possible occur."""
    rng = np.random.default_rng(5)
    config = parity.sizes(vocab_size=120, max_position_embeddings=40)
    a, b = (parity.random_batch(rng, config, lengths) for lengths in ((11, 3, 20), (7, 38, 1)))
    for batch in (a, b):
        if case.problem == "regression":
            batch.labels, batch.target = None, rng.standard_normal((3, 1)).astype(np.float32)
        elif case.problem == "multi_label_classification":
            batch.labels, batch.target = None, rng.integers(0, 2, size=(3, case.labels)).astype(np.float32)
        elif head_of(case) == "tag":
            parity.tag_words(rng, batch, case.labels)
        elif head_of(case) == "qa":
            parity.ask(rng, batch)
        elif head_of(case) == "choice":
            parity.make_questions(rng, batch)
        elif not case.labels:
            batch.labels = None
    return a, b


def tolerance(case, name, f64, f32s):
    if case.problem == "choice" and name == "grad.classifier.bias":
        return 1e-6     # the true gradient is zero: the shares of a question's choices sum to 1, and so do its targets
    if case.std > 0.1:
        # rounded up to a power of two, so that another machine's float32 seldom gives another file
        bound = parity.noise_bound(name, f64, f32s)
        return 2.0 ** math.ceil(math.log2(bound)) if bound else 0.0
    bound, noise = parity.fixed_bound(name, f64), parity.torch_noise(name, f64, f32s)
    assert noise <= bound, f"{case.name}: {name}: torch itself differs by {noise} between float32 and float64; allowed is {bound}"
    if name.startswith("weights10") and not name.endswith(parity.KEY_BIAS[0]):
        # 5e-5 would not show a missing weight decay, which moves these weights by 4e-6
        return min(bound, max(1e-6, 2.0 ** math.ceil(math.log2(20.0 * noise))))
    return bound


def compute(case, directory, a, b, *kind):
    head = head_of(case)
    model = parity.load(directory, head, *kind)
    out = parity.one_pass(model, a)
    if case.train and head == "cls":
        weight = np.array([0.5, 2.0, 1.25], dtype=np.float32)
        for name, changes in (("weighted", {"class_weight": weight}), ("smoothed", {"smoothing": 0.125}),
                              ("both", {"class_weight": weight, "smoothing": 0.125})):
            got = parity.one_pass(model, dataclasses.replace(a, **changes))
            out |= {f"{name}.{k}": v for k, v in got.items() if k == "loss" or k.startswith("grad.classifier")}
            out |= {f"{name}.{k}": np.atleast_1d(np.asarray(v, dtype=np.float64)) for k, v in changes.items()}
    if case.train:
        recipe = parity.Recipe(steps=10, lr=1e-3, warmup=3)
        got = parity.train(parity.load(directory, head, *kind), [a, b], recipe)
        out |= {k.replace("losses", "losses10").replace("norms", "norms10").replace("weights.", "weights10."): v for k, v in got.items()}
    if not case.full:
        out = {k: v for k, v in out.items() if not k.startswith("grad.roberta.encoder")}
    return out


def make_case(case, directory):
    a, b = batches(case)
    kinds = (torch.float64, "eager"), (torch.float32, "eager"), (torch.float32, "sdpa")
    f64, *f32s = (compute(case, directory, a, b, *kind) for kind in kinds)
    out = a.tensors("a.") | b.tensors("b.") | f64
    out |= {f"tol.{k}": np.array([tolerance(case, k, f64, f32s)]) for k in f64}
    return {k: np.asarray(v, dtype=np.float32) for k, v in out.items()}


# ---- files ---------------------------------------------------------------------------------------------------------

def write(tensors, path):
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path)
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size / 1024:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description="Writes the golden files of the tests.")
    parser.add_argument("--output", type=pathlib.Path, default=parity.ROOT / "tests" / "golden")
    folder = parser.parse_args().output
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        shutil.rmtree(folder / case.name, ignore_errors=True)
    write(make_ops(), folder / "ops.safetensors")
    for case in CASES:
        make_directory(case, folder / case.name)
        write(make_case(case, folder / case.name), folder / f"{case.name}.safetensors")
    files = sorted(p for c in CASES for p in (folder / c.name).iterdir()) + sorted(folder.glob("*.safetensors"))
    manifest = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                "groups": ["ops"] + [c.name for c in CASES],
                "sha256": {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{sum(p.stat().st_size for p in files) / 1024:.0f} KiB in all")


if __name__ == "__main__":
    main()
