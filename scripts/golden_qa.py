#!/usr/bin/env python3
"""Windows of the tokenizers library and answers of transformers' run_qa: prints tests/golden/qa.h.

    python3 scripts/golden_qa.py FOLDER > tests/golden/qa.h

FOLDER holds utils_qa.py of transformers' examples/pytorch/question-answering. Windows: truncation of the second text only, with a stride. Answers:
postprocess_qa_predictions on random logits, with the maximal-context rule of BERT's run_squad, which run_qa takes from its caller.
"""
import sys
import textwrap

import numpy as np
import tokenizers

sys.path.insert(0, sys.argv[1])
import utils_qa  # noqa: E402

TEXTS = ["红楼梦是一部中国古典小说,作者是曹雪芹。", "ใครเป็นผู้แต่งเรื่องนี้", "The  river Elbe rises in the north of the Czech Republic, and ends near Cuxhaven.",
         "Ein Fluß — größer als die Weser 𐍈 und kürzer als die Donau!"]


def array(kind, name, values, per_line=12):
    print("\n".join(textwrap.wrap(f"static const {kind} {name}[] = {{", 110, subsequent_indent="    ")))
    for i in range(0, len(values), per_line):
        print("    " + ", ".join(values[i:i + per_line]) + ",")
    print("};")


def quoted(text):
    """A C string, on lines of its own when it is long."""
    escaped = [chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()]
    parts = ["".join(escaped[i:i + 16]) for i in range(0, len(escaped), 16)] or [""]
    return "\n      ".join(f'"{p}"' for p in parts)


# ---- windows -------------------------------------------------------------------------------------------------------

def windows(n_query, n_context, max_len, stride):
    """[(first piece, pieces), …] of the context."""
    words = [f"q{i}" for i in range(n_query)] + [f"c{i}" for i in range(n_context)]
    model = tokenizers.models.WordLevel({w: i for i, w in enumerate(["<s>", "</s>"] + words)}, unk_token="<s>")
    t = tokenizers.Tokenizer(model)
    t.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    t.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>:1",
                                                                special_tokens=[("<s>", 0), ("</s>", 1)])
    t.enable_truncation(max_len, stride=stride, strategy="only_second")
    first = t.encode(" ".join(words[:n_query]), " ".join(words[n_query:]))
    out = []
    for e in [first] + first.overflowing:
        own = [int(token[1:]) for token in e.tokens if token.startswith("c")]
        assert own == list(range(own[0], own[0] + len(own)))
        assert e.tokens == ["<s>"] + words[:n_query] + ["</s>", "</s>"] + [f"c{i}" for i in own] + ["</s>"]
        out.append((own[0], len(own)))
    return out


def print_windows(rng):
    cases, at = [], []
    for _ in range(150):
        n_query, n_context = int(rng.integers(1, 12)), int(rng.integers(1, 70))
        stride = int(rng.integers(0, 12))
        max_len = n_query + stride + 5 + int(rng.integers(0, 16))
        got = windows(n_query, n_context, max_len, stride)
        cases.append(f"{{ {n_query}, {n_context}, {max_len}, {stride}, {len(got)}, {len(at)} }}")
        at += [f"{{ {a}, {n} }}" for a, n in got]
    print("/* question, context, max length, stride; windows, where the first of them stands in qa_window */")
    array("struct { int n_query, n_context, max_len, stride, n, first; }", "qa_windows", cases, 4)
    array("struct { int piece, n; }", "qa_window", at)


# ---- answers -------------------------------------------------------------------------------------------------------

def cut(rng, text):
    """Pieces: byte ranges that tile the text; a blank belongs to the piece behind it."""
    ends, i = [], 0
    while i < len(text):
        while i < len(text) and text[i] == " ":
            i += 1
        i = min(len(text), i + int(rng.integers(1, 4)))
        while i < len(text) and text[i - 1] == " ":
            i += 1
        ends.append(i)
    if text[ends[-1] - 1] == " ":
        ends.pop()
    return list(zip([0] + ends[:-1], ends))


def best_windows(wins, n):
    """For every piece the window that BERT's run_squad calls its maximal context."""
    out = []
    for p in range(n):
        scores = [min(p - a, a + k - 1 - p) + 0.01 * k if a <= p < a + k else -1.0 for a, k in wins]
        out.append(int(np.argmax(scores)))
    return out


class Printer:
    def __init__(self):
        self.cases, self.pieces, self.windows, self.logits, self.answers = [], [], [], [], []

    def add(self, rng, text, n_best, max_tokens, none, threshold):
        pieces = cut(rng, text)
        n_query, stride = int(rng.integers(1, 4)), 3
        wins = windows(n_query, len(pieces), n_query + 4 + int(rng.integers(6, 12)), stride)
        best = best_windows(wins, len(pieces))
        features, starts, ends = [], [], []
        first = (len(self.pieces), len(self.windows), len(self.logits), len(self.answers))
        for k, (a, n) in enumerate(wins):
            row, length = n_query + 3, n_query + 4 + n
            z = rng.standard_normal((length, 2)).astype(np.float32) * 2
            z[0] += rng.choice([0.0, 3.0])
            offsets, maximal = [None] * length, {}
            for i in range(n):
                b, e = pieces[a + i]
                b += len(text[b:e]) - len(text[b:e].lstrip())
                offsets[row + i] = (b, e)
                maximal[str(row + i)] = best[a + i] == k
            features.append({"example_id": "x", "offset_mapping": offsets, "token_is_max_context": maximal})
            starts.append(z[:, 0])
            ends.append(z[:, 1])
            self.windows.append(f"{{ {row}, {a}, {n} }}")
            self.logits += [f"{float(v).hex()}f" for v in z.ravel()]
        dumped, odds = self.run(text, features, starts, ends, n_best, max_tokens, none, threshold)
        self.pieces += [f"{{ {len(text[:b].encode())}, {len(text[:e].encode())} }}" for b, e in pieces]
        self.answers += [f"{{ {quoted(a['text'])},\n      {float(a['start_logit']).hex()}f, {float(a['end_logit']).hex()}f, {float(a['probability']).hex()} }}"
                         for a in dumped["nbest"]]
        self.cases.append(f"{{ {quoted(text)}, {n_best}, {max_tokens}, {none}, {float(threshold)!r}, {len(pieces)}, {len(wins)}, {len(dumped['nbest'])},\n"
                          f"      {', '.join(map(str, first))}, {quoted(dumped['text'])}, {float(odds).hex()} }}")

    @staticmethod
    def run(text, features, starts, ends, n_best, max_tokens, none, threshold):
        import json
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            examples = Examples([{"id": "x", "context": text}])
            utils_qa.tqdm = lambda x: x
            got = utils_qa.postprocess_qa_predictions(examples, features, (starts, ends), bool(none), n_best, max_tokens, threshold, folder)
            nbest = json.load(open(f"{folder}/nbest_predictions.json"))["x"]
            odds = json.load(open(f"{folder}/null_odds.json"))["x"] if none else 0.0
        return {"nbest": nbest, "text": got["x"]}, odds

    def print(self):
        print("/* text, n_best, max_tokens, may be none, threshold; pieces, windows, answers; where they begin (logits: values); the answer\n"
              " * chosen, null odds */")
        array("struct { const char *text; int n_best, max_tokens, none; double threshold; int n_pieces, n_windows, n_answers, piece, window, logit, answer; "
              "const char *chosen; double odds; }", "qa_cases", self.cases, 1)
        array("struct { unsigned begin, end; }", "qa_piece", self.pieces, 8)
        array("struct { unsigned row, piece, n; }", "qa_case_window", self.windows, 8)
        array("float", "qa_logit", self.logits, 5)
        array("struct { const char *text; float start, end; double probability; }", "qa_answer", self.answers, 1)


class Examples(list):
    """Enough of a data set for the function: columns by name."""
    def __getitem__(self, key):
        return [e[key] for e in iter(self)] if isinstance(key, str) else super().__getitem__(key)


def main():
    rng = np.random.default_rng(12)
    print(f"/* Made by scripts/golden_qa.py: tokenizers {tokenizers.__version__}, utils_qa.py of transformers' examples. */")
    print_windows(rng)
    out = Printer()
    for k in range(16):
        out.add(rng, TEXTS[k % 4], (20, 5)[k // 4 % 2], (30, 3)[k // 2 % 2], k // 8, (0.0, 4.0, -4.0)[k % 3])
    out.print()


if __name__ == "__main__":
    main()
