"""How the tagger sees a text; tokens.cpp and tagger.cpp say the same in C++.

A text is cut into words (letters), numbers (digits) and single other characters.  Each token has a
few attributes, each a 32-bit hash; a feature is up to three attributes of neighbouring tokens, mixed
into the index of a row of weights.  Nothing here depends on Unicode tables: what is a letter beyond
ASCII, and its lower case, are a few ranges.
"""

import numpy as np

MASK = 0xFFFFFFFF


def fnv1a(text):
    h = 0x811C9DC5
    for byte in text.encode("utf-8"):
        h = ((h ^ byte) * 0x01000193) & MASK
    return h


def is_letter(c):
    o = ord(c)
    if o < 0x80:
        return c.isascii() and c.isalpha()
    return not (o < 0xC0 or o in (0xD7, 0xF7) or 0x2000 <= o < 0x2E80 or 0x3000 <= o < 0x3040
                or 0xFE00 <= o < 0xFE70 or 0xFF00 <= o < 0xFF21 or o >= 0x1F000 or o == 0xFFFD)


def fold(o):
    """Lower case of a code point, for Latin, Greek and Cyrillic."""
    if o < 0x80:
        return o + 32 if 65 <= o <= 90 else o
    if 0xC0 <= o <= 0xDE:
        return o + 32
    if 0x100 <= o <= 0x17F:
        if 0x139 <= o <= 0x148 or 0x179 <= o <= 0x17E:
            return o + (o & 1)
        if o == 0x178:
            return 0xFF
        if o in (0x138, 0x149, 0x17F):
            return o
        return o | 1
    if 0x391 <= o <= 0x3A9:
        return o + 32
    if 0x400 <= o <= 0x40F:
        return o + 80
    if 0x410 <= o <= 0x42F:
        return o + 32
    return o


def lower(text):
    return "".join(chr(fold(ord(c))) for c in text)


def tokenize(text):
    """[(start, end)] in code points."""
    tokens, i = [], 0
    while i < len(text):
        c = text[i]
        if c.isascii() and c.isdigit():
            j = i
            while j < len(text) and text[j].isascii() and text[j].isdigit():
                j += 1
        elif is_letter(c):
            j = i
            while j < len(text) and is_letter(text[j]):
                j += 1
        elif c in " \t\r\n" or ord(c) == 0xA0:
            i += 1
            continue
        else:
            j = i + 1
        tokens.append((i, j))
        i = j
    return tokens


def number_kind(digits):
    """Of a run of digits: how long, and what it could be."""
    n = len(digits)
    value = int(digits) if n <= 6 else 10**6
    if n == 4 and 1900 <= value <= 2099:
        return "#y"
    if digits[0] == "0":
        return f"#0{min(n, 6)}"
    if n <= 2:
        return "#a" if value <= 12 else "#b" if value <= 31 else "#c"
    return f"#{min(n, 7)}"


def shape_of(word):
    up = [fold(ord(c)) != ord(c) for c in word]
    n = len(word)
    if not any(up):
        return "x" if n > 1 else "x1"
    if all(up):
        return "X" if n == 1 else "XX" if n <= 3 else "XXX"
    if up[0] and not any(up[1:]):
        return "Xx"
    return "XxX" if up[0] else "xX"


# Attributes of a token, in this order.
ATTRS = ["w", "shape", "p3", "s2", "s3", "s4", "gaz", "space", "prev", "next", "low", "line", "ahead"]
A = {name: i for i, name in enumerate(ATTRS)}
_cache = {}


def word_attrs(token):
    """(w, shape, p3, s2, s3, s4, is_word) of a token alone."""
    known = _cache.get(token)
    if known is not None:
        return known
    c = token[0]
    if c.isascii() and c.isdigit():
        kind = fnv1a(number_kind(token))
        known = (kind, kind, fnv1a("#"), fnv1a("#"), fnv1a("#"), fnv1a("#"), 1)
    elif is_letter(c):
        low = lower(token)
        w = fnv1a(low)
        known = (w, fnv1a(shape_of(token)), fnv1a("p" + low[:3]), fnv1a("s" + low[-2:]),
                 fnv1a("s" + low[-3:]), fnv1a("s" + low[-4:]), 2)
    else:
        w = fnv1a(token)
        known = (w, w, w, w, w, w, 0)
    _cache[token] = known
    return known


UNIT_WORDS = {"apt", "suite", "unit", "flat", "box", "floor"}
PAD = 0x9999
START = 0x7777


def attributes(text, gazetteer):
    """[n_tokens, len(ATTRS)] uint32, and the tokens."""
    tokens = tokenize(text)
    n = len(tokens)
    out = np.zeros((n, len(ATTRS)), np.uint64)
    words = [text[a:b] for a, b in tokens]
    rows = [word_attrs(w) for w in words]
    is_lower = not any(r[6] == 2 and any(fold(ord(c)) != ord(c) for c in w) for w, r in zip(words, rows))
    last_end, prev, line = 0, START, START
    for i, (a, b) in enumerate(tokens):
        gap = text[last_end:a]
        breaks = gap.count("\n")
        space = 3 if i == 0 else 2 if breaks > 1 else 1 if breaks else 4 if gap else 0
        if breaks:
            line = START
        row = rows[i]
        out[i, :6] = row[:6]
        out[i, A["gaz"]] = 1 + (gazetteer(row[0]) if row[6] == 2 else 0)
        out[i, A["space"]] = space + 1
        out[i, A["prev"]] = prev
        out[i, A["low"]] = 2 if is_lower else 1
        out[i, A["line"]] = line
        if row[6] == 2:
            prev = row[0]
            if line == START:
                line = row[0]
        last_end = b
    following = START
    unit_at, breaks_to_unit = -99, 0
    for i in range(n - 1, -1, -1):
        # A flat's or suite's number not far ahead, and whether on this line.
        near = unit_at >= 0 and unit_at - i <= 12
        out[i, A["ahead"]] = 1 + (0 if not near else 2 if breaks_to_unit else 1)
        if lower(words[i]) in UNIT_WORDS:
            unit_at, breaks_to_unit = i, 0
        if out[i, A["space"]] in (2, 3):  # A new line begins here.
            breaks_to_unit = 1
        out[i, A["next"]] = following
        if rows[i][6] == 2:
            following = rows[i][0]
    return out, tokens


# Each feature: (attribute, offset) up to three times.
FEATURES = [
    [("w", 0)], [("w", -1)], [("w", 1)], [("w", -2)], [("w", 2)],
    [("w", -1), ("w", 0)], [("w", 0), ("w", 1)], [("w", -2), ("w", -1)], [("w", 1), ("w", 2)],
    [("w", -1), ("shape", 0)], [("w", 1), ("shape", 0)], [("w", -2), ("w", -1), ("shape", 0)],
    [("shape", 0), ("low", 0)], [("shape", -1), ("shape", 0)], [("shape", 0), ("shape", 1)],
    [("shape", -1), ("shape", 0), ("shape", 1)], [("shape", -2), ("shape", -1), ("shape", 0)],
    [("p3", 0)], [("s2", 0)], [("s3", 0)], [("s4", 0)], [("s3", 0), ("shape", 0)],
    [("s3", -1)], [("s3", 1)],
    [("gaz", 0), ("low", 0)], [("gaz", -1), ("gaz", 0)], [("gaz", 0), ("gaz", 1)], [("gaz", -1)], [("gaz", 1)],
    [("gaz", 0), ("shape", 0)], [("gaz", -1), ("gaz", 0), ("gaz", 1)], [("gaz", 0), ("w", -1)], [("gaz", 0), ("w", 1)],
    [("gaz", 0), ("prev", 0)], [("gaz", 0), ("next", 0)],
    [("space", 0), ("shape", 0)], [("space", 1), ("shape", 0)], [("space", 0), ("shape", -1), ("shape", 0)],
    [("prev", 0)], [("next", 0)], [("line", 0)], [("line", 0), ("shape", 0)],
    [("ahead", 0), ("shape", 0)], [("ahead", 0), ("shape", 0), ("shape", 1)], [("ahead", 0), ("line", 0), ("shape", 0)],
    [("w", -3), ("shape", 0)], [("shape", 0), ("shape", 1), ("shape", 2)],
]
_K = [0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D]


def feature_rows(attrs, bits):
    """[n_tokens, len(FEATURES)] row numbers below 2**bits."""
    n = len(attrs)
    reach = 3
    padded = np.full((n + 2 * reach, len(ATTRS)), PAD, np.uint64)
    padded[reach:reach + n] = attrs
    out = np.empty((n, len(FEATURES)), np.int32)
    mask = np.uint64(MASK)
    for f, parts in enumerate(FEATURES):
        h = np.full(n, (f + 1) * 0x27D4EB2F & MASK, np.uint64)
        for k, (name, offset) in enumerate(parts):
            h = (h + padded[reach + offset:reach + offset + n, A[name]] * np.uint64(_K[k])) & mask
            h = ((h ^ (h >> np.uint64(15))) * np.uint64(0x2C1B3C6D)) & mask
        h = h ^ (h >> np.uint64(13))
        out[:, f] = ((h * np.uint64(0x9E3779B1)) & mask) >> np.uint64(32 - bits)
    return out
