#!/usr/bin/env python3
"""Blocks of hand-made documents by a model of fairseq's break modes: prints tests/golden/blocks.h. Plain Python.

    python3 scripts/golden_blocks.py > tests/golden/blocks.h

The model packs lists of sentences as TokenBlockDataset does, after cutting sentences that are longer than the budget.
"""
import random
import textwrap

BOS, EOS = 0, 2


def cut(sentence, budget):
    return [sentence[i:i + budget] for i in range(0, len(sentence), budget)]


def greedy(sentences, budget):
    """fairseq's loop of complete: close the block when the next sentence does not fit."""
    blocks, now = [], []
    for s in sentences:
        if now and len(now) + len(s) > budget:
            blocks.append(now)
            now = []
        now = now + s
    return blocks + ([now] if now else [])


def pack(documents, mode, budget):
    docs = [[piece for s in d for piece in cut(s, budget)] for d in documents]
    stream = [s for k, d in enumerate(docs) for s in ([[EOS]] if k else []) + d]      # a blank line between two documents
    if mode == "complete":
        return greedy(stream, budget)
    if mode == "complete_doc":
        return [b for d in docs for b in greedy(d, budget) if len(b) > 1]
    if mode == "eos":
        return [s for d in docs for s in d]
    flat = [t for s in stream for t in s]
    return cut(flat, budget)


class Numbers:
    """Tokens count up from 10, so that each is known by its value."""

    def __init__(self):
        self.next = 10

    def sentence(self, n):
        self.next += n - 1
        return list(range(self.next - n + 1, self.next)) + [EOS]


def corpora():
    """(documents, length): by hand, then at random; a document is (language, sentences)."""
    n = Numbers()
    by_hand = [
        ([("en", [5, 3, 4]), ("en", [2, 9])], 11),          # ends exactly at a block
        ([("en", [10]), ("en", [10]), ("en", [10])], 11),   # separators stand alone between full blocks
        ([("en", [25, 1, 2]), ("en", [11]), ("en", [21])], 11),     # cut in three; a lone </s>; one over; a rest of one
        ([("en", [1]), ("en", [3]), ("en", [1]), ("en", [2])], 4),  # documents of one token
        ([("de", [4, 4]), ("en", [3]), ("de", [5]), ("fr", [2, 2]), ("en", [6, 1, 1]), ("de", [1])], 9),    # languages take turns
        ([("en", [3])], 2), ([("en", [1])], 8), ([("en", [7] * 9)], 100),
    ]
    for documents, length in by_hand:
        yield [(lang, [n.sentence(s) for s in sizes]) for lang, sizes in documents], length
    rng = random.Random(1)
    for length in (9, 33):
        yield [(rng.choice(["de", "en", "sw"]), [n.sentence(min(1 + int(rng.expovariate(0.1)), 90)) for _ in range(rng.randint(1, 6))])
               for _ in range(10)], length


def numbers(kind, name, values):
    print(f"static const {kind} {name}[] = {{")
    print(textwrap.fill(", ".join(map(str, values)), 150, initial_indent="    ", subsequent_indent="    "))
    print("};")


def main():
    print("/* Made by scripts/golden_blocks.py. */")
    corpus_table, case_table = [], []
    for c, (documents, length) in enumerate(corpora()):
        languages = sorted({lang for lang, _ in documents})
        numbers("int32_t", f"tokens_{c}", [t for _, d in documents for s in d for t in s])
        numbers("uint64_t", f"ends_{c}", [sum(len(s) for _, d in documents[:k] for s in d) for k in range(len(documents) + 1)])
        numbers("uint16_t", f"langs_{c}", [languages.index(lang) for lang, _ in documents])
        corpus_table.append(f"    {{ \"{','.join(languages)}\", {len(documents)}, {length}, tokens_{c}, ends_{c}, langs_{c} }},")
        for mode in ("complete", "complete_doc", "none", "eos"):
            for k, lang in enumerate(languages):
                blocks = pack([d for name, d in documents if name == lang], mode, length - 1)
                name = f"blocks_{c}_{mode}_{lang}"
                numbers("int32_t", name, [x for b in blocks for x in [len(b) + 1, BOS] + b] or [-1])
                case_table.append(f"    {{ {c}, \"{mode}\", {k}, {len(blocks)}, {name} }},")
    print("static const struct block_corpus {\n    const char *languages;\n    size_t n_documents, length;\n    const int32_t *token;\n"
          "    const uint64_t *offset;\n    const uint16_t *lang;\n} block_corpora[] = {")
    print("\n".join(corpus_table))
    print("};\n/* Each block: its length, then its ids. */\nstatic const struct block_case {\n    size_t corpus;\n    const char *mode;\n    size_t lang, n_blocks;\n"
          "    const int32_t *blocks;\n} block_cases[] = {")
    print("\n".join(case_table))
    print("};")


main()
