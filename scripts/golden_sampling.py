#!/usr/bin/env python3
"""Blocks an epoch takes of each language, as fairseq's multilingual_masked_lm computes them before rounding: prints tests/golden/sampling.h.

    python3 scripts/golden_sampling.py > tests/golden/sampling.h
"""
CASES = [([1000, 10], 0.3), ([1000, 10], 0.7), ([1000, 10], 0.0), ([7], 0.3), ([1, 2, 3, 4, 5], 0.5), ([90210, 4321, 77, 12], 0.3),
         ([5_000_000_000, 1_000_000, 12_345], 0.3), ([3, 3, 3, 3, 3, 3, 3], 0.3), ([55608, 44, 0, 8901, 1], 0.5)]

print("/* Made by scripts/golden_sampling.py. */")
print("static const struct sampling_case {\n    double alpha;\n    size_t n;\n    uint64_t count[8];\n    double exact[8];\n} sampling_cases[] = {")
for count, alpha in CASES:
    total = sum(count)
    smoothed = [(c / total) ** alpha if c else 0.0 for c in count]
    exact = [q / sum(smoothed) * total for q in smoothed]
    print(f"    {{ {alpha}, {len(count)}, {{ {', '.join(map(str, count))} }},\n      {{ {', '.join(map(repr, exact))} }} }},")
print("};")
