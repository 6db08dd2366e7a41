#!/usr/bin/env python3
"""The same work in xlmr, PyTorch with transformers, ONNX Runtime and CTranslate2, in turn (A B A B) in one run on one machine; all are given the same ids.

    make bench-peers PYTHON=/path/to/python [PARTS='pretrain --rounds 1']      or      bench/peers.py [MODE...] [options]

pretrain   masked-LM updates of 4 blocks of 512 tokens (Wikipedia paragraphs of the data folder), 15 % of them masked, dropout 0.1, no clipping
finetune   steps of 32 XNLI pairs (dev files, all languages in turn, at most 128 tokens), rate 2e-5, clipping 1.0, dropout 0.1
inference  hidden states of the last layer for those pairs' texts: 32 at a time, and one at a time
fill-mask  five candidates for a mask, one text at a time (only when named)

What each peer does is written in bench/peer_hf.py and bench/peer_ort.py. Rates are real tokens (no padding) a second. Training: median over the steps after
the first, from timing.jsonl for xlmr. Inference: of xlmr, time of the whole set less time of its first part, so that start-up drops out, and the packing of
weights at the second batch, which the others do while they load; of the others, the loop alone. Loading has a column of its own. Figures are medians over the
rounds; ratios are medians of the rounds' ratios, xlmr to the row. Peak memory is VmHWM of a process that does only this. "differs" is the largest difference
from xlmr's f32 in the first text's vector of <s>. Tokenisation counts for xlmr only. Weights are random: `xlmr init` with the rebuilt 250,000-piece model. The
slowest ways (stock, padded) and what a row marks run in the first round only, unless --every-round asks for more. A peer for which memory is short is waited
for, then left out, and said to be.
OPENBLAS_CORETYPE is taken out of every process's environment, except by --avx2, which holds all of them to AVX2: the instructions of the cores that the goals
were set on.
"""
import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("XLMR_DATA", ROOT.parent / "shared" / "data"))
LABELS = ["entailment", "neutral", "contradiction"]
BATCH, MAX_LEN = 32, 128
BLOCKS, BLOCK_LEN = 4, 512          # of a masked-LM update
TEXTS, START = 320, 64                # of inference, and those of them that start-up is measured by: three batches of xlmr's
SINGLE, FEW = 160, 32                 # the same, one at a time
KINDS = ("f32", "bf16", "int8")
MASK_TEXTS = ["Hello I'm a <mask> model.", "Paris is the <mask> of France.", "La capitale de la France est <mask>.", "Berlin ist die <mask> von Deutschland."]
AVX2 = {"XR_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "CT2_FORCE_CPU_ISA": "AVX2"}
MODULES = {"torch": "torch transformers", "ort": "onnxruntime onnx onnxscript torch transformers", "ct2": "ctranslate2 torch transformers"}


def environment(args):
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS")}
    return env | ({"OMP_NUM_THREADS": str(args.threads)} if args.threads else {}) | (AVX2 if args.avx2 else {})


def note(text):
    print(f"  {text}", file=sys.stderr, flush=True)


# ---- processes -----------------------------------------------------------------------------------------------------

def run_xlmr(args, words, text=None):
    """(seconds, VmHWM in MiB, standard output) of one run."""
    command = [args.xlmr, *map(str, words), *(["--threads", str(args.threads)] if args.threads else [])]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile("w+") as source:
        source.write(text or "")
        source.seek(0)
        process = subprocess.Popen(command, stdin=source, stdout=out, stderr=err, env=environment(args))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)}\nended with status {process.returncode}: {err.read().strip()}")
        return seconds, usage.ru_maxrss / 1024, out.read()


def run_peer(args, script, **job):
    job |= {"threads": args.threads, "model": str(args.model), "folder": str(args.scratch)}
    done = subprocess.run([args.python, ROOT / "bench" / script, "--child"], input=json.dumps(job), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment(args))
    if done.returncode:
        raise RuntimeError(f"{script} ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
    return json.loads(done.stdout)


def free_gib():
    for line in open("/proc/meminfo"):
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) / 2**20
    return 0.0


def short_of_memory(args, need):
    """Waits for it; a sentence when it does not come."""
    until = time.monotonic() + args.wait
    while free_gib() < need and time.monotonic() < until:
        time.sleep(2)
    free = free_gib()
    return "" if free >= need else f"not run: it needs {need:.1f} GiB, {free:.1f} GiB are free"


def has_modules(args, engine):
    look = "import importlib.util, sys; print(*[m for m in sys.argv[1:] if not importlib.util.find_spec(m)])"
    missing = subprocess.run([args.python, "-c", look, *MODULES[engine].split()], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return f"{args.python} has no module {', '.join(missing)}; give a Python that has {MODULES[engine]}: make bench-peers PYTHON=…" if missing else ""


# ---- comparing -----------------------------------------------------------------------------------------------------

class Variant:
    """One row: run() gives {"rates": […], "peak_mb": …, …}, or for several tables at once {TABLE: rate, …}."""

    def __init__(self, name, kind, run, need=6.0, times=99):
        self.name, self.kind, self.run, self.need, self.times = name, kind, run, need, times
        self.results, self.trouble = [], ""

    def once(self, args):
        self.trouble = self.trouble or short_of_memory(args, self.need * (1.0 if args.big else 0.3))
        if self.trouble:
            return
        try:
            self.results.append(self.run())
        except RuntimeError as error:
            self.trouble = str(error)

    def rate(self, table, k):
        r = self.results[min(k, len(self.results) - 1)]
        return r[table] if table else statistics.median(r["rates"])

    def middle(self, key):
        return statistics.median(r[key] for r in self.results if key in r) if self.results and key in self.results[0] else None


def turns(args, variants):
    for k in range(args.rounds):
        for v in variants:
            if k < v.times or args.every_round:
                v.once(args)
                note(f"round {k + 1}: {v.name} {v.kind}: {v.trouble or 'done'}")


def differs(v, ours):
    first, base = (x.results[0].get("first") if x.results else None for x in (v, ours))
    return f"{max(abs(a - b) for a, b in zip(first, base)):.1e}" if first and base else ""


def table(title, variants, key=None):
    ours = {v.kind: v for v in variants if v.name == "xlmr" and v.results}
    extra = "".join(f"{'xlmr ' + kind:>11}" for kind in ours)
    print(f"\n{title}\n{'':<22}{'kind':<6}{'tokens/s':>10}{extra}{'peak MiB':>10}{'load s':>8}{'differs':>9}")
    for v in variants:
        if v.trouble and not v.results:
            print(f"{v.name:<22}{v.kind:<6}  {v.trouble}")
            continue
        if key and key not in v.results[0]:     # has not done this work
            continue
        n = len(v.results)
        ratios = "".join(f"{statistics.median(o.rate(key, k) / v.rate(key, k) for k in range(n)):>10.2f}x" for o in ours.values())
        load, peak = v.middle("start_s"), max(r["peak_mb"] for r in v.results)
        print(f"{v.name:<22}{v.kind:<6}{statistics.median(v.rate(key, k) for k in range(n)):>10.1f}{ratios}{peak:>10.0f}"
              f"{'' if load is None else f'{load:.2f}':>8}{differs(v, variants[0]):>9}{'' if n > 1 else '  one round'}")
    sys.stdout.flush()


# ---- xlmr ----------------------------------------------------------------------------------------------------------

def precision(kind):
    return [] if kind == "f32" else ["--precision", kind]


def kinds_of(args, verb):
    """Those this program has for the verb."""
    known = lambda kind: subprocess.run([args.xlmr, verb, *precision(kind), "--print-config"], capture_output=True).returncode == 0
    return [kind for kind in KINDS if kind in args.kinds and known(kind)]


def xlmr_training(args, verb, kind, words):
    run = args.scratch / "run"
    _, peak, _ = run_xlmr(args, [verb, "--model", args.model, "--output-dir", run, "--overwrite-output-dir", "--max-steps", args.steps, "--logging-steps", "1",
                                 "--quiet", *precision(kind), *words])
    lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    rates = [line["tokens_per_s"] for line in lines if line.get("tokens_per_s")]
    return {"rates": rates[1:] or rates, "peak_mb": peak}


def marginal(args, words, texts, rows, first):
    """(rate of what the whole set takes beyond its first part, seconds of that part, peak)."""
    few, _, _ = run_xlmr(args, words, "".join(t + "\n" for t in texts[:first]))
    all_, peak, _ = run_xlmr(args, words, "".join(t + "\n" for t in texts))
    return sum(map(len, rows[first:])) / max(all_ - few, 1e-9), few, peak


def xlmr_inference(args, kind, texts, rows):
    words = ["features", "--model", args.model, "--output", args.scratch / "features.h5", *precision(kind)]
    first = args.scratch / "first.jsonl"
    load, _, _ = run_xlmr(args, [*words, "--output", first, "--pooling", "first"], texts[0] + "\n")
    batches, _, peak = marginal(args, words, texts, rows, START)
    single, _, _ = marginal(args, words + ["--batch-tokens", "1"], texts[:SINGLE], rows[:SINGLE], FEW)
    return {"batches": batches, "single": single, "peak_mb": peak, "start_s": load, "first": json.loads(first.read_text())["features"]}


# ---- data ----------------------------------------------------------------------------------------------------------

def xnli_pairs(n):
    """(premise, hypothesis, label), the languages in turn."""
    files = sorted((DATA / "xnli").glob("dev-*.tsv.gz"))
    if not files:
        sys.exit(f"{DATA}/xnli has no dev-*.tsv.gz; set XLMR_DATA")
    per_file = []
    for i, f in enumerate(files):
        with gzip.open(f, "rt", encoding="utf-8") as lines:
            rows = [line.rstrip("\n").split("\t") for line in lines]
        rows = [(r[0], r[1], "contradiction" if r[2].startswith("contradict") else r[2]) for r in rows if len(r) == 3]
        per_file.append([r for r in rows if r[2] in LABELS][i * 7:])
    return [per_file[i % len(files)][i // len(files)] for i in range(n)]


def token_ids(args, texts, pairs=False, max_len=MAX_LEN):
    words = ["tokenize", "--model", args.model, "--max-seq-length", max_len, "--json"] + (["--pair"] if pairs else [])
    _, _, out = run_xlmr(args, words, "".join(t + "\n" for t in texts))
    return [json.loads(line)["ids"] for line in out.splitlines()]


def wiki_blocks(args, shards, n):
    """n blocks of <s> and whole cuts of the shards' text, sentences closed by </s>."""
    stream = []
    for shard in shards:
        with gzip.open(shard, "rt", encoding="utf-8") as lines:
            texts = [line.rstrip("\n") for line in lines if line.strip()]
        stream += [i for ids in token_ids(args, texts[:400], max_len=100000) for i in ids[1:]]
        if len(stream) >= n * (BLOCK_LEN - 1):
            return [[0] + stream[k * (BLOCK_LEN - 1):(k + 1) * (BLOCK_LEN - 1)] for k in range(n)]
    sys.exit(f"too little text for {n} blocks")


# ---- works ---------------------------------------------------------------------------------------------------------

def torch_training(args, mode, cases, **job):
    """cases: (variant, kind, steps, GiB, rounds)."""
    if "torch" not in args.engines:
        return []
    rows = []
    for variant, kind, steps, need, times in cases:
        for compiled in (False, True) if args.compile and variant in ("masked", "sorted") else (False,):
            run = lambda v=variant, k=kind, s=steps, c=compiled: run_peer(args, "peer_hf.py", mode=mode, variant=v, kind=k, steps=s, compile=c, **job)
            if kind in args.kinds:
                rows.append(Variant(f"torch {variant}{' compiled' if compiled else ''}", kind, run, need, times))
    return rows


def compare_pretrain(args):
    shards = sorted((DATA / "text" / "wiki-paragraphs").glob("*.txt.gz"))
    if not shards:
        sys.exit(f"{DATA}/text/wiki-paragraphs has no *.txt.gz; set XLMR_DATA")
    run_xlmr(args, ["prepare", "--model", args.model, "--output-dir", args.scratch / "store", "--quiet", *shards[:2]])
    words = ["--train-data", args.scratch / "store", "--batch-size", BLOCKS, "--block-length", BLOCK_LEN, "--learning-rate", "1e-4"]
    variants = [Variant("xlmr", kind, lambda kind=kind: xlmr_training(args, "pretrain", kind, words)) for kind in kinds_of(args, "pretrain")]
    variants += torch_training(args, "pretrain", [("masked", "f32", args.peer_steps, 9.5, 99), ("masked", "bf16", args.peer_steps, 9.5, 99),
                                                  ("stock", "f32", 2, 14.2, 1)], rows=wiki_blocks(args, shards, BLOCKS * args.peer_steps))
    turns(args, variants)
    table(f"pretrain: updates of {BLOCKS} x {BLOCK_LEN} tokens", variants)


def compare_finetune(args):
    n = BATCH * max(args.steps, 2 * args.peer_steps)
    pairs = xnli_pairs(n)
    (args.scratch / "train.tsv").write_text("premise\thypothesis\tlabel\n" + "".join("\t".join(p) + "\n" for p in pairs), encoding="utf-8")
    rows = token_ids(args, [f"{p}\t{h}" for p, h, _ in pairs], pairs=True)
    words = ["--train-file", args.scratch / "train.tsv", "--batch-size", BATCH, "--max-seq-length", MAX_LEN, "--learning-rate", "2e-5"]
    variants = [Variant("xlmr", kind, lambda kind=kind: xlmr_training(args, "finetune", kind, words)) for kind in kinds_of(args, "finetune")]
    variants += torch_training(args, "finetune", [("sorted", "f32", args.peer_steps, 7.5, 99), ("sorted", "bf16", args.peer_steps, 7.5, 99),
                                                  ("dynamic", "f32", args.peer_steps, 8.5, 1), ("padded", "f32", 2, 11.0, 1)],
                               rows=rows, labels=[LABELS.index(label) for _, _, label in pairs])
    turns(args, variants)
    table(f"finetune: steps of {BATCH} XNLI pairs, {sum(map(len, rows)) / n:.1f} tokens a pair", variants)


def compare_inference(args):
    texts = [f"{p} {h}" for p, h, _ in xnli_pairs(TEXTS)]
    rows = token_ids(args, texts)
    job = {"mode": "inference", "rows": rows, "batch": BATCH, "single": SINGLE}
    variants = [Variant("xlmr", kind, lambda kind=kind: xlmr_inference(args, kind, texts, rows)) for kind in kinds_of(args, "features")]
    exported = [engine for engine in ("ort", "ct2") if engine in args.engines]
    if exported:
        note("exporting for " + " and ".join(exported))
        run_peer(args, "peer_ort.py", mode="export", engines=exported)
    for compiled in (False, True) if args.compile else (False,):
        variants += [Variant("torch compiled" if compiled else "torch", kind,
                             lambda kind=kind, c=compiled: run_peer(args, "peer_hf.py", kind=kind, compile=c, **job), 4.5)
                     for kind in ("f32", "bf16") if kind in args.kinds and "torch" in args.engines]
    if "torch" in args.engines and "f32" in args.kinds:
        variants.append(Variant("torch padded", "f32", lambda: run_peer(args, "peer_hf.py", kind="f32", variant="padded", **job), 4.5, 1))
    variants += [Variant({"ort": "ONNX Runtime", "ct2": "CTranslate2"}[engine], kind,
                         lambda kind=kind, engine=engine: run_peer(args, "peer_ort.py", engine=engine, kind=kind, **job), 4.5)
                 for engine in exported for kind in ("f32", "int8") if kind in args.kinds]
    turns(args, variants)
    table(f"inference: last hidden states, {BATCH} texts at a time", variants, "batches")
    table("inference: one text at a time", variants, "single")
    print("; ".join(sorted({r["version"] for v in variants for r in v.results if "version" in r})))


def compare_fill_mask(args):
    texts = MASK_TEXTS * 6
    rows = token_ids(args, texts)

    def ours():
        rate, load, peak = marginal(args, ["fill-mask", "--model", args.model, "--json"], texts, rows, len(MASK_TEXTS))
        return {"rates": [rate], "start_s": load, "peak_mb": peak}
    variants = [Variant("xlmr", "f32", ours), Variant("torch", "f32", lambda: run_peer(args, "peer_hf.py", mode="fill-mask", rows=rows, kind="f32"), 4.5)]
    turns(args, variants)
    table("fill-mask: one text at a time", variants)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", nargs="*", metavar="MODE", help="pretrain, finetune, inference (all three by default), fill-mask")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--every-round", action="store_true", help="the slowest ways in every round too, and not in the first alone")
    parser.add_argument("--steps", type=int, default=4, help="training steps of xlmr; the first does not count")
    parser.add_argument("--peer-steps", type=int, default=3, help="of the peers (stock and padded do 2); the first does not count")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of numbers; those a program does not have are left out")
    parser.add_argument("--engines", default="torch,ort,ct2")
    parser.add_argument("--avx2", action="store_true", help="nobody may use AVX-512 (ONNX Runtime cannot be told, and is left out)")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes of compiling")
    parser.add_argument("--wait", type=float, default=120, help="seconds to wait for memory before a peer is left out")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--model", type=pathlib.Path, help="a model directory with its tokenizer, instead of a random one")
    parser.add_argument("--tokenizer", default=str(DATA / "spm" / "sentencepiece.bpe.rebuilt.model"))
    parser.add_argument("--threads", type=int, default=0, help="0: as each chooses")
    parser.add_argument("--xlmr", default=os.environ.get("XLMR", str(ROOT / os.environ.get("BUILD", "build") / "xlmr")))
    parser.add_argument("--python", default=sys.executable, help="one with torch, transformers, onnxruntime, onnx, onnxscript, ctranslate2")
    args = parser.parse_args()
    args.kinds = args.kinds.split(",")
    args.engines = [engine for engine in args.engines.split(",") if not (args.avx2 and engine == "ort")]
    args.big = bool(args.model) or args.preset in ("base", "large")
    return parser, args


def main():
    parser, args = arguments()
    works = {"pretrain": compare_pretrain, "finetune": compare_finetune, "inference": compare_inference, "fill-mask": compare_fill_mask}
    for m in args.modes:
        if m not in works:
            parser.error(f"{m}: expected {', '.join(works)}")
    for engine in list(args.engines):
        missing = has_modules(args, engine) if engine in MODULES else f"expected one of {', '.join(MODULES)}"
        if missing:
            print(f"bench-peers: {engine} is left out: {missing}", file=sys.stderr)
            args.engines.remove(engine)
    if not args.engines:
        sys.exit("bench-peers: there is nobody to compare with")
    with tempfile.TemporaryDirectory() as folder:
        args.scratch = pathlib.Path(folder)
        if not args.model:
            args.model = args.scratch / "model"
            run_xlmr(args, ["init", "--preset", args.preset, "--tokenizer", args.tokenizer, "--output-dir", args.model, "--quiet"])
        _, _, doctor = run_xlmr(args, ["doctor"])
        print("\n".join(line for line in doctor.splitlines() if line.split(" ")[0] in ("machine", "kernels", "blas")))
        print(f"{time.strftime('%Y-%m-%d')}; {args.threads or 'all'} threads; {args.rounds} rounds, medians; {args.preset}", flush=True)
        for name in args.modes or ["pretrain", "finetune", "inference"]:
            works[name](args)


if __name__ == "__main__":
    main()
