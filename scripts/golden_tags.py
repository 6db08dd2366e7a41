#!/usr/bin/env python3
"""Entity scores from seqeval: prints tests/golden/tags.h.

    python3 scripts/golden_tags.py > tests/golden/tags.h

Hand-made cases of what conlleval calls an entity, and random sequences of tags, regular and not; each with seqeval's entities of both sides, its
scores (average 'micro', no scheme: the default) and its report by type. Then, by scheme, random sequences and seqeval's strict report of them
(mode='strict'). Then labels that are no tags of entities, as XTREME scores parts of speech: F1 of this seqeval, and of 0.0.12 in the folder that is
given:

    pip install --no-deps --target /tmp/seqeval-0 seqeval==0.0.12
    python3 scripts/golden_tags.py /tmp/seqeval-0 > tests/golden/tags.h
"""
import importlib.metadata
import importlib.util
import os
import sys
import warnings

import numpy as np
from seqeval import scheme
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

warnings.filterwarnings("ignore")

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-LOC", "E-LOC", "S-PER", "B-A-B", "I-A-B", "B", "I"]

HAND = [
    ("equal", ["B-PER I-PER O B-LOC"], ["B-PER I-PER O B-LOC"]),
    ("I after O begins", ["B-PER I-PER O"], ["I-PER I-PER O"]),
    ("I of another type begins", ["B-PER B-LOC I-LOC"], ["B-PER I-LOC I-LOC"]),
    ("B after B of one type", ["B-PER B-PER O"], ["B-PER I-PER O"]),
    ("two sentences are not one", ["O B-LOC", "I-LOC O"], ["O B-LOC", "I-LOC O"]),
    ("a cut at the border", ["B-LOC I-LOC", "O"], ["B-LOC O", "I-LOC"]),
    ("right type, wrong end", ["B-LOC I-LOC I-LOC"], ["B-LOC I-LOC O"]),
    ("right words, wrong type", ["B-LOC I-LOC"], ["B-PER I-PER"]),
    ("nothing predicted", ["B-LOC I-LOC O"], ["O O O"]),
    ("nothing there", ["O O O"], ["O B-PER O"]),
    ("nothing at all", ["O O"], ["O O"]),
    ("dashes in the type", ["B-A-B I-A-B O"], ["B-A-B I-A-B O"]),
    ("no type", ["B I O I"], ["B I O B"]),
    ("IOBES", ["B-PER I-PER E-PER S-LOC S-LOC O"], ["B-PER I-PER E-PER S-LOC O S-LOC"]),
    ("E and S in odd places", ["E-PER I-PER S-PER I-PER E-PER E-PER"], ["B-PER E-PER S-PER E-PER I-PER E-LOC"]),
]


SCHEMES = {
    "IOB1": (scheme.IOB1, ["O", "I-PER", "B-PER", "I-LOC", "B-LOC"]),
    "IOB2": (scheme.IOB2, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]),
    "IOE2": (scheme.IOE2, ["O", "I-PER", "E-PER", "I-LOC", "E-LOC"]),
    "IOBES": (scheme.IOBES, ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]),
    "BILOU": (scheme.BILOU, ["O", "B-PER", "I-PER", "L-PER", "U-PER", "B-LOC", "I-LOC", "L-LOC", "U-LOC"]),
}
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()


def old_f1(folder):
    """f1_score of the seqeval in a folder beside this one."""
    spec = importlib.util.spec_from_file_location("old_seqeval", os.path.join(folder, "seqeval", "metrics", "sequence_labeling.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.f1_score


def entities_as_tags(rng, name, n):
    """A sentence of n words that keeps to the scheme."""
    out, last = [], None
    while len(out) < n:
        kind, size = ("PER", "LOC")[int(rng.integers(0, 2))], int(rng.integers(0, 4))
        size = min(size, n - len(out))
        inner = [f"I-{kind}"] * size
        if size == 0:
            inner, kind = ["O"], None
        elif name == "IOB1":
            inner[0] = f"B-{kind}" if last == kind else inner[0]
        elif name == "IOB2":
            inner[0] = f"B-{kind}"
        elif name == "IOE2":
            inner[-1] = f"E-{kind}"
        else:
            single, final = ("S", "E") if name == "IOBES" else ("U", "L")
            inner[0], inner[-1] = f"B-{kind}", f"{final}-{kind}"
            inner = [f"{single}-{kind}"] if size == 1 else inner
        out += inner
        last = kind
    return out


def report_rows(gold, predicted, **how):
    """name, precision, recall, F1, support of every type and of 'micro avg' and 'macro avg'."""
    report = classification_report(gold, predicted, output_dict=True, **how)
    for name, row in report.items():
        if name != "weighted avg":
            yield name.split(" ")[0] if name.endswith(" avg") else name, *(float(row[k]) for k in ("precision", "recall", "f1-score")), int(row["support"])


def print_reports(reports):
    print("/* precision, recall, F1 and support of each type, then 'micro' and 'macro' */")
    print("static const struct { int set; const char *name; double precision, recall, f1; int support; } tag_reports[] = {")
    for k, rows in enumerate(reports):
        for name, p, r, f, support in rows:
            print(f'    {{ {k}, "{name}", {p!r}, {r!r}, {f!r}, {support} }},')
    print("};")


def print_reports_default(gold, predicted):
    print("static const struct { const char *name; double precision, recall, f1; int support; } tag_types[] = {")
    for name, p, r, f, support in report_rows(gold, predicted):
        print(f'    {{ "{name}", {p!r}, {r!r}, {f!r}, {support} }},')
    print("};")


def print_strict(rng):
    """For each scheme 60 sentences whose gold tags keep to it, and predictions of which some do not."""
    gold, predicted, reports = [], [], []
    for name, (kind, tags) in SCHEMES.items():
        g = [entities_as_tags(rng, name, int(rng.integers(1, 13))) for _ in range(60)]
        p = [[t if rng.random() < 0.85 else tags[int(rng.integers(0, len(tags)))] for t in s] for s in g]
        g[50:] = [[tags[int(rng.integers(0, len(tags)))] for _ in s] for s in g[50:]]       # the last ten are odd on both sides
        gold.append(g)
        predicted.append(p)
        reports.append(list(report_rows(g, p, mode="strict", scheme=kind)))
    names = sorted({t for _, tags in SCHEMES.values() for t in tags})
    print("static const char *const strict_names[] = {\n    " + ", ".join(f'"{t}"' for t in names) + ",\n};")
    print("static const char *const strict_schemes[] = { " + ", ".join(f'"{s}"' for s in SCHEMES) + " };")
    ints("strict_gold", (names.index(t) for g in gold for s in g for t in s))
    ints("strict_predicted", (names.index(t) for p in predicted for s in p for t in s))
    ints("strict_lengths", (len(s) for g in gold for s in g))
    print_reports(reports)


def print_raw(rng, folder):
    """Parts of speech as XTREME scores them."""
    cases = []
    for share in (0.9, 0.5, 0.0):
        g = [[UPOS[int(k)] for k in rng.choice(len(UPOS), rng.integers(1, 15), p=[0.05] * 15 + [0.1, 0.15])] for _ in range(40)]
        cases.append((g, [[t if rng.random() < share else UPOS[int(rng.integers(0, len(UPOS)))] for t in s] for s in g]))
    print("static const char *const raw_names[] = {\n    " + ", ".join(f'"{t}"' for t in UPOS) + ",\n};")
    ints("raw_gold", (UPOS.index(t) for g, _ in cases for s in g for t in s))
    ints("raw_predicted", (UPOS.index(t) for _, p in cases for s in p for t in s))
    ints("raw_lengths", (len(s) for g, _ in cases for s in g))
    old = old_f1(folder)
    print("/* 40 sentences each: F1 of this seqeval and of 0.0.12 */")
    print("static const struct { double seqeval_1, seqeval_0; } raw_cases[] = {")
    for g, p in cases:
        print(f"    {{ {float(f1_score(g, p))!r}, {float(old(g, p))!r} }},")
    print("};")


def split(sentences):
    return [s.split() for s in sentences]


def ints(name, values):
    values = list(values)
    print(f"static const int {name}[] = {{")
    for i in range(0, len(values), 24):
        print("    " + ", ".join(str(int(v)) for v in values[i:i + 24]) + ",")
    print("};")


def random_case(rng, tags, share):
    """Sentences of 0 to 12 words, from seven tags or from all; the prediction keeps about `share` of the gold tags."""
    gold = [[tags[int(k)] for k in rng.integers(0, len(tags), rng.integers(1, 13))] for _ in range(30)]
    predicted = [[t if rng.random() < share else tags[int(rng.integers(0, len(tags)))] for t in s] for s in gold]
    return gold, predicted


def main():
    rng = np.random.default_rng(11)
    cases = [(name, split(g), split(p)) for name, g, p in HAND]
    for name, tags, share in (("random", TAGS[:5], 0.7), ("mostly right", TAGS[:5], 0.95), ("random of all", TAGS, 0.8), ("all wrong", TAGS, 0.0)):
        cases.append((name, *random_case(rng, tags, share)))
    print(f"/* Made by scripts/golden_tags.py: seqeval {importlib.metadata.version('seqeval')}. */")
    print("static const char *const tag_names[] = {\n    " + ", ".join(f'"{t}"' for t in TAGS) + ",\n};")
    ints("tag_gold", (TAGS.index(t) for _, g, _ in cases for s in g for t in s))
    ints("tag_predicted", (TAGS.index(t) for _, _, p in cases for s in p for t in s))
    ints("tag_lengths", (len(s) for _, g, _ in cases for s in g))
    print("/* entities of the gold tags: case, sentence in it, first word, last word, and the tag whose type it has */")
    rows = []
    for c, (_, gold, _) in enumerate(cases):
        for k, s in enumerate(gold):
            for kind, begin, end in get_entities(s):
                rows += [c, k, begin, end, TAGS.index(s[begin])]
                assert (TAGS[rows[-1]].split("-", 1) + ["_"])[1] == kind
    ints("tag_entities", rows)
    print("static const struct { const char *name; int sentences; double precision, recall, f1; } tag_cases[] = {")
    for name, g, p in cases:
        scores = ", ".join(repr(float(f(g, p))) for f in (precision_score, recall_score, f1_score))
        print(f'    {{ "{name}", {len(g)}, {scores} }},')
    print("};")
    print("/* of the case 'random of all', by type */")
    print_reports_default(*next((g, p) for name, g, p in cases if name == "random of all"))
    print_strict(np.random.default_rng(12))
    print_raw(np.random.default_rng(13), sys.argv[1])


if __name__ == "__main__":
    main()
