#!/usr/bin/env python3
"""Compares xlmr with transformers on one Hugging Face directory: the same numbers, or a table that says where they part.

    scripts/parity.py DIR                        a directory with a head of any of CLASSES below
    scripts/parity.py DIR --fresh-heads          also with the other head, freshly made on the same encoder
    scripts/parity.py --make mini --std 0.02     makes a random model first (mini: 6 x 384, 12layer: 12 x 768); no download

Compared on one random batch of packed sequences, dropout off: every hidden state, logits, loss, the gradient of every parameter; then
the losses and weights after --steps AdamW steps (decay groups of the HF Trainer, weight decay 0.01, clipping at 1.0, linear schedule with two
steps of warm-up), and, for classification, after --long-steps. One line a quantity: largest difference, largest reference value, the bound,
and the difference between torch's own float32 and float64. Exit status 1 when any line fails.

Bounds. Weights of standard deviation near 0.02 (--bounds fixed): against torch in float32, 1e-5 of the tensor's largest value; gradients
that are truly zero, such as a key bias's, 1e-5 of the largest of another tensor (stand_in); weights 5e-5 after 10 steps and 5e-4 after 100; losses of the steps 1e-4.
Any other weights (--bounds noise): against torch in float64, three times the difference between torch's float32 and float64, the larger
of two float32 computations (attention "eager" and "sdpa": one sample of rounding noise says little). A key bias gets the query bias's
difference where that is larger, and its weights the fixed bound: Adam turns a gradient of pure noise into steps of the size of the rate.
A loss is one number, which torch may hit by luck: it is allowed four units in the last place.
Multiple choice says little near deviation 0.02, where all choices have nearly the same vector and gradients are what is left of their differences, down to
zero for classifier.bias: check it on trained weights or --std 0.2 (tests/golden/wide-choice).

The reference computation below is also what scripts/golden.py uses. Needs torch, transformers, safetensors, numpy; and build/xlmr (`make`).
"""
import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers.trainer_pt_utils import get_parameter_names

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORD = "roberta.embeddings.word_embeddings.weight"
KEY_BIAS = ("attention.self.key.bias", "attention.self.query.bias")
ANSWER_BIAS = "qa_outputs.bias"
# What Trainer.get_decay_parameter_names leaves out of weight decay.
NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]


# ---- the reference -------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Batch:
    """B sequences of ids; rows of the packed batch count through all of them."""
    sequences: list                         # [B] lists of ids, already masked where mask_row says so
    mask_row: np.ndarray                    # [M] ascending packed rows
    mask_target: np.ndarray                 # [M] true ids there
    labels: np.ndarray | None = None        # [B] classes; [Q] right choices of questions
    target: np.ndarray | None = None        # [B, C] regression values or 0/1 labels
    class_weight: np.ndarray | None = None  # [C]
    smoothing: float = 0.0
    span: np.ndarray | None = None          # [B, 2] rows within the sequence of an answer's first and last token
    group: np.ndarray | None = None         # [Q + 1] first sequence of each question; the sequences are its choices

    @property
    def offsets(self):
        return np.cumsum([0] + [len(s) for s in self.sequences])

    def tensors(self, prefix=""):
        """What xlmr reads: everything as float32, exact for ids below 2^24."""
        out = {"ids": np.concatenate(self.sequences), "offsets": self.offsets, "mask_row": self.mask_row, "mask_target": self.mask_target}
        for key in ("labels", "target", "class_weight", "group", "span"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.smoothing:
            out["smoothing"] = [self.smoothing]
        return {prefix + k: np.asarray(v, dtype=np.float32) for k, v in out.items()}


def random_batch(rng, config, lengths, n_labels=3):
    """<s> words </s> per sequence; 15 % of the words (at least one in the batch) are replaced by <mask>, the vocabulary's last id."""
    low, mask = 3, config.vocab_size - 1
    sequences, rows, targets, row = [], [], [], 0
    for n in lengths:
        words = rng.integers(low + 1, mask, size=n)
        words[0] = config.bos_token_id
        if n > 1:
            words[-1] = config.eos_token_id
        for i in range(1, n - 1):
            if rng.random() < 0.15 or (i == 1 and not rows):
                rows.append(row + i)
                targets.append(int(words[i]))
                words[i] = mask
        sequences.append(words.tolist())
        row += n
    labels = rng.integers(0, n_labels, size=len(lengths))
    return Batch(sequences, np.array(rows), np.array(targets), labels)


def tag_words(rng, batch, n_labels):
    """Makes a tagger's batch of it: about 60 % of the tokens between <s> and </s> begin a word, each with a tag."""
    inner = [r for b, s in enumerate(batch.sequences) for r in range(batch.offsets[b] + 1, batch.offsets[b + 1] - 1)]
    batch.mask_row = np.array([r for r in inner if rng.random() < 0.6])
    batch.labels, batch.mask_target = None, rng.integers(0, n_labels, size=len(batch.mask_row))


def make_questions(rng, batch):
    """Makes a multiple-choice batch of it: the first two sequences are the choices of one question, the others those of a second."""
    batch.group = np.array([0, 2, len(batch.sequences)])
    batch.labels = np.array([rng.integers(0, n) for n in np.diff(batch.group)])


def ask(rng, batch):
    """Makes a batch of questions of it: an answer in every sequence but the first, which has none."""
    ends = [sorted(rng.integers(0, len(s), size=2)) for s in batch.sequences]
    batch.labels, batch.span = None, np.array([[0, 0]] + ends[1:])


CLASSES = {"mlm": transformers.XLMRobertaForMaskedLM, "cls": transformers.XLMRobertaForSequenceClassification,
           "tag": transformers.XLMRobertaForTokenClassification, "choice": transformers.XLMRobertaForMultipleChoice,
           "qa": transformers.XLMRobertaForQuestionAnswering}


def has_head(directory):
    name = json.loads((pathlib.Path(directory) / "config.json").read_text()).get("architectures", ["?"])[0]
    return {c.__name__: head for head, c in CLASSES.items()}.get(name)


def load(directory, head, dtype, attention="eager"):
    model = CLASSES[head].from_pretrained(directory, attn_implementation=attention, dtype=dtype, local_files_only=True)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def parameters(model):
    """Canonical name -> parameter; ties appear once, under the name xlmr gives them."""
    out = {}
    for name, p in model.named_parameters():
        name = {"lm_head.decoder.weight": WORD, "lm_head.decoder.bias": "lm_head.bias"}.get(name, name)
        out[name] = p
    return out


def padded(model, batch):
    longest = max(len(s) for s in batch.sequences)
    pad = model.config.pad_token_id
    ids = torch.tensor([s + [pad] * (longest - len(s)) for s in batch.sequences])
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in batch.sequences])
    return ids, mask


def packed(x, batch):
    """[B, T, ...] -> [N, ...]: the rows that are not padding."""
    return torch.cat([x[b, :len(s)] for b, s in enumerate(batch.sequences)])


def answer_losses(model, batch):
    """transformers' own loss of each sequence by itself: with padding its softmax would count the padding too."""
    for ids, (start, end) in zip(batch.sequences, batch.span):
        yield model(input_ids=torch.tensor([ids]), start_positions=torch.tensor([int(start)]), end_positions=torch.tensor([int(end)])).loss


def choose(model, batch, ids, mask, hidden):
    """Questions may have different numbers of choices, which one tensor [B, C, T] cannot hold: each passes alone."""
    losses, logits = [], []
    for first, last, label in zip(batch.group[:-1], batch.group[1:], batch.labels):
        out = model(input_ids=ids[None, first:last], attention_mask=mask[None, first:last], labels=torch.tensor([int(label)]))
        losses.append(out.loss)
        logits.append(out.logits.reshape(-1, 1))
    states = model.roberta(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states if hidden else []
    return sum(losses) / len(losses), torch.cat(logits), [packed(h, batch) for h in states]


def forward(model, batch, hidden=False):
    """(loss, logits, hidden states). MLM: mean over masked rows, logits there. Tags: transformers' own loss, every row but mask_row's labelled
    -100, and the logits at mask_row. Multiple choice and questions: transformers' own loss of each, and their mean. Classification: torch's mean
    reduction."""
    ids, mask = padded(model, batch)
    if isinstance(model, transformers.XLMRobertaForMultipleChoice):
        return choose(model, batch, ids, mask, hidden)
    out = model(input_ids=ids, attention_mask=mask, output_hidden_states=hidden)
    states = [packed(h, batch) for h in out.hidden_states] if hidden else []
    nn = torch.nn.functional
    if isinstance(model, transformers.XLMRobertaForMaskedLM):
        logits = packed(out.logits, batch)[torch.as_tensor(batch.mask_row)]
        return nn.cross_entropy(logits, torch.as_tensor(batch.mask_target)), logits, states
    if isinstance(model, transformers.XLMRobertaForTokenClassification):
        labels = torch.full(ids.shape, -100)
        for row, target in zip(batch.mask_row, batch.mask_target):
            b = np.searchsorted(batch.offsets, row, side="right") - 1
            labels[b, row - batch.offsets[b]] = int(target)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        return loss, packed(out.logits, batch)[torch.as_tensor(batch.mask_row)], states
    if isinstance(model, transformers.XLMRobertaForQuestionAnswering):
        logits = torch.stack([packed(out.start_logits, batch), packed(out.end_logits, batch)], dim=-1)
        return sum(answer_losses(model, batch)) / len(batch.sequences), logits, states
    logits = out.logits
    real = lambda a: None if a is None else torch.as_tensor(np.asarray(a), dtype=logits.dtype)
    if model.config.problem_type == "regression":
        loss = nn.mse_loss(logits, real(batch.target))
    elif model.config.problem_type == "multi_label_classification":
        loss = nn.binary_cross_entropy_with_logits(logits, real(batch.target))
    else:
        loss = nn.cross_entropy(logits, torch.as_tensor(batch.labels), weight=real(batch.class_weight), label_smoothing=batch.smoothing)
    return loss, logits, states


def array(x):
    return x.detach().numpy().astype(np.float64)


def one_pass(model, batch):
    """Forward and backward -> {"hidden.k", "logits", "loss", "grad.NAME"} in float64 arrays."""
    model.zero_grad()
    loss, logits, hidden = forward(model, batch, hidden=True)
    loss.backward()
    out = {f"hidden.{k}": array(h) for k, h in enumerate(hidden)}
    out |= {"logits": array(logits), "loss": array(loss).reshape(1)}
    out |= {f"grad.{n}": array(p.grad) for n, p in parameters(model).items()}
    return out


@dataclasses.dataclass
class Recipe:
    steps: int = 10
    lr: float = 2e-5
    warmup: int = 2
    weight_decay: float = 0.01
    clip: float = 1.0


def train(model, batches, recipe):
    """AdamW as the HF Trainer sets it up, batches in turn -> {"losses": [steps], "norms": [steps], "weights.NAME"}."""
    decay = set(get_parameter_names(model, [torch.nn.LayerNorm], NO_DECAY))
    named = list(model.named_parameters())
    groups = [{"params": [p for n, p in named if n in decay], "weight_decay": recipe.weight_decay},
              {"params": [p for n, p in named if n not in decay], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.999), eps=1e-8)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, recipe.warmup, recipe.steps)
    losses, norms = [], []
    for step in range(recipe.steps):
        optimizer.zero_grad()
        loss, _, _ = forward(model, batches[step % len(batches)])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)))
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    out = {"losses": np.array(losses), "norms": np.array(norms)}
    return out | {f"weights.{n}": array(p) for n, p in parameters(model).items()}


def stand_in(name, ref):
    """The tensor whose size the differences of a gradient are measured by: its own, but where the true gradient is zero: for a key bias the query
    bias; for what shifts the start or end logits of all tokens alike, which changes no probability (the bias of answers, and of the last LayerNorm),
    the weight beside it."""
    if not name.startswith("grad."):
        return name
    weight = name.removesuffix("bias") + "weight"
    if name.endswith("bias") and weight in ref and np.abs(ref[name]).max() < 1e-6 * np.abs(ref[weight]).max():
        return weight if not name.endswith(KEY_BIAS[0]) else name.replace(*KEY_BIAS)
    return name.replace(*KEY_BIAS)


def reference_scale(name, ref):
    """The value a difference is measured against: the largest of the tensor, or of what stands in for it."""
    return float(np.abs(ref[stand_in(name, ref)]).max())


def torch_noise(name, f64, f32s):
    """Largest difference between torch in float64 and in each of its float32 computations."""
    return max(float(np.abs(f64[n] - f32[n]).max()) for n in {name, stand_in(name, f64)} for f32 in f32s)


def fixed_bound(name, ref, steps=10):
    kind = name.split(".")[0]
    if kind.startswith("weights"):
        return 5e-5 if steps <= 10 else 5e-4
    return 1e-4 if kind.startswith(("losses", "norms")) else 1e-5 * reference_scale(name, ref)


def noise_bound(name, f64, f32s, steps=10):
    if name.startswith("weights") and name.endswith(KEY_BIAS[0]):
        return fixed_bound(name, f64, steps)
    floor = 2.0 ** -21 * float(np.abs(f64[name]).max()) if name in ("loss", "losses") else 0.0
    return max(3.0 * torch_noise(name, f64, f32s), floor)


# ---- making models -------------------------------------------------------------------------------------------------

def scatter(model, std, seed):
    """Every parameter random, so that nothing can be left out unseen: biases too, and LayerNorm gains around 1."""
    generator = torch.Generator().manual_seed(seed)
    pad = model.config.pad_token_id
    with torch.no_grad():
        for name, p in parameters(model).items():
            p.normal_(0.0, std, generator=generator)
            if name.endswith(("LayerNorm.weight", "layer_norm.weight")):
                p.add_(1.0)
            elif name.endswith(("word_embeddings.weight", "position_embeddings.weight")):
                p[pad].zero_()
    return model


def sizes(**changes):
    return transformers.XLMRobertaConfig(**({"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "bos_token_id": 0,
                                             "pad_token_id": 1, "eos_token_id": 2} | changes))


def make(which, std, directory):
    """Random model of each head below `directory`; returns the two directories."""
    shape = {"mini": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536, vocab_size=8000),
             "12layer": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=8000)}[which]
    out = []
    for head, cls in (("mlm", transformers.XLMRobertaForMaskedLM), ("cls", transformers.XLMRobertaForSequenceClassification)):
        config = sizes(**shape, initializer_range=std, **({"num_labels": 3} if head == "cls" else {}))
        path = pathlib.Path(directory) / f"{which}-{head}"
        scatter(cls(config), std, seed=1).save_pretrained(path)
        out.append(path)
    return out


def other_head(directory, scratch):
    """The same encoder under the head the directory does not have."""
    head = has_head(directory)
    torch.manual_seed(1)
    cls = transformers.XLMRobertaForSequenceClassification if head == "mlm" else transformers.XLMRobertaForMaskedLM
    model = cls.from_pretrained(directory, local_files_only=True, dtype=torch.float32, **({"num_labels": 3} if head == "mlm" else {}))
    path = pathlib.Path(scratch) / "other-head"
    model.save_pretrained(path)
    return path


# ---- comparing -----------------------------------------------------------------------------------------------------

def xlmr_dump(args, directory, batch, recipe, scratch, passes=True):
    """What xlmr computes for the directory's own head, in the names of one_pass and train."""
    source, result = pathlib.Path(scratch) / "batch.safetensors", pathlib.Path(scratch) / "xlmr.safetensors"
    save_file(batch.tensors(), source)
    result.unlink(missing_ok=True)
    words = [args.xlmr, "parity-dump", f"model={directory}", f"batch={source}", f"output={result}", f"steps={recipe.steps}",
             f"learning_rate={recipe.lr!r}", f"warmup_steps={recipe.warmup}", f"weight_decay={recipe.weight_decay!r}",
             f"max_grad_norm={recipe.clip!r}", f"passes={int(passes)}"]
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    done = subprocess.run(words, env=env, text=True, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\nended with status {done.returncode}: {done.stderr.strip()}")
    return {k: v.astype(np.float64) for k, v in load_file(result).items()}


class Table:
    def __init__(self, noise_bounds, verbose):
        self.noise_bounds, self.verbose, self.failed, self.rows = noise_bounds, verbose, 0, {}
        print(f"{'quantity':<58} {'|diff|':>9} {'|ref|':>9} {'bound':>9} {'f32-f64':>9}")

    def add(self, group, name, got, f64, f32s, steps):
        noise = torch_noise(name, f64, f32s)
        if self.noise_bounds:
            bound, ref = noise_bound(name, f64, f32s, steps), f64[name]
        else:
            bound, ref = fixed_bound(name, f32s[0], steps), f32s[0][name]
        same_shape = got is not None and got.shape == ref.shape
        diff = float(np.abs(got - ref).max()) if same_shape else float("inf")
        ok = diff <= bound
        self.failed += not ok
        row = (diff / bound if bound else float("inf") if diff else 0.0, name, diff, float(np.abs(ref).max()), bound, noise, ok)
        if self.verbose or not ok:
            self.line(name, *row[2:])
        best = self.rows.get(group)
        if best is None or row[0] > best[0][0]:
            self.rows[group] = (row, best[1] + 1 if best else 1)
        else:
            self.rows[group] = (best[0], best[1] + 1)

    @staticmethod
    def line(name, diff, ref, bound, noise, ok):
        print(f"{name:<58} {diff:9.2e} {ref:9.2e} {bound:9.2e} {noise:9.2e}  {'OK' if ok else 'FAIL'}")

    def close(self, title):
        """One line a group: its worst member."""
        for group, (row, n) in self.rows.items():
            self.line(f"{title}: {group}" + (f", worst of {n}" if n > 1 else ""), *row[2:])
        self.rows = {}


def group_of(name):
    return {"hidden": "hidden states", "grad": "gradients", "weights": "weights"}.get(name.split(".")[0], name)


def compare(table, title, got, f64, f32s, steps=0):
    for name in f64:
        if name not in ("norms", "weights." + ANSWER_BIAS):      # of this bias: Adam's steps on a gradient of pure noise
            table.add(group_of(name), name, got.get(name), f64, f32s, steps)
    table.close(title)


def deviation(directory):
    model = load(directory, has_head(directory), torch.float32)
    return float(parameters(model)["roberta.encoder.layer.0.attention.self.query.weight"].detach().std())


def check(args, directory, table, scratch):
    head = has_head(directory)
    config = transformers.XLMRobertaConfig.from_pretrained(directory)
    rng = np.random.default_rng(args.seed)
    longest = min(args.max_length, config.max_position_embeddings - config.pad_token_id - 1)
    batch = random_batch(rng, config, [longest, 1, max(2, longest // 3), max(2, longest // 2)], n_labels=getattr(config, "num_labels", 3))
    if head == "cls" and config.problem_type in ("regression", "multi_label_classification"):
        batch.target = rng.integers(0, 2, size=(len(batch.sequences), config.num_labels)).astype(np.float64)
        batch.labels = None
    if head == "tag":
        tag_words(rng, batch, config.num_labels)
    if head == "qa":
        ask(rng, batch)
    if head == "choice":
        make_questions(rng, batch)
    runs = [args.steps] + ([args.long_steps] if head != "mlm" and args.long_steps else [])
    for i, steps in enumerate(runs):
        recipe = Recipe(steps=steps, lr=args.learning_rate)
        got = xlmr_dump(args, directory, batch, recipe, scratch, passes=i == 0)
        kinds = [(torch.float64, "eager"), (torch.float32, "eager")] + ([(torch.float32, "sdpa")] if table.noise_bounds else [])
        if i == 0:
            f64, *f32s = (one_pass(load(directory, head, *kind), batch) for kind in kinds)
            compare(table, head, got, f64, f32s)
        if steps:
            f64, *f32s = (train(load(directory, head, *kind), [batch], recipe) for kind in kinds)
            compare(table, f"{head} {steps} steps", got, f64, f32s, steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="Hugging Face directory")
    parser.add_argument("--make", choices=["mini", "12layer"], help="make a random model instead")
    parser.add_argument("--std", type=float, default=0.02, help="standard deviation of its weights")
    parser.add_argument("--fresh-heads", action="store_true", help="also check the head the directory does not have")
    parser.add_argument("--bounds", choices=["auto", "fixed", "noise"], default="auto")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--long-steps", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--max-length", type=int, default=96, help="tokens of the longest sequence")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--xlmr", default=os.environ.get("XLMR", str(ROOT / "build" / "xlmr")))
    parser.add_argument("--verbose", action="store_true", help="a line for every tensor")
    args = parser.parse_args()
    if bool(args.directory) == bool(args.make):
        parser.error("give a DIR or --make mini|12layer")
    with tempfile.TemporaryDirectory() as scratch:
        directories = make(args.make, args.std, scratch) if args.make else [pathlib.Path(args.directory)]
        if args.directory and not has_head(args.directory):
            parser.error(f"{args.directory}: config.json names none of {', '.join(c.__name__ for c in CLASSES.values())}")
        if args.fresh_heads and args.directory:
            directories.append(other_head(args.directory, scratch))
        std = deviation(directories[0])
        noise = args.bounds == "noise" or (args.bounds == "auto" and not 0.015 < std < 0.025)
        print(f"torch {torch.__version__}, transformers {transformers.__version__}; weights of standard deviation {std:.3g}, "
              f"{'3 x torch f32-f64' if noise else 'fixed'} bounds")
        table = Table(noise, args.verbose)
        for directory in directories:
            check(args, directory, table, scratch)
    print(f"{table.failed} out of bounds" if table.failed else "all within bounds")
    sys.exit(1 if table.failed else 0)


if __name__ == "__main__":
    main()
