#!/usr/bin/env python3
"""Scores `hearth redact --json` on labelled sentences: recall and precision of spans.

    src/privacy/tagger/score.py --hearth build/release/src/cli/hearth [--data FILE]
        [--folds PREFIX]   # weights and held-out templates of `train.py --folds 5 --out PREFIX`
        [--misses]

A span counts if its type and both ends are right; in parentheses, if the type is right and the two overlap.
With --folds each sentence is read by the weights that never saw its template: the honest figure.
"""

import argparse
import glob
import json
import subprocess
from collections import defaultdict


def found(hearth, text, tagger):
    command = [hearth, "redact", "--json"] + (["--tagger", tagger] if tagger else [])
    out = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
    raw = text.encode()
    at = lambda byte: len(raw[:byte].decode())  # noqa: E731
    return [(at(s["start"]), at(s["end"]), s["type"]) for s in json.loads(out)["spans"]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hearth", required=True)
    parser.add_argument("--data", default="../shared/privacy/pii_spans.jsonl")
    parser.add_argument("--folds")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    taggers = {}
    for held in glob.glob(options.folds + ".fold*.held") if options.folds else []:
        for template in json.load(open(held)):
            taggers[template] = held.removesuffix(".held")
    counts = defaultdict(lambda: [0] * 5)
    for line in open(options.data, encoding="utf-8"):
        row = json.loads(line)
        gold = {(s["start"], s["end"], s["type"]) for s in row["spans"]}
        got = set(found(options.hearth, row["text"], taggers.get(row["template"])))
        for kind in {s[2] for s in gold | got} | {"ALL"}:
            g = {s for s in gold if kind in (s[2], "ALL")}
            f = {s for s in got if kind in (s[2], "ALL")}
            touches = lambda s, others: any(o[0] < s[1] and s[0] < o[1] and o[2] == s[2] for o in others)  # noqa: E731
            c = counts[kind]
            c[0] += len(g & f)
            c[1] += len(g)
            c[2] += len(f)
            c[3] += sum(touches(s, f) for s in g)
            c[4] += sum(touches(s, g) for s in f)
        if options.misses and gold != got:
            show = lambda spans: [(t, row["text"][a:b]) for a, b, t in sorted(spans)]  # noqa: E731
            print(f"{row['template']}: {row['text'][:120]!r}\n    missed {show(gold - got)}\n    wrong  {show(got - gold)}")
    print(f"{'type':18} recall  prec.  (overlapping)    n")
    for kind in sorted(counts, key=lambda k: (k == "ALL", -counts[k][1])):
        hit, g, f, oh, of = counts[kind]
        print(f"{kind:18} {hit / max(g, 1):.3f}  {hit / max(f, 1):.3f}  ({oh / max(g, 1):.3f} {of / max(f, 1):.3f})  {g}")


if __name__ == "__main__":
    main()
