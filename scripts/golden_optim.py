#!/usr/bin/env python3
"""Reference values of torch's optimizers and transformers' schedules: prints tests/golden/optim.h.

    python3 scripts/golden_optim.py > tests/golden/optim.h
"""
import math

import torch
import transformers

# Name, shape, decayed, layer of each parameter; as golden_declare in tests/test_optim.c.
ROWS = [("embed", (6, 4), True, 0), ("weight", (3, 4), True, 1), ("bias", (3,), False, 1), ("norm", (4,), False, 2), ("head", (2, 3), True, 3)]
LAYERS, STEPS = 2, 12

HEAD = """/* Values of torch %s and transformers %s, float32 on CPU; printed by scripts/golden_optim.py.
 *
 * Schedules: get_scheduler("linear" | "cosine" | "constant_with_warmup"), factors of the first 12 updates.
 * Updates: five parameters, 12 updates under the linear schedule (3 of warmup), clip_grad_norm_ 1.0, lr 0.01, weight decay 0.1,
 * torch.optim.AdamW with its defaults or torch.optim.SGD; one parameter group per row of the table for decay and layer-wise rate.
 * Element i of parameter k starts at ((5 i + 3 k) mod 11 - 5) / 16; its gradient at update t is
 * ((7 i + 13 t + 5 k) mod 17 - 8) / 8 * 2^((i + t) mod 5 - 2), exact in float32. */
#ifndef XR_TESTS_OPTIM_GOLDEN_H
#define XR_TESTS_OPTIM_GOLDEN_H
"""


def start(k, shape):
    n = math.prod(shape)
    return torch.tensor([((5 * i + 3 * k) % 11 - 5) / 16 for i in range(n)]).reshape(shape).requires_grad_()


def gradient(t, k, shape):
    n = math.prod(shape)
    return torch.tensor([((7 * i + 13 * t + 5 * k) % 17 - 8) / 8 * 2.0 ** ((i + t) % 5 - 2) for i in range(n)]).reshape(shape)


def schedule(name, optimizer, total, warmup):
    return transformers.get_scheduler("constant_with_warmup" if name == "constant" else name, optimizer, warmup, total)


def factors(name, total, warmup):
    p = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=1.0)
    s = schedule(name, optimizer, total, warmup)
    out = []
    for _ in range(STEPS):
        out.append(s.get_last_lr()[0])
        optimizer.step()
        s.step()
    return out


def run(rule, layer_decay, decay_all):
    """Parameters, moments and norms after the updates."""
    params = [start(k, shape) for k, (_, shape, _, _) in enumerate(ROWS)]
    groups = [{"params": [p], "lr": 0.01 * layer_decay ** (LAYERS + 1 - layer), "weight_decay": 0.1 if decayed or decay_all else 0.0}
              for p, (_, _, decayed, layer) in zip(params, ROWS)]
    # SGD here decays apart from the gradient, as AdamW does: lr * wd * p, taken off before the update.
    if rule == "adamw":
        optimizer = torch.optim.AdamW(groups, foreach=False)
    else:
        optimizer = torch.optim.SGD([{**g, "weight_decay": 0.0} for g in groups])
    s = schedule("linear", optimizer, STEPS, 3)
    norms = []
    for t in range(STEPS):
        for k, (p, (_, shape, _, _)) in enumerate(zip(params, ROWS)):
            p.grad = gradient(t, k, shape)
        norms.append(float(torch.nn.utils.clip_grad_norm_(params, 1.0)))
        if rule == "sgd":
            with torch.no_grad():
                for p, g, live in zip(params, groups, optimizer.param_groups):
                    p.mul_(1.0 - live["lr"] * g["weight_decay"])
        optimizer.step()
        s.step()
    flat = lambda xs: [float(v) for x in xs for v in x.detach().reshape(-1)]
    moments = [flat([optimizer.state[p][key] for p in params]) if rule == "adamw" else [] for key in ("exp_avg", "exp_avg_sq")]
    return flat(params), moments, norms


def lines(values, form, indent=8, width=112):
    out, line = [], " " * indent
    for i, v in enumerate(values):
        item = form % v + ("," if i + 1 < len(values) else "")
        if len(line) + len(item) + 1 > width:
            out.append(line.rstrip())
            line = " " * indent
        line += item + " "
    return "\n".join(out + [line.rstrip()])


def number(v):
    text = "%.9g" % v
    return text + ("" if "." in text or "e" in text else ".0") + "f"


def main():
    print(HEAD % (torch.__version__.split("+")[0], transformers.__version__))
    print("static const struct golden_schedule {\n    const char *name;\n    unsigned total, warmup;\n    double factor[12];\n} golden_schedules[] = {")
    for name in ("linear", "cosine", "constant"):
        for total, warmup in ((10, 3), (7, 0), (5, 5), (3, 4)):
            print('    {"%s", %d, %d, {\n%s\n    }},' % (name, total, warmup, lines(factors(name, total, warmup), "%.17g")))
    print("};\n")
    runs = [(rule, ld, da, *run(rule, ld, da)) for rule, ld, da in (("adamw", 1.0, 0), ("adamw", 0.8, 1), ("sgd", 0.8, 0))]
    print("enum { GOLDEN_N = %d };\n\nstatic const double golden_norm[12] = {\n%s\n};\n" % (len(runs[0][3]), lines(runs[0][5], "%.9g")))
    print("static const struct golden_run {\n    const char *rule;\n    double layer_decay;\n    int decay_all;\n    float p[GOLDEN_N];\n} golden_runs[] = {")
    for rule, layer_decay, decay_all, p, _, _ in runs:
        print('    {"%s", %s, %d, {\n%s\n    }},' % (rule, layer_decay, decay_all, lines([number(v) for v in p], "%s")))
    print("};\n\n/* Moments after the AdamW runs (they do not depend on rates). */")
    for name, values in zip(("golden_m", "golden_v"), runs[0][4]):
        print("static const float %s[GOLDEN_N] = {\n%s\n};" % (name, lines([number(v) for v in values], "%s")))
    print("\n#endif")


main()
