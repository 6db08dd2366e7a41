#!/usr/bin/env python3
"""Nearest neighbours and mined pairs by numpy: prints tests/golden/retrieval.h.

    python3 scripts/golden_retrieval.py > tests/golden/retrieval.h

The rules are those of XTREME's third_party/utils_retrieve.py (retrieval 'max', margin 'ratio', 4 neighbours), written anew over a full matrix of products.
"""
import numpy as np

N, M, D, K = 23, 19, 8, 4


def array(kind, name, values):
    print(f"static const {kind} {name}[] = {{")
    text = {"float": lambda v: f"{v:.4f}f", "double": lambda v: repr(float(v)), "int": lambda v: str(int(v))}[kind]
    values = [text(v) for v in values]
    width = 4 if kind == "double" else 8
    for i in range(0, len(values), width):
        print("    " + ", ".join(values[i:i + width]) + ",")
    print("};")


def nearest(s, k):
    """Indices of the k largest of each row, best first."""
    return np.argsort(-s, axis=1, kind="stable")[:, :k]


def margins(s, index, mine, others):
    return np.array([[s[i, j] / ((mine[i] + others[j]) / 2) for j in row] for i, row in enumerate(index)])


def mine(s):
    """[(a, b, score)], best first."""
    fwd, bwd = nearest(s, K), nearest(s.T, K)
    mean_a, mean_b = (np.take_along_axis(x, i, 1).mean(axis=1) for x, i in ((s, fwd), (s.T, bwd)))
    fwd_scores, bwd_scores = margins(s, fwd, mean_a, mean_b), margins(s.T, bwd, mean_b, mean_a)
    proposals = [(i, fwd[i, fwd_scores[i].argmax()], fwd_scores[i].max()) for i in range(len(fwd))]
    proposals += [(bwd[j, bwd_scores[j].argmax()], j, bwd_scores[j].max()) for j in range(len(bwd))]
    out, seen_a, seen_b = [], set(), set()
    for a, b, score in sorted(proposals, key=lambda p: -p[2]):
        if a not in seen_a and b not in seen_b:
            seen_a.add(a)
            seen_b.add(b)
            if score > 0:
                out.append((a, b, score))
    return out


def tune(pairs, gold, n_gold):
    best, threshold, right = 0, 0, 0
    for i, is_right in enumerate(gold):
        right += is_right
        if right:
            precision, recall = right / (i + 1), right / n_gold
            f1 = 2 * precision * recall / (precision + recall)
            if f1 > best:
                best, threshold = f1, (pairs[i][2] + pairs[i + 1][2]) / 2
    return threshold


def main():
    rng = np.random.default_rng(11)
    x = np.round(rng.normal(size=(N, D)) + 1, 4)
    y = np.round(np.concatenate([x[:12] + 0.6 * rng.normal(size=(12, D)), rng.normal(size=(M - 12, D)) + 1]), 4)
    s = x @ y.T
    pairs = mine(s)
    gold = [int(a == b and a < 12) for a, b, _ in pairs]
    assert 0 < sum(gold) < 12, gold
    print(f"/* Made by scripts/golden_retrieval.py: numpy {np.__version__}. */")
    print(f"enum {{ RETRIEVAL_N = {N}, RETRIEVAL_M = {M}, RETRIEVAL_D = {D}, RETRIEVAL_K = {K}, RETRIEVAL_GOLD = 12 }};")
    array("float", "retrieval_x", x.ravel())
    array("float", "retrieval_y", y.ravel())
    for name, m in (("x", s), ("y", s.T)):
        index = nearest(m, K)
        array("int", f"retrieval_index_{name}", index.ravel())
        array("double", f"retrieval_product_{name}", np.take_along_axis(m, index, 1).ravel())
    array("int", "retrieval_pair_a", [a for a, _, _ in pairs])
    array("int", "retrieval_pair_b", [b for _, b, _ in pairs])
    array("double", "retrieval_pair_score", [score for _, _, score in pairs])
    array("int", "retrieval_pair_gold", gold)
    print(f"static const double retrieval_threshold = {float(tune(pairs, gold, 12))!r};")


if __name__ == "__main__":
    main()
