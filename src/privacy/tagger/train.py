#!/usr/bin/env python3
"""Trains the tagger of names, places, organisations and addresses; writes weights.bin.

    python3 -m venv VENV && VENV/bin/pip install numpy==2.4.6 scipy==1.17.1 faker==40.54.0
    VENV/bin/python src/privacy/tagger/train.py --data ../shared/privacy/pii_spans.jsonl [--folds 5]

A linear-chain CRF over hashed features (tokens.py).  It learns from sentences of the data file with
their entities replaced by others (fillers.py), and from sentences of our own (templates.txt): what
it is tested on, other sentences, must not be what it was trained on.  So --folds splits the data by
`template`, trains without one part at a time and scores on it; without --folds, all of it is used.
The same seed gives the same weights.

weights.bin, little-endian: "HTAG", u32 version, bits, n_tags, n_features, n_slots, f32 scale;
tag names as lines, padded with zero bytes to 320; each feature as three pairs of i8 attribute (-1:
none) and i8 offset; i16 transitions [n_tags + 1, n_tags] (row n_tags: the first token's); the
gazetteer's slots, u16 fingerprints and then u8 classes; i8 weights [2^bits, n_tags].
"""

import argparse
import json
import os
import random
import re
import struct
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

sys.path.insert(0, str(Path(__file__).parent))
import tokens as tk  # noqa: E402
from fillers import (COUNTRIES, JOBS, KNOWN_ORGS, LABELS, NATIONALITIES, ORG_NOUNS, PEOPLES, SUFFIXES, Fillers)  # noqa: E402

# PART is inside of the program alone: a piece of an address whose other pieces are spans of their own.
TYPES = ["PERSON", "GPE", "ORGANIZATION", "STREET_ADDRESS", "NRP", "DATE_TIME", "TITLE", "AGE", "ZIP_CODE"]
TAGS = ["O"] + [p + t for t in TYPES + ["PART"] for p in ("B-", "I-")]
T = len(TAGS)
BITS = 15
GAZ = {"first": 1, "last": 2, "city": 4, "country": 8, "nrp": 16, "street": 32, "org": 64, "job": 128}


# ---- Gazetteer -----------------------------------------------------------------------------------

def gazetteer_of(fillers):
    """{hash of a lower-cased word: classes}."""
    classes = {}

    def add(texts, bit):
        for text in texts:
            for a, b in tk.tokenize(text):
                word = text[a:b]
                if tk.is_letter(word[0]) and len(word) > 1:
                    h = tk.word_attrs(word)[0]
                    classes[h] = classes.get(h, 0) | bit

    for first, last in fillers.names.values():
        add(first, GAZ["first"])
        add(last, GAZ["last"])
    add(fillers.cities, GAZ["city"])
    add(COUNTRIES, GAZ["country"])
    add(NATIONALITIES + PEOPLES, GAZ["nrp"])
    common = {}
    for street in fillers.streets:
        for word in re.findall(r"\w+", street):
            common[word] = common.get(word, 0) + 1
    add([w for w, n in common.items() if n >= 8 and not w.isdigit()], GAZ["street"])
    add(SUFFIXES + ORG_NOUNS + KNOWN_ORGS, GAZ["org"])
    add(JOBS, GAZ["job"])
    return classes


# ---- Sentences -----------------------------------------------------------------------------------

SLOT = re.compile(r"\{(\w+)\}")


def fill(template, fillers):
    """(text, spans) of a sentence with slots; a number beside a street is part of it."""
    text, spans, at = "", [], 0
    for match in SLOT.finditer(template):
        text += template[at:match.start()]
        slot = match[1]
        value = getattr(fillers, slot)()
        label = LABELS.get(slot)
        if label:
            glued = (spans and label == "STREET_ADDRESS" == spans[-1][2] and slot in ("street", "number") and
                     spans[-1][3] in ("street", "number") and spans[-1][3] != slot and text[spans[-1][1]:] == " ")
            if glued:
                spans[-1] = (spans[-1][0], len(text) + len(value), label, "glued")
            else:
                spans.append((len(text), len(text) + len(value), label, slot))
        text += value
        at = match.end()
    return text + template[at:], [s[:3] for s in spans]


def form_of(value, label):
    """Values of one form can stand for one another."""
    if label in ("GPE", "NRP", "DATE_TIME", "TITLE", "PERSON"):
        return (label, " " in value, value in COUNTRIES, bool(re.search(r"\d", value)), value[-1:] == "s")
    return (label,) if label == "ORGANIZATION" else None


def like(value, label, fillers):
    """Another entity of the same kind and form as `value`."""
    form = form_of(value, label)
    if form and fillers.chance(.35) and len(fillers.pool.get(form, ())) > 3:
        new = fillers.pick(fillers.pool[form])
        return new.lower() if value.islower() else new
    if label == "PERSON":
        words = value.split()
        new = fillers.person()
        if len(words) == 1:
            new = fillers.first() if fillers.chance(.6) else fillers.last()
        elif " " not in new:
            new = fillers.first() + " " + fillers.last()
    elif label == "GPE":
        if value == "nan":
            return value if fillers.chance(.5) else fillers.gpe()
        new = fillers.country() if value in COUNTRIES else fillers.city()
    elif label == "ORGANIZATION":
        new = fillers.org()
    elif label == "NRP":
        new = fillers.nrps() if value.endswith("s") and not value.endswith("ss") else fillers.nrp()
    elif label == "STREET_ADDRESS":
        if re.fullmatch(r"\d+", value):
            new = fillers.digits(max(len(value), 2))
        elif re.fullmatch(r"(?i)(apt|suite|p\.o\.|unit|flat)\D*\d+", value):
            new = re.sub(r"\d", lambda _: fillers.pick("0123456789"), value)
        elif re.search(r"\n| and |apt|suite", value, re.I) or len(value) > 34:
            new = fillers.address()
        else:
            new = fillers.house() if re.search(r"\d", value) else fillers.street()
    elif label == "ZIP_CODE":
        new = fillers.zip()
    elif label == "AGE":
        new = fillers.age()
    elif label == "TITLE":
        new = fillers.title() if len(value) < 5 else fillers.job()
    elif re.fullmatch(r"\d{4}", value):
        new = fillers.year()
    elif re.fullmatch(r"[A-Za-z]+", value):
        new = fillers.weekday()
    else:
        new = fillers.date()
    if value.islower():
        return new.lower()
    return new.upper() if value.isupper() and len(value) > 3 else new


def refill(row, fillers):
    """A row of the data with its entities replaced."""
    text, spans, at = "", [], 0
    for span in sorted(row["spans"], key=lambda s: s["start"]):
        text += row["text"][at:span["start"]]
        value = row["text"][span["start"]:span["end"]]
        if span["type"] in TYPES:
            value = like(value, span["type"], fillers)
            spans.append((len(text), len(text) + len(value), span["type"]))
        text += value
        at = span["end"]
    return text + row["text"][at:], spans


def own(row):
    return row["text"], [(s["start"], s["end"], s["type"]) for s in row["spans"] if s["type"] in TYPES]


def prose():
    """Sentences of this project's pages that name nobody: all words but the first in lower case."""
    found = []
    for page in sorted((Path(__file__).resolve().parents[3] / "docs" / "design").glob("*.md")):
        for line in re.split(r"(?<=[.:;])\s+", page.read_text(encoding="utf-8")):
            line = line.strip()
            if 30 < len(line) < 300 and re.fullmatch(r"[A-Z][a-z]*[^A-Z`|*#\[\]]+", line):
                found.append(line)
    return found


def recase(sample, rng):
    text, spans = sample
    roll = rng.random()
    changed = tk.lower(text) if roll < .14 else text.upper() if roll < .16 else text
    if len(changed) != len(text):
        return sample
    if roll > .97:
        text = text.rstrip(".!?") + rng.choice(["", "!", "?", "...", " !!"])
        return text, spans
    return changed, spans


def sentences(rows, fillers, seed):
    """Training samples: (text, spans)."""
    rng = random.Random(seed)
    lines = [line.rstrip("\n").replace("\\n", "\n")
             for line in (Path(__file__).parent / "templates.txt").read_text().splitlines()
             if line and not line.startswith("#")]
    samples = [own(row) for row in rows]
    fillers.pool = {}
    for text, spans in samples:
        for start, end, label in spans:
            value = text[start:end]
            if not value.islower() and form_of(value, label):
                fillers.pool.setdefault(form_of(value, label), []).append(value)
    fillers.orgs = fillers.pool.get(("ORGANIZATION",), [])
    fillers.countries = [text[s:e] for text, spans in samples for s, e, t in spans if t == "GPE" and text[s:e] in COUNTRIES]
    by_template = {}
    for row in rows:
        by_template.setdefault(row["template"], []).append(row)
    for group in by_template.values():
        for i in range(30 if any(r["spans"] for r in group) else 4):
            samples.append(refill(group[i % len(group)], fillers))
    for line in lines:
        for _ in range(24 if "{" in line else 3):
            samples.append(recase(fill(line, fillers), rng))
    samples += [(line, []) for line in prose()]
    # Longer texts: a sentence behind another.
    heads = [s for s in samples if len(s[0]) < 160]
    for _ in range(len(samples) // 8):
        (a, spans_a), (b, spans_b) = rng.choice(heads), rng.choice(heads)
        glue = rng.choice([" ", "\n", " ", "\n\n"])
        shift = len(a) + len(glue)
        samples.append((a + glue + b, spans_a + [(s + shift, e + shift, t) for s, e, t in spans_b]))
    rng.shuffle(samples)
    return samples


# ---- The CRF -------------------------------------------------------------------------------------

def with_parts(text, spans):
    """The spans with PART for those that stand beside another piece of the same address."""
    spans = sorted(spans)
    out = []
    for i, (start, end, label) in enumerate(spans):
        if label == "STREET_ADDRESS":
            near = [spans[j] for j in (i - 1, i + 1) if 0 <= j < len(spans)]
            for s, e, other in near:
                gap = text[min(end, e):max(start, s)]
                if other == "STREET_ADDRESS" and len(gap) < 8 and not re.search(r"[a-z]", gap):
                    label = "PART"
        out.append((start, end, label))
    return out


def encode(text, spans, gazetteer, drop=None):
    """(features, tags) of a sample; `drop` leaves the gazetteer's classes of some tokens out."""
    look = gazetteer if drop is None else (lambda h: 0 if drop.random() < .12 else gazetteer(h))
    attrs, toks = tk.attributes(text, look)
    tags = np.zeros(len(toks), np.int64)
    for start, end, label in with_parts(text, spans):
        first = True
        for i, (a, b) in enumerate(toks):
            if a < end and b > start:
                tags[i] = TAGS.index(("B-" if first else "I-") + label)
                first = False
    return tk.feature_rows(attrs, BITS), tags


def batches_of(data, size, rng):
    order = sorted(range(len(data)), key=lambda i: (len(data[i][1]), rng.random()))
    cuts, batch, total = [], [], 0
    for i in order:
        batch.append(i)
        total += len(data[i][1])
        if total >= size:
            cuts.append(batch)
            batch, total = [], 0
    if batch:
        cuts.append(batch)
    rng.shuffle(cuts)
    return cuts


def logsumexp(x, axis):
    top = x.max(axis=axis, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=axis)) + np.squeeze(top, axis)


def crf_gradient(emissions, trans, start, tags, lengths):
    """Gradients of the log-likelihood for padded [B, L, T] emissions, shorter rows padded at the end."""
    B, L, _ = emissions.shape
    alpha = np.zeros_like(emissions)
    beta = np.zeros_like(emissions)
    alpha[:, 0] = emissions[:, 0] + start
    for t in range(1, L):
        alpha[:, t] = logsumexp(alpha[:, t - 1][:, :, None] + trans[None], 1) + emissions[:, t]
    for t in range(L - 2, -1, -1):
        b = logsumexp(trans[None] + (emissions[:, t + 1] + beta[:, t + 1])[:, None, :], 2)
        beta[:, t] = np.where((t + 1 < lengths)[:, None], b, 0)
    last = alpha[np.arange(B), lengths - 1]
    z = logsumexp(last, 1)
    mask = np.arange(L)[None] < lengths[:, None]
    marginal = np.exp(alpha + beta - z[:, None, None]) * mask[:, :, None]
    gold = np.zeros_like(emissions)
    gold[np.arange(B)[:, None], np.arange(L)[None], tags] = mask
    g_trans = np.zeros_like(trans)
    for t in range(1, L):
        live = mask[:, t]
        joint = np.exp(alpha[live, t - 1][:, :, None] + trans[None] + (emissions[live, t] + beta[live, t])[:, None, :] - z[live, None, None])
        g_trans -= joint.sum(0)
        np.add.at(g_trans, (tags[live, t - 1], tags[live, t]), 1)
    return gold - marginal, g_trans, gold[:, 0].sum(0) - marginal[:, 0].sum(0)


def legal():
    """[T + 1, T] of 0 and -30: an I- tag only behind its own B- or I-."""
    penalty = np.zeros((T + 1, T), np.float32)
    for j, tag in enumerate(TAGS):
        if tag.startswith("I-"):
            for i in range(T + 1):
                if i == T or TAGS[i][2:] != tag[2:]:
                    penalty[i, j] = -30
    return penalty


def train(samples, gazetteer, seed, epochs, log=print):
    rng = random.Random(seed)
    data = [encode(text, spans, gazetteer, rng) for text, spans in samples]
    data = [d for d in data if len(d[1])]
    n_features = len(tk.FEATURES)
    W = np.zeros((1 << BITS, T), np.float32)
    S = np.full_like(W, 1e-2)
    fixed = legal()
    trans = np.zeros((T + 1, T), np.float32)
    s_trans = np.full_like(trans, 1e-2)
    total = np.zeros_like(W, dtype=np.float64)
    total_trans = np.zeros_like(trans, dtype=np.float64)
    n_sums = 0
    noise = np.random.default_rng(seed)
    for epoch in range(epochs):
        for batch in batches_of(data, 1500, rng):
            lengths = np.array([len(data[i][1]) for i in batch])
            B, L = len(batch), lengths.max()
            rows = np.concatenate([data[i][0] for i in batch])
            n = len(rows)
            kept = (noise.random(rows.shape) > .15).astype(np.float32) / .85
            X = sparse.csr_matrix((kept.ravel(), rows.ravel(), np.arange(n + 1) * n_features), (n, 1 << BITS))
            flat = X @ W
            where = np.concatenate([np.arange(k) + b * L for b, k in enumerate(lengths)])
            emissions = np.zeros((B * L, T), np.float32)
            emissions[where] = flat
            tags = np.zeros(B * L, np.int64)
            tags[where] = np.concatenate([data[i][1] for i in batch])
            full = trans + fixed
            g, g_trans, g_start = crf_gradient(emissions.reshape(B, L, T), full[:T], full[T], tags.reshape(B, L), lengths)
            used = np.unique(rows)
            gw = (X.T @ g.reshape(B * L, T)[where])[used] / B - 2e-5 * W[used]
            S[used] += gw * gw
            W[used] += .25 * gw / np.sqrt(S[used])
            gt = np.vstack([g_trans, g_start[None]]) / B
            s_trans += gt * gt
            trans += .1 * gt / np.sqrt(s_trans)
        if epoch >= epochs // 2:
            total += W
            total_trans += trans
            n_sums += 1
        log(f"epoch {epoch + 1}: |W| {np.abs(W).sum():.0f}")
    return (total / n_sums).astype(np.float32), (total_trans / n_sums).astype(np.float32) + fixed


def quantize(W, trans):
    limit = np.quantile(np.abs(W[W != 0]), .9995)
    scale = limit / 127
    q = np.clip(np.rint(W / scale), -127, 127).astype(np.int8)
    qt = np.clip(np.rint(trans / scale), -30000, 30000).astype(np.int16)
    return q, qt, float(scale)


def decode(text, model, gazetteer):
    q, qt, _ = model
    attrs, toks = tk.attributes(text, gazetteer)
    if not toks:
        return []
    rows = tk.feature_rows(attrs, BITS)
    e = q[rows].astype(np.int32).sum(1)
    qt = qt.astype(np.int32)
    score = e[0] + qt[T]
    back = []
    for t in range(1, len(toks)):
        s = score[:, None] + qt[:T]
        back.append(s.argmax(0))
        score = s.max(0) + e[t]
    tag = int(score.argmax())
    path = [tag]
    for b in reversed(back):
        tag = int(b[tag])
        path.append(tag)
    path.reverse()
    spans = []
    for (a, b), tag in zip(toks, path):
        name = TAGS[tag]
        if name.startswith("B-"):
            spans.append([a, b, name[2:].replace("PART", "STREET_ADDRESS")])
        elif name.startswith("I-") and spans:
            spans[-1][1] = b
    return [tuple(s) for s in spans]


# ---- Scores --------------------------------------------------------------------------------------

class Score:
    def __init__(self):
        self.counts = {}

    def add(self, gold, found):
        gold, found = set(gold), set(found)
        for kind in TYPES + ["ALL"]:
            g = {s for s in gold if kind in (s[2], "ALL")}
            f = {s for s in found if kind in (s[2], "ALL")}
            c = self.counts.setdefault(kind, [0, 0, 0, 0, 0])
            c[0] += len(g & f)
            c[1] += len(g)
            c[2] += len(f)
            c[3] += sum(any(o[0] < s[1] and s[0] < o[1] and o[2] == s[2] for o in f) for s in g)
            c[4] += sum(any(o[0] < s[1] and s[0] < o[1] and o[2] == s[2] for o in g) for s in f)

    def text(self):
        lines = [f"{'type':16} recall  prec.  (overlapping: recall prec.)  n"]
        for kind, (hit, g, f, oh, of) in self.counts.items():
            lines.append(f"{kind:16} {hit / max(g, 1):.3f}  {hit / max(f, 1):.3f}  ({oh / max(g, 1):.3f} {of / max(f, 1):.3f})  {g}")
        return "\n".join(lines)


# ---- The file ------------------------------------------------------------------------------------

def gazetteer_slots(classes):
    n_slots = 1 << (len(classes) * 5 // 4).bit_length()
    if len(classes) < n_slots * 3 // 8:
        n_slots //= 2
    slots = [(0, 0)] * n_slots
    for h in sorted(classes):
        at, mark = slot_of(h, n_slots)
        while slots[at][1] and slots[at][0] != mark:
            at = (at + 1) % n_slots
        slots[at] = (mark, slots[at][1] | classes[h])
    return slots


def slot_of(h, n_slots):
    mixed = (h * 0x9E3779B1) & tk.MASK
    return mixed >> (32 - (n_slots.bit_length() - 1)), (h & 0xFFFF) ^ (h >> 16)


def write_weights(path, model, slots):
    q, qt, scale = model
    names = "\n".join(TAGS).replace("PART", "STREET_ADDRESS").encode()
    head = struct.pack("<4sIIIIIf", b"HTAG", 1, BITS, T, len(tk.FEATURES), len(slots), scale)
    body = b""
    for parts in tk.FEATURES:
        pairs = [(tk.A[name], offset) for name, offset in parts] + [(-1, 0)] * (3 - len(parts))
        body += struct.pack("<6b", *(n for pair in pairs for n in pair))
    body += qt.astype("<i2").tobytes()
    body += np.array([s[0] for s in slots], "<u2").tobytes() + bytes(s[1] for s in slots)
    body += q.tobytes()
    path.write_bytes(head + names.ljust(320, b"\0") + body)
    print(f"wrote {path}: {path.stat().st_size} bytes, {len(slots)} slots, {np.count_nonzero(q.any(1))} rows in use")


def lookup(slots):
    """The gazetteer as the program reads it, with its rare false finds."""
    n = len(slots)

    def find(h):
        at, mark = slot_of(h, n)
        while slots[at][1]:
            if slots[at][0] == mark:
                return slots[at][1]
            at = (at + 1) % n
        return 0
    return find


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="../shared/privacy/pii_spans.jsonl")
    parser.add_argument("--out", default=str(Path(__file__).parent / "weights.bin"))
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--only", type=int, default=-1, help="only this fold")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--misses", action="store_true", help="print what a fold gets wrong")
    options = parser.parse_args()
    rows = [json.loads(line) for line in open(options.data, encoding="utf-8")]
    fillers = Fillers(options.seed)
    classes = gazetteer_of(fillers)
    slots = gazetteer_slots(classes)
    gazetteer = lookup(slots)
    print(f"gazetteer: {len(classes)} words; {len(rows)} rows")
    if not options.folds:
        model = quantize(*train(sentences(rows, fillers, options.seed), gazetteer, options.seed, options.epochs))
        return write_weights(Path(options.out), model, slots)
    templates = sorted({r["template"] for r in rows})
    random.Random(options.seed).shuffle(templates)
    score = Score()
    for fold in range(options.folds):
        if options.only not in (-1, fold):
            continue
        held = set(templates[fold::options.folds])
        kept = [r for r in rows if r["template"] not in held]
        model = quantize(*train(sentences(kept, fillers, options.seed + fold), gazetteer, options.seed, options.epochs, log=lambda *_: None))
        write_weights(Path(f"{options.out}.fold{fold}"), model, slots)
        Path(f"{options.out}.fold{fold}.held").write_text(json.dumps(sorted(held)))
        for row in rows:
            if row["template"] in held:
                gold, found = own(row)[1], decode(row["text"], model, gazetteer)
                score.add(gold, found)
                if options.misses and set(gold) != set(found):
                    show = [(t, row["text"][a:b]) for a, b, t in sorted(found)]
                    want = [(t, row["text"][a:b]) for a, b, t in sorted(gold)]
                    print(f"  {row['template']}: {row['text'][:140]!r}\n     want {want}\n     got  {show}")
        print(f"fold {fold}")
        print(score.text(), flush=True)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # Faker's lists come in the order of hashes.
        os.execvpe(sys.executable, [sys.executable, *sys.argv],
                   {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"})
    main()
