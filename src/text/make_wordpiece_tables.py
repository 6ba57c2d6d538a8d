#!/usr/bin/env python3
"""Writes wordpiece_tables.inc: what BERT's normaliser asks of Unicode.

Three categories as ranges, and what is left of each composed character once it is taken apart and
its marks are dropped ("é" is "e").  Hangul syllables come apart by arithmetic and are left out.
Usage: make_wordpiece_tables.py > wordpiece_tables.inc
"""
import unicodedata

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
BASES_MAX = 3  # Of Base::parts in wordpiece_text.cpp.


def ranges(holds):
    """[first, last] of each run of code points for which it holds."""
    found = []
    for c in filter(holds, CODE_POINTS):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def bases():
    for c in CODE_POINTS:
        parts = unicodedata.normalize("NFD", chr(c))
        if parts == chr(c) or 0xAC00 <= c <= 0xD7A3 or unicodedata.category(chr(c)) == "Mn":
            continue
        kept = [ord(part) for part in parts if unicodedata.category(part) != "Mn"]
        assert 1 <= len(kept) <= BASES_MAX
        yield [c, kept]


def cell_text(x):
    return "{" + ", ".join(map(cell_text, x)) + "}" if isinstance(x, list) else hex(x)


def emit(kind, name, rows):
    print(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        cell = " " + cell_text(row) + ","
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line + "\n};")


print(f"// Unicode {unicodedata.unidata_version}, written by make_wordpiece_tables.py.")
for name, initial in [("kPunctuation", "P"), ("kDropped", "C"), ("kMarks", "Mn")]:
    emit("Range", name, ranges(lambda c: unicodedata.category(chr(c)).startswith(initial)))
emit("Base", "kBases", bases())
