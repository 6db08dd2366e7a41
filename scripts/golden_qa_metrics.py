#!/usr/bin/env python3
"""Answers scored by the published scripts: prints tests/golden/qa_metrics.h.

    python3 scripts/golden_qa_metrics.py REFERENCES > tests/golden/qa_metrics.h

REFERENCES holds the scripts as scripts/scorers.py lays them out: squad/evaluate-v1.1.py, squad/evaluate-v2.0.py, MLQA/mlqa_evaluation_v1.py.
Hand-made cases and random ones for every set of rules, with the normalised prediction and the points; SQuAD 2.0's best thresholds; and, so that
no character is left out, checksums over all of Unicode of what the scorers ask about characters.
"""
import importlib.util
import random
import re
import sys
import unicodedata

MLQA_LANGUAGES = ["en", "es", "de", "ar", "hi", "vi", "zh"]

HAND = [
    ("The Eiffel Tower", ["Eiffel tower"]),
    ("the", ["a"]),
    ("", ["the"]),
    ("", [""]),
    ("...", ["!"]),
    ("an apple a day", ["apple day", "the apple a day"]),
    ("$1,000 <b>", ["1000 b"]),
    ("«Guillemets» – “quotes”", ["Guillemets quotes"]),
    ("x\u00a0y\u2003z\u3000w\u0085v\u001cu", ["x y z w v u"]),
    ("zero\u200bwidth\ufeff", ["zerowidth"]),
    ("\u0391\u03a3", ["\u03b1\u03c2"]),
    ("\u0391\u03a3\u0301 \u03a3 \u03a3\u0391 \u0391'\u03a3'", ["\u03b1\u03c3\u0301 \u03c3 \u03c3\u03b1 \u03b1\u03c2"]),
    ("\u0130stanbul STRASSE \u1e9e", ["i\u0307stanbul strasse \u00df"]),
    ("a\u0301 an\u0300 the\u0301", ["\u0301 \u0300 \u0301"]),
    ("cafe\u0301 the caf\u00e9", ["caf\u00e9"]),
    ("a_the the_a _a_", ["a_the"]),
    ("a1 1a \u0660a a\u00b2", ["a1"]),
    ("Der Hund und die Katze", ["Hund und Katze", "ein Hund"]),
    ("los unos y las otras", ["y otras"]),
    ("chi\u1ebfc xe c\u1ee7a nh\u1eefng ng\u01b0\u1eddi", ["xe ng\u01b0\u1eddi"]),
    (unicodedata.normalize("NFD", "chi\u1ebfc xe c\u1ee7a l\u00e0"), ["xe"]),
    ("\u0627\u0644\u0643\u062a\u0627\u0628 \u0648\u0627\u0644\u0642\u0644\u0645", ["\u0643\u062a\u0627\u0628 \u0648 \u0642\u0644\u0645"]),
    (" \u0627\u0644\u0623\u0644\u0627\u0644\u0644", ["\u0623\u0644"]),
    ("\u0939\u093f\u0928\u094d\u0926\u0940 \u0964 \u092d\u093e\u0937\u093e\u0964", ["\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e"]),
    ("1998\u5e743\u6708\uff0c\u5317\u4eac Olympic Games", ["1998 \u5e74 3 \u6708 \u5317\u4eac", "\u5317\u4eac"]),
    ("\u9fa5\u9fa6\u3400\U00020000\u4e00", ["\u9fa5", "\u9fa6\u3400\U00020000"]),
    ("\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e", ["\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e \u0e2f"]),
    ("\U0001F600 ok \U0001F1E9\U0001F1EA", ["ok"]),
    ("one two two three", ["two two two", "three one"]),
]

# What random answers are made of.
PARTS = ["a", "an", "the", "The", "A", "el", "la", "un", "der", "die", "ein", "\u0627\u0644", "\u0643\u062a\u0627\u0628", "c\u1ee7a", "l\u00e0", "\u5e74",
         "\u5317\u4eac", "\u03a3", "\u0391\u03a3", "\u0130", "\u1e9e", "\u0301", "\u200d", "\u0939\u093f", "x", "y", "7", "\u0667", "_", "-", "'", "$", "\u00ab",
         "\u3002", "\u060c", "\u0964", "\u2014", "\U0001F600", "\U00010400"]
SPACES = ["", "", " ", " ", "  ", "\t", "\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u0085", "\u001f"]
N_RANDOM = 30


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(rng, alphabet):
    return "".join(rng.choice(alphabet) + rng.choice(SPACES) for _ in range(rng.randrange(0, 7)))


def random_cases(rng):
    cases = []
    for _ in range(N_RANDOM):
        alphabet = rng.sample(PARTS, 6)     # few, so that words meet
        cases.append((answer(rng, alphabet), [answer(rng, alphabet) for _ in range(rng.randrange(1, 4))]))
    return cases


class Rules:
    def __init__(self, name, normalise, exact, f1):
        self.name, self.normalise, self.exact, self.f1 = name, normalise, exact, f1

    def points(self, prediction, gold):
        return max(int(self.exact(prediction, g)) for g in gold), float(max(self.f1(prediction, g) for g in gold))


class Squad2(Rules):
    """The script has this inside a function that reads whole files."""

    def __init__(self, script):
        super().__init__("SQuAD 2.0", script.normalize_answer, None, None)
        self.script = script

    def points(self, prediction, gold):
        data = [{"paragraphs": [{"qas": [{"id": "q", "answers": [{"text": g} for g in gold]}]}]}]
        exact, f1 = self.script.get_raw_scores(data, {"q": prediction})
        return exact["q"], float(f1["q"])


def all_rules(v1, v2, mlqa):
    yield Rules("SQuAD 1.1", v1.normalize_answer, v1.exact_match_score, v1.f1_score)
    yield Squad2(v2)
    for lang in MLQA_LANGUAGES:
        yield Rules(f"MLQA ({lang})", lambda s, lang=lang: mlqa.normalize_answer(s, lang), lambda p, g, lang=lang: mlqa.exact_match_score(p, g, lang),
                    lambda p, g, lang=lang: mlqa.f1_score(p, g, lang))


def quote(s):
    """A string of C in pieces that fit a line, all but printable ASCII in octal."""
    signs = [chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in s.encode()]
    return "\n        ".join('"' + "".join(signs[i:i + 24]) + '"' for i in range(0, max(len(signs), 1), 24))


def print_answers(rules, cases):
    print("static const char *const qa_answers[][5] = {  /* the prediction, then its gold answers */")
    for prediction, gold in cases:
        print("    { " + ",\n      ".join(quote(s) for s in [prediction, *gold]) + " },")
    print("};\nstatic const struct { const char *rules; int answers; const char *normal; double exact, f1; } qa_cases[] = {")
    for r in rules:
        for i, (prediction, gold) in enumerate(cases):
            exact, f1 = r.points(prediction, gold)
            print(f'    {{ "{r.name}", {i}, {quote(r.normalise(prediction))}, {exact}, {f1!r} }},')
    print("};")


def print_thresholds(rng, v2):
    """Questions with points, odds (with ties) and whether they have an answer; then what the script finds."""
    print("static const struct { double odds, exact, f1; int answerable, answered, last; double best[4]; } qa_odds[] = {")
    for n in (1, 2, 5, 12, 40, 40):
        ids = [f"q{i}" for i in range(n)]
        has = {q: rng.random() < 0.5 for q in ids}
        predictions = {q: "x" if rng.random() < 0.7 else "" for q in ids}
        exact = {q: rng.randrange(2) for q in ids}
        f1 = {q: max(exact[q], rng.choice([0.0, 2 / 3, 0.4, 0.1])) for q in ids}
        odds = {q: rng.choice([-1.5, -0.25, 0.5, 2.0, rng.uniform(-3, 3)]) for q in ids}
        out = {}
        v2.find_all_best_thresh(out, predictions, exact, f1, odds, has)
        best = [out[k] for k in ("best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh")]
        for q in ids:
            row = [repr(odds[q]), exact[q], repr(float(f1[q])), int(has[q]), int(bool(predictions[q])), int(q == ids[-1])]
            print("    { " + ", ".join(map(str, row)) + ", { " + ", ".join(repr(float(b)) for b in best) + " } },")
    print("};")


def print_checksums():
    """FNV-1a over what Python says of every character that is one."""
    word = re.compile(r"\w")

    def fnv(values):
        h = 0xCBF29CE484222325
        for v in values:
            h = (h ^ v) * 0x100000001B3 % (1 << 64)
        return h
    chars = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    print("/* every character: P*, \\w, white space; and its lower case between, before and after letters next to a capital sigma */")
    print(f"static const uint64_t qa_classes = 0x{fnv((unicodedata.category(c)[0] == 'P') | bool(word.match(c)) << 1 | c.isspace() << 2 for c in chars):X};")
    print(f"static const uint64_t qa_lower = 0x{fnv(b for c in chars for b in (c + 'Σ' + c + ' A' + c + 'Σ' + c + 'B').lower().encode()):X};")


def main():
    where = sys.argv[1]
    v1 = load(f"{where}/squad/evaluate-v1.1.py", "squad1")
    v2 = load(f"{where}/squad/evaluate-v2.0.py", "squad2")
    mlqa = load(f"{where}/MLQA/mlqa_evaluation_v1.py", "mlqa")
    rng = random.Random(5)
    cases = HAND + random_cases(rng)
    print(f"/* Made by scripts/golden_qa_metrics.py from the published scripts, with the Unicode database {unicodedata.unidata_version}. */")
    print_answers(list(all_rules(v1, v2, mlqa)), cases)
    print_thresholds(rng, v2)
    print_checksums()


if __name__ == "__main__":
    main()
