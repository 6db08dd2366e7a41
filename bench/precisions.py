#!/usr/bin/env python3
"""Whether rounding costs anything: the same trainings in f32 and bf16, with moments in f32 and bf16, over several seeds.

    bench/precisions.py OUT [WORK...] [--seeds 1,2,3] [--rates 3e-4,1e-3] [--updates 500] [--model DIR]

mlm     masked-LM training of a small model (4 layers x 192, 8,000 words) from random weights: 4 blocks of 128 tokens an update, dropout 0.1, clipping 1,
        warm-up over 60 updates, then linear to zero. Wikipedia paragraphs (de en es tr) of the data folder, every 20th held out; made-up text without it
go-on   the same text in a model that knows some language already, --model: 2 blocks of 128 tokens an update, rate 2e-4
tag     entities of WikiANN (en), fine-tuned from --model: 1,000 sentences, three passes, scored on 1,000 of the dev set
pairs   OCNLI (zh) in the same way: 600 pairs, two passes, 600 of the dev set

A seed is of everything: weights that are random at the start, order of the data, masked words, dropout, rounding of moments. Runs of one seed differ in the
kind of numbers alone, so they are compared in pairs; how far f32 is from itself with another seed is the measure beside it. Everything goes to OUT, and a
run whose result is there is not made again. One thread; OPENBLAS_CORETYPE is taken out.
"""
import argparse
import gzip
import json
import math
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = {"f32": [], "bf16": ["--precision", "bf16"], "bf16, moments bf16": ["--precision", "bf16", "--moments", "bf16"],
         "f32, moments bf16": ["--moments", "bf16"]}
LANGUAGES = ("de", "en", "es", "tr")
BASELINE = "f32"
SIZES = {"model_type": "xlm-roberta", "hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 3, "intermediate_size": 768, "vocab_size": 8000,
         "max_position_embeddings": 514, "type_vocab_size": 1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
         "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "initializer_range": 0.02}


def data():
    return pathlib.Path(os.environ.get("XLMR_DATA") or ROOT.parent / "shared" / "data")


def xlmr(args, *words):
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    command = [args.xlmr, *map(str, words), "--quiet", "--threads", "1"]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with status {done.returncode}: {done.stderr.strip()}")


def train(args, name, verb, seed, kind, words):
    """The lines of metrics.jsonl of a run, made unless it is there; words(): what it is called with."""
    run = args.out / f"{name}-{kind.replace(', moments ', '-m')}-s{seed}"
    result = run.with_name(run.name + ".jsonl")
    if not result.exists():
        print(run.name, file=sys.stderr, flush=True)
        xlmr(args, verb, "--output-dir", run, "--overwrite-output-dir", "--seed", seed, *KINDS[kind], *words())
        shutil.move(run / "metrics.jsonl", result)
        shutil.rmtree(run)
    return [json.loads(line) for line in result.read_text().splitlines()]


# ---- masked words --------------------------------------------------------------------------------------------------

def real_paragraphs(lang):
    with gzip.open(data() / "text" / "wiki-paragraphs" / f"{lang}.txt.gz", "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(line for line in lines if line.strip()))


def made_up_paragraphs(lang):
    """Words of two to four syllables; each likes some of the others to stand behind it, so that there is something to learn."""
    dice = random.Random(lang)
    words = ["".join(dice.choice("bdfgklmnprstvz") + dice.choice("aeiou") for _ in range(dice.randint(2, 4))) for _ in range(3000)]
    likes = [[int(3000 * dice.random() ** 3) for _ in range(6)] for _ in words]
    paragraphs, at = [], 0
    for _ in range(3000):
        line = []
        for _ in range(60):
            at = dice.choice(likes[at]) if dice.random() < 0.8 else int(3000 * dice.random() ** 3)
            line.append(words[at])
        paragraphs.append(" ".join(line) + ".\n")
    return paragraphs


def random_model(args, seed):
    model = args.out / f"random-{seed}"
    if not (args.out / "spm.model").exists():
        make_tokenizer(args)
    if not model.exists():
        xlmr(args, "init", "--config-json", args.out / "sizes.json", "--tokenizer", args.out / "spm.model", "--seed", seed, "--output-dir", model)
    return model


def make_text(args):
    """Training and held-out files of each language."""
    real = (data() / "text" / "wiki-paragraphs").is_dir()
    for lang in LANGUAGES:
        paragraphs = real_paragraphs(lang) if real else made_up_paragraphs(lang)
        for part, lines in (("train", [p for i, p in enumerate(paragraphs) if i % 20]), ("held-out", paragraphs[::20])):
            (args.out / part).mkdir(parents=True, exist_ok=True)
            (args.out / part / f"{lang}.txt").write_text("".join(lines), encoding="utf-8")


def files(args, part):
    return [args.out / part / f"{lang}.txt" for lang in LANGUAGES]


def make_tokenizer(args):
    (args.out / "sizes.json").write_text(json.dumps(SIZES))
    xlmr(args, "train-tokenizer", "--vocab-size", SIZES["vocab_size"], "--output", args.out / "spm.model", *files(args, "train"))


def pretrain(args, name, rate, blocks, seed, kind, model):
    """model(): its directory, whose tokenizer makes the stores NAME-train and NAME-held-out unless they are there."""
    stores = [args.out / f"{name}-{part}" for part in ("train", "held-out")]

    def words():
        if not (args.out / "held-out").exists():
            make_text(args)
        for store, part in zip(stores, ("train", "held-out")):
            if not store.exists():
                xlmr(args, "prepare", "--model", model(), "--output-dir", store, *files(args, part))
        return ["--model", model(), "--train-data", stores[0], "--validation-data", stores[1], "--max-eval-samples", 40, "--block-length", 128,
                "--batch-size", blocks, "--max-steps", args.updates, "--logging-steps", 10, "--learning-rate", rate,
                "--warmup-steps", min(60, args.updates // 8), "--max-grad-norm", 1, "--hidden-dropout", "0.1", "--attention-dropout", "0.1"]
    return train(args, f"{name}-{rate}-{args.updates}", "pretrain", seed, kind, words)


def mlm(args, rate, seed, kind):
    return pretrain(args, "mlm", rate, 4, seed, kind, lambda: random_model(args, seed))


def go_on(args, rate, seed, kind):
    return pretrain(args, "go-on", rate, 2, seed, kind, lambda: args.model)


def window(lines, first, last):
    return statistics.mean(line["loss"] for line in lines if "event" not in line and first < line["step"] <= last)


def held_out(lines, figure="loss"):
    return [line for line in lines if line.get("event") == "eval"][-1][figure]


# ---- fine-tuning ---------------------------------------------------------------------------------------------------

TUNED = {"tag": ("ner/panx/train-en.tsv.gz", "ner/panx/dev-en.tsv.gz", 1000, "--num-epochs", 3, "--task", "tag"),
         "pairs": ("nli-other/ocnli/train.10k.json.gz", "nli-other/ocnli/dev.json.gz", 600, "--num-epochs", 2)}


def tune(args, work, seed, kind):
    train_file, dev_file, n, *more = TUNED[work]
    return train(args, work, "finetune", seed, kind, lambda: [
        "--model", args.model, "--train-file", data() / train_file, "--validation-file", data() / dev_file, "--max-train-samples", n,
        "--max-eval-samples", n, "--eval-steps", 10**9, "--batch-size", 32, "--learning-rate", "3e-4", "--warmup-ratio", "0.1",
        "--hidden-dropout", "0.1", "--attention-dropout", "0.1", *more])


# ---- tables --------------------------------------------------------------------------------------------------------

def signed(values, digits):
    return " ".join(f"{v:+.{digits}f}" for v in values)


def table(title, runs, figures, digits):
    """runs: {kind: [run of a seed]}; figures: {name: function of a run}. Baseline in full, the others as differences of the same seed."""
    print(f"\n{title}\n\n| | {BASELINE}, each seed | its range | " + " | ".join(f"{kind}, less {BASELINE} | mean" for kind in runs if kind != BASELINE) + " |")
    print("|---|---|---|" + "---|---|" * (len(runs) - 1))
    for name, figure in figures.items():
        base = [figure(run) for run in runs[BASELINE]]
        cells = [" ".join(f"{v:.{digits}f}" for v in base), f"{max(base) - min(base):.{digits}f}"]
        for kind in runs:
            if kind != BASELINE:
                differences = [figure(run) - b for run, b in zip(runs[kind], base)]
                cells += [signed(differences, digits), f"{statistics.mean(differences):+.{digits}f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")
    sys.stdout.flush()


def mlm_tables(args, title, runs):
    n = args.updates
    marks = [0, n // 50 * 10, n // 20 * 10, n]
    figures = {f"updates {a + 1} to {b}": lambda run, a=a, b=b: window(run, a, b) for a, b in zip(marks, marks[1:])}
    table(f"{title}: loss", runs, figures | {"held out": held_out}, 4)
    table(f"{title}: held-out perplexity", runs, {"perplexity": lambda run: math.exp(held_out(run))}, 1)


def tune_tables(args, title, runs):
    name, figure = ("entity F1", "f1") if "f1" in runs[BASELINE][0][-2] else ("accuracy", "accuracy")
    table(title, runs, {f"{name} x 100": lambda run: 100 * held_out(run, figure), "loss x 100": lambda run: 100 * held_out(run)}, 2)


def jobs_of(args, work):
    """(title, what makes the run of a seed and a kind, what prints the tables) for each table of a work."""
    if work == "mlm":
        return [(f"masked LM from random weights, rate {rate}", lambda *of, rate=rate: mlm(args, rate, *of), mlm_tables) for rate in args.rates.split(",")]
    if work == "go-on":
        return [("masked LM from the model, rate 2e-4", lambda *of: go_on(args, "2e-4", *of), mlm_tables)]
    return [({"tag": "WikiANN en, 1,000 sentences of dev", "pairs": "OCNLI, 600 pairs of dev"}[work], lambda *of: tune(args, work, *of), tune_tables)]


def left_out(args, work):
    """Whether a work cannot be done, after saying why."""
    why = "" if args.model or work == "mlm" else "no --model, a pretrained directory to begin with"
    if work in TUNED and not (data() / TUNED[work][0]).exists():
        why = f"{data()} has no {TUNED[work][0]}: set XLMR_DATA"
    if why:
        print(f"{work} is left out: {why}", file=sys.stderr)
    return bool(why)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("works", nargs="*", metavar="WORK", help="mlm, go-on, tag, pairs; all by default")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rates", default="3e-4,1e-3", help="of mlm")
    parser.add_argument("--updates", type=int, default=500, help="of mlm and go-on, a multiple of 10 from 50")
    parser.add_argument("--kinds", default="; ".join(KINDS), help="of numbers, separated by ;")
    parser.add_argument("--model", type=pathlib.Path, help="of go-on, tag and pairs")
    parser.add_argument("--xlmr", default=os.environ.get("XLMR", str(ROOT / os.environ.get("BUILD", "build") / "xlmr")))
    args = parser.parse_args()
    args.seeds, args.kinds = [int(s) for s in args.seeds.split(",")], [k.strip() for k in args.kinds.split(";")]
    jobs = [job for work in args.works or ("mlm", "go-on", "tag", "pairs") if not left_out(args, work) for job in jobs_of(args, work)]
    runs = [{kind: [] for kind in args.kinds} for _ in jobs]
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for (_, run, _), made in zip(jobs, runs):
            for kind in args.kinds:
                made[kind].append(run(seed, kind))
    for (title, _, tables), made in zip(jobs, runs):
        tables(args, title, made)


main()
