#!/usr/bin/env python3
"""Writes unicode_ranges.inc: the code points of categories L and N, as ranges.

Run it when Unicode grows:  pip install unicodedata2 && ./make_unicode_ranges.py > unicode_ranges.inc
"""
import sys

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata


def ranges(major_category):
    """Yields (first, last) of each run of code points whose category starts with the letter."""
    first = None
    for c in range(sys.maxunicode + 2):
        inside = c <= sys.maxunicode and unicodedata.category(chr(c))[0] == major_category
        if inside and first is None:
            first = c
        elif not inside and first is not None:
            yield first, c - 1
            first = None


def print_table(name, major_category):
    print(f"constexpr CodePointRange {name}[] = {{")
    line = "   "
    for first, last in ranges(major_category):
        item = f" {{0x{first:X}, 0x{last:X}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line + "\n};")


print(f"// Unicode {unicodedata.unidata_version}, written by make_unicode_ranges.py.")
print_table("kLetters", "L")
print_table("kNumbers", "N")
