#!/usr/bin/env python3
"""Reference figures of merit from scikit-learn, scipy and torch: prints tests/golden/metrics.h.

    python3 scripts/golden_metrics.py > tests/golden/metrics.h
"""
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk
import torch


def array(kind, name, values):
    print(f"static const {kind} {name}[] = {{")
    text = [repr(int(v)) if kind == "int" else f"{v:.4f}f" for v in values]
    for i in range(0, len(text), 8):
        print("    " + ", ".join(text[i:i + 8]) + ",")
    print("};")


def value(name, x):
    print(f"static const double {name} = {float(x)!r};")


def short(x):
    """Floats of few digits, so that the text holds them exactly."""
    return np.round(x.astype(np.float64), 4).astype(np.float32)


def classes(rng):
    """Class 4 occurs nowhere, class 3 only as a prediction; ties in the logits."""
    n, c = 60, 5
    gold = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    logits = short(rng.normal(size=(n, c)) + 1.5 * np.eye(c)[gold])
    logits[:, 4] = -9
    logits[5] = 0.25
    predicted = np.array([int(np.argmax(z)) for z in logits])
    assert 3 in predicted
    array("int", "class_gold", gold)
    array("float", "class_logits", logits.ravel())
    value("class_accuracy", sk.accuracy_score(gold, predicted))
    value("class_f1_macro", sk.f1_score(gold, predicted, average="macro", zero_division=0))
    value("class_mcc", sk.matthews_corrcoef(gold, predicted))
    value("class_loss", torch.nn.functional.cross_entropy(torch.tensor(logits, dtype=torch.float64), torch.tensor(gold)))
    array("int", "class_confusion", sk.confusion_matrix(gold, predicted, labels=range(c)).ravel())


def values(rng):
    """Many ties in the gold values."""
    n = 50
    gold = short(rng.integers(0, 6, n) / 2)
    predicted = short(gold + rng.normal(size=n))
    predicted[3] = predicted[4] = predicted[5]
    array("float", "value_gold", gold)
    array("float", "value_predicted", predicted)
    value("value_pearson", scipy.stats.pearsonr(predicted.astype(np.float64), gold.astype(np.float64))[0])
    value("value_spearman", scipy.stats.spearmanr(predicted, gold)[0])
    value("value_mse", sk.mean_squared_error(gold.astype(np.float64), predicted.astype(np.float64)))


def label_sets(rng):
    n, c = 40, 4
    gold = rng.integers(0, 2, (n, c))
    logits = short(rng.normal(size=(n, c)) + gold)
    predicted = (logits > 0).astype(int)
    array("float", "set_gold", gold.ravel())
    array("float", "set_logits", logits.ravel())
    value("set_f1_micro", sk.f1_score(gold, predicted, average="micro"))
    value("set_f1_macro", sk.f1_score(gold, predicted, average="macro"))
    value("set_auc", sk.roc_auc_score(gold, logits, average="macro"))
    value("set_exact", sk.accuracy_score(gold, predicted))
    value("set_loss", torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(logits, dtype=torch.float64), torch.tensor(gold, dtype=torch.float64)))


def rare_labels(rng):
    """Label 2 occurs as a prediction only, label 3 not at all."""
    n, c = 30, 4
    gold = rng.integers(0, 2, (n, c))
    gold[:, 2:] = 0
    logits = short(rng.normal(size=(n, c)) + gold)
    logits[:, 3] = -1
    predicted = (logits > 0).astype(int)
    assert predicted[:, 2].any()
    array("float", "rare_gold", gold.ravel())
    array("float", "rare_logits", logits.ravel())
    value("rare_f1_micro", sk.f1_score(gold, predicted, average="micro", zero_division=0))
    value("rare_f1_macro", sk.f1_score(gold, predicted, average="macro", zero_division=0))
    value("rare_auc_of_two", sk.roc_auc_score(gold[:, :2], logits[:, :2], average="macro"))


def shares(logits):
    return torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=1).numpy()


def ranking(rng):
    """Two classes, with ties among the scores; three classes, each against the rest."""
    n = 45
    gold = rng.integers(0, 2, n)
    logits = (np.round(4 * (rng.normal(size=(n, 2)) + np.eye(2)[gold])) / 4).astype(np.float32)     # quarters: equal differences are equal shares
    array("int", "two_gold", gold)
    array("float", "two_logits", logits.ravel())
    value("two_auc", sk.roc_auc_score(gold, shares(logits)[:, 1]))
    gold = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    logits = short(rng.normal(size=(n, 3)) + np.eye(3)[gold])
    array("int", "three_gold", gold)
    array("float", "three_logits", logits.ravel())
    value("three_auc", sk.roc_auc_score(gold, shares(logits), multi_class="ovr", average="macro"))


def main():
    warnings.simplefilter("error")
    print("/* Made by scripts/golden_metrics.py: "
          f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, torch {torch.__version__.split('+')[0]}. */")
    rng = np.random.default_rng(7)
    classes(rng)
    values(rng)
    label_sets(rng)
    rare_labels(rng)
    ranking(rng)


if __name__ == "__main__":
    main()
