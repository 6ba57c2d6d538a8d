#!/usr/bin/env python3
"""Writes unicode_tables.inc from the Unicode data of the Python that runs it.

Python's str methods are the reference for ours, so their own view of each code point is
what we store.  Usage: make_unicode_tables.py > unicode_tables.inc
"""
import sys
import unicodedata

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def is_case_ignorable(c):
    # The final-sigma rule looks through exactly these characters.
    return ("A" + chr(c) + "\u03a3").lower()[-1] == "\u03c2" and (
        "1" + chr(c) + "\u03a3"
    ).lower()[-1] != "\u03c2"


FLAGS = [  # In the order of the bits of enum CharFlag (unicode.h).
    lambda c: chr(c).isalpha(),
    lambda c: chr(c).isdecimal(),
    lambda c: chr(c).isdigit(),
    lambda c: chr(c).isnumeric(),
    lambda c: chr(c).isupper() and unicodedata.category(chr(c)) != "Lt",
    lambda c: chr(c).islower(),
    lambda c: unicodedata.category(chr(c)) == "Lt",
    lambda c: chr(c).isspace(),
    lambda c: chr(c).isprintable(),
    is_case_ignorable,
    lambda c: ("a" + chr(c)).isidentifier(),
]


def flag_ranges():
    ranges = []
    for c in CODE_POINTS:
        flags = sum(1 << bit for bit, has in enumerate(FLAGS) if has(c))
        if not flags:
            continue
        if ranges and ranges[-1][1] == c - 1 and ranges[-1][2] == flags:
            ranges[-1][1] = c
        else:
            ranges.append([c, c, flags])
    return ranges


def case_ranges(convert):
    """[first, last, step, delta] for runs of one-to-one mappings."""
    pairs = [(c, ord(convert(chr(c)))) for c in CODE_POINTS if len(convert(chr(c))) == 1]
    pairs = [(c, to) for c, to in pairs if to != c]
    ranges = []
    for c, to in pairs:
        if ranges:
            first, last, step, delta = ranges[-1]
            gap = c - last
            if to - c == delta and gap <= 2 and (gap == step or first == last):
                ranges[-1] = [first, c, gap, delta]
                continue
        ranges.append([c, c, 1, to - c])
    return ranges


def specials(convert):
    found = [(c, convert(chr(c))) for c in CODE_POINTS if len(convert(chr(c))) > 1]
    return [[c, [ord(x) for x in text] + [0] * (3 - len(text))] for c, text in found]


def cell_text(x):
    if isinstance(x, list):
        return "{" + ", ".join(cell_text(y) for y in x) + "}"
    return str(x) if x < 10 else hex(x)


def emit(kind, name, rows):
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        cell = " " + cell_text(row) + ","
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line)
    print("};")


def main():
    print("// Written by make_unicode_tables.py from Unicode " + unicodedata.unidata_version + ".")
    print("// clang-format off")
    emit("FlagRange", "kFlagRanges", flag_ranges())
    for name, convert in [
        ("Upper", str.upper),
        ("Lower", str.lower),
        ("Title", str.title),
        ("Fold", str.casefold),
    ]:
        emit("CaseRange", f"k{name}Ranges", case_ranges(convert))
        emit("CaseSpecial", f"k{name}Specials", specials(convert))
    print("// clang-format on")


sys.exit(main())
