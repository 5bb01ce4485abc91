#!/usr/bin/env python3
"""Writes data/nfc_tables.inc, what normalization form NFC needs of Unicode, from Python's unicodedata."""

import sys
import unicodedata
from pathlib import Path

HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic, not by table


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
        if parts and "<" not in parts and c not in HANGUL:
            table = composed if unicodedata.normalize("NFC", char) == char else other
            table.append("{" + ",".join(str(code) for code in [c, *(int(p, 16) for p in parts.split())]) + "},")
        combining = unicodedata.combining(char)
        if combining:
            if classes and classes[-1][1] == c - 1 and classes[-1][2] == combining:
                classes[-1][1] = c
            else:
                classes.append([c, c, combining])
    out = [
        f"// Unicode {unicodedata.unidata_version}, written by scripts/make_nfc_tables.py: do not edit. By code point.",
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
    Path(__file__).parent.parent.joinpath("data", "nfc_tables.inc").write_text("\n".join(out) + "\n")


main()
