#!/usr/bin/env python3
"""Fine-tunes the same weights as a tagger in xlmr and in transformers, on the same batches and without dropout, and compares losses and predictions.

    scripts/parity_finetune.py --model DIR --train-file train-en.tsv.gz --dev-file dev-en.tsv.gz

xlmr gives DIR a fresh head (one update at a rate that changes nothing), then both sides start from those weights. `--dump-batches` writes the
very batches xlmr trains on, and torch is given those: XLMRobertaForTokenClassification, the mean cross-entropy over first pieces of an update, AdamW
in the Trainer's decay groups, linear schedule with warm-up. Then both tag the dev file: xlmr by `evaluate`, torch on ids that this script makes
word by word with sentencepiece.

Bounds: the loss of every update within 1e-3, the same tag on at least 99.5 % of the dev words. Exit status 1 when one fails. Needs torch,
transformers, sentencepiece; and build/xlmr.
"""
import argparse
import gzip
import json
import os
import pathlib
import sys
import tempfile

import numpy as np
import sentencepiece
import torch
import transformers
from transformers.trainer_pt_utils import get_parameter_names

import parity
import parity_pretrain

MOST = 128  # tokens of a sentence


def sentences(path, limit):
    """Lists of (word, tag); a language before the word goes, as in WikiANN."""
    opened = gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else open(path, encoding="utf-8")
    out = [[]]
    with opened as f:
        for line in f:
            line = line.rstrip("\n")
            if line:
                out[-1].append(line.split("\t"))
            elif out[-1]:
                out.append([])
    return [s for s in out if s][:limit]


def encode(spm, words):
    """<s> pieces </s> and the position of every word's first piece; XLM-R's ids are sentencepiece's plus one, <unk> is 3."""
    ids, first = [0], []
    for word in words:
        first.append(len(ids))
        ids += [3 if i == spm.unk_id() else i + 1 for i in spm.encode(word)] or [3]
    return ids + [2], first


def train(model, updates, args):
    decay = set(get_parameter_names(model, [torch.nn.LayerNorm], parity.NO_DECAY))
    named = list(model.named_parameters())
    optimizer = torch.optim.AdamW([{"params": [p for n, p in named if n in decay], "weight_decay": 0.01},
                                   {"params": [p for n, p in named if n not in decay], "weight_decay": 0.0}], lr=args.learning_rate)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, args.warmup, args.steps)
    losses = []
    for micro in updates:
        optimizer.zero_grad()
        words, total = sum(len(b.mask_target) for b in micro), 0.0
        for b in micro:
            loss = parity.forward(model, b)[0] * (len(b.mask_target) / words)
            loss.backward()
            total += loss.item()
        optimizer.step()
        schedule.step()
        losses.append(total)
    return np.array(losses)


def tag(model, batch):
    ids, mask = parity.padded(model, batch)
    with torch.no_grad():
        return parity.packed(model(ids, attention_mask=mask).logits, batch)[torch.tensor(batch.mask_row)].argmax(-1).tolist()


def torch_tags(model, directory, dev):
    """Tags of every sentence; None for one that is too long to be one sequence."""
    spm = sentencepiece.SentencePieceProcessor(model_file=str(directory / "sentencepiece.bpe.model"))
    names, out = model.config.id2label, []
    model.eval()
    for sentence in dev:
        ids, first = encode(spm, [word for word, _ in sentence])
        batch = parity.Batch([ids], np.array(first), np.array(first))
        out.append([names[k] for k in tag(model, batch)] if len(ids) <= MOST else None)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--train-file", type=pathlib.Path, required=True)
    parser.add_argument("--dev-file", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-dev", type=int, default=2000, help="sentences of the dev file")
    parser.add_argument("--xlmr", default=os.environ.get("XLMR", str(parity.ROOT / "build" / "xlmr")))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)

        def finetune(model, output, *flags):
            parity_pretrain.xlmr(args, "finetune", "--task", "tag", "--model", model, "--train-file", args.train_file, "--hidden-dropout", 0, "--attention-dropout", 0,
                                 "--batch-size", args.batch_size, "--max-grad-norm", 0, "--optimizer", "adamw", "--weight-decay", 0.01, "--adam-beta2", 0.999,
                                 "--adam-epsilon", 1e-8, "--max-seq-length", MOST, "--quiet", "--output-dir", output, *flags)

        finetune(args.model, scratch / "head", "--max-steps", 1, "--learning-rate", 1e-30, "--warmup-steps", 0)
        start = scratch / "head" / "final"
        finetune(start, scratch / "run", "--max-steps", args.steps, "--learning-rate", args.learning_rate, "--warmup-steps", args.warmup, "--lr-scheduler", "linear",
                 "--logging-steps", 1, "--dump-batches", scratch / "batches")
        lines = [json.loads(line) for line in (scratch / "run" / "metrics.jsonl").read_text().splitlines()]
        ours = np.array([line["loss"] for line in lines if "lr" in line])
        model = parity.load(start, "tag", torch.float32)
        theirs = train(model, parity_pretrain.batches(scratch / "batches"), args)
        data = scratch / "data"
        data.mkdir()
        dev = sentences(args.dev_file, args.max_dev)
        (data / "dev-xx.tsv").write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in s) for s in dev), encoding="utf-8")
        parity_pretrain.xlmr(args, "evaluate", "--task", "panx", "--split", "dev", "--model", scratch / "run" / "final", "--data-dir", data, "--max-seq-length", MOST,
                             "--output-dir", scratch / "eval", "--quiet")
        predicted = [s.split("\n") for s in (scratch / "eval" / "panx" / "dev-xx.tsv").read_text().rstrip("\n").split("\n\n")]
        expected = torch_tags(model, start, dev)
    assert len(ours) == len(theirs) == args.steps and len(predicted) == len(dev), (len(ours), len(theirs), len(predicted), len(dev))
    compared = [(a, b) for p, e in zip(predicted, expected) if e for a, b in zip(p, e, strict=True)]
    same = sum(a == b for a, b in compared) / len(compared)
    worst = np.abs(ours - theirs).max()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}; {args.steps} updates of {args.batch_size}; loss {ours[0]:.4f} at the first, "
          f"{ours[-1]:.4f} at the last")
    print(f"losses, worst of {args.steps}: {worst:.2e} apart (bound 1e-3)")
    print(f"dev words with the same tag: {100 * same:.3f} % of {len(compared)} (bound 99.5 %), {sum(e is None for e in expected)} sentences over {MOST} tokens left out")
    sys.exit(0 if worst <= 1e-3 and same >= 0.995 else 1)


if __name__ == "__main__":
    main()
