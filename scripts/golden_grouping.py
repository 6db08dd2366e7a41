#!/usr/bin/env python3
"""Entities as transformers' TokenClassificationPipeline groups them: prints tests/golden/grouping.h.

    build/tests/test_grouping model                 # prints the folder of the model that the test makes
    python3 scripts/golden_grouping.py THAT/FOLDER > tests/golden/grouping.h

Every text with every aggregation strategy, as the test runs them: the whole pipeline, tokenizer included.
"""
import json
import sys
import warnings

import transformers

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

TEXTS = [
    "babo nulu ti sasa gebi",
    "  sasa  ti.babo,nulu  rubi ",
    "mita-nodu (gako) 7",
    "b\u00e9bo n\u00fclu \u0448 tapi",
    "\u65e5\u672c babo\u3000ti kulepi",
    "rodilu tanepogi fumasi re",
    "\u00a0dota \ufb01ma\u00bd lu",
    "\U0001f600 gapo ena",
    "babo\u200eti\u200c\u200cnulu (\u200bgapo\u200f, \u200frubi\ufeff7",
]
WORDS = [["babo", "nulu", "ti.sasa", "rubi-gapo", "\u0448"], ["ta po", "kulepi", "dota"]]


def quote(text):
    out = ""
    for byte in text.encode():
        out += chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
    return f'"{out}"'


def main():
    classify = transformers.pipeline("token-classification", model=sys.argv[1], device="cpu")
    print(f"/* Made by scripts/golden_grouping.py: transformers {transformers.__version__}. */")
    print("static const char *const grouping_inputs[] = {")
    for text in TEXTS:
        print("    " + quote(json.dumps({"text": text}, ensure_ascii=False)) + ",")
    for words in WORDS:
        print("    " + quote(json.dumps({"tokens": words}, ensure_ascii=False)) + ",")
    print("};")
    print("static const struct { int input; const char *grouping, *label, *word; double score; int start, end; } grouping_entities[] = {")
    for k, given in enumerate(TEXTS + WORDS):
        for strategy in ("none", "simple", "first", "average", "max"):
            entities = classify(given, aggregation_strategy=strategy, **({"is_split_into_words": True} if k >= len(TEXTS) else {}))
            for e in entities[0] if entities and isinstance(entities[0], list) else entities:
                label = e.get("entity", e.get("entity_group"))
                print(f'    {{ {k}, "{strategy}", "{label}", {quote(e["word"])}, {float(e["score"]):.7f}, {e["start"]}, {e["end"]} }},')
    print("};")


if __name__ == "__main__":
    main()
