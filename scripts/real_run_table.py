#!/usr/bin/env python3
"""real_run_table.py OUT: mean and range over the seeds of what real_run.sh left in OUT/tags and OUT/nli."""
import collections
import json
import pathlib
import sys


def line(name, values):
    values = [100 * v for v in values]
    return f"  {name:<16} {sum(values) / len(values):6.2f}   {min(values):6.2f} to {max(values):6.2f}"


out = pathlib.Path(sys.argv[1])
runs = collections.defaultdict(list)
for path in sorted(out.glob("tags/*/eval/results.json")):
    name, lang, _ = path.parent.parent.name.rsplit("-", 2)
    runs[lang, name].append({k: v["f1"] for k, v in json.loads(path.read_text())["languages"].items()})
for (lang, name), results in sorted(runs.items()):
    print(f"entity F1, tagged after 2,000 sentences of {lang}, {name} weights, {len(results)} seeds: mean, range")
    for other in results[0]:
        print(line(other, [r[other] for r in results]))
    print(line("zero-shot mean", [sum(v for k, v in r.items() if k != lang) / (len(r) - 1) for r in results]))
for name in ("pretrained", "random"):
    best = [json.loads(p.read_text())["best"] for p in sorted(out.glob(f"nli/{name}-s*.json"))]
    if best:
        print(f"accuracy, OCNLI, {name} weights, {len(best)} seeds: mean, range\n" + line("zh", best))
