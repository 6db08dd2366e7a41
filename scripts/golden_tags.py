#!/usr/bin/env python3
"""Entity scores from seqeval: prints tests/golden/tags.h.

    python3 scripts/golden_tags.py > tests/golden/tags.h

Hand-made cases of what conlleval calls an entity, and random sequences of tags, regular and not; each with seqeval's entities of both sides and
its scores (average 'micro', no scheme: the default).
"""
import importlib.metadata
import warnings

import numpy as np
from seqeval.metrics import f1_score, precision_score, recall_score
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


if __name__ == "__main__":
    main()
