#!/usr/bin/env python3
"""Masked blocks by a model of the two policies' rules: prints tests/golden/masking.h. Plain Python.

    python3 scripts/golden_masking.py > tests/golden/masking.h

The rules are those of fairseq's MaskTokensDataset and of transformers' DataCollatorForLanguageModeling; the random numbers are Philox4x32-10
(Salmon et al. 2011), addressed as src/data/masking.c says.
"""
import math
import random
import textwrap

PURPOSE_MASK = 4
COUNT, PICK, COIN, DECISION, RANDOM, ONE = range(6)


def philox(key, counter):
    x, (k0, k1) = list(counter), key
    for _ in range(10):
        a, b = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [b >> 32 ^ x[1] ^ k0, b & 0xFFFFFFFF, a >> 32 ^ x[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x


assert philox((0xA4093822, 0x299F31D0), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


class Draws:
    def __init__(self, seed, epoch, sample):
        self.key = philox((seed & 0xFFFFFFFF, seed >> 32), (PURPOSE_MASK, 0, 0x7FFFFFFF, 0))[:2]
        self.epoch, self.low, self.high = epoch, sample & 0xFFFFFFFF, sample >> 32

    def words(self, kind, i):
        return philox(self.key, (self.epoch, self.low, self.high << 3 | kind, i))

    def below(self, kind, i, n):
        a, b, _, _ = self.words(kind, i)
        return (a << 32 | b) * n >> 64

    def uniform(self, kind, i):
        return self.below(kind, i, 2**53) / 2**53


def words_of(case, ids):
    """The block as a list of words, each a list of positions."""
    words = []
    for i, t in enumerate(ids):
        special = t < 4
        after_special = i > 0 and ids[i - 1] < 4
        new = not case["whole"] or special or t in case["starts"] or (case["policy"] == "hf" and after_special)
        if new or not words:
            words.append([])
        words[-1].append(i)
    return words


def chosen_words(case, ids, d):
    words = words_of(case, ids)
    if case["policy"] == "hf":
        open_words = [w for w in words if ids[w[0]] >= 4]
        got = [w for w in open_words if d.words(COIN, w[0] // 4)[w[0] % 4] / 2**32 < case["share"]]
    else:
        open_words = list(words)
        pool, got = list(words), []
        for k in range(min(len(pool), math.floor(case["share"] * len(words) + d.uniform(COUNT, 0)))):
            j = k + d.below(PICK, k, len(pool) - k)
            pool[k], pool[j] = pool[j], pool[k]
            got.append(pool[k])
    if not got and case["one"]:
        got = [open_words[d.below(ONE, 0, len(open_words))]] if open_words else [words[-1]]
    return got


def masked(case, ids):
    d, out, where = Draws(case["seed"], case["epoch"], case["sample"]), list(ids), []
    for w in chosen_words(case, ids, d):
        u = d.uniform(DECISION, w[0])
        for i in w:
            where.append(i)
            if u < case["mask"]:
                out[i] = case["vocab"] - 1
            elif u < case["mask"] + case["random"]:
                low = 0 if case["policy"] == "hf" else 4
                out[i] = low + d.below(RANDOM, i, case["vocab"] - low)
    return out, sorted(where)


def block(rng, n, vocab, specials):
    """<s>, then pieces, with a </s> or <unk> here and there, and </s> at the end."""
    body = [rng.choice([2, 2, 3]) if rng.random() < specials else rng.randrange(4, vocab - 1) for _ in range(n - 2)]
    return [0] + body + [2]


def cases():
    rng, out = random.Random(4), []
    for policy in ("fairseq", "hf"):
        for whole in (0, 1):
            for n, share, mask, rand, epoch, sample in ((64, 0.15, 0.8, 0.1, 0, 0), (64, 0.15, 0.8, 0.1, 1, 0), (200, 0.15, 0.8, 0.1, 0, 7),
                                                        (33, 0.5, 0.3, 0.4, 3, 2**40 + 5), (20, 1.0, 0.0, 1.0, 2, 1), (40, 0.4, 0.0, 0.0, 9, 9),
                                                        (3, 0.01, 0.8, 0.1, 0, 4), (2, 0.15, 0.8, 0.1, 5, 4)):
                vocab = 200
                starts = {i for i in range(4, vocab) if i % 3 == 0}
                out.append((dict(policy=policy, whole=whole, share=share, mask=mask, random=rand, seed=42 + n, epoch=epoch, sample=sample,
                                 vocab=vocab, starts=starts, one=int(n < 10)), block(rng, n, vocab, 0.1)))
    return out


def row(name, values):
    print(f"static const int32_t {name}[] = {{")
    print(textwrap.fill(", ".join(map(str, values or [-1])), 120, initial_indent="    ", subsequent_indent="    "))
    print("};")


def main():
    print("/* Made by scripts/golden_masking.py. A piece begins a word when its id is divisible by 3; <mask> is the last of 200 ids. */")
    table = []
    for k, (case, ids) in enumerate(cases()):
        out, where = masked(case, ids)
        row(f"mask_in_{k}", ids)
        row(f"mask_out_{k}", out)
        row(f"mask_at_{k}", where)
        table.append(f"    {{ \"{case['policy']}\", {case['whole']}, {case['one']}, {case['share']}, {case['mask']}, {case['random']}, {case['seed']}, "
                     f"{case['epoch']}u, {case['sample']}u, {len(ids)}, {len(where)},\n      mask_in_{k}, mask_out_{k}, mask_at_{k} }},")
    print("static const struct mask_case {\n    const char *policy;\n    int whole_word, at_least_one;\n    double share, mask_share, random_share;\n"
          "    uint64_t seed;\n    uint32_t epoch;\n    uint64_t sample;\n    size_t n, n_masked;\n    const int32_t *in, *out, *at;\n} mask_cases[] = {")
    print("\n".join(table))
    print("};")


main()
