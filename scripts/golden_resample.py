"""Writes tests/golden/resample.h: bootstrap figures and exchange tests by numpy and a Philox of its own, on units made here.

Philox4x32-10 is written out after Salmon et al. 2011; its first words are checked against the published test vectors.
"""
import numpy as np


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def key_of(seed, purpose):
    return philox([purpose, 0, 0x7FFFFFFF, 0], [seed & 0xFFFFFFFF, seed >> 32])[:2]


BOOTSTRAP, EXCHANGE = 7, 8
N, ROUNDS, SEED, STREAM = 37, 200, 42, 12345


def units(salt):
    """Gold, predicted and right entities of N sentences."""
    out = []
    for i in range(N):
        gold, predicted = (i * 7 + 3) % 4, (i * 5 + salt) % 4
        out.append((gold, predicted, min(gold, predicted) * ((i + salt) % 3 != 0)))
    return np.array(out, dtype=float)


def f1(part):
    gold, predicted, right = part.sum(axis=0)
    return 2 * right / (gold + predicted) if gold + predicted else 0.0


def drawn(round_):
    key = key_of(SEED, BOOTSTRAP)
    words = [w for b in range((N + 3) // 4) for w in philox([round_, b, STREAM, 0], key)]
    return [(w * N) >> 32 for w in words[:N]]


def exchanged(a, b, round_):
    words = philox([round_, 0, STREAM, 0], key_of(SEED, EXCHANGE))
    swap = np.array([(words[i // 32] >> (i % 32)) & 1 for i in range(N)], dtype=bool)[:, None]
    return f1(np.where(swap, b, a)) - f1(np.where(swap, a, b))


def row(name, values):
    print(f"static const double {name}[] = {{")
    for i in range(0, len(values), 5):
        print("    " + " ".join(f"{float(v)!r}," for v in values[i : i + 5]))
    print("};")


a, b = units(1), units(2)
figures = [f1(a[drawn(r)]) for r in range(ROUNDS)]
differences = [exchanged(a, b, r) for r in range(ROUNDS)]
observed = f1(a) - f1(b)
print("/* Made by scripts/golden_resample.py: do not edit. */")
print(f"enum {{ GOLD_N = {N}, GOLD_ROUNDS = {ROUNDS}, GOLD_SEED = {SEED}, GOLD_STREAM = {STREAM} }};")
row("gold_figures", figures)
row("gold_differences", differences)
row("gold_quantiles", np.quantile(figures, [0.025, 0.5, 0.975]))
row("gold_observed", [f1(a), f1(b), observed])
row("gold_p", [(1 + sum(abs(d) >= abs(observed) - 1e-12 for d in differences)) / (1 + ROUNDS)])
