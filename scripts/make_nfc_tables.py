#!/usr/bin/env python3
"""Writes data/tokenizer/nfc_tables.inc, what normalization form NFC needs of Unicode, from Python's unicodedata.

Left out is what Hugging Face's `tokenizers` does not know: its tables are those of Unicode 9, models learned from what it
made of their text, and a mark that it leaves in its place would get other ids if we moved it. Needs that package.
"""

import sys
import unicodedata
from pathlib import Path

from tokenizers import normalizers

HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic, not by table


NFC = normalizers.NFC()


def known_mark(char):
    """Whether it is put in order: a class of 1 before it, or what is above all others behind it, changes places."""
    return any(NFC.normalize_str(text) != text for text in (f"x{char}\u0334", f"x\u0345{char}"))


def known_pair(char):
    return NFC.normalize_str(unicodedata.normalize("NFD", char)) == unicodedata.normalize("NFC", char)


def lines(items, width=118):
    line = ""
    for item in items:
        if len(line) + len(item) > width:
            yield line
            line = ""
        line += item
    yield line


def main():
    composed, other, classes = [], [], []
    for c in range(sys.maxunicode + 1):
        char = chr(c)
        parts = unicodedata.decomposition(char)
        if parts and "<" not in parts and c not in HANGUL and known_pair(char):
            table = composed if unicodedata.normalize("NFC", char) == char else other
            table.append("{" + ",".join(str(code) for code in [c, *(int(p, 16) for p in parts.split())]) + "},")
        combining = unicodedata.combining(char)
        if combining and (combining == 1 or known_mark(char)):
            if classes and classes[-1][1] == c - 1 and classes[-1][2] == combining:
                classes[-1][1] = c
            else:
                classes.append([c, c, combining])
    out = [
        f"// Unicode {unicodedata.unidata_version} as far as `tokenizers` knows it, written by scripts/make_nfc_tables.py: do not edit. By code point.",
        "// A character that NFC composes from a pair, and the pair.",
        "constexpr Decomposition kComposed[] = {",
        *lines(composed),
        "};",
        "// One that NFC takes apart for good, and its parts.",
        "constexpr Decomposition kOther[] = {",
        *lines(other),
        "};",
        "// Ranges of characters with a combining class that is not 0: first, last, class.",
        "constexpr CombiningRange kCombining[] = {",
        *lines(f"{{{a},{b},{k}}}," for a, b, k in classes),
        "};",
    ]
    Path(__file__).parent.parent.joinpath("data", "tokenizer", "nfc_tables.inc").write_text("\n".join(out) + "\n")


main()
