#!/usr/bin/env python3
"""Runs the same masked-LM pretraining in xlmr and in transformers and compares losses and weights.

    scripts/parity_pretrain.py                        text of the project's own making, a tokenizer and a mini model made from it
    scripts/parity_pretrain.py --model DIR TEXT…      continued pretraining from an XLM-R directory on text files

xlmr prepares the text, packs, masks and trains with dropout 0; `--dump-batches` writes the very batches it used (blocks, masked positions,
targets of every micro-batch of every update), and torch is given those: XLMRobertaForMaskedLM, sums of cross-entropies over the masked tokens
of an update divided by their number, AdamW in the Trainer's decay groups, linear schedule with warm-up.

Bounds (design: what "right" means): the loss before the first update within 1e-5 of its value: continued pretraining starts where the model
is; the loss of every update within 1e-4; final weights within 5e-4 after 100 updates. Printed beside them: what torch's float32 differs from its
own float64. Exit status 1 when a line fails. Needs torch, transformers, numpy, safetensors; and build/xlmr.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file
from transformers.trainer_pt_utils import get_parameter_names

import parity

ROOT = parity.ROOT


def xlmr(args, *words, text=None):
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    done = subprocess.run([args.xlmr, *map(str, words)], env=env, text=True, input=text, capture_output=True)
    if done.returncode:
        sys.exit(f"xlmr {' '.join(map(str, words))}\nended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def make_text(scratch):
    """The demo's corpus: sentences in ten languages."""
    subprocess.run(["awk", "-f", ROOT / "scripts" / "demo_corpus.awk", "-v", f"dir={scratch}", "-v", "languages=en,de,ru,ar,hi,zh", "-v", "train=3000",
                    "-v", "share=1000", "-v", "test=100"], check=True, env=os.environ | {"LC_ALL": "C"})
    return scratch / "text.txt"


def make_model(args, scratch, text):
    xlmr(args, "train-tokenizer", "--vocab-size", args.vocab_size, "--output", scratch / "spm.model", "--quiet", text)
    xlmr(args, "init", "--preset", args.preset, "--tokenizer", scratch / "spm.model", "--output-dir", scratch / "model", "--quiet")
    return scratch / "model"


def batches(path):
    """The updates of the run: lists of parity.Batch, one per micro-batch."""
    updates = {}
    for line in path.read_text().splitlines():
        b = json.loads(line)
        starts = np.cumsum([0] + [len(s) for s in b["ids"]])
        rows = [start + position for start, masked in zip(starts, b["masked"]) for position in masked]
        updates.setdefault(b["step"], []).append(parity.Batch(b["ids"], np.array(rows), np.array([t for of in b["targets"] for t in of])))
    return [updates[k] for k in sorted(updates)]


def train(model, updates, args):
    decay = set(get_parameter_names(model, [torch.nn.LayerNorm], parity.NO_DECAY))
    named = list(model.named_parameters())
    optimizer = torch.optim.AdamW([{"params": [p for n, p in named if n in decay], "weight_decay": 0.01},
                                   {"params": [p for n, p in named if n not in decay], "weight_decay": 0.0}],
                                  lr=args.learning_rate, betas=(0.9, 0.98), eps=1e-6)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, args.warmup, args.steps)
    losses = []
    for micro in updates:
        optimizer.zero_grad()
        masked = sum(len(b.mask_target) for b in micro)
        total = 0.0
        for b in micro:
            mean, _, _ = parity.forward(model, b)
            loss = mean * (len(b.mask_target) / masked)
            loss.backward()
            total += loss.item()
        optimizer.step()
        schedule.step()
        losses.append(total)
    return np.array(losses), {n: parity.array(p) for n, p in parity.parameters(model).items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="*", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--vocab-size", type=int, default=1200)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--micro-batch-size", type=int, default=4)
    parser.add_argument("--block-length", type=int, default=128)
    parser.add_argument("--mask-policy", default="fairseq", choices=["fairseq", "hf"])
    parser.add_argument("--xlmr", default=os.environ.get("XLMR", str(ROOT / "build" / "xlmr")))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        text = args.text or [make_text(scratch)]
        model = args.model or make_model(args, scratch, text[0])
        xlmr(args, "prepare", "--model", model, "--output-dir", scratch / "store", "--lang", "xx", "--quiet", *text)
        recipe = [("--train-data", scratch / "store"), ("--batch-size", args.batch_size), ("--micro-batch-size", args.micro_batch_size),
                  ("--block-length", args.block_length), ("--mask-policy", args.mask_policy)]
        run = scratch / "run"
        flags = [word for pair in recipe for word in pair]
        xlmr(args, "pretrain", "--model", model, *flags, "--max-steps", args.steps, "--output-dir", run, "--hidden-dropout", 0, "--attention-dropout", 0, "--optimizer", "adamw", "--lr-scheduler",
             "linear", "--learning-rate", args.learning_rate, "--warmup-steps", args.warmup, "--weight-decay", 0.01, "--adam-beta2", 0.98,
             "--adam-epsilon", 1e-6, "--max-grad-norm", 0, "--logging-steps", 1, "--dump-batches", scratch / "batches", "--quiet")
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses = np.array([line["loss"] for line in lines if "loss" in line and "event" not in line])
        weights = {k: v.astype(np.float64) for k, v in load_file(run / "final" / "model.safetensors").items()}
        updates = batches(scratch / "batches")
        assert len(updates) == len(losses) == args.steps, (len(updates), len(losses))
        f32, w32 = train(parity.load(model, "mlm", torch.float32), updates, args)
        f64, w64 = train(parity.load(model, "mlm", torch.float64), updates, args)
    tokens = sum(len(s) for micro in updates for b in micro for s in b.sequences)
    masked = sum(len(b.mask_target) for micro in updates for b in micro)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {args.steps} updates, {tokens} tokens, {masked} masked "
          f"({100 * masked / tokens:.2f} %); loss {losses[0]:.4f} at the first, {losses[-1]:.4f} at the last")
    failed = 0
    print(f"{'quantity':<46} {'|diff|':>9} {'|ref|':>9} {'bound':>9} {'f32-f64':>9}")
    worst = max(w32, key=lambda n: np.abs(weights[n] - w32[n]).max())
    rows = [("loss before the first update", abs(losses[0] - f32[0]), f32[0], 1e-5 * f32[0], abs(f32[0] - f64[0])),
            (f"losses, worst of {args.steps}", np.abs(losses - f32).max(), f32.max(), 1e-4, np.abs(f32 - f64).max()),
            (f"final weights, worst of {len(w32)}", np.abs(weights[worst] - w32[worst]).max(), np.abs(w32[worst]).max(), 5e-4,
             max(np.abs(w32[n] - w64[n]).max() for n in w32))]
    for name, diff, ref, bound, noise in rows:
        failed += not diff <= bound
        print(f"{name:<46} {diff:9.2e} {ref:9.2e} {bound:9.2e} {noise:9.2e}  {'OK' if diff <= bound else 'FAIL'}")
    print(f"{failed} out of bounds" if failed else "all within bounds")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
