#!/usr/bin/env python3
"""Classes of characters as this Python knows them: prints src/util/utf8_class.c's tables (src/util/utf8_class.inc).

    python3 scripts/unicode_classes.py > src/util/utf8_class.inc

Taken from what Python does, not from the names of properties, because it is Python's answers that scorers must give: which characters the
regular expression \\w matches, which have a general category P*, and what its str.lower looks at when it meets a capital sigma.
"""
import re
import unicodedata

LAST = 0x110000
WORD = re.compile(r"\w")


def ranges(test):
    """[first, last] of the runs of code points that pass; surrogates are no characters of UTF-8."""
    runs = []
    for c in range(LAST):
        if 0xD800 <= c < 0xE000 or not test(chr(c)):
            continue
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return runs


def cased(c):
    """A capital sigma after it is a final one."""
    return (c + "\u03a3").lower()[-1] == "\u03c2"


def ignorable(c):
    """Between a letter and a capital sigma it is looked through."""
    return not cased(c) and ("A" + c + "\u03a3").lower()[-1] == "\u03c2"


def show(name, comment, runs):
    print(f"\n/* {comment} */\nstatic const range {name}[] = {{")
    line = "   "
    for first, last in runs:
        item = f" {{ 0x{first:X}, 0x{last:X} }},"
        if len(line) + len(item) > 148:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


def main():
    print(f"/* Made by scripts/unicode_classes.py from the Unicode character database, version {unicodedata.unidata_version}. */")
    show("punctuation", "General category P*.", ranges(lambda c: unicodedata.category(c).startswith("P")))
    show("word", "What Python's \\w matches.", ranges(lambda c: WORD.fullmatch(c) is not None))
    show("cased", "Letters with a case, except those that are looked through.", ranges(cased))
    show("ignorable", "What is looked through on the way to the next letter.", ranges(ignorable))


if __name__ == "__main__":
    main()
