#!/usr/bin/env python3
"""The same work in xlmr and in transformers on PyTorch, one after the other in one run; both are given the same ids.

    bench/peer_hf.py [pretrain] [finetune] [inference] [fill-mask] [--rounds 2] [--preset base]

pretrain   masked-LM updates of 4 blocks of 512 tokens (Wikipedia paragraphs of the data folder), 15 % of them masked, dropout 0.1, no clipping:
             xlmr            xlmr pretrain over a token store
             torch stock     XLMRobertaForMaskedLM with labels: logits at every position; fused AdamW, the Trainer's default
             torch masked    the same encoder, the head by hand at the masked positions only; fused AdamW
finetune   steps of 32 XNLI pairs (dev files, all languages in turn, at most 128 tokens), rate 2e-5, clipping 1.0, dropout 0.1:
             xlmr            xlmr finetune
             torch padded    every batch padded to 128; AdamW as the Trainer makes it (foreach)
             torch dynamic   padded to the longest of the batch; fused AdamW
             torch sorted    the same over batches of examples of like length; fused AdamW
inference  encoder's last hidden states of those pairs' texts: 32 at a time (32), and one at a time (single)
fill-mask  five candidates for a mask, one text at a time

Rates are real tokens (no padding) per second. Training: median over the steps after the first, from timing.jsonl for xlmr. Inference and
fill-mask: time of the whole set less time of its first part, over the rest, so that loading and start-up drop out; they have a column of
their own. Peak memory is VmHWM of a process that does only this. Variants take turns (A B A B); figures are medians over the rounds.
Tokenisation is not counted for torch and is a small part for xlmr. Weights are random: `xlmr init` with the rebuilt 250,000-piece model.
OPENBLAS_CORETYPE is taken out of every process's environment.
"""
import argparse
import gzip
import json
import os
import pathlib
import platform
import resource
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
MASK_TEXTS = ["Hello I'm a <mask> model.", "Paris is the <mask> of France.", "La capitale de la France est <mask>.", "Berlin ist die <mask> von Deutschland."]


def environment(threads):
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS")}
    return env | ({"OMP_NUM_THREADS": str(threads)} if threads else {})


# ---- inside a torch process ----------------------------------------------------------------------------------------

def peak_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def batch_of(torch, rows, width=None):
    width = width or max(map(len, rows))
    ids = torch.tensor([r + [1] * (width - len(r)) for r in rows])
    return {"input_ids": ids, "attention_mask": (ids != 1).long()}


def torch_finetune(torch, transformers, job):
    rows, labels = job["rows"], job["labels"]
    order = list(range(len(rows)))
    if job["variant"] == "sorted":
        order.sort(key=lambda i: len(rows[i]))
        chunks = [order[i:i + BATCH] for i in range(0, len(order), BATCH)]
        stride = max(1, len(chunks) // job["steps"])
        order = [i for c in chunks[stride // 2::stride] for i in c]      # short and long steps alike
    model = transformers.XLMRobertaForSequenceClassification.from_pretrained(job["model"], num_labels=3).train()
    decay = [p for n, p in model.named_parameters() if "bias" not in n and "LayerNorm" not in n]
    rest = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n]
    fused = {} if job["variant"] == "padded" else {"fused": True}
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.0}], lr=2e-5, **fused)
    seconds, tokens = [], []
    for step in range(job["steps"]):
        part = order[step * BATCH:(step + 1) * BATCH]
        texts = [rows[i] for i in part]
        start = time.monotonic()
        batch = batch_of(torch, texts, MAX_LEN if job["variant"] == "padded" else None)
        loss = model(**batch, labels=torch.tensor([labels[i] for i in part])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - start)
        tokens.append(sum(map(len, texts)))
    return {"rates": [t / s for t, s in zip(tokens[1:], seconds[1:])], "loss": loss.item()}


def torch_pretrain(torch, transformers, job):
    model = transformers.XLMRobertaForMaskedLM.from_pretrained(job["model"]).train()
    decay = [p for n, p in model.named_parameters() if "bias" not in n and "LayerNorm" not in n and "layer_norm" not in n]
    rest = [p for n, p in model.named_parameters() if "bias" in n or "LayerNorm" in n or "layer_norm" in n]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(1)
    seconds = []
    for step in range(job["steps"]):
        blocks = torch.tensor(job["rows"][step * BLOCKS:(step + 1) * BLOCKS])
        start = time.monotonic()
        chosen = torch.rand(blocks.shape, generator=generator) < 0.15
        ids = torch.where(chosen, model.config.vocab_size - 1, blocks)
        if job["variant"] == "stock":
            loss = model(input_ids=ids, labels=torch.where(chosen, blocks, -100)).loss
        else:
            logits = model.lm_head(model.roberta(input_ids=ids).last_hidden_state[chosen])
            loss = torch.nn.functional.cross_entropy(logits, blocks[chosen])
            del logits
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - start)
    return {"rates": [BLOCKS * BLOCK_LEN / s for s in seconds[1:]], "loss": loss.item()}


def torch_inference(torch, transformers, job):
    model = transformers.XLMRobertaModel.from_pretrained(job["model"], add_pooling_layer=False).eval()
    loaded = time.monotonic() - job["started"]
    rows, n = sorted(job["rows"], key=len), job["batch"]
    with torch.inference_mode():
        model(**batch_of(torch, rows[:n]))
        start = time.monotonic()
        for i in range(0, len(rows), n):
            model(**batch_of(torch, rows[i:i + n])).last_hidden_state.numpy()
        seconds = time.monotonic() - start
    return {"rates": [sum(map(len, rows)) / seconds], "start_s": loaded, "ms": 1e3 * seconds / len(rows)}


def torch_fill_mask(torch, transformers, job):
    model = transformers.XLMRobertaForMaskedLM.from_pretrained(job["model"]).eval()
    loaded = time.monotonic() - job["started"]
    mask = model.config.vocab_size - 1
    with torch.inference_mode():
        def answer(row):
            logits = model(**batch_of(torch, [row])).logits[0, row.index(mask)]
            return torch.softmax(logits, -1).topk(5)
        answer(job["rows"][0])
        start = time.monotonic()
        for row in job["rows"]:
            answer(row)
        seconds = time.monotonic() - start
    return {"rates": [sum(map(len, job["rows"])) / seconds], "start_s": loaded, "ms": 1e3 * seconds / len(job["rows"])}


def child():
    started = time.monotonic()
    job = json.load(sys.stdin)
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    job["started"] = started
    work = {"pretrain": torch_pretrain, "finetune": torch_finetune, "inference": torch_inference, "fill-mask": torch_fill_mask}[job["mode"]]
    out = work(torch, transformers, job)
    json.dump(out | {"peak_mb": peak_mb(), "threads": torch.get_num_threads(), "torch": torch.__version__,
                     "transformers": transformers.__version__}, sys.stdout)


def run_torch(args, mode, **job):
    job |= {"mode": mode, "threads": args.threads, "model": str(args.model)}
    done = subprocess.run([args.python, __file__, "--child"], input=json.dumps(job), text=True, stdout=subprocess.PIPE,
                          env=environment(args.threads), check=True)
    return json.loads(done.stdout)


# ---- xlmr ----------------------------------------------------------------------------------------------------------

def run_xlmr(args, words, text=None):
    """(seconds, VmHWM in MiB, standard output) of one run."""
    command = [args.xlmr, *map(str, words), *(["--threads", str(args.threads)] if args.threads else [])]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile("w+") as source:
        source.write(text or "")
        source.seek(0)
        process = subprocess.Popen(command, stdin=source, stdout=out, stderr=err, env=environment(args.threads))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)}\nended with status {process.returncode}: {err.read().strip()}")
        return seconds, usage.ru_maxrss / 1024, out.read()


def xlmr_finetune(args, scratch, steps):
    run = scratch / "run"
    _, peak, _ = run_xlmr(args, ["finetune", "--model", args.model, "--train-file", scratch / "train.tsv", "--output-dir", run,
                                 "--overwrite-output-dir", "--max-steps", steps, "--batch-size", BATCH, "--max-seq-length", MAX_LEN,
                                 "--learning-rate", "2e-5", "--logging-steps", "1", "--quiet"])
    lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    rates = [line["tokens_per_s"] for line in lines if line.get("tokens_per_s")]
    return {"rates": rates[1:] or rates, "peak_mb": peak}


def xlmr_pretrain(args, scratch, steps):
    run = scratch / "pretrain-run"
    _, peak, _ = run_xlmr(args, ["pretrain", "--model", args.model, "--train-data", scratch / "store", "--output-dir", run, "--overwrite-output-dir",
                                 "--max-steps", steps, "--batch-size", BLOCKS, "--block-length", BLOCK_LEN, "--learning-rate", "1e-4",
                                 "--logging-steps", "1", "--quiet"])
    lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    rates = [line["tokens_per_s"] for line in lines if line.get("tokens_per_s")]
    return {"rates": rates[1:] or rates, "peak_mb": peak}


def xlmr_marginal(args, words, texts, rows, first):
    """Rate of what the whole set takes beyond its first part."""
    few, _, _ = run_xlmr(args, words, "".join(t + "\n" for t in texts[:first]))
    all_, peak, _ = run_xlmr(args, words, "".join(t + "\n" for t in texts))
    seconds = max(all_ - few, 1e-9)
    return {"rates": [sum(map(len, rows[first:])) / seconds], "peak_mb": peak, "start_s": few, "ms": 1e3 * seconds / (len(rows) - first)}


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


# ---- comparing -----------------------------------------------------------------------------------------------------

def rounds(args, title, variants):
    """variants: name -> function; all in turn, `rounds` times; medians."""
    results = {name: [] for name in variants}
    for k in range(args.rounds):
        for name, work in variants.items():
            results[name].append(work())
            r = results[name][-1]
            print(f"  round {k + 1}: {name}: {statistics.median(r['rates']):.1f} tokens/s", file=sys.stderr, flush=True)
    base = None
    print(f"\n{title}\n{'':<16}{'tokens/s':>10}{'xlmr is':>10}{'peak MiB':>10}{'start s':>9}{'ms/text':>9}")
    for name, runs in results.items():
        rate = statistics.median(statistics.median(r["rates"]) for r in runs)
        middle = lambda key: f"{statistics.median(r[key] for r in runs):.1f}" if key in runs[0] else ""
        base = base or rate
        print(f"{name:<16}{rate:>10.1f}{base / rate:>9.2f}x{max(r['peak_mb'] for r in runs):>10.0f}{middle('start_s'):>9}{middle('ms'):>9}")
    return results


def compare_finetune(args, scratch):
    n = BATCH * args.steps
    pairs = xnli_pairs(n)
    (scratch / "train.tsv").write_text("premise\thypothesis\tlabel\n" + "".join("\t".join(p) + "\n" for p in pairs), encoding="utf-8")
    rows = token_ids(args, [f"{p}\t{h}" for p, h, _ in pairs], pairs=True)
    labels = [LABELS.index(label) for _, _, label in pairs]
    print(f"finetune: {n} pairs, {sum(map(len, rows))} tokens, {sum(map(len, rows)) / n:.1f} a pair", file=sys.stderr)
    torch_job = lambda variant, steps: run_torch(args, "finetune", variant=variant, rows=rows, labels=labels, steps=min(steps, args.steps))
    return rounds(args, f"finetune: steps of {BATCH} XNLI pairs", {
        "xlmr": lambda: xlmr_finetune(args, scratch, args.steps),
        "torch dynamic": lambda: torch_job("dynamic", args.peer_steps),
        "torch sorted": lambda: torch_job("sorted", args.peer_steps),
        "torch padded": lambda: torch_job("padded", 2)})


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


def compare_pretrain(args, scratch):
    shards = sorted((DATA / "text" / "wiki-paragraphs").glob("*.txt.gz"))
    if not shards:
        sys.exit(f"{DATA}/text/wiki-paragraphs has no *.txt.gz; set XLMR_DATA")
    run_xlmr(args, ["prepare", "--model", args.model, "--output-dir", scratch / "store", "--quiet", *shards])
    rows = wiki_blocks(args, shards, BLOCKS * args.peer_steps)
    torch_job = lambda variant, steps: run_torch(args, "pretrain", variant=variant, rows=rows, steps=min(steps, args.peer_steps))
    rounds(args, f"pretrain: updates of {BLOCKS} x {BLOCK_LEN} tokens", {
        "xlmr": lambda: xlmr_pretrain(args, scratch, args.steps),
        "torch masked": lambda: torch_job("masked", args.peer_steps),
        "torch stock": lambda: torch_job("stock", 2)})


def compare_inference(args, scratch):
    texts = [f"{p} {h}" for p, h, _ in xnli_pairs(BATCH * 4)]
    rows = token_ids(args, texts)
    words = ["features", "--model", args.model, "--output", scratch / "features.h5"]
    single = texts[:BATCH], rows[:BATCH]
    rounds(args, f"inference: last hidden states, {BATCH} texts at a time", {
        "xlmr": lambda: xlmr_marginal(args, words, texts, rows, BATCH),
        "torch": lambda: run_torch(args, "inference", rows=rows, batch=BATCH)})
    rounds(args, "inference: one text at a time", {
        "xlmr": lambda: xlmr_marginal(args, words + ["--batch-tokens", "1"], *single, first=4),
        "torch": lambda: run_torch(args, "inference", rows=single[1], batch=1)})


def compare_fill_mask(args, scratch):
    texts = MASK_TEXTS * 6
    rows = token_ids(args, texts)
    rounds(args, "fill-mask: one text at a time", {
        "xlmr": lambda: xlmr_marginal(args, ["fill-mask", "--model", args.model, "--json"], texts, rows, len(MASK_TEXTS)),
        "torch": lambda: run_torch(args, "fill-mask", rows=rows)})


def main():
    if "--child" in sys.argv:
        return child()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = {"pretrain": compare_pretrain, "finetune": compare_finetune, "inference": compare_inference, "fill-mask": compare_fill_mask}
    parser.add_argument("modes", nargs="*", metavar="mode", help="pretrain, finetune, inference, fill-mask; all by default")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10, help="training steps of xlmr")
    parser.add_argument("--peer-steps", type=int, default=4, help="of torch masked, dynamic and sorted (stock and padded do 2)")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--model", type=pathlib.Path, help="a model directory with its tokenizer, instead of a random one")
    parser.add_argument("--tokenizer", default=str(DATA / "spm" / "sentencepiece.bpe.rebuilt.model"))
    parser.add_argument("--threads", type=int, default=0, help="0: as each chooses")
    parser.add_argument("--xlmr", default=os.environ.get("XLMR", str(ROOT / "build" / "xlmr")))
    parser.add_argument("--python", default=sys.executable, help="one with torch and transformers")
    args = parser.parse_args()
    unknown = [m for m in args.modes if m not in modes]
    if unknown:
        parser.error(f"{unknown[0]}: expected {', '.join(modes)}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        if not args.model:
            args.model = scratch / "model"
            run_xlmr(args, ["init", "--preset", args.preset, "--tokenizer", args.tokenizer, "--output-dir", args.model, "--quiet"])
        versions = run_torch(args, "fill-mask", rows=token_ids(args, MASK_TEXTS[:1]))
        _, _, doctor = run_xlmr(args, ["doctor"])
        print("\n".join(line for line in doctor.splitlines() if line.split(" ")[0] in ("machine", "kernels", "blas")))
        print(f"{platform.machine()}, {os.cpu_count()} cores; torch {versions['torch']} with {versions['threads']} threads, transformers "
              f"{versions['transformers']}; xlmr with {args.threads or 'all'} threads; {args.rounds} rounds, medians")
        for name in args.modes or modes:
            modes[name](args, scratch)


if __name__ == "__main__":
    main()
