#!/usr/bin/env python3
"""Writes data/jinja/letters_tables.inc: upper, lower and title case and which characters are printed, as this Python's
str has them. usage: make_letters_tables.py
"""

import sys
import unicodedata
from pathlib import Path

CHARACTERS = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]


def ranges(codes):
    """Neighbours in one: first, last."""
    found = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def shifts(mapping):
    """Characters that move by the same distance, each or every other one: first, last, step, distance."""
    found = []
    for code, to in mapping:
        if found:
            first, last, step, distance = found[-1]
            if to - code == distance and code - last in (1, 2) and (step in (0, code - last)):
                found[-1] = [first, code, code - last, distance]
                continue
        found.append([code, code, 0, to - code])
    return [[first, last, step or 1, distance] for first, last, step, distance in found]


def lines(items, width=118):
    line = ""
    for item in items:
        if len(line) + len(item) > width:
            yield line
            line = ""
        line += item
    yield line


def table(kind, name, rows):
    yield f"constexpr {kind} {name}[] = {{"
    yield from lines("{" + ",".join(str(value) for value in row).replace("[", "{").replace("]", "}").replace(" ", "") + "},"
                     for row in rows)
    yield "};"


def main():
    out = [f"// Unicode {unicodedata.unidata_version}, written by scripts/make_letters_tables.py: do not edit. By code point."]
    for name, change in (("Lower", str.lower), ("Upper", str.upper), ("Title", str.title)):
        changed = [(ord(c), [ord(part) for part in change(c)]) for c in CHARACTERS if change(c) != c]
        if name == "Title":  # where it is not the upper case
            changed = [(code, to) for code, to in changed if chr(code).upper() != chr(code).title()]
            changed += [(ord(c), [ord(c)]) for c in CHARACTERS if c.title() == c != c.upper()]
            changed.sort()
        out.append(f"// {name} case: first, last, step, distance; and characters that become several, or that stay.")
        out += table("Shift", f"k{name}", shifts([(code, to[0]) for code, to in changed if len(to) == 1 and to[0] != code]))
        several = [[code, [*to, *[0] * (3 - len(to))]] for code, to in changed if len(to) > 1 or to[0] == code]
        out += table("Several", f"k{name}Several", several)
    out.append("// Letters that have a case, behind which others are lower in a title: first, last.")
    out += table("Range", "kCased", ranges(ord(c) for c in CHARACTERS if (c + "a").title()[-1] == "a"))
    out.append("// Characters that repr() escapes: first, last.")
    out += table("Range", "kUnprintable", ranges(c for c in range(sys.maxunicode + 1) if not chr(c).isprintable()))
    Path(__file__).parent.parent.joinpath("data", "jinja", "letters_tables.inc").write_text("\n".join(out) + "\n")


main()
