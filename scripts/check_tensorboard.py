#!/usr/bin/env python3
"""Reads the event files of a run with the real TensorBoard and compares them with its metrics.jsonl and timing.jsonl.

    python3 scripts/check_tensorboard.py RUN        # needs: pip install tensorboard

Every figure of every line has to be there once, under its step, to the last bit of a float32, and nothing else."""
import json
import math
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def float32(x):
    return struct.unpack("<f", struct.pack("<f", float(x)))[0]


def is_figure(x):
    return isinstance(x, float) or x in ("nan", "inf", "-inf")


def figures_of(line):
    """(tag, value) of a line of metrics.jsonl."""
    event = line.get("event")
    if event is None:
        yield from (("train/" + k, line[k]) for k in ("loss", "lr", "grad_norm") if k in line)
    elif event == "eval":
        yield from (("eval/" + k, v) for k, v in line.items() if is_figure(v))
        for language, figures in line.get("languages", {}).items():
            yield from (("eval/%s/%s" % (k, language), v) for k, v in figures.items() if is_figure(v))


def expected(run):
    want = {}
    for text in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        for tag, value in figures_of(line):
            want[tag, line["step"]] = float32(value)
    for text in (run / "timing.jsonl").read_text().splitlines():
        line = json.loads(text)
        for key in ("tokens_per_s", "rss_mb"):
            want["train/" + key, line["step"]] = float32(line[key])
    return want


def main():
    run = Path(sys.argv[1])
    board = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    board.Reload()
    got = [((tag, e.step), e.value) for tag in board.Tags()["scalars"] for e in board.Scalars(tag)]
    want, bad = expected(run), 0
    for key, value in got:
        wanted = want.pop(key, None)
        if wanted is None or not (wanted == value or (math.isnan(wanted) and math.isnan(value))):
            print("%s at step %d: TensorBoard has %r, the logs have %r" % (*key, value, wanted))
            bad += 1
    for key in want:
        print("%s at step %d: TensorBoard has none" % key)
    files = len(list((run / "tensorboard").glob("*tfevents*")))
    print("%d figures in %d files: %s" % (len(got), files, "%d differ, %d missing" % (bad, len(want)) if bad or want else "all as in the logs"))
    return bool(bad or want or not got)


if __name__ == "__main__":
    sys.exit(main())
