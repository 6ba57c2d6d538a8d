#!/usr/bin/env python3
"""How well signals of a small model's own logits tell where it departs from a better one.

    bench/deviation.py ORIGINAL MODEL [MODEL...] [--tokens N] [--text] [--hearth PROGRAM] [--seed S]

ORIGINAL and each MODEL (GGUF files) share a vocabulary: a model and its quantisations, as a rule.  All read the same
tokens; where a MODEL's most probable next token is not ORIGINAL's, it is wrong.  That needs no question with a right
answer, so it also works for models that know nothing, like those for parity tests.  The tokens are drawn evenly from the
vocabulary, or, with --text, are written by ORIGINAL at temperature 1 in several pieces, as a trained model wants it.

Prints, of each signal, AUROC (the share of pairs of a wrong and a right position that it orders), with the standard
error of Hanley and McNeil (1982):

    top           log-probability of the most probable token
    margin        its lead over the second
    entropy       of the whole distribution (negated)
"""

import argparse
import array
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models/ember"))
from heldout_sets import auroc  # noqa: E402
from signals import Hub, standard_error  # noqa: E402

PIECE_TOKENS = 200  # What is read at once; small models hold little more.


def logits_of(program, model, tokens):
    """Rows of logits, a list of floats for each token."""
    with tempfile.NamedTemporaryFile() as file:
        done = subprocess.run([program, "inspect", "logits", model, "--tokens", " ".join(map(str, tokens)), "--out", file.name],
                              capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr.strip())
        values = array.array("f", pathlib.Path(file.name).read_bytes())
    n_vocab = len(values) // len(tokens)
    return [values[i * n_vocab:(i + 1) * n_vocab] for i in range(len(tokens))]


def argmax(row):
    return max(range(len(row)), key=row.__getitem__)


def signals_of(row):
    most = max(row)
    total = math.log(sum(math.exp(value - most) for value in row)) + most
    logs = [value - total for value in row]
    best = sorted(logs, reverse=True)
    return {"top": best[0], "margin": best[0] - best[1], "entropy": sum(math.exp(p) * p for p in logs)}


def drawn(program, original, n_tokens, seed):
    """Pieces of tokens drawn evenly."""
    n_vocab = len(logits_of(program, original, [1])[0])
    draw = random.Random(seed)
    return [[draw.randrange(n_vocab) for _ in range(PIECE_TOKENS)] for _ in range(n_tokens // PIECE_TOKENS)]


def written(program, original, n_tokens, seed):
    """Pieces of tokens that the original itself writes."""
    hub = Hub(program)

    def post(path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{hub.port}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    try:
        pieces = []
        while sum(map(len, pieces)) < n_tokens:
            answer = post("/v1/completions", {"model": original, "prompt": "\"", "max_tokens": PIECE_TOKENS - 8,
                                              "temperature": 1, "seed": seed + len(pieces)})
            pieces.append(post("/tokenize", {"model": original, "content": "\"" + answer["choices"][0]["text"],
                                             "add_special": True})["tokens"])
        return pieces
    finally:
        hub.close()


def report(program, model, pieces, truth):
    right, wrong = [], []
    for piece, expected in zip(pieces, truth):
        for row, token in zip(logits_of(program, model, piece), expected):
            (right if argmax(row) == token else wrong).append(signals_of(row))
    print(f"{pathlib.Path(model).stem}: {len(wrong)} of {len(right) + len(wrong)} positions depart from the original")
    if not right or not wrong:
        print("  nothing to tell apart")
        return
    for name in right[0]:
        area = auroc([row[name] for row in right], [row[name] for row in wrong])
        print(f"  {name:8} AUROC {area:.3f} +- {standard_error(area, len(wrong), len(right)):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("original")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--text", action="store_true", help="tokens that ORIGINAL writes, and not drawn ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hearth", default=str(HERE.parent / "build/release/src/cli/hearth"))
    options = parser.parse_args()

    original = os.path.abspath(options.original)
    pieces = (written if options.text else drawn)(options.hearth, original, options.tokens, options.seed)
    truth = [[argmax(row) for row in logits_of(options.hearth, original, piece)] for piece in pieces]
    for model in options.models:
        report(options.hearth, model, pieces, truth)


if __name__ == "__main__":
    main()
