#!/usr/bin/env python3
"""The same works in transformers on PyTorch, for bench/peers.py: a job as JSON on standard input, its figures as JSON on standard output.

pretrain   stock: XLMRobertaForMaskedLM with labels, so logits at every position; masked: the same encoder, the head by hand at masked positions only
finetune   padded: every batch padded to 128, AdamW as older Trainers make it (foreach); dynamic: padded to the longest of the batch; sorted: the same over
           batches of examples of like length
inference  last hidden states, rows sorted by length, `batch` at a time, padded to the longest of the batch; and one at a time. padded: rows as they come,
           padded to 128, and none one at a time
fill-mask  five candidates for a mask, one text at a time

But for stock and padded: fused AdamW, flushed denormals, attention by scaled_dot_product_attention. kind bf16: autocast in training, weights in bf16 for
inference. compile: torch.compile with dynamic shapes; the first steps, in which it compiles, do not count.

Run by itself it hands its arguments to bench/peers.py.
"""
import json
import os
import sys
import time

BATCH, MAX_LEN = 32, 128
BLOCKS, BLOCK_LEN = 4, 512          # of a masked-LM update


def batch_of(torch, rows, width=None):
    width = width or max(map(len, rows))
    ids = torch.tensor([r + [1] * (width - len(r)) for r in rows])
    return {"input_ids": ids, "attention_mask": (ids != 1).long()}


def adamw(torch, model, rate, decay, fused):
    plain = lambda name: "bias" in name or "layernorm" in name.lower() or "layer_norm" in name
    groups = [{"params": [p for n, p in model.named_parameters() if not plain(n)], "weight_decay": decay},
              {"params": [p for n, p in model.named_parameters() if plain(n)], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, **({"fused": True} if fused else {}))


def autocast(torch, job):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=job["kind"] == "bf16")


def timed_steps(job, step):
    """step(k) does the k-th and returns its tokens and loss; rates of those after the first, after three where they compile."""
    rates, skip = [], 3 if job.get("compile") else 1
    for k in range(job["steps"] + skip - 1):
        start = time.monotonic()
        tokens, loss = step(k)
        if k >= skip:
            rates.append(tokens / (time.monotonic() - start))
    return {"rates": rates, "loss": loss}


def finetune(torch, transformers, job):
    rows, labels, variant = job["rows"], job["labels"], job["variant"]
    order = list(range(len(rows)))
    if variant == "sorted":
        order.sort(key=lambda i: len(rows[i]))
        chunks = [order[i:i + BATCH] for i in range(0, len(order), BATCH)]
        stride = max(1, len(chunks) // job["steps"])
        order = [i for c in chunks[stride // 2::stride] for i in c]      # short and long steps alike
    model = transformers.XLMRobertaForSequenceClassification.from_pretrained(job["model"], num_labels=3).train()
    optimizer = adamw(torch, model, 2e-5, 0.0, variant != "padded")
    forward = torch.compile(model, dynamic=True) if job.get("compile") else model

    def step(k):
        part = order[k * BATCH % len(order):][:BATCH]
        batch = batch_of(torch, [rows[i] for i in part], MAX_LEN if variant == "padded" else None)
        with autocast(torch, job):
            loss = forward(**batch, labels=torch.tensor([labels[i] for i in part])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return sum(len(rows[i]) for i in part), loss.item()
    return timed_steps(job, step)


def pretrain(torch, transformers, job):
    model = transformers.XLMRobertaForMaskedLM.from_pretrained(job["model"]).train()
    optimizer = adamw(torch, model, 1e-4, 0.01, True)
    generator = torch.Generator().manual_seed(1)
    encoder = torch.compile(model.roberta) if job.get("compile") else model.roberta

    def step(k):
        blocks = torch.tensor(job["rows"][k * BLOCKS % len(job["rows"]):][:BLOCKS])
        chosen = torch.rand(blocks.shape, generator=generator) < 0.15
        ids = torch.where(chosen, model.config.vocab_size - 1, blocks)
        with autocast(torch, job):
            if job["variant"] == "stock":
                loss = model(input_ids=ids, labels=torch.where(chosen, blocks, -100)).loss
            else:
                logits = model.lm_head(encoder(input_ids=ids).last_hidden_state[chosen])
                loss = torch.nn.functional.cross_entropy(logits, blocks[chosen])
                del logits
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return blocks.numel(), loss.item()
    return timed_steps(job, step)


def inference(torch, transformers, job):
    started = time.monotonic()
    model = transformers.XLMRobertaModel.from_pretrained(job["model"], add_pooling_layer=False).eval()
    if job["kind"] == "bf16":
        model = model.bfloat16()
    out = {"start_s": time.monotonic() - started}
    encoder = torch.compile(model, dynamic=True) if job.get("compile") else model
    with torch.inference_mode():
        padded = job.get("variant") == "padded"
        run = lambda rows: encoder(**batch_of(torch, rows, MAX_LEN if padded else None)).last_hidden_state.float().numpy()
        out["first"] = run([job["rows"][0]])[0, 0].tolist()
        works = [("batches", job["rows"] if padded else sorted(job["rows"], key=len), job["batch"]), ("single", job["rows"][:job["single"]], 1)]
        for name, rows, n in works[:1 if padded else 2]:
            run(rows[:n])
            if job.get("compile"):
                run(rows[-n:])
            start = time.monotonic()
            for i in range(0, len(rows), n):
                run(rows[i:i + n])
            out[name] = sum(map(len, rows)) / (time.monotonic() - start)
    return out


def fill_mask(torch, transformers, job):
    started = time.monotonic()
    model = transformers.XLMRobertaForMaskedLM.from_pretrained(job["model"]).eval()
    loaded, mask = time.monotonic() - started, model.config.vocab_size - 1
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
    job = json.load(sys.stdin)
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if job["threads"]:
        torch.set_num_threads(job["threads"])
    if job.get("variant") not in ("stock", "padded"):
        torch.set_flush_denormal(True)
    with open(os.dup(1), "w") as answer:        # libraries print to standard output
        os.dup2(2, 1)
        out = {"pretrain": pretrain, "finetune": finetune, "inference": inference, "fill-mask": fill_mask}[job["mode"]](torch, transformers, job)
        peak = [int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")]
        json.dump(out | {"peak_mb": peak[0], "version": f"torch {torch.__version__}, {torch.get_num_threads()} threads, transformers {transformers.__version__}"},
                  answer)


if __name__ == "__main__":
    if "--child" in sys.argv:
        child()
    else:
        import peers
        peers.main()
