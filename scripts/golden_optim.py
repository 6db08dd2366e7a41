#!/usr/bin/env python3
"""Reference values of torch's optimizers, transformers' schedules, fairseq's Adam and polynomial decay: prints tests/golden/optim.h.

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
 * "polynomial": fairseq's polynomial_decay with the power and the end rate (as a share of the peak) given.
 * Updates: five parameters, 12 updates under the linear schedule (3 of warmup), clip_grad_norm_ 1.0, lr 0.01, weight decay 0.1,
 * torch.optim.AdamW with its defaults, torch.optim.SGD or fairseq's Adam; one parameter group per row of the table for decay and
 * layer-wise rate.
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


def polynomial(total, warmup, power, end):
    """Rates of fairseq/optim/lr_scheduler/polynomial_decay_schedule.py, step_update, peak 1. transformers must give the same where it is
    defined: it divides by total - warmup, and has no rate for the update that ends a warm-up as long as the run."""
    out = []
    for n in range(STEPS):
        if warmup > 0 and n <= warmup:
            out.append(n / float(warmup))
        elif n >= total:
            out.append(end)
        else:
            out.append((1.0 - end) * (1 - (n - warmup) / (total - warmup)) ** power + end)
    if total > warmup:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        s = transformers.get_polynomial_decay_schedule_with_warmup(optimizer, warmup, total, lr_end=end, power=power)
        for n, rate in enumerate(out):
            assert abs(s.get_last_lr()[0] - rate) < 1e-12, (n, rate, s.get_last_lr())
            optimizer.step()
            s.step()
    return out


class FairseqAdam(torch.optim.Optimizer):
    """The update of fairseq/optim/adam.py (class Adam, without amsgrad), which is not installed here."""

    def __init__(self, groups, eps):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                s = self.state[p]
                s["step"] = s.get("step", 0) + 1
                m = s.setdefault("exp_avg", torch.zeros_like(p)).mul_(b1).add_(p.grad, alpha=1 - b1)
                v = s.setdefault("exp_avg_sq", torch.zeros_like(p)).mul_(b2).addcmul_(p.grad, p.grad, value=1 - b2)
                step_size = group["lr"] * math.sqrt(1 - b2 ** s["step"]) / (1 - b1 ** s["step"])
                p.add_(p, alpha=-group["weight_decay"] * group["lr"])
                p.addcdiv_(m, v.sqrt().add_(group["eps"]), value=-step_size)


def run(rule, layer_decay, decay_all, eps):
    """Parameters, moments and norms after the updates."""
    params = [start(k, shape) for k, (_, shape, _, _) in enumerate(ROWS)]
    groups = [{"params": [p], "lr": 0.01 * layer_decay ** (LAYERS + 1 - layer), "weight_decay": 0.1 if decayed or decay_all else 0.0}
              for p, (_, _, decayed, layer) in zip(params, ROWS)]
    # SGD here decays apart from the gradient, as AdamW does: lr * wd * p, taken off before the update.
    if rule == "adamw":
        optimizer = torch.optim.AdamW(groups, foreach=False, eps=eps)
    elif rule == "adam":
        optimizer = FairseqAdam(groups, eps)
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
    moments = [flat([optimizer.state[p][key] for p in params]) if rule != "sgd" else [] for key in ("exp_avg", "exp_avg_sq")]
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
    print("static const struct golden_schedule {\n    const char *name;\n    unsigned total, warmup;\n    double power, end, factor[12];\n} golden_schedules[] = {")
    entry = '    {"%s", %d, %d, %s, %s, {\n%s\n    }},'
    for total, warmup in ((10, 3), (7, 0), (5, 5), (3, 4)):
        for name in ("linear", "cosine", "constant"):
            print(entry % (name, total, warmup, 1.0, 0.0, lines(factors(name, total, warmup), "%.17g")))
        for power, end in ((1.0, 0.0), (2.0, 0.125), (0.5, 0.25)):
            print(entry % ("polynomial", total, warmup, power, end, lines(polynomial(total, warmup, power, end), "%.17g")))
    print("};\n")
    cases = (("adamw", 1.0, 0, 1e-8), ("adamw", 0.8, 1, 1e-8), ("sgd", 0.8, 0, 1e-8), ("adam", 0.8, 0, 1e-8), ("adam", 1.0, 1, 1e-3))
    runs = [(*case, *run(*case)) for case in cases]
    for r in runs:      # both Adams' moments are the same but for rounding (torch's AdamW interpolates)
        assert r[0] == "sgd" or all(math.isclose(a, b, rel_tol=2e-6, abs_tol=1e-7) for x, y in zip(r[5], runs[0][5]) for a, b in zip(x, y))
    print("enum { GOLDEN_N = %d };\n\nstatic const double golden_norm[12] = {\n%s\n};\n" % (len(runs[0][4]), lines(runs[0][6], "%.9g")))
    print("static const struct golden_run {\n    const char *rule;\n    double layer_decay;\n    int decay_all;\n    double eps;\n    float p[GOLDEN_N];\n} golden_runs[] = {")
    for rule, layer_decay, decay_all, eps, p, _, _ in runs:
        print('    {"%s", %s, %d, %g, {\n%s\n    }},' % (rule, layer_decay, decay_all, eps, lines([number(v) for v in p], "%s")))
    print("};\n\n/* Moments after the runs of both Adams (they do not depend on rates). */")
    for name, values in zip(("golden_m", "golden_v"), runs[0][5]):
        print("static const float %s[GOLDEN_N] = {\n%s\n};" % (name, lines([number(v) for v in values], "%s")))
    print("\n#endif")


main()
