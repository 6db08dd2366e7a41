#!/usr/bin/env python3
"""xlmr's scorers against the reference scorers, to the last digit.

    python3 scripts/scorers.py --install REFERENCES                      # once: clones and installs the reference scorers, outside the tree
    python3 scripts/scorers.py REFERENCES --data DATA [--sets 1000]      # needs build/xlmr

The same files of predictions go through `xlmr evaluate --predictions` and through the SQuAD scripts, MLQA's script, seqeval, scikit-learn and XTREME's
evaluate.py:

1. every labelled file of questions, tags and pairs under DATA (qa/, ner/panx/, pos/, xnli/);
2. random and adversarial sets: empty answers, punctuation only, articles only, other white space, decomposed and mixed scripts, left-out and
   unknown ids, tags that no scheme allows, classes that the gold labels lack;
3. XTREME's own mock submission: scored, and the folder that xlmr writes from it given to XTREME's evaluate().

Counts of questions, sums of points and entities must be equal bit by bit; means of scikit-learn, which adds in another order, within 4 units of the last place.
"""
import argparse
import collections
import contextlib
import gzip
import importlib.metadata
import importlib.util
import io
import json
import math
import os
import random
import re
import string
import subprocess
import sys
import tempfile
import unicodedata
import warnings
from pathlib import Path

CLONES = {"xtreme": "google-research/xtreme", "MLQA": "facebookresearch/MLQA", "bi-att-flow": "allenai/bi-att-flow",
          "question-generation": "pavanchhatpar/question-generation"}
SCRIPTS = {"squad/evaluate-v1.1.py": "bi-att-flow/squad/evaluate-v1.1.py", "squad/evaluate-v2.0.py": "question-generation/evaluate-v2.0.py"}
MLQA_LANGUAGES = ["en", "es", "de", "ar", "hi", "vi", "zh"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-LOC", "B-A-B", "I-A-B", "B", "I"]
CLASSES = ["entailment", "neutral", "contradiction"]
QUESTIONS, SENTENCES, PAIRS = 40, 25, 60    # of a random set
BATCH = 50                                  # sets in one run of xlmr


def install(where):
    """What is there already stays as it is."""
    for name, repository in CLONES.items():
        if not (where / name).exists():
            subprocess.run(["git", "clone", "--depth", "1", f"https://github.com/{repository}", str(where / name)], check=True)
    (where / "squad").mkdir(exist_ok=True)
    for script, source in SCRIPTS.items():
        if not (where / script).exists():
            (where / script).write_bytes((where / source).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(where / "site"), "seqeval", "scikit-learn"], check=True)


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stderr(io.StringIO()):
        spec.loader.exec_module(module)
    return module


class References:
    def __init__(self, where):
        sys.path[:0] = [str(where / "xtreme"), str(where / "site")]
        self.squad1 = load(where / "squad/evaluate-v1.1.py", "squad1")
        self.squad2 = load(where / "squad/evaluate-v2.0.py", "squad2")
        self.mlqa = load(where / "MLQA/mlqa_evaluation_v1.py", "mlqa")
        self.xtreme = load(where / "xtreme/evaluate.py", "xtreme_evaluate")
        self.mock = where / "xtreme/mock_test_data"
        import seqeval.metrics
        import seqeval.scheme
        import sklearn.metrics
        self.seqeval, self.schemes, self.sklearn = seqeval.metrics, seqeval.scheme, sklearn.metrics


class Xlmr:
    def __init__(self, program):
        self.program, self.runs = program, 0

    def run(self, task, data, predictions, *more):
        self.runs += 1
        command = [self.program, "evaluate", "--quiet", "--json", "--task", task, "--data-dir", str(data), "--predictions", str(predictions), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def scores(self, task, data, predictions, *more):
        """The languages of results.json."""
        done = self.run(task, data, predictions, *more)
        if done.returncode:
            sys.exit(f"xlmr evaluate --task {task}: exit {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)["languages"]


class Tally:
    """What was compared, and what was not equal."""

    def __init__(self):
        self.equal, self.different, self.furthest = collections.Counter(), [], 0.0

    def same(self, group, what, ours, theirs):
        if ours == theirs and not (isinstance(ours, float) and math.isnan(ours)):
            self.equal[group] += 1
        else:
            self.different.append(f"{group}: {what}: xlmr {ours!r}, reference {theirs!r}")

    def near(self, group, what, ours, theirs):
        distance = abs(ours - theirs) / math.ulp(max(abs(theirs), 2.0 ** -52))
        self.furthest = max(self.furthest, distance)
        self.same(group, what, ours if distance > 4 else theirs, theirs)


# --- questions ----------------------------------------------------------------------------------------------------------------------------------------

def questions_of(dataset):
    return [(p["context"], q) for a in dataset["data"] for p in a["paragraphs"] for q in p["qas"]]


def dataset_of(questions):
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": c, "qas": [q]} for c, q in questions]}]}


ARTICLES = "a an the The un una unos el la los las của là cái chiếc những ein eine einen einem eines einer der die das den dem des ال".split()
SPACES = ["\t", "\n", "\x0b", "\x1c", "\x1f", "\x85", "\u00a0", "\u1680", "\u2003", "\u2028", "\u202f", "\u3000", "\u200b", "\ufeff"]
SCRIPTS_OF_MANY = ["Olympia 1998", "北京2008年", "кит", "ไทย", "हिन्दी भाषा", "العربية"]
MARKS = list(string.punctuation) + list("«»“”‘’–—…¿¡。，、「」؟،۔।॥・›")
ODD = ["Σ", "ΑΣ", "ΣΑΣ\u0301", "İ", "ẞ", "ß", "ǅ", "\u0301", "\u200d", "\u200f", "\U0001F600", "\U00010400", "\U00020000", "龥", "龦", "㐀", "一", "é", "½", "Ⅷ", "_",
       "٣"]


def any_character(rng):
    while True:
        c = rng.choice([rng.randrange(1, 0x3000), rng.randrange(1, 0x110000)])
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def spans(rng, context):
    begin = rng.randrange(len(context))
    return context[begin:begin + rng.randrange(1, 40)]


def disturbed(rng, context, gold):
    """One prediction: near the gold answer, far from it, or nothing sensible."""
    words = gold.split() or [gold]
    kind = rng.randrange(16)
    if kind == 0:
        return gold
    if kind == 1:
        return gold.upper() if rng.random() < 0.5 else gold.title()
    if kind == 2:
        return rng.choice(MARKS) + gold + rng.choice(MARKS)
    if kind == 3:
        return rng.choice(SPACES).join(words) + rng.choice(SPACES)
    if kind == 4:
        return rng.choice(ARTICLES) + rng.choice([" ", "", "-", "\u00a0"]) + gold
    if kind == 5:
        return ""
    if kind == 6:
        return "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 6)))
    if kind == 7:
        return " ".join(rng.choice(ARTICLES) for _ in range(rng.randrange(1, 5)))
    if kind == 8:
        return unicodedata.normalize(rng.choice(["NFD", "NFKD", "NFC"]), gold)
    if kind == 9:
        return gold + rng.choice(["", " "]) + rng.choice(ODD) + rng.choice(SCRIPTS_OF_MANY)
    if kind == 10:
        return " ".join(rng.choice(words) for _ in range(rng.randrange(1, 8)))
    if kind == 11:
        return gold[rng.randrange(len(gold)):] if gold else ""
    if kind == 12:
        return "".join(rng.choice([any_character(rng), rng.choice(SPACES), rng.choice(ODD), gold[:3]]) for _ in range(rng.randrange(1, 9)))
    return spans(rng, context)


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")


def quietly(function, *arguments):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


class Questions:
    """Sets of one run of xlmr: the gold file and the predictions of each stand under a language."""

    def __init__(self, refs, xlmr, tally, task, pattern):
        self.refs, self.xlmr, self.tally, self.task, self.pattern = refs, xlmr, tally, task, pattern
        self.folder = tempfile.TemporaryDirectory()
        self.at = Path(self.folder.name)
        self.sets = {}

    def add(self, language, dataset, predictions, odds=None):
        write(self.at / "data" / self.pattern.format(language), dataset)
        write(self.at / "p" / f"test-{language}.json", predictions)
        if odds:
            write(self.at / "p" / f"null_odds-test-{language}.json", odds)
        self.sets[language] = dataset["data"], predictions, odds

    def compare(self, group):
        if self.sets:
            scores = self.xlmr.scores(self.task, self.at / "data", self.at / "p", "--missing-predictions", "wrong")
            for language, (data, predictions, odds) in self.sets.items():
                self.compare_one(group, language, scores[language], data, predictions, odds)
        self.folder.cleanup()

    def compare_one(self, group, language, ours, data, predictions, odds):
        if ours["rules"] == "SQuAD 2.0":
            return self.compare_squad2(group, ours, data, predictions, odds)
        if self.task == "mlqa":
            theirs = quietly(self.refs.mlqa.evaluate, data, predictions, language)
            self.tally.same(group, "xtreme", quietly(self.refs.xtreme.mlqa_em_f1, data, predictions, language), theirs)
        else:
            theirs = quietly(self.refs.squad1.evaluate, data, predictions)
            self.tally.same(group, "xtreme", quietly(self.refs.xtreme.squad_em_f1, data, predictions), theirs)
        self.sums(group, f"{self.task} {language}", ours["all"], theirs["exact_match"], theirs["f1"])

    def sums(self, group, what, ours, exact, f1):
        self.tally.same(group, what + " EM", 100.0 * ours["exact_sum"] / ours["n"], float(exact))
        self.tally.same(group, what + " F1", 100.0 * ours["f1_sum"] / ours["n"], float(f1))

    def compare_squad2(self, group, ours, data, predictions, odds):
        script = self.refs.squad2
        has = script.make_qid_to_has_ans(data)
        exact, f1 = quietly(script.get_raw_scores, data, predictions)
        for part, ids in (("all", None), ("answerable", [k for k, v in has.items() if v]), ("unanswerable", [k for k, v in has.items() if not v])):
            if ids is None or ids:
                theirs = script.make_eval_dict(exact, f1, qid_list=ids)
                self.sums(group, f"squad 2.0 {part}", ours[part], theirs["exact"], theirs["f1"])
        best = {}
        script.find_all_best_thresh(best, predictions, exact, f1, odds, has)
        n = ours["all"]["n"]
        for name in ("exact", "f1"):
            self.tally.same(group, f"best {name}", 100.0 * ours["best"][name + "_sum"] / n, float(best["best_" + name]))
            self.tally.same(group, f"best {name} threshold", ours["best"][name + "_threshold"], float(best[f"best_{name}_thresh"]))


def read_json(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as f:
        return json.load(f)


def labelled(path):
    """The questions of a file that have an answer or are said to have none."""
    return [(c, q) for c, q in questions_of(read_json(path)) if q.get("is_impossible") or any(a["text"] for a in q.get("answers", []))]


def gold_text(question, rng):
    return rng.choice(question["answers"])["text"] if question["answers"] else ""


def whole_files(refs, xlmr, tally, data, rng):
    """Each file once, every question of it, with predictions near and far."""
    for path in sorted((data / "qa").glob("*/*.json.gz")):
        language = path.name.split("-")[2] if path.parent.name == "mlqa" else "x"
        questions = labelled(path)
        seen = {}
        questions = [(c, seen.setdefault(q["id"], q)) for c, q in questions if q["id"] not in seen]
        if not questions:
            continue        # TyDi's dev files carry no answers
        predictions = {q["id"]: disturbed(rng, c, gold_text(q, rng)) for c, q in questions}
        impossible = any(q.get("is_impossible") for _, q in questions)
        task = "mlqa" if path.parent.name == "mlqa" else "qa" if impossible else "xquad"
        files = Questions(refs, xlmr, tally, task, "test-{}.json")
        files.add(language, dataset_of(questions), predictions, {q["id"]: rng.uniform(-3, 3) for _, q in questions} if impossible else None)
        files.compare(f"questions, {path.parent.name}")


def pool(paths):
    return [pair for path in paths for pair in labelled(path)]


def adversarial_gold(rng, question):
    """Some gold answers of which nothing remains, too."""
    if question["answers"] and rng.random() < 0.05:
        question = dict(question, answers=question["answers"] + [{"text": rng.choice(["the", "...", "«»", "ال", "a an"]), "answer_start": 0}])
    return question


def random_questions(rng, source, missing):
    chosen = rng.sample(source, min(QUESTIONS, len(source)))
    questions = [(c, dict(adversarial_gold(rng, q), id=f"q{i}")) for i, (c, q) in enumerate(chosen)]
    predictions = {q["id"]: disturbed(rng, c, gold_text(q, rng)) for c, q in questions if not missing or rng.random() < 0.9}
    return dataset_of(questions), predictions or {"q0": ""}


def random_squad1(refs, xlmr, tally, sources, rng, n):
    for begin in range(0, n, BATCH):
        sets = Questions(refs, xlmr, tally, "xquad", "xquad.{}.json")
        for k in range(begin, min(begin + BATCH, n)):
            sets.add(f"set{k}", *random_questions(rng, rng.choice(sources), k % 2))
        sets.compare("random questions, SQuAD 1.1's rules")


def random_squad2(refs, xlmr, tally, source, rng, n):
    for begin in range(0, n, BATCH):
        sets = Questions(refs, xlmr, tally, "qa", "test-{}.json")
        for k in range(begin, min(begin + BATCH, n)):
            dataset, predictions = random_questions(rng, source, 0)
            sets.add(f"set{k}", dataset, predictions, {i: rng.choice([-1.5, 0.0, 0.25, rng.uniform(-5, 5)]) for i in predictions})
        sets.compare("random questions, SQuAD 2.0's rules")


def random_mlqa(refs, xlmr, tally, by_language, rng, n):
    for k in range(0, n, len(MLQA_LANGUAGES)):
        sets = Questions(refs, xlmr, tally, "mlqa", "test-context-{0}-question-{0}.json")
        for language in MLQA_LANGUAGES[:n - k]:
            sets.add(language, *random_questions(rng, by_language[language], k % 2))
        sets.compare("random questions, MLQA's rules")


def refusals(xlmr, tally, source, rng, n):
    """Ids that are of no question, and without --missing-predictions those left out."""
    for k in range(n):
        with tempfile.TemporaryDirectory() as folder:
            dataset, predictions = random_questions(rng, source, 0)
            if k % 2:
                predictions[f"unknown{k}"] = "x"
            else:
                predictions.pop(rng.choice(list(predictions)))
            write(Path(folder) / "d/test-en.json", dataset)
            write(Path(folder) / "p.json", predictions)
            tally.same("refused: unknown and left-out ids", "exit code", xlmr.run("xquad", Path(folder) / "d", Path(folder) / "p.json").returncode, 65)


# --- tags and classes ---------------------------------------------------------------------------------------------------------------------------------

def sentences_of(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        blocks = re.split(r"\n(?: *\n)+", f.read().strip("\n"))
    return [[line.split("\t")[1].strip() for line in block.split("\n")] for block in blocks]


def tags_text(sentences, words):
    return "\n".join("".join(("w\t" if words else "") + tag + "\n" for tag in s) for s in sentences)


class Tagged:
    def __init__(self, refs, xlmr, tally, task):
        self.refs, self.xlmr, self.tally, self.task, self.sets = refs, xlmr, tally, task, {}
        self.folder = tempfile.TemporaryDirectory()
        self.at = Path(self.folder.name)

    def add(self, language, gold, predicted):
        write(self.at / "data" / f"test-{language}.tsv", tags_text(gold, True))
        write(self.at / "p" / f"test-{language}.tsv", tags_text(predicted, False))
        self.sets[language] = gold, predicted

    def compare(self, group):
        scores = self.xlmr.scores(self.task, self.at / "data", self.at / "p")
        compare = self.entities if self.task == "panx" else self.parts_of_speech
        for language, (gold, predicted) in self.sets.items():
            compare(group, language, scores[language], gold, predicted)
        self.folder.cleanup()

    def entities(self, group, language, ours, gold, predicted):
        theirs = self.refs.xtreme.f1(gold, predicted)
        scheme = {"IOB1": "IOB1", "IOB2": "IOB2", "IOBES": "IOBES"}.get(ours["scheme"])
        prefixes = {t[0] for s in gold + predicted for t in s}
        strict = scheme and prefixes <= set("IOBES" if scheme == "IOBES" else "IOB")    # others are errors to seqeval
        for name in ("precision", "recall", "f1"):
            score = getattr(self.refs.seqeval, name + "_score")
            self.tally.same(group, f"{language} {name}", ours[name], float(score(gold, predicted)))
            self.tally.same(group, f"{language} {name}, xtreme", ours[name] * 100, float(theirs[name]))
            if strict:
                kind = getattr(self.refs.schemes, scheme)
                theirs_strict = float(score(gold, predicted, mode="strict", scheme=kind))
                self.tally.same(group + ", strict", f"{language} {scheme} {name}", ours[name + "_strict"], theirs_strict)

    def parts_of_speech(self, group, language, ours, gold, predicted):
        flat = [[t for s in side for t in s] for side in (gold, predicted)]
        self.tally.same(group, f"{language} accuracy", ours["accuracy"], float(self.refs.sklearn.accuracy_score(*flat)))
        self.tally.same(group, f"{language} F1, xtreme", ours["f1_xtreme"] * 100, float(self.refs.xtreme.f1(gold, predicted)["f1"]))
        self.tally.near(group, f"{language} macro F1", ours["f1_macro"], float(self.refs.sklearn.f1_score(*flat, average="macro", zero_division=0)))


def other_tags(rng, sentences, tags, share):
    return [[t if rng.random() < share else rng.choice(tags) for t in s] for s in sentences]


def tagged_files(refs, xlmr, tally, data, rng):
    sets = Tagged(refs, xlmr, tally, "panx")
    for path in sorted((data / "ner/panx").glob("dev-*.gz")):
        gold = sentences_of(path)
        tags = sorted({t for s in gold for t in s})
        sets.add(f"file{len(sets.sets)}", gold, other_tags(rng, gold, tags, 0.85))
    if sets.sets:
        sets.compare("tags, every file of ner/panx")


def treebank(path):
    """Column 4 of CoNLL-U's words."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        blocks = f.read().strip("\n").split("\n\n")
    return [[row.split("\t")[3] for row in block.split("\n") if row.split("\t")[0].isdigit()] for block in blocks]


def treebanks(refs, xlmr, tally, data, rng):
    sets = Tagged(refs, xlmr, tally, "udpos")
    for path in sorted((data / "pos").glob("*/*-test.conllu.gz")):
        gold = treebank(path)
        sets.add(f"file{len(sets.sets)}", gold, other_tags(rng, gold, sorted({t for s in gold for t in s}), 0.9))
    if sets.sets:
        sets.compare("parts of speech, every test file of pos")


def random_tags(refs, xlmr, tally, rng, n):
    for begin in range(0, n, BATCH):
        sets = Tagged(refs, xlmr, tally, "panx")
        for k in range(begin, min(begin + BATCH, n)):
            tags = TAGS if k % 3 else TAGS[:5]
            gold = [[rng.choice(tags) for _ in range(rng.randrange(1, 14))] for _ in range(SENTENCES)]
            sets.add(f"set{k}", gold, other_tags(rng, gold, tags if k % 7 else ["O"], rng.choice([0.0, 0.5, 0.9, 1.0])))
        sets.compare("random tags")


class Classified:
    def __init__(self, refs, xlmr, tally):
        self.refs, self.xlmr, self.tally, self.sets = refs, xlmr, tally, {}
        self.folder = tempfile.TemporaryDirectory()
        self.at = Path(self.folder.name)

    def add(self, language, gold, predicted):
        write(self.at / "data" / f"test-{language}.tsv", "".join(f"a\tb\t{g}\n" for g in gold))
        write(self.at / "p" / f"test-{language}.tsv", "".join(f"{p}\n" for p in predicted))
        self.sets[language] = gold, predicted

    def compare(self, group):
        scores = self.xlmr.scores("xnli", self.at / "data", self.at / "p")
        for language, (gold, predicted) in self.sets.items():
            ours, metrics = scores[language], self.refs.sklearn
            self.tally.same(group, "accuracy, xtreme", ours["accuracy"] * 100, self.refs.xtreme.accuracy(gold, predicted)["accuracy"])
            self.tally.near(group, "macro F1", ours["f1_macro"], float(metrics.f1_score(gold, predicted, average="macro", zero_division=0)))
            self.tally.near(group, "MCC", ours["mcc"], float(metrics.matthews_corrcoef(gold, predicted)))
        self.folder.cleanup()


def random_classes(refs, xlmr, tally, rng, n):
    for begin in range(0, n, BATCH):
        sets = Classified(refs, xlmr, tally)
        for k in range(begin, min(begin + BATCH, n)):
            gold = [rng.choice(CLASSES[:1 + k % 3]) for _ in range(PAIRS)]
            answers = CLASSES + ["another"] if k % 2 else CLASSES
            sets.add(f"set{k}", gold, [rng.choice(answers[-1:] if k % 9 == 0 else answers) if rng.random() < 0.6 else g for g in gold])
        sets.compare("random classes")


def xnli_files(refs, xlmr, tally, data, rng):
    sets = Classified(refs, xlmr, tally)
    for path in sorted((data / "xnli").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
            rows = [line.rstrip("\r\n").split("\t") for line in f]
        gold = [next((c for c in row if c in CLASSES), None) for row in rows]
        gold = [g for g in gold if g][:5010]
        if len(gold) > 100:
            sets.add(f"file{len(sets.sets)}", gold, [g if rng.random() < 0.7 else rng.choice(CLASSES) for g in gold])
    if sets.sets:
        sets.compare("classes, labels of every file of xnli")


# --- XTREME's mock submission -------------------------------------------------------------------------------------------------------------------------

def lay_out(task, folder, labels, predictions):
    """A file of XTREME's labels as the data set that xlmr reads."""
    text = labels.read_text(encoding="utf-8")
    language = labels.stem.split("-", 1)[1]
    if task in ("xnli", "pawsx"):
        text = "".join(f"a\tb\t{line.strip()}\n" for line in text.splitlines())
    elif task in ("panx", "udpos"):
        text = "".join(f"w\t{line}\n" if line.strip() else "\n" for line in text.splitlines())
    elif task == "tatoeba":
        n = 1 + max(int(line) for line in (text + predictions.read_text(encoding="utf-8")).split())
        write(folder / f"{language}-en.{language}", "".join(f"line {i}\n" for i in range(n)))
        write(folder / f"{language}-en.en", "".join(f"line {i}\n" for i in range(len(text.split()))))
    elif task == "bucc2018":
        pairs = [line.split("\t") for line in (text + "\n" + predictions.read_text(encoding="utf-8")).splitlines() if line]
        for k, end in enumerate((language, "en")):
            write(folder / f"{language}-en.test.{end}", "".join(f"{i}\tline {i}\n" for i in sorted({pair[k] for pair in pairs})))
        write(folder / f"{language}-en.test.gold", "".join(f"{line}\n" for line in text.splitlines() if line))
        return
    write(folder / labels.name, text)


def mock_submission(refs, xlmr, tally):
    known = subprocess.run([xlmr.program, "evaluate", "--help"], capture_output=True, text=True, check=True).stdout
    done = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for task in ("xnli", "pawsx", "panx", "udpos", "xquad", "mlqa", "tydiqa", "tatoeba", "bucc2018"):
            if not re.search(rf"\b{task}\b", known):
                continue
            for path in (refs.mock / "labels" / task).iterdir():
                lay_out(task, out / "data" / task, path, refs.mock / "predictions" / task / path.name)
            scores = xlmr.scores(task, out / "data" / task, refs.mock / "predictions", "--output-dir", str(out / "e" / task))
            (out / "submission").mkdir(exist_ok=True)
            (out / "e" / task / task).rename(out / "submission" / task)
            done.append((task, scores))
        _, theirs = quietly(refs.xtreme.evaluate, str(out / "submission"), str(refs.mock / "labels"), "xtreme")
        _, original = quietly(refs.xtreme.evaluate, str(refs.mock / "predictions"), str(refs.mock / "labels"), "xtreme")
        names = {"exact": "exact_match", "f1_xtreme": "f1"}
        for task, scores in done:
            tally.same("XTREME's mock submission, written again", task, theirs[task], original[task])
            shown = ("f1_xtreme",) if task == "udpos" else ("accuracy",) if task in ("xnli", "pawsx", "tatoeba") else ("f1", "precision", "recall", "exact")
            for metric in [m for m in shown if m in next(iter(scores.values()))]:
                for language, row in scores.items():
                    value = theirs[task][names.get(metric, metric)][language]
                    tally.near("XTREME's mock submission", f"{task} {language} {metric}", 100 * row[metric], float(value))
    return [task for task, _ in done]


# ------------------------------------------------------------------------------------------------------------------------------------------------------

def compare_questions(refs, xlmr, tally, data, rng, sets):
    whole_files(refs, xlmr, tally, data, rng)
    plain = [p for p in sorted((data / "qa").glob("*/*.json.gz")) if "v2.0" not in p.name]
    by_file = [q for q in (labelled(p) for p in plain) if len(q) > 1]
    random_squad1(refs, xlmr, tally, by_file, rng, int(0.35 * sets))
    random_squad2(refs, xlmr, tally, pool((data / "qa/squad").glob("*v2.0*")), rng, int(0.15 * sets))
    by_language = {lang: pool((data / "qa/mlqa").glob(f"*context-{lang}-*")) or labelled(refs.mock / f"labels/mlqa/test-{lang}.json")
                   for lang in MLQA_LANGUAGES}
    random_mlqa(refs, xlmr, tally, by_language, rng, int(0.21 * sets))
    refusals(xlmr, tally, by_file[0], rng, int(0.04 * sets))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", type=Path, help="folder of the reference scorers")
    parser.add_argument("--install", action="store_true", help="put them there first")
    parser.add_argument("--data", type=Path, help="folder with qa/, ner/panx/, pos/ and xnli/")
    parser.add_argument("--xlmr", default="build/xlmr")
    parser.add_argument("--sets", type=int, default=1000, help="random sets (default 1000)")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    if o.install:
        o.references.mkdir(parents=True, exist_ok=True)
        install(o.references)
    if not o.data:
        return
    warnings.filterwarnings("ignore")
    os.environ.pop("OPENBLAS_CORETYPE", None)
    refs, xlmr, tally, rng = References(o.references), Xlmr(o.xlmr), Tally(), random.Random(o.seed)
    compare_questions(refs, xlmr, tally, o.data, rng, o.sets)
    tagged_files(refs, xlmr, tally, o.data, rng)
    treebanks(refs, xlmr, tally, o.data, rng)
    random_tags(refs, xlmr, tally, rng, int(0.15 * o.sets))
    xnli_files(refs, xlmr, tally, o.data, rng)
    random_classes(refs, xlmr, tally, rng, o.sets - sum(int(s * o.sets) for s in (0.35, 0.15, 0.21, 0.04, 0.15)))
    tasks = mock_submission(refs, xlmr, tally)
    print(f"seqeval {importlib.metadata.version('seqeval')}, scikit-learn {importlib.metadata.version('scikit-learn')}, "
          f"Python {sys.version.split()[0]} with Unicode {unicodedata.unidata_version}; XTREME tasks: {', '.join(tasks)}; {xlmr.runs} runs of xlmr")
    for group, n in tally.equal.items():
        print(f"{n:8} figures equal: {group}")
    print(f"furthest mean of scikit-learn or XTREME: {tally.furthest:g} units of the last place")
    for line in tally.different[:40]:
        print("DIFFERENT", line)
    sys.exit(f"{len(tally.different)} figures differ" if tally.different else 0)


if __name__ == "__main__":
    main()
